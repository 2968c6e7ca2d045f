"""Group sums and streams of groups, compiled: what a dot-product unit does on each clock edge."""

import numpy as np
from numba import njit, prange

from densimeter.kernels.accumulator import (
    FINITE,
    FP32,
    NAN,
    NEGATIVE_INFINITY,
    POSITIVE_INFINITY,
    add_float32,
    scale_limbs,
    split,
    step,
    to_float32,
)
from densimeter.kernels.operands import NAN_SCALE

_HALF_BITS = 20
_HALF_MASK = (1 << _HALF_BITS) - 1


@njit(inline="always")
def _sum_exact(a, w):  # type: ignore[no-untyped-def]
    total = np.int64(0)
    for k in range(a.size):
        total += a[k] * w[k]
    return split(total)


@njit
def _sum_wide(a, w):  # type: ignore[no-untyped-def]
    """A sum beyond 62 bits: each factor in two halves, three partial sums, one carry."""
    upper, middle, lower = np.int64(0), np.int64(0), np.int64(0)
    for k in range(a.size):
        a_high, a_low = a[k] >> _HALF_BITS, a[k] & _HALF_MASK
        w_high, w_low = w[k] >> _HALF_BITS, w[k] & _HALF_MASK
        upper += a_high * w_high
        middle += a_high * w_low + a_low * w_high
        lower += a_low * w_low
    low = ((middle & 0xFFF) << _HALF_BITS) + (lower & 0xFFFFFFFF)
    return (upper << 8) + (middle >> 12) + (lower >> 32) + (low >> 32), low & 0xFFFFFFFF


@njit
def _sum_windowed(a, w, a_exponents, w_exponents, lsb_exponent):  # type: ignore[no-untyped-def]
    """Products shifted into a window; what falls below its lowest bit is cut off the magnitude."""
    total = np.int64(0)
    for k in range(a.size):
        product = a[k] * w[k]
        shift = a_exponents[k] + w_exponents[k] - lsb_exponent
        magnitude = abs(product) << shift if shift >= 0 else abs(product) >> min(-shift, 63)
        total += magnitude if product >= 0 else -magnitude
    return split(total)


@njit
def _special_of(a_values, w_values, a, w):  # type: ignore[no-untyped-def]
    """NaN beats all; an infinity times zero, or infinities of both signs, are NaN too."""
    positive, negative = False, False
    for k in range(a_values.size):
        left, right = a[k], w[k]
        if left == FINITE and right == FINITE:
            continue
        finite_zero = (left == FINITE and a_values[k] == 0) or (right == FINITE and w_values[k] == 0)
        if left == NAN or right == NAN or finite_zero:
            return NAN
        left_negative = left == NEGATIVE_INFINITY or (left == FINITE and a_values[k] < 0)
        right_negative = right == NEGATIVE_INFINITY or (right == FINITE and w_values[k] < 0)
        negative |= left_negative != right_negative
        positive |= left_negative == right_negative
    if positive and negative:
        return NAN
    return POSITIVE_INFINITY if positive else NEGATIVE_INFINITY if negative else FINITE


@njit(inline="always")
def _group(i, j, start, a, w, lanes, wide, lsb_exponent):  # type: ignore[no-untyped-def]
    """(high, low, exponent code, special) of the group at `start` in row i of a and row j of w."""
    left, right = a.values[i, start : start + lanes], w.values[j, start : start + lanes]
    if a.exponents.size > 0:
        window = slice(start, start + lanes)
        high, low = _sum_windowed(left, right, a.exponents[i, window], w.exponents[j, window], lsb_exponent)
    elif wide:
        high, low = _sum_wide(left, right)
    else:
        high, low = _sum_exact(left, right)
    a_scale, w_scale = start // a.block, start // w.block
    a_exponent, w_exponent = a.scale_exponents[i, a_scale], w.scale_exponents[j, w_scale]
    for factor in (a.scale_significands[i, a_scale], w.scale_significands[j, w_scale]):
        if factor != 1:
            high, low = scale_limbs(high, low, factor)
    special = FINITE
    if a_exponent == NAN_SCALE or w_exponent == NAN_SCALE:
        special = NAN
    elif a.specials.size > 0 or w.specials.size > 0:
        special = _group_special(i, j, start, lanes, a, w, left, right)
    return high, low, a_exponent + w_exponent, special


@njit
def _group_special(i, j, start, lanes, a, w, left, right):  # type: ignore[no-untyped-def]
    finite = np.zeros(lanes, np.uint8)
    a_special = a.specials[i, start : start + lanes] if a.specials.size > 0 else finite
    w_special = w.specials[j, start : start + lanes] if w.specials.size > 0 else finite
    return _special_of(left, right, a_special, w_special)


@njit(parallel=True, nogil=True, cache=True)
def matmul_groups(a, w, lanes, wide, lsb_exponent, p, out):  # type: ignore[no-untyped-def]
    """out[i, j] = the accumulated dot product of rows i and j, rounded to float32; NaN where the register went
    invalid."""
    for i in prange(out.shape[0]):
        for j in range(out.shape[1]):
            significand, exponent, value, invalid = np.int64(0), np.int64(0), np.float32(0.0), False
            for start in range(0, a.values.shape[1], lanes):
                high, low, code, special = _group(i, j, start, a, w, lanes, wide, lsb_exponent)
                significand, exponent, value, invalid = step(
                    significand, exponent, value, invalid, high, low, code, special, p
                )
            out[i, j] = _register_value(significand, exponent, value, invalid, p)


@njit(inline="always")
def _register_value(significand, exponent, value, invalid, p):  # type: ignore[no-untyped-def]
    if p.kind == FP32:
        return value
    if invalid:
        return np.float32(np.nan)
    high, low = split(significand)
    return to_float32(high, low, exponent + p.register_lsb_exponent, True)


@njit(nogil=True, cache=True)
def stream_groups(a, w, clear, enable, wide, lsb_exponent, p, significands, exponents, values, invalids):  # type: ignore[no-untyped-def]
    """The register after every clock edge of a stream with one group a row."""
    significand, exponent, value, invalid = np.int64(0), np.int64(0), np.float32(0.0), False
    for i in range(clear.size):
        if enable[i]:
            if clear[i]:
                significand, exponent, value, invalid = np.int64(0), np.int64(0), np.float32(0.0), False
            high, low, code, special = _group(i, i, 0, a, w, a.values.shape[1], wide, lsb_exponent)
            significand, exponent, value, invalid = step(
                significand, exponent, value, invalid, high, low, code, special, p
            )
        significands[i], exponents[i], values[i], invalids[i] = significand, exponent, value, invalid


@njit(inline="always")
def _multiply_float32(a, w, subnormals):  # type: ignore[no-untyped-def]
    """One IEEE product; flushing looks at the exact product, which float64 holds."""
    if subnormals:
        return np.float32(a * w)
    exact = np.float64(a) * np.float64(w)
    return np.float32(0.0) * np.float32(exact) if abs(exact) < 2.0**-126 else np.float32(exact)


@njit(nogil=True, cache=True)
def stream_float_mac(a, w, clear, enable, subnormals, values):  # type: ignore[no-untyped-def]
    """The register after every clock edge of a stream with one product an edge."""
    value = np.float32(0.0)
    for i in range(clear.size):
        if enable[i]:
            start = np.float32(0.0) if clear[i] else value
            value = add_float32(start, _multiply_float32(a[i], w[i], subnormals), subnormals)
        values[i] = value
