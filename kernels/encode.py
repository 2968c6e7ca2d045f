"""One value to its code and back, compiled: equal to the functions of `formats.reference` with the same tasks.

All arithmetic is float64 on float32 inputs, where it is exact: a float32 divided by a power of two is a float64 without
error, and a float32 divided by another number of at most 28 significant bits cannot round onto a threshold of at most
25 bits without being one (they differ by at least one part in 2^53).
"""

import numpy as np
from numba import njit

from densimeter.formats.rounding import NOISE_BITS
from densimeter.kernels.bits import SQRT2_MANTISSA, floor_log2, mantissa, power_of_two, round_half_even
from densimeter.kernels.parameters import (
    AFFINE,
    CODEBOOK,
    FLOAT,
    FLOAT_NO_HIDDEN,
    INT,
    LOG,
    NEAREST_AWAY,
    NEAREST_EVEN,
    NEAREST_UP,
    RECIPROCAL,
    STOCHASTIC,
    TOWARD_MINUS_INFINITY,
    TOWARD_ZERO,
)

ABOVE_FLOAT32 = 2.0**128  # stands for infinity, so that it saturates whatever it meets
_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
_MANY = 2.0**40  # more units than any element has
_NOISE = 2.0**NOISE_BITS
_NOISE_SHIFT = np.uint64(64 - NOISE_BITS)
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


@njit(inline="always")
def noise(seed, index):  # type: ignore[no-untyped-def]
    """`formats.rounding.noise` as a float64."""
    state = np.uint64(seed) + np.uint64(index + 1) * _GAMMA
    state = (state ^ (state >> np.uint64(30))) * _FIRST
    state = (state ^ (state >> np.uint64(27))) * _SECOND
    return np.float64((state ^ (state >> np.uint64(31))) >> _NOISE_SHIFT)


@njit(inline="always")
def saturated_float32(x):  # type: ignore[no-untyped-def]
    """A float64 rounded to float32, the largest one where that overflows; still a float64."""
    return min(max(np.float64(np.float32(x)), -_LARGEST_FLOAT32), _LARGEST_FLOAT32)


@njit(inline="always")
def round_magnitude(y, negative, rounding, chance):  # type: ignore[no-untyped-def]
    """The integer to which 0 <= y < 2**51 rounds, as a float64."""
    if rounding == NEAREST_EVEN:
        return round_half_even(y)
    return _round_otherwise(y, negative, rounding, chance)


@njit
def _round_otherwise(y, negative, rounding, chance):  # type: ignore[no-untyped-def]
    floor = np.floor(y)
    fraction = y - floor
    if rounding == TOWARD_ZERO:
        up = False
    elif rounding == TOWARD_MINUS_INFINITY:
        up = negative and fraction > 0.0
    elif rounding == STOCHASTIC:
        up = chance < fraction * _NOISE
    elif rounding == NEAREST_UP and negative:
        up = fraction > 0.5
    else:
        up = fraction >= 0.5
    return floor + up


@njit(inline="always")
def encode_float(y, negative, rounding, chance, f):  # type: ignore[no-untyped-def]
    """Magnitude code of y >= 0; a significand that rounds up carries into the exponent by itself."""
    if f.hidden_bit == 0:
        return _encode_without_hidden_bit(y, negative, rounding, chance, f)
    exponent = max(floor_log2(y), f.lowest_exponent)
    units = round_magnitude(y * power_of_two(f.mantissa_bits - exponent), negative, rounding, chance)
    code = ((exponent - f.lowest_exponent) << f.mantissa_bits) + np.int64(units)
    return code if code >= f.flush_below_code else 0


@njit(inline="always")
def _encode_without_hidden_bit(y, negative, rounding, chance, f):  # type: ignore[no-untyped-def]
    if y == 0.0:
        return np.int64(0)
    exponent = max(floor_log2(y) + 1, f.lowest_exponent)
    units = np.int64(round_magnitude(y * power_of_two(f.mantissa_bits - exponent), negative, rounding, chance))
    carry = units >> f.mantissa_bits
    return ((exponent + carry + f.bias) << f.mantissa_bits) | (units >> carry)


@njit(inline="always")
def _encode_saturating(y, pushed, f):  # type: ignore[no-untyped-def]
    """The published rule: choose the exponent field of `pushed` first, then clip the significand to it."""
    if y == 0.0:
        return np.int64(0)
    exponent = floor_log2(pushed)
    if f.hidden_bit == 0 and mantissa(pushed) != 0:
        exponent += 1
    field = min(max(exponent + f.bias, 0), f.largest_field)
    subnormal = f.hidden_bit == 1 and field == 0
    scaled = y * power_of_two(f.mantissa_bits + f.bias - field - subnormal)
    units = np.int64(round_half_even(min(scaled, _MANY)))
    hidden = (1 << f.mantissa_bits) if f.hidden_bit == 1 and not subnormal else 0
    code = (field << f.mantissa_bits) | min(max(units - hidden, 0), (1 << f.mantissa_bits) - 1)
    return min(code, f.largest_code)


@njit(inline="always")
def with_sign(code, negative, f):  # type: ignore[no-untyped-def]
    """A magnitude code with its sign; where there is no negative zero, zero has none."""
    return code | np.int64(negative and (f.negative_zero or code > 0)) << f.sign_shift


@njit(inline="always")
def nan_code(negative, f):  # type: ignore[no-untyped-def]
    """The code of a NaN of that sign, where the element has one."""
    return f.nan_code | np.int64(negative) << f.sign_shift if f.negative_zero else f.nan_code


@njit(inline="always")
def encode_saturating(x, f):  # type: ignore[no-untyped-def]
    """Code of a scale or a minimum: nearest even, saturating, signed."""
    return with_sign(min(encode_float(abs(x), False, NEAREST_EVEN, 0.0, f), f.largest_code), x < 0.0, f)


@njit(inline="always")
def decode_float(code, f):  # type: ignore[no-untyped-def]
    """Value of a float code as float64."""
    magnitude = code & ((np.int64(1) << f.sign_shift) - 1)
    field, fraction = magnitude >> f.mantissa_bits, magnitude & ((np.int64(1) << f.mantissa_bits) - 1)
    if field > f.largest_field:
        value = np.nan if fraction else np.inf
    elif f.nan_code >= 0 and ((f.negative_zero and magnitude == f.nan_code) or code == f.nan_code):
        value = np.nan
    elif f.hidden_bit == 0:
        value = fraction * power_of_two(field + f.lowest_exponent - f.mantissa_bits)
    elif field == 0:
        value = 0.0 if f.flush_below_code else fraction * power_of_two(f.lowest_exponent - f.mantissa_bits)
    else:
        significand = fraction | (np.int64(1) << f.mantissa_bits)
        value = significand * power_of_two(field - 1 + f.lowest_exponent - f.mantissa_bits)
    return -value if (code >> f.sign_shift) & 1 else value


@njit(inline="always")
def _encode_integer(integer, e):  # type: ignore[no-untyped-def]
    """Code of an integer that is not stored as sign and magnitude; out of range, it saturates."""
    clipped = min(max(integer, e.smallest_integer), e.largest_integer)
    return (clipped + e.code_offset) & ((np.int64(1) << e.bits) - 1)


@njit(inline="always")
def _signed_units(y, negative, e, chance):  # type: ignore[no-untyped-def]
    units = np.int64(round_magnitude(min(y, _MANY), negative, e.rounding, chance))
    return -units if negative else units


@njit(inline="always")
def _encode_affine(x, unit, zero, minimum, e, chance):  # type: ignore[no-untyped-def]
    """round(x / scale) + zero, or round(float32(x - minimum) / scale)."""
    if unit == 0.0:
        return _encode_integer(np.int64(zero), e)
    quotient = saturated_float32(x - minimum) / unit
    return _encode_integer(_signed_units(abs(quotient), quotient < 0.0, e, chance) + np.int64(zero), e)


@njit(inline="always")
def _encode_reciprocal(x, unit, minimum, e):  # type: ignore[no-untyped-def]
    """ggml's arithmetic: times the float32 reciprocal of the scale, in float32 throughout."""
    reciprocal = saturated_float32(1.0 / unit) if unit != 0.0 else 0.0
    quotient = saturated_float32(saturated_float32(x - minimum) * reciprocal)
    if e.rounding == NEAREST_AWAY:
        integer = _signed_units(abs(quotient), quotient < 0.0, e, 0.0)
    else:
        added = saturated_float32(quotient + (e.code_offset + 0.5))
        integer = np.int64(min(max(added, -_MANY), _MANY)) - e.code_offset  # truncates, as C does
    if e.sign_magnitude:
        return min(abs(integer), e.largest_integer) | np.int64(integer < 0) << (e.bits - 1)
    return _encode_integer(integer, e)


@njit(inline="always")
def _encode_log(y, negative, e):  # type: ignore[no-untyped-def]
    if y == 0.0:
        return np.int64(0)
    exponent, lowest = floor_log2(y), 0
    if e.rounding == TOWARD_MINUS_INFINITY:
        exponent += negative and mantissa(y) != 0
        lowest = e.log_smallest_field if negative else 0  # what is below zero stays there
    elif e.rounding != TOWARD_ZERO:
        exponent += mantissa(y) > SQRT2_MANTISSA
    return min(max(exponent + e.log_bias, lowest), e.log_largest_field)


@njit(inline="always")
def _encode_level(x, unit, negative, e, ladder, chance):  # type: ignore[no-untyped-def]
    """Code of a level next to x / unit, by comparing products, which are exact, instead of dividing."""
    levels, codes = ladder[0], ladder[1]
    low, high = 0, e.levels  # levels[low - 1] * unit <= x < levels[high] * unit
    while low < high:
        middle = (low + high) >> 1
        if levels[middle] * unit <= x:
            low = middle + 1
        else:
            high = middle
    rank = low - 1
    if 0 <= rank < e.levels - 1 and x > levels[rank] * unit:
        rank += _takes_upper(x, levels[rank], levels[rank + 1], unit, rank % 2 == 1, e.rounding, chance)
    rank = max(rank, 0)
    if levels[rank] == 0.0 and negative and e.negative_zero_code >= 0:
        return np.int64(e.negative_zero_code)
    return np.int64(e.positive_zero_code) if levels[rank] == 0.0 else np.int64(codes[rank])


@njit
def _takes_upper(x, lower, upper, unit, odd, rounding, chance):  # type: ignore[no-untyped-def]
    """`formats.rounding.round_between`, for a number x between two levels times unit."""
    below_zero = abs(upper) <= abs(lower)
    if rounding == TOWARD_ZERO:
        return below_zero
    if rounding == TOWARD_MINUS_INFINITY:
        return False
    if rounding == STOCHASTIC:
        return _exceeds(x * _NOISE, lower * unit * (_NOISE - chance), upper * unit * chance) > 0
    side = _exceeds(2.0 * x, lower * unit, upper * unit)
    if side != 0:
        return side > 0
    return odd if rounding == NEAREST_EVEN else True if rounding == NEAREST_UP else not below_zero


@njit
def _exceeds(x, a, b):  # type: ignore[no-untyped-def]
    """Sign of x - (a + b), exactly: the sum's rounding error decides where x equals the rounded sum."""
    total = a + b
    rest = total - a
    error = (a - (total - rest)) + (b - rest)
    difference = x - total if x != total else -error
    return 1 if difference > 0.0 else -1 if difference < 0.0 else 0


@njit(inline="always")
def encode(x, unit, zero, minimum, chance, p, ladder):  # type: ignore[no-untyped-def]
    """Code of one float32 that is not NaN, in a block that shares unit, zero and minimum."""
    e, f = p.element, p.float
    negative = np.float32(x).view(np.int32) < 0
    magnitude = min(np.float64(abs(x)), ABOVE_FLOAT32)
    if e.kind == CODEBOOK:
        known = magnitude > e.flush_at and unit != 0.0
        signed = (-magnitude if negative else magnitude) if known else 0.0
        return _encode_level(signed, unit if known else 1.0, negative, e, ladder, chance)
    if e.kind == AFFINE:
        return _encode_affine(-magnitude if negative else magnitude, unit, zero, minimum, e, chance)
    if e.kind == RECIPROCAL:
        return _encode_reciprocal(-magnitude if negative else magnitude, unit, minimum, e)
    y = magnitude / abs(unit) if unit != 0.0 else 0.0
    pushed = y
    if e.epsilon != 0.0 and magnitude < ABOVE_FLOAT32:
        epsilon = np.float32(e.epsilon * unit * e.smallest) if e.epsilon_of_smallest else np.float32(e.epsilon)
        negative = negative and abs(x) > epsilon
        pushed = np.float64(abs(x) + epsilon) / abs(unit) if unit != 0.0 else 0.0
    if magnitude <= e.flush_at:
        y = pushed = 0.0
    negative = negative != (unit < 0.0)
    if e.kind == INT:
        units = round_magnitude(min(pushed * e.units, _MANY), negative, e.rounding, chance)
        integer = np.int64(units)
        if e.sign_magnitude:
            return min(integer, e.largest_integer) | np.int64(negative) << (e.bits - 1)
        return _encode_integer(-integer if negative else integer, e)
    if e.kind == LOG:
        return _encode_log(pushed, negative, e) | np.int64(negative) << (e.bits - 1)
    if e.kind == FLOAT or e.kind == FLOAT_NO_HIDDEN:
        code = encode_float(y, negative, e.rounding, chance, f)
        if code > f.largest_code:
            return _overflow(negative, magnitude, e, f)
        return with_sign(code, negative, f)
    return with_sign(_encode_saturating(y, pushed, f), negative, f)


@njit(inline="always")
def _overflow(negative, magnitude, e, f):  # type: ignore[no-untyped-def]
    """What becomes of a magnitude beyond the largest: that, Inf, or NaN. Rounding toward zero stays finite."""
    inward = e.rounding == TOWARD_ZERO or (e.rounding == TOWARD_MINUS_INFINITY and not negative)
    if e.overflow_code < 0 or (inward and magnitude < ABOVE_FLOAT32):
        return with_sign(f.largest_code, negative, f)
    if e.overflow_code == f.nan_code:
        return nan_code(negative, f)
    return with_sign(e.overflow_code, negative, f)
