"""The bit-exact matrix product beside float32 BLAS on the dequantised operands."""

from collections.abc import Callable
from functools import partial

import numpy as np
from benchmarks.timing import medians_ms, show

import densimeter.formats as F
import densimeter.kernels as K

M, N, K_LENGTH = 128, 768, 768
CASES = (
    ("bfp6", "fp32"),
    ("bfp6", "aligned24"),
    ("mxfp4", "fp32"),
    ("mxfp8_e5m2", "fp32"),
    ("int8", "int32"),
    ("float32", "fp32"),
)


def test_matmul_beside_blas() -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((M, K_LENGTH)).astype(np.float32)
    w = rng.standard_normal((N, K_LENGTH)).astype(np.float32)
    contestants: dict[str, Callable[[], object]] = {"float32 BLAS": lambda: a @ w.T}
    for name, accumulator in CASES:
        fmt = F.get(name)
        operands = K.quantize(a, fmt), K.quantize(w, fmt)
        contestants[f"{name}, {accumulator}"] = partial(
            K.matmul, *operands, activation=fmt, weight=fmt, accumulator=accumulator
        )
    medians = medians_ms(contestants, rounds=3)
    show(f"bit-exact product [{M}, {K_LENGTH}] x [{N}, {K_LENGTH}]", medians, "float32 BLAS")
    operations = M * N * K_LENGTH
    print("  " + ", ".join(f"{name}: {operations / ms / 1e6:.2f} GMAC/s" for name, ms in medians.items()))
