"""Scales chosen for a row of blocks at once: what single blocks among ordinary ones ask for."""

import numpy as np
import pytest
from numpy.typing import NDArray

import densimeter.kernels as K
from densimeter.formats import BlockFormat, get, parse, reference
from densimeter.formats.scale import DoubleScale
from densimeter.kernels.double_scale import compress
from support import reference_tensor

OTHERS = ("nvfp4", "int4_g32", "int4_g32_affine", "int4_g32_affine_e8m0", "gguf_q4_0", "gguf_q4_1", "gguf_q8_0")


def blocks_apart() -> NDArray[np.float32]:
    """A row each of Gaussians, in which blocks of 32 are zero, tiny, huge, of one sign, or have two extremes."""
    rng = np.random.default_rng(8)
    x = rng.standard_normal((10, 8 * 32)).astype(np.float32)
    x[0, 32:64], x[1, 64:96] = 0, -0.0
    x[2] *= np.float32(2.0**-130)
    x[3] *= np.float32(2.0**120)
    x[4], x[5] = np.abs(x[4]), -np.abs(x[5])
    x[6, 32], x[6, 40], x[6, 70], x[6, 72] = 9, -9, -9, 9
    x[7] = np.ldexp(x[7], rng.integers(-140, 120, x.shape[1]))
    x[8] = np.float32(3.4e38) * np.sign(x[8])
    x[9] = 0
    return x


def assert_equals_reference(x: NDArray[np.float32], fmt: BlockFormat) -> None:
    actual, expected = K.quantize(x, fmt), reference_tensor.quantize(x, fmt)
    np.testing.assert_array_equal(actual.scale_rows(), expected.scales)
    np.testing.assert_array_equal(actual.code_rows(), expected.codes)


@pytest.mark.parametrize("name", OTHERS)
def test_blocks_unlike_their_neighbours(name: str) -> None:
    assert_equals_reference(blocks_apart(), get(name))


@pytest.mark.parametrize("name", OTHERS)
def test_a_tensor_of_zeros(name: str) -> None:
    assert_equals_reference(np.zeros((2, 64), np.float32), get(name))


@pytest.mark.parametrize("block", [8, 20, 33])
def test_blocks_that_are_no_whole_vectors(block: int) -> None:
    assert_equals_reference(blocks_apart(), parse({"base": "int4_g32_affine", "block": block}))


def test_the_mean_of_scales_is_rounded_once() -> None:
    """2**100 cancels and leaves what a running sum in float64 would have lost."""
    scale = get("nf4_dq").scale
    assert isinstance(scale, DoubleScale)
    scales = np.array([2.0**100, 3.0, 2.0**-140, -(2.0**100)], np.float32)
    stored, expected = compress(scales, scale), reference.compress_scales(scales.tolist(), scale)
    assert stored.mean == expected.mean == 0.75  # 3 / 4: the rest is below a bit of float64
