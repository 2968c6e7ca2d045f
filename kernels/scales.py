"""What a block shares, chosen, stored and read, compiled: equal to the functions of `formats.reference`."""

import numpy as np
from numba import njit

from densimeter.kernels.bits import floor_log2, mantissa, power_of_two, round_half_even
from densimeter.kernels.encode import decode_float, encode_saturating, saturated_float32
from densimeter.kernels.parameters import CEIL, EVEN, FLOAT_SCALE, MINIMUM, NO_SCALE, POWER_OF_TWO, RCEIL, ZERO_POINT

_MANY = 2.0**40


@njit(inline="always")
def exponent_code(largest, s, element_largest):  # type: ignore[no-untyped-def]
    """Code of a shared exponent."""
    if largest == 0.0:
        return np.int64(s.largest_code if s.negated else 0)
    if s.rule == RCEIL:
        quotient = largest / element_largest
        exponent = floor_log2(quotient) + (mantissa(quotient) != 0)
    else:
        exponent = floor_log2(largest) - s.offset
        if s.rule == CEIL:
            exponent += mantissa(largest) != 0
        elif s.rule == EVEN:
            exponent += largest >= s.even_threshold * power_of_two(floor_log2(largest))
    if s.negated:
        exponent = -exponent
    return min(max(exponent + s.bias, 0), s.largest_code)


@njit(cache=True)
def choose(largest, extreme, least, greatest, tensor_factor, p):  # type: ignore[no-untyped-def]
    """(scale code without microexponents, unit, zero, minimum) of a block, from its extremes; infinities are 2**128."""
    s, e = p.scale, p.element
    if s.kind == POWER_OF_TWO:
        code = exponent_code(largest, s, e.largest)
        return code, power_of_two(code - s.bias), 0.0, 0.0
    if s.kind == NO_SCALE or tensor_factor == 0.0:
        return np.int64(0), 1.0 if s.kind == NO_SCALE else 0.0, 0.0, 0.0
    if s.kind == ZERO_POINT or s.kind == MINIMUM:
        return _choose_affine(least, greatest, p)
    wanted = largest / (e.largest * tensor_factor) if s.kind == FLOAT_SCALE else extreme / s.anchor
    if s.unrounded:
        wanted = saturated_float32(wanted)
    code = encode_saturating(wanted, p.stored)
    return code, wanted if s.unrounded else decode_float(code, p.stored) * tensor_factor, 0.0, 0.0


@njit
def _choose_affine(least, greatest, p):  # type: ignore[no-untyped-def]
    s = p.scale
    if s.kind == ZERO_POINT:
        least, greatest = min(least, 0.0), max(greatest, 0.0)
    unit = saturated_float32(greatest - least) / p.element.largest
    if s.unrounded:
        unit = np.float64(np.float32(unit))
    if s.exponent_stored:
        exponent = floor_log2(unit) + (mantissa(unit) != 0)
        code = min(max(exponent + s.bias, 0), s.largest_code)
        stored = power_of_two(code - s.bias)
    else:
        code = encode_saturating(unit, p.stored)
        stored = decode_float(code, p.stored)
    if s.kind == ZERO_POINT:
        wanted = np.float64(min(-least / stored, _MANY) if stored != 0.0 else 0.0)
        zero = min(np.int64(round_half_even(wanted)), s.zero_largest)
        return code | zero << s.bits, stored, np.float64(zero), 0.0
    minimum_code = encode_saturating(least, p.minimum)
    code |= minimum_code << s.bits
    if s.unrounded:
        return code, unit, 0.0, saturated_float32(least)
    return code, stored, 0.0, decode_float(minimum_code, p.minimum)


@njit(inline="always")
def read(code, tensor_factor, p):  # type: ignore[no-untyped-def]
    """(unit, zero, what to add) that a scale code stands for, microexponents apart; a unit of NaN where not finite.

    Where there is no minimum, -0.0 is added, which changes nothing.
    """
    s = p.scale
    if s.kind == POWER_OF_TWO:
        if code == s.nan_code:
            return np.nan, 0.0, -0.0
        return power_of_two((code & ((np.int64(1) << s.bits) - 1)) - s.bias), 0.0, -0.0
    if s.kind == NO_SCALE:
        return 1.0, 0.0, -0.0
    return _read_float(code, tensor_factor, p)


@njit
def _read_float(code, tensor_factor, p):  # type: ignore[no-untyped-def]
    s = p.scale
    low, zero, minimum = code & ((np.int64(1) << s.bits) - 1), 0.0, -0.0
    if s.exponent_stored:
        unit = np.nan if low == s.nan_code else power_of_two(low - s.bias)
    else:
        unit = decode_float(low, p.stored) * tensor_factor
    if s.kind == ZERO_POINT:
        zero = np.float64((code >> s.bits) & s.zero_largest)
    elif s.kind == MINIMUM:
        minimum = decode_float((code >> s.bits) & ((np.int64(2) << p.minimum.sign_shift) - 1), p.minimum) + 0.0
    if not (np.isfinite(unit) and np.isfinite(minimum)):
        unit = np.nan
    return unit + 0.0, zero, minimum  # no negative zero for a unit


@njit(inline="always")
def microexponent(largest, code, s):  # type: ignore[no-untyped-def]
    """How far below the block's exponent a part with this largest magnitude lies."""
    if largest == 0.0:
        return np.int64(s.micro_largest)
    return min(max(code - s.bias + s.offset - floor_log2(largest), 0), s.micro_largest)


@njit(inline="always")
def read_microexponent(code, part, s):  # type: ignore[no-untyped-def]
    """The microexponent of one part of a block."""
    return (code >> (s.bits + part * s.micro_bits)) & s.micro_largest
