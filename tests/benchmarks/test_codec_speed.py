"""The codec beside a copy of the same float32 bytes and beside peers: every format and operation, sizes and threads.

A rate is the copy's time by the operation's, in turns within one run; both use the same threads. Outputs are given
(`out=`): the page faults of a fresh one would cost more than the arithmetic. Peers are those that are installed.
`DENSIMETER_BENCH_VALUES=1e9` goes on to that size (12 GB of memory).
"""

import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import gguf
import ml_dtypes
import numba
import numpy as np
import pytest
from benchmarks.timing import minima_ms
from numba import njit, prange
from numpy.typing import NDArray

import densimeter.formats as F
import densimeter.kernels as K

SHAPE = (4096, 4096)
COPY = "copy"
OPERATIONS = ("quantise", "dequantise", "both", "pack", "unpack")
THREADS = (1, 2)
COLUMNS = 4096
SIZES = [10**n for n in range(4, 10) if 10**n <= float(os.environ.get("DENSIMETER_BENCH_VALUES", "1e8"))]
SCALING = ("bfp6", "mxfp4", "nvfp4")

Contestants = dict[str, Callable[[], object]]


@njit(parallel=True)
def copy(source, target):  # type: ignore[no-untyped-def]
    for row in prange(source.shape[0]):
        target[row] = source[row]


@contextmanager
def threads(count: int) -> Iterator[None]:
    usual = numba.get_num_threads()
    numba.set_num_threads(min(count, os.cpu_count() or 1))
    try:
        yield
    finally:
        numba.set_num_threads(usual)


def gaussian(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def operations(x: NDArray[np.float32], name: str, values: NDArray[np.float32]) -> Contestants:
    """The copy, and every operation of a format into outputs that are there already."""
    fmt = F.get(name)
    q, read = K.quantize(x, fmt), K.quantize(x, fmt)
    raw = q.pack_into(np.empty(q.nbytes, np.uint8))
    return {
        COPY: partial(copy, x, values),
        "quantise": partial(K.quantize, x, fmt, out=q),
        "dequantise": partial(q.dequantize, values),
        "both": partial(K.quantize_dequantize, x, fmt, out=values),
        "pack": partial(q.pack_into, raw),
        "unpack": partial(K.unpack, raw, fmt, x.shape, out=read),
    }


def test_every_format_and_operation_beside_a_copy() -> None:
    x, values = gaussian(*SHAPE), np.empty(SHAPE, np.float32)
    with threads(THREADS[-1]):
        print(f"\nfloat32 {SHAPE}, {numba.get_num_threads()} threads: ms, and the share of the copy's rate")
        print(f"{'format':<26} {COPY:>8} " + "".join(f"{name:>18}" for name in OPERATIONS))
        for name in F.names():
            least = minima_ms(operations(x, name, values), rounds=5)
            cells = (f"{least[each]:9.2f} {least[COPY] / least[each]:7.0%} " for each in OPERATIONS)
            print(f"{name:<26} {least[COPY]:8.2f} " + "".join(cells), flush=True)


CASTS = {
    "e4m3": ml_dtypes.float8_e4m3fn,
    "e5m2": ml_dtypes.float8_e5m2,
    "e2m3": ml_dtypes.float6_e2m3fn,
    "e3m2": ml_dtypes.float6_e3m2fn,
    "e2m1": ml_dtypes.float4_e2m1fn,
    "bfloat16": ml_dtypes.bfloat16,
}
MICROSCALED = {"mxfp8_e4m3": "e4m3", "mxfp8_e5m2": "e5m2", "mxfp6_e2m3": "e2m3", "mxfp6_e3m2": "e3m2", "mxfp4": "e2m1"}


def microscaled(x: NDArray[np.float32], dtype: type) -> NDArray[np.float32]:
    """MX by NumPy: the exponent of each block of 32, ml_dtypes' cast under it, and the way back."""
    blocks, limits = x.reshape(-1, 32), ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]
    exponents = np.frexp(np.abs(blocks).max(axis=1, keepdims=True))[1] - int(np.frexp(float(limits.max))[1])
    scales, limit = np.ldexp(np.float32(1), exponents), float(limits.max)
    held: NDArray[np.float32] = np.clip(blocks / scales, -limit, limit).astype(dtype).astype(np.float32) * scales
    return held


def peers(x: NDArray[np.float32]) -> dict[str, Contestants]:
    """What other packages do with the same values, by the name of the format here and the peer's."""
    found: dict[str, Contestants] = {name: {"ml_dtypes": partial(x.astype, dtype)} for name, dtype in CASTS.items()}
    for name, element in MICROSCALED.items():
        found[name] = {"ml_dtypes, NumPy scales (both)": partial(microscaled, x, CASTS[element])}
    for name in ("q8_0", "q4_0", "q5_0", "q4_1", "q5_1"):
        kind = gguf.GGMLQuantizationType[name.upper()]
        found[f"gguf_{name}"] = {"gguf package": partial(gguf.quants.quantize, x, kind)}
    if importlib.util.find_spec("torch") and importlib.util.find_spec("torchao"):
        torch, mx = importlib.import_module("torch"), importlib.import_module("torchao.prototype.mx_formats.mx_tensor")
        tensor = torch.from_numpy(x)
        for name, dtype in (("mxfp8_e4m3", torch.float8_e4m3fn), ("mxfp4", torch.float4_e2m1fn_x2)):
            found[name]["torchao"] = partial(mx.MXTensor.to_mx, tensor, dtype, 32)
    if importlib.util.find_spec("gfloat"):
        gfloat, formats = importlib.import_module("gfloat"), importlib.import_module("gfloat.formats")
        found["e4m3"]["gfloat (both)"] = partial(gfloat.round_ndarray, formats.format_info_ocp_e4m3, x)
    return found


def test_peers_beside_a_copy() -> None:
    x, values = gaussian(*SHAPE), np.empty(SHAPE, np.float32)
    with threads(THREADS[-1]):
        print(f"\npeers, float32 {SHAPE}: ms, and how many times as long as here")
        for name, others in peers(x).items():
            least = minima_ms({**operations(x, name, values), **others}, rounds=3)
            for peer in others:
                here = least["both" if "both" in peer else "quantise"]
                print(
                    f"{name:<14} {peer:<32} {least[peer]:9.2f}  here {here:7.2f}  {least[peer] / here:7.1f} x",
                    flush=True,
                )


@pytest.mark.parametrize("count", THREADS)
def test_sizes_and_threads(count: int) -> None:
    with threads(count):
        print(f"\n{numba.get_num_threads()} threads, rows of {COLUMNS}: G values/s, and the share of the copy's rate")
        print(
            f"{'values':>12} {COPY:>8} "
            + "".join(f"{f'{name} {op}':>22}" for name in SCALING for op in ("quantise", "both"))
        )
        for size in SIZES:
            x = gaussian(max(size // COLUMNS, 1), min(size, COLUMNS))
            values, cells = np.empty_like(x), ""
            for name in SCALING:
                wanted = {
                    each: run for each, run in operations(x, name, values).items() if each in (COPY, "quantise", "both")
                }
                least = minima_ms(wanted, rounds=3 if size > 10**7 else 9)
                cells += "".join(
                    f"{x.size / least[each] / 1e6:13.2f} {least[COPY] / least[each]:7.0%} "
                    for each in ("quantise", "both")
                )
            print(f"{x.size:12} {x.size / least[COPY] / 1e6:8.2f} {cells}", flush=True)
