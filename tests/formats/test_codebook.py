"""Codebooks: values from a list, in any order; neighbours, ties and zeros; and which lists are refused."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given

from densimeter.formats import BlockFormat, CodebookElement, FormatError, PowerOfTwoScale, reference
from support import oracle
from support.strategies_parts import codebooks

# Neither sorted nor even: ranks are -3 (code 2), -1 (0), 0 (3), 0.5 (1), 8 (4)
MIXED = CodebookElement((-1.0, 0.5, -3.0, 0.0, 8.0))


def encode(values: list[float], element: CodebookElement, **fields: object) -> list[int]:
    return reference.quantize_block(values, BlockFormat("x", element, **fields))[1]  # type: ignore[arg-type]


def test_codes_are_positions_in_the_list() -> None:
    assert [float(MIXED.decode(code)) for code in range(5)] == [-1.0, 0.5, -3.0, 0.0, 8.0]
    assert MIXED.ladder == tuple(
        (Fraction(level), code) for level, code in ((-3, 2), (-1, 0), (0, 3), (0.5, 1), (8, 4))
    )
    assert encode([-1.0, 0.5, -3.0, 0.0, 8.0], MIXED) == [0, 1, 2, 3, 4]


def test_derived_facts() -> None:
    assert MIXED.bits == 3
    assert MIXED.largest == 8
    assert MIXED.emax == 3
    assert MIXED.lsb_exponent == MIXED.top_exponent == -1
    assert MIXED.significand_bits == 5  # 8 is 16 halves
    assert MIXED.padding_code == 3
    assert (MIXED.has_nan, MIXED.has_infinity) == (False, False)
    assert (MIXED.symbol, MIXED.notation) == ("codebook5", "codebook of 5 levels")
    assert CodebookElement((-4.0, 1.0)).largest == 4, "the largest magnitude, be it negative"


@pytest.mark.parametrize(
    ("levels", "bits"),
    [((0.0, 1.0), 1), ((0.0, 1.0, 2.0), 2), (tuple(map(float, range(5))), 3), (tuple(map(float, range(256))), 8)],
)
def test_as_many_bits_as_levels_need(levels: tuple[float, ...], bits: int) -> None:
    assert CodebookElement(levels).bits == bits


def test_codes_past_the_last_level_read_as_zero() -> None:
    assert [float(MIXED.decode(code)) for code in (5, 6, 7)] == [0, 0, 0]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (-100.0, 2),  # saturates at both ends
        (100.0, 4),
        (-2.1, 2),
        (-2.0, 2),  # a tie between ranks 0 and 1: to the even one, -3
        (-1.9, 0),
        (-0.5, 3),  # between ranks 1 and 2: to 0
        (0.25, 3),  # between ranks 2 and 3: to 0
        (4.25, 4),  # between ranks 3 and 4: to 8
        (4.24, 1),
    ],
)
def test_the_nearest_level_and_ties_to_even_rank(value: float, code: int) -> None:
    assert encode([float(np.float32(value))], MIXED) == [code]


def test_two_zeros_keep_the_sign() -> None:
    both = CodebookElement((0.0, 1.0, -0.0, -1.0))
    assert (both.positive_zero_code, both.negative_zero_code) == (0, 2)
    assert encode([0.0, -0.0, 0.3, -0.3], both) == [0, 2, 0, 2]
    assert both.decode(2).negative
    assert both.ladder == ((Fraction(-1), 3), (Fraction(0), 0), (Fraction(1), 1)), "zero once, under its first code"


def test_codebooks_are_equal_where_their_levels_and_signs_are() -> None:
    """What is kept for one codebook, such as its table of values, must not be taken for the other's."""
    one, other = CodebookElement((0.0, 1.0, -0.0)), CodebookElement((-0.0, 1.0, 0.0))
    assert one == CodebookElement((0.0, 1.0, -0.0))
    assert hash(one) == hash(CodebookElement((0.0, 1.0, -0.0)))
    assert one != other
    assert one != one.levels
    assert [encode([-0.0], element) for element in (one, other)] == [[2], [0]]


def test_numbers_of_numpy_are_numbers() -> None:
    element = CodebookElement(tuple(np.array([-1.0, -0.0, 0.0, 1.0])))
    assert element == CodebookElement((-1.0, -0.0, 0.0, 1.0))
    assert element.levels == (-1.0, -0.0, 0.0, 1.0)
    assert float(element.decode(0)) == -1.0


@pytest.mark.parametrize(
    ("levels", "positive", "negative", "padding"),
    [
        ((1.0, 0.0, -1.0), 1, None, 1),
        ((1.0, -0.0, -1.0), 1, None, 1),  # the only zero serves for both
        ((1.0, -0.0, 0.0), 2, 1, 2),
        ((1.0, -1.0), None, None, 0),
    ],
)
def test_zeros_of_other_lists(
    levels: tuple[float, ...], positive: int | None, negative: int | None, padding: int
) -> None:
    element = CodebookElement(levels)
    assert (element.positive_zero_code, element.negative_zero_code) == (positive, negative)
    assert element.padding_code == padding
    if positive is not None:
        assert encode([0.0], element) == [positive]
        assert encode([-0.0], element) == [positive if negative is None else negative]


def test_without_a_zero_zero_goes_to_a_neighbour() -> None:
    assert encode([0.0], CodebookElement((-1.0, 2.0))) == [0]
    assert encode([0.0, -0.0], CodebookElement((-1.0, 1.0))) == [0, 0]  # a tie, to the even rank 0


def test_a_level_that_float32_can_only_just_hold() -> None:
    tiny, big = 2.0**-149, float(np.finfo(np.float32).max)
    element = CodebookElement((tiny, big))
    assert element.lsb_exponent == -149
    assert encode([0.0, 1.0, big], element) == [0, 0, 1]


def test_levels_under_a_shared_exponent() -> None:
    """emax 3: a block of largest value 80 gets the scale 2^(6 - 3); 80 / 8 = 10 saturates at 8."""
    fmt = BlockFormat("x", MIXED, PowerOfTwoScale(), 16)
    assert reference.quantize_block([80.0, -8.0, 4.0, 0.1], fmt) == (127 + 3, [4, 0, 1, 3])
    assert reference.dequantize_block(127 + 3, [4, 0, 1, 3], fmt) == [64.0, -8.0, 4.0, 0.0]


@given(codebooks())
def test_every_level_encodes_to_itself(element: CodebookElement) -> None:
    codes = encode(list(element.levels), element)
    restored = [float(element.decode(code)) for code in codes]
    assert restored == list(element.levels)
    if element.negative_zero_code is not None:
        assert codes == list(range(len(element.levels))), "both zeros are told apart"


@given(codebooks())
def test_derived_facts_follow_from_the_levels(element: CodebookElement) -> None:
    values = [Fraction(oracle.value(element, code)) for code in range(1 << element.bits)]
    assert element.largest == max(map(abs, values))
    units = [abs(value) / Fraction(2) ** element.lsb_exponent for value in values]
    assert all(unit.denominator == 1 for unit in units)
    assert any(unit % 2 == 1 for unit in units), "the lowest bit is used"
    assert int(max(units)).bit_length() == element.significand_bits


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ((), r"codebook levels are \(\), expected a list of 2 to 256 numbers"),
        ((1.0,), "expected a list of 2 to 256 numbers"),
        (tuple(map(float, range(257))), "expected a list of 2 to 256 numbers"),
        ([0.0, 1.0], "expected a list of 2 to 256"),  # a list cannot be hashed
        ((0, 1), "codebook level 0 is not a finite float32 number"),
        ((0.0, True), "codebook level True is not"),
        ((0.0, 0.1), r"codebook level 0\.1 is not a finite float32 number; round it first"),
        ((0.0, 2.0**-150), "is not a finite float32 number"),
        ((0.0, 1 + 2.0**-24), "is not a finite float32 number"),
        ((0.0, 2.0**128), "is not a finite float32 number"),
        ((0.0, math.inf), "codebook level inf is not"),
        ((0.0, math.nan), "codebook level nan is not"),
        ((0.0, 1.0, 1.0), r"codebook level 1\.0 stands twice"),
        ((0.0, 1.0, 0.0), r"codebook level 0\.0 stands twice"),
        ((0.0, -0.0), "codebook levels are all zero"),
    ],
)
def test_lists_that_are_refused(levels: tuple[float, ...], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        CodebookElement(levels)
