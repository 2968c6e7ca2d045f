"""The nightly set: kernel and reference on a million values of every catalog format, and of variants of each kind.

About half a minute a format (`pytest -m nightly -n 2`, an hour on two cores).
"""

import numpy as np
import pytest
from numpy.typing import NDArray

import densimeter.kernels as K
from densimeter.formats import BlockFormat, get, names, parse
from support import reference_tensor

VALUES, LENGTH = 1 << 20, 256
VARIANTS = (
    "mxfp4_ceil",
    "mxfp4_even",
    "mxfp8_e4m3_rceil",
    "bfp6_b4x8",
    "int8_tensor",
    "int4_g128",
    "int4_g64_affine",
    "int8_affine",
    "int4_g32_affine_e8m0",
    "int4_g32_e8m0",
    "nf4_dq_b32",
)
ROUNDINGS = ("nearest_away", "nearest_up", "toward_zero", "toward_minus_infinity", "stochastic")


def numbers(seed: int) -> NDArray[np.float32]:
    """A quarter each: Gaussians, Gaussians of many sizes, a grid full of ties, any bit pattern but NaN and Inf."""
    rng = np.random.default_rng(seed)
    quarter = VALUES // 4
    sizes = np.ldexp(rng.standard_normal(quarter), rng.integers(-30, 30, quarter))
    ties = rng.integers(-4096, 4097, quarter) * 2.0**-9
    bits = rng.integers(0, 1 << 32, quarter, dtype=np.uint64).astype(np.uint32).view(np.float32)
    any_bits = np.where(np.isfinite(bits), bits, np.float32(0))
    parts = (rng.standard_normal(quarter), sizes, ties, any_bits)
    return np.concatenate([part.astype(np.float32) for part in parts]).reshape(-1, LENGTH)


def formats() -> list[BlockFormat]:
    rounded = [
        parse({"base": name, "rounding": rounding})
        for name in ("bfp6", "mxfp4", "e4m3", "kint4", "int4_g32_affine")
        for rounding in ROUNDINGS
    ]
    return [*map(get, names()), *map(get, VARIANTS), *rounded]


@pytest.mark.nightly
@pytest.mark.parametrize("fmt", formats(), ids=lambda fmt: fmt.name)
def test_kernel_is_the_reference_on_a_million_values(fmt: BlockFormat) -> None:
    x = numbers(seed=2026)
    rows = x.reshape(1, -1) if fmt.block == "tensor" else x
    actual, expected = K.quantize(rows, fmt, seed=7), reference_tensor.quantize(rows, fmt, 7)
    np.testing.assert_array_equal(actual.scale_rows(), expected.scales)
    np.testing.assert_array_equal(actual.code_rows(), expected.codes)
    reference_tensor.assert_same_floats(actual.dequantize(), expected.values)
