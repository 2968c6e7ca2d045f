"""The language of conditions: what it computes, held to Python itself, and what it says about mistakes."""

import math
import pickle
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from densimeter.formats import ConfigError
from densimeter.simulator.explore.expressions import Expression, Kind, compile_expression

KINDS: dict[str, Kind] = {"array.rows": "number", "lanes": "number", "format": "text", "feasible": "truth"}
COLUMNS = {
    "array.rows": np.array([8.0, 16.0, 32.0]),
    "lanes": np.array([1.0, 4.0, np.nan]),
    "format": np.array(["bfp4", "bfp6", "int8"]),
    "feasible": np.array([True, False, True]),
}


def read(text: str, expected: Kind = "truth") -> Expression:
    return compile_expression(text, KINDS, expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("array.rows * lanes <= 32", [True, False, False]),  # 8 * 1, 16 * 4, 32 * undefined
        ("lanes != 4", [True, False, True]),
        ("8 < array.rows <= 16", [False, True, False]),
        ("format in ['bfp4', 'int8'] and feasible", [True, False, True]),
        ("format not in ('bfp4',) or not feasible", [False, True, True]),
        ("format == 'int8' and true", [False, False, True]),
        ("(array.rows if feasible else lanes) > 4", [True, False, True]),
        ("array.rows / 0 > 5", [True, True, True]),  # infinite
        ("array.rows % 0 > 5", [False, False, False]),  # undefined
    ],
)
def test_conditions(text: str, expected: list[bool]) -> None:
    assert read(text)(COLUMNS).tolist() == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max(array.rows, 10, 20) // 3", [20 // 3, 20 // 3, 32 // 3]),
        ("min(array.rows, 10) ** 2", [64, 100, 100]),
        ("log2(array.rows) + ceil(0.1) - floor(1.9) + abs(-2) * sqrt(4)", [3 + 4, 4 + 4, 5 + 4]),
        ("-array.rows + +1", [-7, -15, -31]),
    ],
)
def test_numbers(text: str, expected: list[float]) -> None:
    assert read(text, "number")(COLUMNS).tolist() == expected


def test_names_are_listed_in_order_and_functions_are_none() -> None:
    assert read("max(lanes, array.rows) > lanes or feasible").names == ("lanes", "array.rows", "feasible")


def test_an_expression_survives_pickling() -> None:
    copied = pickle.loads(pickle.dumps(read("array.rows > 8")))
    assert copied(COLUMNS).tolist() == [False, True, True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("array.row > 8", "column 1: unknown name 'array.row'; did you mean 'array.rows'?"),
        ("lanes > array.rows + format", "column 22: format is a text, expected a number"),
        ("array.rows", "array.rows is a number, expected a condition"),
        ("format < 'bfp6'", "format is a text, expected a number"),
        ("format == 3", "3 is a number, expected a text"),
        ("format == bfp6", "column 11: unknown name 'bfp6'; .*texts stand in quotes"),
        ("maximum(lanes) > 1", "unknown function 'maximum'; did you mean 'max'?"),
        ("max(lanes) > 1", "max takes two or more numbers"),
        ("log2(lanes, x=3) > 1", "log2 takes one number"),
        ("format in 'bfp6'", "expected a list such as"),
        ("format in []", "expected a list such as"),
        ("lanes is 3", "expected == or !="),
        ("lanes >", "invalid syntax"),
        ("(lambda: 1)() > 0", "unknown function"),
        ("[x for x in 'a'] == 1", "is not part of this language"),
        ("feasible if lanes else feasible", "lanes is a number, expected a condition"),
        ("__import__('os').system('true') == 0", "unknown function"),
        ("lanes.__class__ == 1", "unknown name 'lanes.__class__'"),
        ("1e999 < lanes and 1" + "0" * 400 + " > 1", "a number too large"),
        ("b'a' == format", "neither a number nor a text"),
        ("lanes > 1" + " + 1" * 500, "expected an expression of at most 1000"),
        ("(" * 400 + "1" + ")" * 400, "expected an expression such as"),
        ("\0", "expected an expression such as"),
    ],
)
def test_mistakes_say_where_and_what(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text)
    parts = [re.escape(part) for part in message.split(".*")]
    assert re.search(".*".join(parts), str(caught.value)), str(caught.value)


numbers = st.sampled_from(["a", "b", "2", "0.5", "7"])
operations = st.recursive(
    numbers,
    lambda inner: st.builds(
        "({} {} {})".format, inner, st.sampled_from(["+", "-", "*", "<=", "==", "and", "or"]), inner
    ),
    max_leaves=12,
)


@given(operations, st.integers(-9, 9), st.integers(-9, 9))
def test_what_is_accepted_means_what_python_means(text: str, a: int, b: int) -> None:
    try:
        expression = compile_expression(text, {"a": "number", "b": "number"}, "truth")
    except ConfigError:
        return
    assert bool(expression({"a": np.array([a]), "b": np.array([b])})) == eval(text, {"a": float(a), "b": float(b)})


@given(st.text(alphabet=st.sampled_from("ab1.+-*/%<>=!()[]'\",:# \n\\andotrif{}@_"), max_size=40))
def test_no_text_is_worse_than_a_mistake(text: str) -> None:
    try:
        found = compile_expression(text, {"a": "number", "b": "text"}, "truth")
    except ConfigError:
        return
    assert found({"a": np.array([math.nan]), "b": np.array(["a"])}).dtype == bool
