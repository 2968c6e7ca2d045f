"""Numbers of the second opinion: exact fractions, and the one rounding to float32 at the end of every computation."""

import math
from fractions import Fraction
from functools import lru_cache

import numpy as np

TWO = Fraction(2)
FLOAT32_OVERFLOW = TWO**128
LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
INFINITY_BITS = 0x7F800000


@lru_cache(maxsize=1 << 16)
def to_float32(exact: Fraction) -> float:
    """An exact number rounded once to float32, nearest even; +0 for zero.

    The processor's conversion rounds twice, so that its result is one of three candidates.
    """
    guess = int(_float32_bits(float(min(abs(exact), FLOAT32_OVERFLOW))))
    candidates = range(max(guess - 1, 0), min(guess + 1, INFINITY_BITS) + 1)
    bits = min(candidates, key=lambda c: (abs(_float32_worth(c) - abs(exact)), c & 1))
    magnitude = math.inf if bits == INFINITY_BITS else float(_float32_worth(bits))
    return -magnitude if exact < 0 else magnitude


def saturated_float32(exact: Fraction) -> float:
    """The same, the largest float32 where it would overflow."""
    return min(max(to_float32(exact), -LARGEST_FLOAT32), LARGEST_FLOAT32)


def exact(v: float) -> Fraction:
    """A float32 that is not NaN; an infinity counts as the power of two above float32, so that it saturates."""
    return Fraction(v) if math.isfinite(v) else FLOAT32_OVERFLOW if v > 0 else -FLOAT32_OVERFLOW


def negative(v: float) -> bool:
    """The sign bit, which zeros and NaN have too."""
    return math.copysign(1, v) < 0


@lru_cache(maxsize=1 << 16)
def floor_log2(positive: Fraction) -> int:
    """The k with 2**k <= positive < 2**(k+1), by trying."""
    k, power = 0, Fraction(1)
    while power > positive:
        k, power = k - 1, power / 2
    while 2 * power <= positive:
        k, power = k + 1, 2 * power
    return k


def ceil_log2(positive: Fraction) -> int:
    """The k with 2**(k-1) < positive <= 2**k."""
    return -floor_log2(1 / positive)


def clip(number: int, low: int, high: int) -> int:
    return min(max(number, low), high)


def _float32_bits(x: float) -> np.uint32:
    with np.errstate(over="ignore"):
        return np.float32(x).view(np.uint32)


def _float32_worth(bits: int) -> Fraction:
    """Infinity counts as the power of two that would follow the largest number."""
    return FLOAT32_OVERFLOW if bits == INFINITY_BITS else Fraction(float(np.uint32(bits).view(np.float32)))
