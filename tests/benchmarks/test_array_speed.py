"""The watched MAC array beside the integer matrix product without any watch, and NumPy's."""

from collections.abc import Callable
from functools import partial

import numpy as np
from benchmarks.timing import medians_ms, show

import densimeter.formats as F
import densimeter.kernels as K

M, N, K_LENGTH = 512, 768, 768
CASES = (("int32", 1), ("int32", 16), ("int16", 1), ("int16_saturate", 16))  # in 16 bits half of the outputs overflow


def test_array_beside_matmul() -> None:
    rng, fmt = np.random.default_rng(0), F.get("int8")
    a, w = (K.quantize(rng.standard_normal((rows, K_LENGTH)).astype(np.float32), fmt) for rows in (M, N))
    wide = [operand.code_rows().view(np.int8).astype(np.int64) for operand in (a, w)]
    contestants: dict[str, Callable[[], object]] = {
        "matmul, int32": partial(K.matmul, a, w, activation=fmt, weight=fmt, accumulator="int32"),
        "NumPy, int64": lambda: wide[0] @ wide[1].T,
    }
    for accumulator, lanes in CASES:
        contestants[f"array, {accumulator}, {lanes} lanes"] = partial(
            K.run_mac_array, a, w, activation=fmt, weight=fmt, accumulator=accumulator, lanes=lanes
        )
    medians = medians_ms(contestants, rounds=3)
    show(f"int8 product [{M}, {K_LENGTH}] x [{N}, {K_LENGTH}]", medians, "matmul, int32")
    operations = M * N * K_LENGTH
    print("  " + ", ".join(f"{name}: {operations / ms / 1e6:.2f} GMAC/s" for name, ms in medians.items()))
