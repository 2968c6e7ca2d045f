"""Operands laid out for tiles: where every value, sum and scale stands."""

import numpy as np
import pytest
from numpy.typing import NDArray

from densimeter.kernels.panels import Factors, Grouping, Panels, bits_of_rows, block_spans, lay_out, lay_out_scales

CODES = np.arange(5 * 7, dtype=np.uint8).reshape(5, 7)
TABLE = np.arange(64)


def at(values: NDArray[np.generic], grouping: Grouping, row: int, k: int) -> int:
    """The value of a row at k: panel, then step, row of the panel, and part."""
    panel, own = divmod(row, grouping.height)
    group, lane = divmod(k, grouping.lanes)
    step, part = divmod(lane, grouping.parts)
    parts = values[panel].reshape(-1, grouping.height, grouping.parts)
    return int(parts[group * grouping.steps + step, own, part])


@pytest.mark.parametrize("dtype", ["int8", "int16", "float32", "float64"])
@pytest.mark.parametrize("lanes", [1, 3, 4, 8])
def test_every_value_stands_at_its_step_row_and_part(dtype: str, lanes: int) -> None:
    """Three rows a panel: the second panel has two of them, and a row of zeros."""
    grouping = Grouping(3, lanes, {"int8": 4, "int16": 2}.get(dtype, 1))
    values, starts = lay_out(CODES, TABLE.astype(dtype), 63, grouping)
    assert values.shape == (2, -(-7 // lanes) * grouping.steps * 3 * grouping.parts)
    assert starts.shape == (2, 0)
    for row in range(5):
        assert [at(values, grouping, row, k) for k in range(7)] == CODES[row].tolist()
        over = range(7, -(-7 // lanes) * lanes)
        assert [at(values, grouping, row, k) for k in over] == [63 for _ in over]  # the padding code's value
    assert values[1].reshape(-1, 3, grouping.parts)[:, 2].tolist() == [[0] * grouping.parts] * len(
        values[1].reshape(-1, 3, grouping.parts)
    )


def test_steps_that_groups_do_not_fill_are_zero() -> None:
    """Three values a group and four a step: the fourth is zero, which adds nothing."""
    values, _ = lay_out(CODES, (TABLE + 1).astype(np.int8), 0, Grouping(5, 3, 4))
    assert values.reshape(3, 5, 4)[:, :, 3].tolist() == [[0] * 5] * 3


@pytest.mark.parametrize("lanes", [4, 8, 3])
def test_sums_start_at_what_the_offset_makes_too_much(lanes: int) -> None:
    """-128 times the sum of a group, by which bytes 128 too large are too much."""
    table = np.arange(-32, 32, dtype=np.int8)
    grouping = Grouping(3, lanes, 4)
    _, starts = lay_out(CODES, table, 32, grouping, with_starts=True)
    groups = -(-7 // lanes)
    numbers = np.zeros((6, groups * lanes), int)
    numbers[:5, :7] = table[CODES].astype(int)
    expected = -128 * numbers.reshape(6, groups, lanes).sum(axis=2)
    assert starts.reshape(2, groups, 3).transpose(0, 2, 1).reshape(6, groups).tolist() == expected.tolist()


def test_factors_multiply_the_values_of_their_block() -> None:
    """Two rows and four columns a block, and 5 added to everything."""
    factors = Factors(np.array([[1, 2], [3, 4], [5, 6]]), 2, 4, 5)
    grouping = Grouping(5, 7, 1)
    values, _ = lay_out(CODES, TABLE.astype(np.int16), 0, grouping, factors)
    for row, k in np.ndindex(5, 7):
        factor = factors.values[row // 2, k // 4]
        assert at(values, grouping, row, k) == CODES[row, k] * factor + 5


def test_values_themselves_need_no_table() -> None:
    numbers = np.linspace(-1, 1, 15, dtype=np.float32).reshape(3, 5)
    values, _ = lay_out(numbers, None, 0, Grouping(2, 1, 1))
    assert values[0].reshape(5, 2).T.tolist() == numbers[:2].tolist()
    assert values[1].reshape(5, 2).T.tolist() == [numbers[2].tolist(), [0] * 5]


def test_scales_stand_by_group_and_row() -> None:
    """Blocks of two rows and eight columns, groups of four: a scale serves two groups; rows beyond repeat the last."""
    codes = np.array([[0, 1], [2, 3], [4, 5]], np.uint8)
    scales = lay_out_scales(codes, np.arange(10.0, 16.0), 5, (2, 8), 4, Grouping(3, 4, 4))
    assert scales.reshape(2, 4, 3)[0].tolist() == [[10, 10, 12]] * 2 + [[11, 11, 13]] * 2
    assert scales.reshape(2, 4, 3)[1].tolist() == [[12, 14, 14]] * 2 + [[13, 15, 15]] * 2


def test_bits_of_rows_are_ored() -> None:
    assert bits_of_rows(np.array([[0, 1], [2, 2]], np.uint8), np.array([1, 4, 8])).tolist() == [5, 8]


def test_spans_are_those_of_the_widest_group() -> None:
    """0b1000 and 0b0010 span three bits, 0b1000 and 0b0001 four; zeros none."""
    codes = np.array([[0, 1, 0, 0], [0, 2, 3, 3], [3, 3, 3, 3]], np.uint8)
    assert block_spans(codes, np.array([8, 2, -1, 0]), 2).tolist() == [3, 4, 0]


def test_what_a_product_has_no_use_for_is_empty() -> None:
    panels = Panels.of(np.zeros((3, 8), np.int16), marks=np.ones((3, 1), np.int32))
    assert [part.shape for part in panels] == [(3, 8), (3, 0), (3, 0), (3, 0), (3, 1)]
