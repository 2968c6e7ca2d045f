"""Scales quantised in turn: `formats.scale.DoubleScale` at speed, equal to the reference's `compress_scales`."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from densimeter.formats.block import scale_format
from densimeter.formats.grid import Grid, grid
from densimeter.formats.scale import DoubleScale
from densimeter.kernels.codec import dequantize_rows, quantize_rows

_LARGEST = np.finfo(np.float32).max
_LOWEST_PLACE = 149  # the last bit of a float32 subnormal is worth 2**-149


class DoubleScales(NamedTuple):
    """Stored scales: a code each [n], a float32 factor per run of them, and their mean."""

    codes: NDArray[np.unsignedinteger]
    factors: NDArray[np.float32]
    mean: float


def compress(scales: NDArray[np.float32], scale: DoubleScale) -> DoubleScales:
    """Store float32 scales [n]."""
    mean = np.float32(0.0)
    if scale.centred and scales.size:
        mean = np.float32(_exact_sum(scales) / scales.size)
    centred = _add(scales, -mean)
    codes, factors, _ = quantize_rows(centred[None], scale_format(scale), _runs(scale, scales.size))
    return DoubleScales(codes[0], factors[0].view(np.float32), float(mean))


def _exact_sum(numbers: NDArray[np.float32]) -> float:
    """The sum of finite numbers [n], rounded once."""
    total = sum(int(count) << field for field, count in enumerate(_significands(numbers.view(np.uint32))))
    return total / (1 << _LOWEST_PLACE)


@njit(cache=True)
def _significands(bits):  # type: ignore[no-untyped-def]
    """Sums of the significands of float32 bit patterns by the place of their last bit, that of subnormals first."""
    sums = np.zeros(255, np.int64)
    for one in bits:
        field, fraction = np.int64(one >> 23) & 0xFF, np.int64(one & 0x7FFFFF)
        significand = fraction | (np.int64(field > 0) << 23)
        sums[field - (field > 0)] += -significand if one >> 31 else significand
    return sums


def restore(stored: DoubleScales, scale: DoubleScale) -> NDArray[np.float32]:
    """The float32 scales [n] that were kept."""
    fmt, products = scale_format(scale), np.empty(stored.codes.shape, np.float32)
    factors = stored.factors.astype(np.float32).view(np.uint32)[None]
    dequantize_rows(stored.codes[None], factors, fmt, _runs(scale, stored.codes.size), 1.0, products[None])
    return _add(products, np.float32(stored.mean))


def _runs(scale: DoubleScale, count: int) -> Grid:
    return grid(scale_format(scale), (count,), 0)


def _add(values: NDArray[np.float32], term: np.float32) -> NDArray[np.float32]:
    """A float32 sum that saturates."""
    with np.errstate(over="ignore"):
        total: NDArray[np.float32] = np.clip(values + term, -_LARGEST, _LARGEST)
    return total
