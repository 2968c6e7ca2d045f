"""Quantise and dequantise every catalog format beside a copy of the same bytes by all threads, and beside peers.

Outputs are given (`out=`): the page faults of a fresh one would cost more than the arithmetic.
"""

from collections.abc import Callable
from functools import partial

import gguf
import ml_dtypes
import numpy as np
from benchmarks.timing import medians_ms, show
from numba import njit, prange
from numpy.typing import NDArray

import densimeter.formats as F
import densimeter.kernels as K

SHAPE = (2048, 4096)
COPY = "copy, all threads"


@njit(parallel=True)
def copy(source, target):  # type: ignore[no-untyped-def]
    for row in prange(source.shape[0]):
        target[row] = source[row]


def gaussian() -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)


def test_quantise_and_dequantise_beside_a_copy() -> None:
    x, values = gaussian(), np.empty(SHAPE, np.float32)
    contestants: dict[str, Callable[[], object]] = {COPY: partial(copy, x, values)}
    for name in F.names():
        fmt = F.get(name)
        earlier = K.quantize(x, fmt)
        contestants[f"{name} quantise"] = partial(K.quantize, x, fmt, out=earlier)
        contestants[f"{name} dequantise"] = partial(earlier.dequantize, values)
    show(f"float32 {SHAPE}", medians_ms(contestants), COPY)


def test_peers_beside_a_copy() -> None:
    x, values = gaussian(), np.empty(SHAPE, np.float32)
    q8_0, e4m3, bfloat16 = (K.quantize(x, F.get(name)) for name in ("gguf_q8_0", "e4m3", "bfloat16"))
    contestants: dict[str, Callable[[], object]] = {
        COPY: partial(copy, x, values),
        "gguf Q8_0, gguf package": partial(gguf.quants.quantize, x, gguf.GGMLQuantizationType.Q8_0),
        "gguf Q8_0, here": lambda: K.quantize(x, q8_0.format, out=q8_0).pack(),
        "e4m3, ml_dtypes": lambda: x.astype(ml_dtypes.float8_e4m3fn),
        "e4m3, here": lambda: K.quantize(x, e4m3.format, out=e4m3),
        "bfloat16, ml_dtypes": lambda: x.astype(ml_dtypes.bfloat16),
        "bfloat16, here": lambda: K.quantize(x, bfloat16.format, out=bfloat16),
    }
    show(f"peers, float32 {SHAPE}", medians_ms(contestants), COPY)


def test_pack_and_unpack_beside_a_copy() -> None:
    x, values = gaussian(), np.empty(SHAPE, np.float32)
    contestants: dict[str, Callable[[], object]] = {COPY: partial(copy, x, values)}
    for name in ("mxfp8_e4m3", "bfp6", "mxfp4", "gguf_q4_0"):
        q = K.quantize(x, F.get(name))
        contestants[f"{name} pack"] = q.pack
        contestants[f"{name} unpack"] = partial(K.unpack, q.pack(), q.format, SHAPE)
    show(f"packed bytes of float32 {SHAPE}", medians_ms(contestants), COPY)
