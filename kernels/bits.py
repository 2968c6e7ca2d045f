"""Bit tricks on float64 that the kernels share: exact exponents, powers of two and rounding, without libm."""

import numpy as np
from numba import njit

SQRT2_MANTISSA = np.int64(0x6A09E667F3BCD)  # of the largest float64 below the square root of 2
_MANTISSA_MASK = np.int64((1 << 52) - 1)
_ROUNDING = np.float64(3 << 51)


@njit(inline="always", cache=True)
def floor_log2(x: np.float64) -> np.int64:
    """Exponent of a positive normal float64; -1023 for zero. float32 subnormals are normal float64 numbers."""
    return (np.float64(x).view(np.int64) >> 52) - 1023


@njit(inline="always", cache=True)
def mantissa(x: np.float64) -> np.int64:
    """The 52 mantissa bits of a float64: zero exactly for powers of two (and zero)."""
    return np.float64(x).view(np.int64) & _MANTISSA_MASK


@njit(inline="always", cache=True)
def power_of_two(n: np.int64) -> np.float64:
    """2**n exactly, for -1022 <= n <= 1023."""
    return np.int64((n + 1023) << 52).view(np.float64)


@njit(inline="always", cache=True)
def round_half_even(x: np.float64) -> np.float64:
    """The nearest integer, ties to even, for 0 <= x < 2**51: adding 1.5 * 2**52 leaves no fraction bits."""
    return (x + _ROUNDING) - _ROUNDING
