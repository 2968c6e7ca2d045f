"""Every rounding mode of every kind of element: the kernel is the reference, and chance is as good as it says."""

import numba
import numpy as np
import pytest
from numpy.typing import NDArray

import densimeter.kernels as K
from densimeter.formats import BlockFormat, CodebookElement, FormatError, LogElement, declaration, parse, resolve
from densimeter.formats.rounding import NOISE_BITS, noise
from support import oracle, reference_tensor
from support.decisions import decision_points

ROUNDINGS = ("nearest_even", "nearest_away", "nearest_up", "toward_zero", "toward_minus_infinity", "stochastic")
NAMES = (
    "bfp6",
    "mxint8",
    "int4",
    "int4_g32_affine",
    "int4_g32_affine_e8m0",
    "mxfp4",
    "mxfp8_e5m2",
    "e4m3",
    "e4m3_fnuz",
    "e5m2",
    "bfloat16",
    "float32_ftz",
    "dmf8",
    "bl8",
    "mx6",
    "nvfp4",
    "kdyn4",
    "kint5",
    "{element: {kind: codebook, levels: nf4}, block: 64, scale: e8m0}",
    "{element: {kind: codebook, levels: [-3, -0.5, 1, 8]}}",  # no zero
    "{element: uint4, block: 16, scale: {kind: affine, element: fp16, zero: fp16}}",
    "{element: uint4, block: 16, scale: {kind: affine, element: e8m0, zero: fp16}}",
    "{element: {kind: int, bits: 5, encoding: offset}, block: 16, scale: {kind: float, element: fp16, anchor: signed}}",
    "{element: e5m2, overflow: special}",
    "{element: e4m3, overflow: special}",
)


def rounded(name: str, rounding: str) -> BlockFormat:
    return parse({**declaration(resolve(name)), "rounding": rounding})


def assert_equals_reference(x: NDArray[np.float32], fmt: BlockFormat, seed: int = 0) -> None:
    actual, expected = K.quantize(x, fmt, seed=seed), reference_tensor.quantize(x, fmt, seed)
    np.testing.assert_array_equal(actual.scale_rows(), expected.scales)
    np.testing.assert_array_equal(actual.code_rows(), expected.codes)
    reference_tensor.assert_same_floats(actual.dequantize(), expected.values)


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("name", NAMES)
def test_kernel_is_the_reference(name: str, rounding: str) -> None:
    """On every decision of narrow elements, and on Gaussians of many sizes."""
    if rounding == "stochastic" and name == "bl8":
        with pytest.raises(FormatError, match="not defined for logarithms"):
            rounded(name, rounding)
        return
    fmt = rounded(name, rounding)
    points = decision_points(fmt.element)[::3]
    points = points[np.abs(points) <= float(oracle.largest(fmt.element))]
    spread = np.ldexp(np.random.default_rng(1).standard_normal(640), np.arange(640) % 24 - 12)
    x = np.concatenate([points, np.array([0.0, -0.0], np.float32), spread.astype(np.float32)])
    assert_equals_reference(np.pad(x, (0, -len(x) % 64)).reshape(-1, 64), fmt, seed=3)


@pytest.mark.parametrize("rounding", ROUNDINGS[:-1])
@pytest.mark.parametrize("infinity", [np.inf, -np.inf])
@pytest.mark.parametrize("name", ["e5m2", "e4m3", "bfp6", "{element: e4m3, overflow: special}"])
def test_overflow_and_infinity(name: str, infinity: float, rounding: str) -> None:
    fmt = rounded(name, rounding)
    largest = float(fmt.element.largest)
    row = [infinity, 1, 1.01 * largest, -1.01 * largest, 2.0**120, -(2.0**120), largest, 0.5 * largest]
    assert_equals_reference(np.array([row], np.float32), fmt)


def test_the_noise_is_the_published_generator() -> None:
    """SplitMix64 with seed 1234567: its first outputs, as published with the generator, give these upper bits."""
    first = (6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431)
    assert [noise(1234567, i) for i in range(4)] == [output >> (64 - NOISE_BITS) for output in first]


@pytest.mark.parametrize("name", ["bfp4", "mxfp4", "int4_g32", "kint4", "e4m3"])
def test_stochastic_rounding_is_right_on_average(name: str) -> None:
    """Every row of 32 numbers takes noise of its own; numbers near the ends saturate under some scales."""
    row = np.linspace(-1, 1, 32, dtype=np.float32)
    draws = K.quantize(np.tile(row, (20_000, 1)), rounded(name, "stochastic"), seed=1).dequantize()
    deviation = draws.std(axis=0, dtype=np.float64) / np.sqrt(len(draws))
    bias = np.abs(draws.mean(axis=0, dtype=np.float64) - row)
    assert (bias <= 4.5 * deviation + 2.0**-NOISE_BITS)[np.abs(row) < 0.85].all()


def test_seeds_differ_and_repeat() -> None:
    fmt = rounded("bfp4", "stochastic")
    x = np.random.default_rng(0).standard_normal((8, 64)).astype(np.float32)
    first, again, other = (K.quantize(x, fmt, seed=seed).codes for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.1


@pytest.mark.parametrize("name", ["mxfp4", "int4_g32", "kint4"])
def test_threads_cannot_change_what_chance_says(name: str) -> None:
    fmt, threads = rounded(name, "stochastic"), numba.get_num_threads()
    if threads < 2:
        pytest.skip("one processor: nothing to compare")
    x = np.random.default_rng(0).standard_normal((1024, 128)).astype(np.float32)  # enough to be shared out
    many = K.quantize(x, fmt, seed=9).codes
    try:
        numba.set_num_threads(1)
        np.testing.assert_array_equal(K.quantize(x, fmt, seed=9).codes, many)
    finally:
        numba.set_num_threads(threads)


def test_numbers_keep_their_noise_along_another_axis() -> None:
    """Value number i is counted with the blocked axis last."""
    fmt = rounded("bfp4", "stochastic")
    x = np.random.default_rng(0).standard_normal((32, 48)).astype(np.float32)
    np.testing.assert_array_equal(K.quantize(x, fmt, axis=0, seed=5).codes, K.quantize(x.T, fmt, seed=5).codes.T)


def test_a_codebook_far_apart_is_still_decided_exactly() -> None:
    """Levels 2^-60 and 1: their middle has 61 significant bits, more than float64 holds."""
    fmt = BlockFormat("far apart", CodebookElement((2.0**-60, 1.0, -1.0)))
    half = np.float32(0.5)
    x = np.array([[half, np.nextafter(half, np.float32(1)), np.nextafter(half, np.float32(0))]], np.float32)
    assert K.quantize(x, fmt).codes.tolist() == [[0, 1, 0]]  # 0.5 is below the middle, 0.5 + 2^-61
    assert_equals_reference(x, fmt)


def test_logarithms_round_their_exponent() -> None:
    nearest, down, floor = (
        BlockFormat("log", LogElement(5, 15), rounding=rounding)
        for rounding in ("nearest_even", "toward_zero", "toward_minus_infinity")
    )
    x = np.array([1.5, -1.5, 1.25, -1.25], np.float32)  # 1.5 is above the square root of 2, 1.25 below
    assert K.quantize(x, nearest).dequantize().tolist() == [2, -2, 1, -1]
    assert K.quantize(x, down).dequantize().tolist() == [1, -1, 1, -1]
    assert K.quantize(x, floor).dequantize().tolist() == [1, -2, 1, -2]
