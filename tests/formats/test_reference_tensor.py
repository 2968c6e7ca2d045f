"""The driver of the reference over whole arrays, worked by hand: what kernels are compared with must be right."""

import numpy as np
import pytest

from densimeter.formats import (
    BlockFormat,
    CodebookElement,
    DoubleScale,
    IntElement,
    PowerOfTwoScale,
    get,
    parse,
)
from densimeter.formats.rounding import noise
from support import oracle_scale, reference_tensor

INT4 = IntElement(4, "sign_magnitude", 3)
SHARED = PowerOfTwoScale(offset=-1)  # the largest value of a block becomes 0.1xx


def test_blocks_run_along_rows_and_the_last_is_short() -> None:
    x = np.array([[1, 2, 4], [8, 16, 32]], np.float32)
    q = reference_tensor.quantize(x, BlockFormat("x", INT4, SHARED, 2))
    assert q.scales.tolist() == [[127 + 2, 127 + 3], [127 + 5, 127 + 6]]
    assert q.codes.tolist() == [[2, 4, 4], [2, 4, 4]]
    np.testing.assert_array_equal(q.values, x)


def test_tiles_span_rows_and_are_short_at_both_edges() -> None:
    """Tiles of 2 x 2 over 3 x 3: maxima 5, 6 and below them 8, 9."""
    x = np.array([[1, 2, 3], [4, 5, 6], [7, 8, 9]], np.float32)
    q = reference_tensor.quantize(x, BlockFormat("x", INT4, SHARED, (2, 2)))
    assert q.scales.tolist() == [[127 + 3, 127 + 3], [127 + 4, 127 + 4]]
    assert q.codes.tolist() == [[1, 2, 3], [4, 5, 6], [4, 4, 4]]  # 7 / 2, 8 / 2, and 9 / 2: ties to even
    np.testing.assert_array_equal(q.values, [[1, 2, 3], [4, 5, 6], [8, 8, 8]])


@pytest.mark.parametrize(("block", "scales"), [("row", [[127 + 2], [127 + 6]]), ("tensor", [[127 + 6]])])
def test_rows_and_tensors_have_one_scale(block: str, scales: list[list[int]]) -> None:
    x = np.array([[1, 2, 3], [8, 16, 32]], np.float32)
    fmt = BlockFormat("x", INT4, SHARED, block)  # type: ignore[arg-type]
    rows = x.reshape(1, -1) if block == "tensor" else x
    assert reference_tensor.quantize(rows, fmt).scales.tolist() == scales


def test_a_tensor_scale_is_that_of_all_rows() -> None:
    x = np.zeros((2, 16), np.float32)
    x[0, 0], x[1, 3] = 1.0, 6 * 448
    q = reference_tensor.quantize(x, get("nvfp4"))
    assert q.tensor_scale == 1.0
    assert q.scales[1, 0] == 0x7E
    assert q.values[1, 3] == 6 * 448


@pytest.mark.parametrize("block", [3, (2, 2), "row"])
def test_value_number_i_takes_the_noise_of_i(block: object) -> None:
    """A half rounds up where its noise is below 2^15: row * K + column counts, whatever the blocks."""
    x = np.full((3, 5), 0.5, np.float32)
    x[:, [0, 3, 4]] = 7  # one in every block, so that its scale is 1
    fmt = BlockFormat("x", IntElement(4, "sign_magnitude"), PowerOfTwoScale(), block, "stochastic")  # type: ignore[arg-type]
    q = reference_tensor.quantize(x, fmt, seed=42)
    drawn = np.array([noise(42, i) for i in range(15)]).reshape(3, 5) < 1 << 15
    assert (q.scales == 127).all()
    np.testing.assert_array_equal(q.codes, np.where(x == 7, 7, drawn))
    assert (reference_tensor.quantize(x, fmt, seed=43).codes != q.codes).any()


def test_without_chance_the_seed_says_nothing() -> None:
    x = np.random.default_rng(0).standard_normal((2, 40)).astype(np.float32)
    one, other = (reference_tensor.quantize(x, get("mxfp4"), seed) for seed in (0, 1))
    np.testing.assert_array_equal(one.codes, other.codes)


def test_double_scales_run_over_all_rows() -> None:
    """Four blocks with maxima 1, 2, 3, 6: mean 3; runs of 3 scales -2 -1 0 and 3; all levels here are exact."""
    x = np.array([[1, -1, 2, 0], [3, 3, -6, 6]], np.float32)
    scale = DoubleScale(CodebookElement((-1.0, -0.5, 0.0, 1.0)), block=3)
    q = reference_tensor.quantize(x, BlockFormat("x", CodebookElement((-1.0, 0.0, 1.0)), scale, 2))
    assert q.scales.tolist() == [[0, 1], [2, 3]]
    assert (q.factors.tolist(), q.mean) == ([2.0, 3.0], 3.0)
    assert q.codes.tolist() == [[2, 0, 2, 1], [2, 2, 0, 2]]
    np.testing.assert_array_equal(q.values, x)


def test_values_follow_the_scales_that_were_kept() -> None:
    """Levels 0 and 1 alone: of maxima 1 and 4 the first is lost, and with it its block."""
    x = np.array([[1, 1, 4, -4]], np.float32)
    scale = DoubleScale(CodebookElement((0.0, 1.0)), block=2, centred=False)
    q = reference_tensor.quantize(x, BlockFormat("x", CodebookElement((-1.0, 0.0, 1.0)), scale, 2))
    assert q.codes.tolist() == [[2, 2, 2, 0]], "quantised under the first level"
    np.testing.assert_array_equal(q.values, [[0, 0, 4, -4]])


def test_nf4_with_double_scales_is_the_oracles() -> None:
    x = np.random.default_rng(1).standard_normal((5, 300)).astype(np.float32)
    fmt = get("nf4_dq_b32")
    q = reference_tensor.quantize(x, fmt)
    maxima = [float(np.abs(row[k : k + 32]).max()) for row in x for k in range(0, 300, 32)]
    assert isinstance(fmt.scale, DoubleScale)
    codes, factors, mean = oracle_scale.compress(maxima, fmt.scale)
    assert (q.scales.ravel().tolist(), q.factors.tolist(), q.mean) == (codes, factors, mean)
    assert len(factors) == 1, "50 scales are one run"
    assert np.abs(q.values - x).max() < 0.2 * max(maxima)


def test_microexponent_codes_need_no_more_than_64_bits() -> None:
    scale = PowerOfTwoScale(offset=-1, microexponents=56)
    x = np.zeros((1, 56), np.float32)
    x[0, 0] = 1.0
    q = reference_tensor.quantize(x, BlockFormat("x", IntElement(8, "sign_magnitude", 7), scale, 56))
    assert q.scales.dtype == np.uint64
    assert int(q.scales[0, 0]) == (127 + 1) | ((1 << 56) - 2) << 8


def test_an_empty_array_has_no_codes() -> None:
    for shape in ((0, 16), (3, 0)):
        q = reference_tensor.quantize(np.empty(shape, np.float32), get("bfp6"))
        assert q.codes.shape == q.values.shape == shape
        assert q.scales.size == 0


def test_floats_are_compared_bit_for_bit() -> None:
    same = np.array([0.0, np.nan, 1.0], np.float32)
    reference_tensor.assert_same_floats(same, np.array([0.0, -np.nan, 1.0], np.float32))
    for other in ([-0.0, np.nan, 1.0], [0.0, 0.0, 1.0], [0.0, np.nan, 1 + 2.0**-23]):
        with pytest.raises(AssertionError):
            reference_tensor.assert_same_floats(same, np.array(other, np.float32))


def test_a_nan_block_stays_one() -> None:
    x = np.array([[1.0, np.nan, 2.0, 4.0]], np.float32)
    fmt = parse({"element": "e2m1", "block": 2, "scale": "e8m0"})
    q = reference_tensor.quantize(x, fmt)
    assert q.scales.tolist() == [[255, 127]]
    np.testing.assert_array_equal(q.values, [[np.nan, np.nan, 2, 4]])
