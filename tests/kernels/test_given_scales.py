"""Encoding under scales that are there already, and with the errors of some columns fed to later ones."""

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

import densimeter.formats as F
import densimeter.kernels as K
from densimeter.formats.scale import DoubleScale, PowerOfTwoScale
from densimeter.kernels.given_scales import quantize_under, quantize_with_feedback
from support.strategies import float32_arrays, formats


def drawn(rows: int, columns: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((rows, columns)).astype(np.float32)


def feedback(size: int) -> NDArray[np.float32]:
    """Unit diagonal, and above it what a strongly correlated input would give."""
    return (np.eye(size) + np.triu(np.full((size, size), -0.1), 1)).astype(np.float32)


def chooses_codes_under_stored_scales(fmt: F.BlockFormat) -> bool:
    """Others divide by a scale that is rounded only afterwards, or quantised in turn."""
    return not (fmt.quirks.float32_reciprocal or isinstance(fmt.scale, DoubleScale))


@pytest.mark.parametrize("name", F.names())
def test_without_feedback_it_is_plain_quantising(name: str) -> None:
    """70 columns: ragged last blocks. What differs lies on a threshold that moves with the scale's own rounding."""
    fmt, x = F.get(name), drawn(8, 70)
    found, expected = quantize_with_feedback(x, fmt, np.eye(70, dtype=np.float32), seed=5), K.quantize(x, fmt, seed=5)
    np.testing.assert_array_equal(found.scales, expected.scales)
    if chooses_codes_under_stored_scales(fmt):
        np.testing.assert_array_equal(found.codes, expected.codes)
    assert (found.codes != expected.codes).mean() < 0.02


@settings(max_examples=30)
@given(x=float32_arrays(2 * 24, nan=False), fmt=formats())
def test_nor_for_formats_that_no_catalog_holds(x: NDArray[np.float32], fmt: F.BlockFormat) -> None:
    if not chooses_codes_under_stored_scales(fmt) or not np.isfinite(x).all():
        return
    rows = x.reshape(2, 24) + np.float32(0)  # taking nothing from a negative zero may leave a positive one
    expected = K.quantize(rows, fmt).dequantize()
    if np.isfinite(expected).all():  # what overflows to Inf is infinitely far off, which no column after it mends
        found = quantize_with_feedback(rows, fmt, np.eye(24, dtype=np.float32))
        np.testing.assert_array_equal(found.dequantize(), expected)


def by_hand(x: NDArray[np.float32], fmt: F.BlockFormat, upper: NDArray[np.float32], block: int) -> NDArray[np.float32]:
    """The rule in numpy, for an int4 grid with one float32 scale a block."""
    rest, held = x.astype(np.float64), np.zeros(x.shape)
    for i in range(x.shape[1]):
        if i % block == 0:
            scale = (np.abs(rest[:, i : i + block]).max(axis=1) / 7).astype(np.float32).astype(np.float64)
        held[:, i] = np.clip(np.rint(rest[:, i] / scale), -7, 7) * scale
        rest[:, i + 1 :] -= np.outer((rest[:, i] - held[:, i]) / upper[i, i], upper[i, i + 1 :])
    return held.astype(np.float32)


def test_errors_reach_all_later_columns_before_scales_are_chosen() -> None:
    fmt = F.parse({"element": "int4", "block": 16, "scale": "fp32"})
    x, upper = drawn(6, 50), feedback(50)
    expected = by_hand(x, fmt, upper, 16)
    assert quantize_with_feedback(x, fmt, upper).dequantize() == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_an_order_is_one_of_columns_whose_scales_stay_where_they_are() -> None:
    """As if the columns had been put into that order, each keeping the scale of its block in the weight itself."""
    fmt, x = F.get("int4_channel"), drawn(6, 40)
    order, upper = np.random.default_rng(1).permutation(40), feedback(40)
    found = quantize_with_feedback(x, fmt, upper, order=order)
    permuted = quantize_with_feedback(np.ascontiguousarray(x[:, order]), fmt, upper)  # one scale a row, in any order
    np.testing.assert_array_equal(found.codes[:, order], permuted.codes)
    blocks = quantize_with_feedback(x, F.get("bfp4"), upper, order=order)
    np.testing.assert_array_equal(blocks.scales, K.quantize(x, F.get("bfp4")).scales)


@pytest.mark.parametrize("name", ["bfp4", "bfp6", "mxfp4", "mxfp6_e2m3", "mx6", "int4_g128", "nvfp4", "bfp6_b16x16"])
def test_what_comes_out_is_held_by_the_format(name: str) -> None:
    """Codes and scales, packed and read back. Where quantising twice is quantising once, it changes nothing either.

    (So it is under a shared exponent that is rounded down; not under float scales, whose largest code may be gone, nor
    where a largest value of a power of two saturates.)
    """
    fmt, x = F.get(name), drawn(16, 70)
    found = quantize_with_feedback(x, fmt, feedback(70))
    values = found.dequantize()
    np.testing.assert_array_equal(K.unpack(found.pack(), fmt, x.shape).dequantize(), values)
    assert not np.array_equal(values, K.quantize(x, fmt).dequantize())
    if isinstance(fmt.scale, PowerOfTwoScale) and fmt.scale.rule == "floor":
        np.testing.assert_array_equal(K.quantize(values, fmt).dequantize(), values)


def test_one_calibrated_scale_serves_tensors_of_every_shape() -> None:
    """A scale from 12.7 is 0.1: what lies beyond saturates at 127 steps, whatever the tensor's own maximum."""
    scales = K.quantize(np.array([[12.7]], np.float32), F.get("int8_tensor"))
    x = np.array([[[0.26, -3.0], [50.0, -50.0]]], np.float32)
    found = quantize_under(x, scales)
    assert found.dequantize() == pytest.approx(np.array([[[0.3, -3.0], [12.7, -12.7]]]))
    assert (found.shape, found.axis) == (x.shape, 2)
    own = K.quantize(x, F.get("int8_tensor"))
    np.testing.assert_array_equal(quantize_under(x, own).codes, own.codes)


def test_a_scale_of_a_block_serves_no_other_shape() -> None:
    scales = K.quantize(drawn(2, 32), F.get("bfp6"))
    np.testing.assert_array_equal(quantize_under(drawn(2, 32), scales).codes, scales.codes)
    with pytest.raises(F.FormatError, match=r"bfp6 scales of \(2, 32\) along axis 1 for an array \(4, 32\)"):
        quantize_under(drawn(4, 32), scales)
