"""The arithmetic of one accumulator step, compiled: group sum in two limbs, block scale, register.

A group's exact sum can be 80 bits wide, so it travels as (high, low) with ``sum = high * 2**32 + low`` and
``0 <= low < 2**32``. The register is (significand int64, exponent int64, value float32, invalid bool), of which each
kind of accumulator uses its part.
"""

from typing import NamedTuple

import numpy as np
from numba import njit

from densimeter.formats.accumulator import AlignedAccumulator, FixedAccumulator, IntAccumulator
from densimeter.formats.datapath import Datapath
from densimeter.kernels.bits import power_of_two

FINITE, NAN, POSITIVE_INFINITY, NEGATIVE_INFINITY = range(4)

WRAP, SATURATE, FIXED, ALIGNED, FP32 = range(5)
_LIMB = 32
_LIMB_MASK = np.int64((1 << _LIMB) - 1)
_SMALLEST_NORMAL = 2.0**-126


class AccumulatorParameters(NamedTuple):
    """An accumulator and its datapath, flattened to numbers that compiled code can take."""

    kind: int
    bits: int
    exponent_offset: int  # exponent of the scaled sum's lowest bit at exponent code 0
    shift: int  # fixed: what turns that exponent into a left shift; aligned: the guard bits
    subnormals: bool
    register_lsb_exponent: int


def parameters(datapath: Datapath) -> AccumulatorParameters:
    """Flatten a datapath's accumulator for the compiled loops."""
    accumulator, offset, lsb = datapath.accumulator, datapath.exponent_offset, datapath.register_lsb_exponent
    if isinstance(accumulator, IntAccumulator):
        kind = WRAP if accumulator.overflow == "wrap" else SATURATE
        return AccumulatorParameters(kind, accumulator.bits, offset, 0, True, lsb)
    if isinstance(accumulator, FixedAccumulator):
        shift = offset - accumulator.lsb_exponent
        return AccumulatorParameters(FIXED, accumulator.bits, offset, shift, True, lsb)
    if isinstance(accumulator, AlignedAccumulator):
        return AccumulatorParameters(ALIGNED, accumulator.bits, offset, datapath.guard_bits, True, lsb)
    return AccumulatorParameters(FP32, 32, offset, 0, accumulator.subnormals, lsb)


@njit(inline="always")
def _shift_clamped(high, low, shift, bits):  # type: ignore[no-untyped-def]
    """floor(sum * 2**shift), clamped just outside `bits` signed bits, where any further sum saturates anyway."""
    limit = np.int64(1) << bits
    if high == 0 and low == 0:
        return np.int64(0)
    if shift >= 0:
        if shift > bits or abs(high) >= 1 << (_LIMB - 2):
            return limit if high >= 0 else -limit
        value = (high << _LIMB) + low
        if abs(value) > limit >> shift:
            return limit if value >= 0 else -limit
        return value << shift
    shift = -shift
    if shift >= _LIMB:
        value = high >> min(shift - _LIMB, 63)
    elif abs(high) >= np.int64(1) << (62 - _LIMB + shift):
        return limit if high >= 0 else -limit
    else:
        value = (high << (_LIMB - shift)) + (low >> shift)
    return min(max(value, -limit), limit)


@njit(inline="always")
def _clamp(value, bits):  # type: ignore[no-untyped-def]
    half = np.int64(1) << (bits - 1)
    return min(max(value, -half), half - 1)


@njit(inline="always")
def to_float32(high, low, exponent, subnormals):  # type: ignore[no-untyped-def]
    """sum * 2**exponent as float32, rounded once to nearest even."""
    if -(1 << 20) <= high < 1 << 20:
        exact = np.float64(high) * 4294967296.0 + np.float64(low)
    else:
        # Above 53 bits, keep the top ones and let the lowest of them say that something was cut: round to odd.
        kept = (high << 5) | (low >> 27)
        exact = np.float64(kept | ((low & ((1 << 27) - 1)) != 0))
        exponent += 27
    exact *= power_of_two(
        np.int64(min(max(exponent, -1000), 1000))
    )  # beyond these float32 has long vanished or overflowed
    if not subnormals and abs(exact) < _SMALLEST_NORMAL:
        return np.float32(0.0) * np.float32(exact)
    return np.float32(exact)


@njit(inline="always")
def add_float32(accumulated, operand, subnormals):  # type: ignore[no-untyped-def]
    """One IEEE addition; a sum of normal numbers that is tiny is exact, so flushing it after rounding is the same."""
    total = np.float32(accumulated + operand)
    if not subnormals and abs(total) < np.float32(_SMALLEST_NORMAL):
        return np.float32(0.0) * total
    return total


@njit(inline="always")
def step(significand, exponent, value, invalid, high, low, exponent_code, special, p):  # type: ignore[no-untyped-def]
    """Add one group's scaled sum to the register."""
    if p.kind == FP32:
        if special == FINITE:
            operand = to_float32(high, low, exponent_code + p.exponent_offset, p.subnormals)
        elif special == NAN:
            operand = np.float32(np.nan)
        else:
            operand = np.float32(np.inf if special == POSITIVE_INFINITY else -np.inf)
        return significand, exponent, add_float32(value, operand, p.subnormals), invalid
    if special != FINITE:
        return significand, exponent, value, True
    if p.kind == FIXED:
        added = _shift_clamped(high, low, exponent_code + p.shift, p.bits)
        return _clamp(significand + added, p.bits), exponent, value, invalid
    if p.kind == ALIGNED:
        top = max(exponent, exponent_code)
        group = ((high << _LIMB) + low) << p.shift
        total = (significand >> min(top - exponent, 63)) + (group >> min(top - exponent_code, 63))
        if total != _clamp(total, p.bits):
            return total >> 1, top + 1, value, invalid
        return total, top, value, invalid
    if p.kind == SATURATE:
        return _clamp(significand + _shift_clamped(high, low, 0, p.bits), p.bits), exponent, value, invalid
    unused = 64 - p.bits
    total = significand + (high << _LIMB) + low
    return (total << unused) >> unused, exponent, value, invalid


@njit(inline="always")
def scale_limbs(high, low, factor):  # type: ignore[no-untyped-def]
    """(high, low) times a factor of at most 30 bits and a sign; limbs hold no more of two at once."""
    product = low * factor
    return high * factor + (product >> _LIMB), product & _LIMB_MASK


@njit(inline="always")
def split(total):  # type: ignore[no-untyped-def]
    """An int64 as limbs."""
    return total >> _LIMB, total & _LIMB_MASK
