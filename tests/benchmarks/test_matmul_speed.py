"""The bit-exact matrix product by format and accumulator beside float32 BLAS and torch's fake quantisation, in one run.

Times are the least of several rounds in which all take turns, since a busy machine only ever adds to them; the load
average says how busy it was. All have as many threads: `OMP_NUM_THREADS`, which BLAS reads itself, or one a processor.
"""

import importlib.util
import os
import time
from collections.abc import Callable
from functools import partial

import numba
import numpy as np
import pytest
from numpy.typing import NDArray

import densimeter.formats as F
import densimeter.kernels as K
from densimeter.kernels.tensor_core import HOPPER_FP8, tensor_core_matmul

THREADS = min(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)), numba.get_num_threads())
SHAPES = [(512, 768, 768, 15), (2048, 2048, 2048, 3)]
"""M, K, N and rounds."""
CASES = [
    ("bfp6", "fp32"),
    ("bfp6", "fp32_ftz"),
    ("bfp6", "fixed48:-24"),
    ("bfp6", "aligned24"),
    ("bfp6", "aligned40"),
    ("bfp4", "fp32"),
    ("bfp8", "fp32"),
    ("mxint8", "fp32"),
    ("mxfp4", "fp32"),
    ("mxfp6_e2m3", "fp32"),
    ("mxfp6_e3m2", "fp32"),
    ("mxfp8_e4m3", "fp32"),
    ("mxfp8_e5m2", "fp32"),
    ("nvfp4", "fp32"),
    ("int8", "int32"),
    ("int8", "fp32"),
    ("int8_g32", "fp32"),
    ("bl8", "fp32"),
    ("bm8", "fp32"),
    ("float32", "fp32"),
]
BLAS, TORCH, TENSOR_CORE = "float32 BLAS", "torch, fake bfp6", "e4m3, tensor core"


@pytest.mark.parametrize(("m", "k", "n", "rounds"), SHAPES)
def test_matmul_beside_blas(m: int, k: int, n: int, rounds: int) -> None:
    rng = np.random.default_rng(0)
    a, w = (rng.standard_normal((rows, k)).astype(np.float32) for rows in (m, n))
    contestants: dict[str, Callable[[], object]] = {BLAS: lambda: a @ w.T}
    if importlib.util.find_spec("torch"):
        contestants[TORCH] = fake_quantised(a, w)
    for name, accumulator in CASES:
        fmt = F.get(name)
        operands = K.quantize(a, fmt), K.quantize(w, fmt)
        contestants[f"{name}, {accumulator}"] = partial(
            K.matmul, *operands, activation=fmt, weight=fmt, accumulator=accumulator
        )
    e4m3 = F.get("e4m3")
    operands = K.quantize(a, e4m3), K.quantize(w, e4m3)
    contestants[TENSOR_CORE] = partial(tensor_core_matmul, *operands, activation=e4m3, weight=e4m3, core=HOPPER_FP8)
    numba.set_num_threads(THREADS)
    least = least_seconds(contestants, rounds)
    print(f"\n[{m}, {k}] x [{n}, {k}], {THREADS} threads, load {os.getloadavg()[0]:.1f}")
    assert least.keys() == contestants.keys()
    for name, seconds in least.items():
        print(
            f"  {name:<22} {1e3 * seconds:9.2f} ms {m * n * k / seconds / 1e9:8.1f} GMAC/s"
            f"   {least[BLAS] / seconds:5.2f} of BLAS"
        )


def fake_quantised(a: NDArray[np.float32], w: NDArray[np.float32]) -> Callable[[], object]:
    """What emulators in torch do: quantise and dequantise the activations, then a float32 product."""
    import torch

    from densimeter.kernels.torch import quantize_dequantize

    torch.set_num_threads(THREADS)
    fmt = F.get("bfp6")
    activations, weights = torch.from_numpy(a), quantize_dequantize(torch.from_numpy(w), fmt)
    return lambda: quantize_dequantize(activations, fmt) @ weights.T


def least_seconds(contestants: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The shortest of each one's times; they take turns, and of two runs in a row the second counts.

    In the first, threads of the one before are still looking for work, and those of this one have to wake up.
    """
    least = dict.fromkeys(contestants, float("inf"))
    for run in contestants.values():
        run()
    for _ in range(rounds):
        for name, run in contestants.items():
            run()
            start = time.perf_counter()
            run()
            least[name] = min(least[name], time.perf_counter() - start)
    return least
