"""Quantise and dequantise beside a copy of the same bytes, and beside ml_dtypes casting without any scale."""

from collections.abc import Callable
from functools import partial

import ml_dtypes
import numpy as np
from benchmarks.timing import medians_ms, show
from numba import njit, prange
from numpy.typing import NDArray

import densimeter.formats as F
import densimeter.kernels as K

SHAPE = (2048, 4096)
FORMATS = ("bfp6", "mxfp4", "mxfp8_e4m3", "mxint8", "nvfp4", "int8", "bl8")


@njit(parallel=True)
def copy(source, target):  # type: ignore[no-untyped-def]
    for row in prange(source.shape[0]):
        target[row] = source[row]


def test_codec_beside_a_copy() -> None:
    x = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    out = np.empty_like(x)
    contestants: dict[str, Callable[[], object]] = {
        "copy, all threads": partial(copy, x, out),
        "ml_dtypes e4m3 cast": lambda: x.astype(ml_dtypes.float8_e4m3fn).astype(np.float32),
    }
    contestants |= {name: partial(quantize_and_back, x, F.get(name), out) for name in FORMATS}
    show(f"quantise + dequantise float32 {SHAPE}", medians_ms(contestants), "copy, all threads")


def quantize_and_back(x: NDArray[np.float32], fmt: F.BlockFormat, out: NDArray[np.float32]) -> None:
    K.quantize(x, fmt).dequantize(out)
