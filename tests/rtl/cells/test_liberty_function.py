"""Boolean expressions of Liberty files: every spelling, precedence, and what is none."""

import pytest

from densimeter.rtl.cells.liberty_function import parse, states


def truth(text: str, *pins: str) -> list[int]:
    expression = parse(text)
    return [expression.value(state) for state in states(pins)]


@pytest.mark.parametrize("spelling", ["A & B", "A*B", "A B", "(A) (B)", "(A)B", "A & (B)"])
def test_and_in_every_spelling(spelling: str) -> None:
    assert truth(spelling, "A", "B") == [0, 0, 0, 1]


@pytest.mark.parametrize("spelling", ["!A", "A'", "(A)'", "!(A)", "A'''", "!!A'", "1 ^ A", "1'b1 & !A"])
def test_not_and_constants_in_every_spelling(spelling: str) -> None:
    assert truth(spelling, "A") == [1, 0]


@pytest.mark.parametrize(
    ("text", "grouped"),
    [
        ("A | B & C", "A | (B & C)"),
        ("A & B ^ C", "A & (B ^ C)"),
        ("!A B + C", "((!A) & B) | C"),
        ("A B' C", "A & (B') & C"),
    ],
)
def test_precedence(text: str, grouped: str) -> None:
    assert truth(text, "A", "B", "C") == truth(grouped, "A", "B", "C")


def test_exclusive_or_of_three_is_their_parity() -> None:
    assert truth("A ^ B ^ C", "A", "B", "C") == [0, 1, 1, 0, 1, 0, 0, 1]


def test_verilog_keeps_the_structure_and_takes_other_names() -> None:
    assert parse("!((A1 & A2) | B')").verilog({"A1": "n1", "A2": "n2", "B": "n3"}) == "~((n1 & n2) | ~n3)"


def test_the_pins_are_known() -> None:
    assert parse("!((A1 & A2) | 1)").pins == {"A1", "A2"}


@pytest.mark.parametrize("text", ["", "A &", "(A", "A)", "& A", "A ? B", "!"])
def test_what_is_no_expression_is_refused_with_its_text(text: str) -> None:
    with pytest.raises(ValueError, match=r"^'"):
        parse(text)
