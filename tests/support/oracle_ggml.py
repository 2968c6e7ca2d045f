"""ggml's quantisers step by step, in the processor's own arithmetic: what its C code computes in float32.

Each step is a float64 operation rounded to float32, which for sums, products and quotients of float32 numbers is the
float32 operation itself (53 bits are twice 24 and two more); an infinity is 2**128, and what overflows saturates.
"""

from collections.abc import Sequence

import numpy as np

from densimeter.formats.element import IntElement
from support.oracle_element import code_at, rungs
from support.oracle_number import LARGEST_FLOAT32, clip

FAR = 2.0**24
"""Beyond every integer element."""


def absolute_scale(numbers: Sequence[float], top: float) -> float:
    """d = amax / 127 (Q8_0)."""
    return _float32(max((abs(_finite(v)) for v in numbers), default=0.0) / top)


def signed_scale(numbers: Sequence[float], bottom: float) -> float:
    """d = max / -8, max being the first value of largest magnitude (Q4_0)."""
    extreme = 0.0
    for v in map(_finite, numbers):
        if abs(v) > abs(extreme):
            extreme = v
    return _float32(extreme / bottom)


def spread(numbers: Sequence[float], top: float) -> tuple[float, float]:
    """d = (max - min) / 15 and min (Q4_1)."""
    finite = [_finite(v) for v in numbers] or [0.0]
    return _float32(_float32(max(finite) - min(finite)) / top), _float32(min(finite))


def encode(v: float, step: float, minimum: float, element: IntElement, rounding: str) -> int:
    """(x - min) * (1 / d), then roundf, or a half and the offset added and the fraction dropped."""
    reciprocal = _float32(1 / step) if step else 0.0
    quotient = _float32(_float32(_finite(v) - minimum) * reciprocal)
    quotient = min(max(quotient, -FAR), FAR)
    offset = 1 << (element.bits - 1) if element.encoding == "offset" else 0
    if rounding == "nearest_away":  # roundf
        whole = int(quotient + (0.5 if quotient > 0 else -0.5))
    else:
        whole = int(_float32(quotient + (offset + 0.5))) - offset
    if element.encoding == "sign_magnitude":
        return min(abs(whole), rungs(element)[-1]) | (whole < 0) << (element.bits - 1)
    return code_at(element, clip(whole, rungs(element)[0], rungs(element)[-1]))


def _finite(v: float) -> float:
    return min(max(v, -(2.0**128)), 2.0**128)


def _float32(x: float) -> float:
    with np.errstate(over="ignore", under="ignore"):
        return float(np.clip(np.float32(x), -LARGEST_FLOAT32, LARGEST_FLOAT32))
