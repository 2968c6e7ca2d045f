"""Numbering held to a plain enumeration: every point once, round trips, sizes beyond any table."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from densimeter.simulator.explore.numbering import Codes, NumberedAxis, Numbering, as_indices

Below = tuple[int, int]  # axis number, limit: applies where that axis' code is below the limit


def below(name: str, limit: int) -> Callable[[Codes], NDArray[np.bool_]]:
    return lambda codes: np.asarray(codes[name] < limit)


@st.composite
def drawn_axes(draw: st.DrawFn) -> tuple[list[int], list[Below | None], list[int]]:
    """Counts, conditions on earlier axes, codes at rest."""
    counts = draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    conditions: list[Below | None] = []
    for i in range(len(counts)):
        conditions.append(draw(st.none() | st.tuples(st.integers(0, i - 1), st.integers(0, 4))) if i else None)
    return counts, conditions, [draw(st.integers(0, count)) for count in counts]


def numbering(counts: list[int], conditions: list[Below | None], rests: list[int]) -> Numbering:
    controls = {condition[0] for condition in conditions if condition is not None}
    return Numbering(
        tuple(
            NumberedAxis(
                f"a{i}",
                count,
                None if condition is None else below(f"a{condition[0]}", condition[1]),
                rest if condition is not None else 0,
                i in controls,
            )
            for i, (count, condition, rest) in enumerate(zip(counts, conditions, rests, strict=True))
        )
    )


@given(drawn_axes())
def test_points_are_the_product_with_axes_at_rest_counted_once(
    drawn: tuple[list[int], list[Below | None], list[int]],
) -> None:
    counts, conditions, rests = drawn
    points = set()
    for product in itertools.product(*map(range, counts)):
        point = list(product)
        for i, condition in enumerate(conditions):
            if condition is not None and not point[condition[0]] < condition[1]:
                point[i] = rests[i]
        points.add(tuple(point))
    found = numbering(counts, conditions, rests)
    indices = np.arange(found.size)
    codes = found.codes(indices)
    rows = list(zip(*(codes[f"a{i}"].tolist() for i in range(len(counts))), strict=True))
    assert len(rows) == len(set(rows)) == len(points)
    assert set(rows) == points
    assert found.indices(codes).tolist() == indices.tolist()
    assert {name: column.tolist() for name, column in found.canonical(codes).items()} == {
        name: column.tolist() for name, column in codes.items()
    }


def test_without_conditions_the_order_is_that_of_itertools() -> None:
    codes = numbering([2, 3, 2], [None] * 3, [0] * 3).codes(np.arange(2 * 3 * 2))
    rows = list(zip(codes["a0"].tolist(), codes["a1"].tolist(), codes["a2"].tolist(), strict=True))
    assert rows == list(itertools.product(range(2), range(3), range(2)))


def test_codes_of_what_is_switched_off_make_no_difference() -> None:
    found = numbering([2, 3], [None, (0, 1)], [0, 3])  # a1 applies where a0 is 0, and rests at a fourth value
    assert found.size == 3 + 1
    codes = {"a0": np.array([1, 1, 1]), "a1": np.array([0, 2, 3])}
    assert len(set(found.indices(codes).tolist())) == 1
    assert found.canonical(codes)["a1"].tolist() == [3, 3, 3]


@pytest.mark.parametrize("axes", [9, 18])
def test_sizes_beyond_31_bits(axes: int) -> None:
    found = numbering([10, *[10] * axes], [None, (0, 5), *[None] * (axes - 1)], [0] * (axes + 1))
    assert found.size == (5 * 10 + 5) * 10 ** (axes - 1)
    indices = np.array([0, 2**31, found.size // 2, found.size - 1])
    assert found.indices(found.codes(indices)).tolist() == indices.tolist()


@pytest.mark.parametrize("axes", [29, 300])
def test_vast_sizes_are_numbered_by_python_s_integers(axes: int) -> None:
    """The free axes are digits: the last numbers differ in the last axis; the first axis switches the second."""
    found = numbering([10, *[10] * axes], [None, (0, 5), *[None] * (axes - 1)], [0] * (axes + 1))
    assert found.is_vast
    assert found.size == (5 * 10 + 5) * 10 ** (axes - 1)
    indices = as_indices([0, 7, 2**63, found.size // 2, found.size - 1])
    codes = found.codes(indices)
    assert found.indices(codes).tolist() == indices.tolist()
    assert codes[f"a{axes}"].tolist() == [number % 10 for number in indices.tolist()]


def test_vast_sizes_without_conditions() -> None:
    found = numbering([4] * 420, [None] * 420, [0] * 420)
    rng = np.random.default_rng(0)
    codes = {axis.name: rng.integers(4, size=20) for axis in found.axes}
    again = found.codes(found.indices(codes))
    assert {name: column.tolist() for name, column in again.items()} == {
        name: column.tolist() for name, column in codes.items()
    }


@pytest.mark.parametrize(("bits", "vast"), [(62, False), (63, True)])
def test_vast_is_what_int64_does_not_count(bits: int, vast: bool) -> None:
    assert numbering([2**31, 2 ** (bits - 31)], [None] * 2, [0] * 2).is_vast == vast
