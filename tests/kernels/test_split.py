"""Products of elements too wide for one integer instruction: two planes of 16 bits, the same bits as one by one."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import densimeter.kernels as K
from densimeter.formats import default_lanes, derive, get
from densimeter.kernels import processor
from densimeter.kernels.matmul import coded
from densimeter.kernels.panels import Grouping, mark_steps
from densimeter.kernels.plan import Plan, plan, slow_rows
from densimeter.kernels.planes import Window, cut_windows, in_planes, integers, narrow_windows, wide_windows
from support.reference_tensor import assert_same_floats

matmul_module = sys.modules["densimeter.kernels.matmul"]
needs_pairs = pytest.mark.skipif(not processor.multiplies_pairs(), reason="no dot product of 16-bit pairs here")

CASES = [
    ("mxfp8_e4m3", "mxfp8_e4m3", "fp32", "SplitNarrow"),
    ("mxfp8_e4m3", "mxfp4", "fp32", "SplitNarrow"),
    ("mxfp4", "mxfp8_e4m3", "fp32", "SplitNarrow"),
    ("bm8", "bm8", "fp32", "SplitNarrow"),
    ("mxfp8_e4m3", "mxfp8_e4m3", "fp32_ftz", "SplitNarrow"),
    ("mxfp8_e4m3", "mxfp8_e4m3", "aligned48", "Split"),
    ("mxfp8_e5m2", "mxfp8_e5m2", "fp32", "Split"),
    ("mxfp8_e5m2", "mxfp8_e4m3", "fixed48:-24", "Split"),
    ("bl8", "bl8", "fp32", "SplitCut"),
    ("bl8", "bl8", "fixed48:-24", "SplitCut"),
    ("bl8", "bl8", "aligned32", "SplitCut"),
]


def numbers(rows: int, k: int, spread: float, seed: int) -> NDArray[np.float32]:
    """Signs at random, exponents evenly over `spread` bits below 1."""
    rng = np.random.default_rng(seed)
    return (rng.choice([-1, 1], (rows, k)) * 2.0 ** (-spread * rng.random((rows, k)))).astype(np.float32)


def plan_of(a: K.QuantizedTensor, w: K.QuantizedTensor, accumulator: str = "fp32") -> Plan:
    lanes = default_lanes(a.format, w.format)
    found = plan(coded(a, lanes), coded(w, lanes), derive(a.format, w.format, lanes, accumulator))
    assert found is not None
    return found


@needs_pairs
@pytest.mark.parametrize("spread", [3, 12, 30], ids=lambda bits: f"{bits} bits")
@pytest.mark.parametrize(("activation", "weight", "accumulator", "adder"), CASES)
def test_planes_change_no_bit(activation: str, weight: str, accumulator: str, adder: str, spread: int) -> None:
    """From no mark at all to one at every step; 29 rows and 37 columns end tiles, 100 products a group."""
    a = K.quantize(numbers(29, 100, spread, seed=1), get(activation))
    w = K.quantize(numbers(37, 100, spread, seed=2), get(weight))
    found = plan_of(a, w, accumulator)
    if spread < 20 or found.adder.__name__ != "Exact":  # wider E5M2 leaves too many rows out
        assert found.adder.__name__ == adder
    with pytest.MonkeyPatch.context() as patch:
        fast = K.matmul(a, w, activation=a.format, weight=w.format, accumulator=accumulator)
        patch.setattr(matmul_module, "plan", lambda *_: None)
        assert_same_floats(fast, K.matmul(a, w, activation=a.format, weight=w.format, accumulator=accumulator))


@needs_pairs
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", ["mxfp8_e4m3", "mxfp8_e5m2", "bl8"])
def test_the_largest_sums_fit(name: str, sign: int) -> None:
    """Every element the largest, times itself or its negative: 64 * x * x is a power of two times a short integer."""
    fmt = get(name)
    largest = float(K.quantize_dequantize(np.full((1, 32), 1.75, np.float32), fmt).max())
    a, w = np.full((2, 64), largest, np.float32), np.full((3, 64), sign * largest, np.float32)
    np.testing.assert_array_equal(K.matmul(a, w, activation=fmt, weight=fmt), np.float32(64 * sign * largest**2))


@needs_pairs
def test_a_row_below_both_planes_is_done_one_by_one() -> None:
    """E5M2 has 3 + 29 = 32 bits, planes hold (31 - 5) / 2 + 11 = 24 of them."""
    fmt = get("mxfp8_e5m2")
    x = np.tile(np.array([1.75, 1], np.float32), (64, 32))
    x[5, 1] = 2.0**-28
    a, w = K.quantize(x, fmt), K.quantize(x[:3], fmt)
    how, datapath = plan_of(a, w), derive(fmt, fmt, 32, "fp32")
    assert how.adder.__name__ == "Split"
    rows, columns = slow_rows(coded(a, datapath.lanes), coded(w, datapath.lanes), datapath, how)
    assert np.flatnonzero(rows).tolist() == [5]
    assert not columns.any()


@needs_pairs
def test_where_many_rows_are_below_both_planes_sums_are_float64() -> None:
    fmt = get("mxfp8_e5m2")
    x = K.quantize(numbers(8, 64, 30, seed=3), fmt)
    assert plan_of(x, x).dtype == "float64"


# Planes


@given(
    values=st.lists(st.integers(-(2**24) + 1, 2**24 - 1), min_size=1), high=st.integers(9, 13), low=st.integers(0, 4)
)
def test_planes_add_up_to_the_values(values: list[int], high: int, low: int) -> None:
    """But for the bits below the low one, which are cut off toward zero."""
    upper, lower = in_planes(np.array(values), Window(high, low))
    for value, above, below in zip(values, upper.tolist(), lower.tolist(), strict=True):
        kept = abs(value) >> low << low
        assert (above << high) + (below << low) == (kept if value >= 0 else -kept)


def test_e4m3_is_narrow() -> None:
    """448 * 2**9 has 18 bits; planes of (31 - 5) / 2 = 13 start at bit 5, and 2 * 5 bits fit 31 - 5 - 1 - 13 = 12."""
    datapath = derive(get("mxfp8_e4m3"), get("mxfp8_e4m3"), 32, "fp32")
    assert int(integers(datapath.activation, datapath).max()).bit_length() == 18
    assert narrow_windows((18, 18), datapath) == (Window(5, -5), Window(5, -5))
    assert narrow_windows((20, 18), datapath) is None  # 2 * 7


def test_e5m2_is_wide() -> None:
    """57344 * 2**16 has 32 bits: 13 in the high plane, and (53 - 31) / 2 = 11 in the low one."""
    datapath = derive(get("mxfp8_e5m2"), get("mxfp8_e5m2"), 32, "fp32")
    assert wide_windows((32, 32), datapath) == (Window(19, 8), Window(19, 8))
    assert wide_windows((32, 10), datapath) == (Window(19, 8), Window(0, -11))


def test_powers_of_two_are_cut_in_the_middle_of_their_window() -> None:
    datapath = derive(get("bl8"), get("bl8"), 16, "fp32")
    assert cut_windows(datapath) == (Window(12, 0), Window(12, 0))
    values = integers(get("bl8"), datapath)
    assert sorted(set(np.abs(values).tolist())) == [0, *(2**i for i in range(25))]
    high, low = in_planes(values, Window(12, 0))
    assert not (high.astype(bool) & low.astype(bool)).any()


def test_groups_of_more_steps_than_marks_have_bits_are_left_alone() -> None:
    fmt = get("mxfp8_e4m3")
    assert wide_windows((18, 18), derive(fmt, fmt, 32, "fp32")) is not None
    plain = get("fixed8_f4")
    assert wide_windows((18, 18), derive(plain, plain, 65, "int48")) is None


def test_marks_are_steps_with_something_in_the_low_plane() -> None:
    """Two panels of three rows, two groups of two steps of two values."""
    low = np.zeros((2, 4, 3, 2), np.int16)
    low[0, 1, 2, 0] = low[0, 2, 0, 1] = low[0, 3, 1, 1] = -1
    assert mark_steps(low.reshape(2, -1), Grouping(3, 4, 2)).tolist() == [[0b10, 0b11], [0, 0]]
