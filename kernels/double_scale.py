"""Scales quantised in turn: `formats.scale.DoubleScale` at speed, equal to the reference's `compress_scales`."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from densimeter.formats.block import scale_format
from densimeter.formats.grid import Grid, grid
from densimeter.formats.scale import DoubleScale
from densimeter.kernels.codec import dequantize_rows, quantize_rows

_LARGEST = np.finfo(np.float32).max


class DoubleScales(NamedTuple):
    """Stored scales: a code each [n], a float32 factor per run of them, and their mean."""

    codes: NDArray[np.unsignedinteger]
    factors: NDArray[np.float32]
    mean: float


def compress(scales: NDArray[np.float32], scale: DoubleScale) -> DoubleScales:
    """Store float32 scales [n]."""
    mean = np.float32(0.0)
    if scale.centred and scales.size:
        mean = np.float32(math.fsum(scales.tolist()) / scales.size)
    centred = _add(scales, -mean)
    codes, factors, _ = quantize_rows(centred[None], scale_format(scale), _runs(scale, scales.size))
    return DoubleScales(codes[0], factors[0].view(np.float32), float(mean))


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
