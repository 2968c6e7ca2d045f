"""A second opinion on every codec, written from the formats' specifications on exact fractions.

It shares no arithmetic with densimeter: of the declarations passed in it reads the declared fields and the width
of a code, nothing else. Slow and plain on purpose. `oracle_dot` does the same for dot products, `published` for
the paper's own formulas.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

import numpy as np

from densimeter.formats.block import BlockFormat
from densimeter.formats.element import Element, FloatElement, IntElement, LogElement
from densimeter.formats.scale import FloatScale, PowerOfTwoScale, Scale

TWO = Fraction(2)
FLOAT32_OVERFLOW = TWO**128
INFINITY_BITS = 0x7F800000


@lru_cache(maxsize=1 << 17)
def value(element: Element, code: int) -> float:
    """What a code is worth. Every value of every element is a float64 exactly; so are -0, the infinities and NaN."""
    sign, magnitude = divmod(code, 1 << (element.bits - 1))
    match element:
        case IntElement(bits=bits, encoding="twos_complement", fraction_bits=fraction_bits):
            return float((magnitude - (sign << (bits - 1))) * TWO**-fraction_bits)
        case IntElement(fraction_bits=fraction_bits):
            worth = magnitude * TWO**-fraction_bits
        case LogElement(bias=bias, zero=zero):
            worth = Fraction(0) if zero and magnitude == 0 else TWO ** (magnitude - bias)
        case FloatElement():
            if _is_special(element, magnitude):
                infinite = element.specials == "ieee" and magnitude % (1 << element.mantissa_bits) == 0
                return math.copysign(math.inf if infinite else math.nan, -sign or 1)
            worth = _float_worth(element, magnitude)
    return math.copysign(float(worth), -sign or 1)


def _is_special(element: FloatElement, magnitude: int) -> bool:
    if element.specials == "nan":
        return magnitude == (1 << (element.exponent_bits + element.mantissa_bits)) - 1
    return element.specials == "ieee" and magnitude >> element.mantissa_bits == (1 << element.exponent_bits) - 1


def _float_worth(element: FloatElement, magnitude: int) -> Fraction:
    one = 1 << element.mantissa_bits
    field, mantissa = divmod(magnitude, one)
    fraction = Fraction(mantissa, one)
    if not element.hidden_bit:
        return TWO ** (field - element.bias) * fraction
    if field == 0:
        return TWO ** (1 - element.bias) * fraction * element.subnormals
    return TWO ** (field - element.bias) * (1 + fraction)


def rungs(element: Element) -> range:
    """The ladder of finite values: its rungs, in ascending order, each value once.

    Magnitudes only where the sign stands apart; two's complement climbs from its most negative value.
    """
    half = 1 << (element.bits - 1)
    match element:
        case IntElement(encoding="twos_complement", symmetric=symmetric):
            return range(-half + symmetric, half)
        case FloatElement(hidden_bit=False, mantissa_bits=mantissa_bits):
            return range((half + (1 << mantissa_bits)) // 2)
        case FloatElement(specials=specials, mantissa_bits=mantissa_bits):
            return range(half - {"none": 0, "nan": 1, "ieee": 1 << mantissa_bits}[specials])
    return range(half)


def code_at(element: Element, rung: int) -> int:
    """The code on a rung. Without a hidden bit, of all codes of one value the one with the smallest exponent."""
    match element:
        case IntElement(bits=bits, encoding="twos_complement"):
            return rung % (1 << bits)
        case FloatElement(hidden_bit=False, mantissa_bits=mantissa_bits) if rung >> mantissa_bits:
            half = 1 << (mantissa_bits - 1)
            field, significand = divmod(rung, half)
            return (field - 1) << mantissa_bits | half + significand
    return rung


def largest(element: Element) -> Fraction:
    """The largest finite value."""
    return _worth_at(element, rungs(element)[-1])


def nearest(element: Element, wanted: Fraction) -> int:
    """The code whose value is nearest; between two equally near, the one that is an even multiple of their distance."""
    ladder = rungs(element)
    above = min(bisect_left(ladder, wanted, key=lambda rung: _worth_at(element, rung)), len(ladder) - 1)
    lower, upper = (_worth_at(element, ladder[i]) for i in (max(above - 1, 0), above))
    middle = (lower + upper) / 2
    up = wanted > middle or (wanted == middle and lower % (2 * (upper - lower) or 1) != 0)
    return code_at(element, ladder[above if up else max(above - 1, 0)])


def _worth_at(element: Element, rung: int) -> Fraction:
    return Fraction(value(element, code_at(element, rung)))


def encode(element: Element, wanted: Fraction, negative: bool, *, infinities: bool = False) -> int:
    """The code of a magnitude and a sign, which zeros have too; overflow saturates unless there are `infinities`."""
    sign = negative << (element.bits - 1)
    match element:
        case IntElement(encoding="twos_complement"):
            return nearest(element, -wanted if negative else wanted)
        case LogElement():
            return sign | _nearest_power(element, wanted)
        case FloatElement(mantissa_bits=mantissa_bits, hidden_bit=hidden_bit, subnormals=subnormals):
            if infinities and wanted >= largest(element) + _top_step(element) / 2:
                return sign | len(rungs(element))
            if hidden_bit and not subnormals:
                full = FloatElement(element.exponent_bits, mantissa_bits, element.bias, specials=element.specials)
                code = nearest(full, wanted)
                return sign | (code if code >= 1 << mantissa_bits else 0)
    return sign | nearest(element, wanted)


def _top_step(element: FloatElement) -> Fraction:
    top = rungs(element)[-1]
    return _worth_at(element, top) - _worth_at(element, top - 1)


def _nearest_power(element: LogElement, wanted: Fraction) -> int:
    """The nearest exponent: the step from k to k+1 lies at 2**(k+1/2), compared through squares."""
    field, square, threshold = 0, wanted**2, TWO ** (1 - 2 * element.bias)
    while field < (1 << element.exponent_bits) - 1 and square > threshold:
        field, threshold = field + 1, 4 * threshold
    return field


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


def _float32_bits(x: float) -> np.uint32:
    with np.errstate(over="ignore"):
        return np.float32(x).view(np.uint32)


def _float32_worth(bits: int) -> Fraction:
    """Infinity counts as the power of two that would follow the largest number."""
    return FLOAT32_OVERFLOW if bits == INFINITY_BITS else Fraction(float(np.uint32(bits).view(np.float32)))


@lru_cache(maxsize=1 << 16)
def floor_log2(positive: Fraction) -> int:
    """The k with 2**k <= positive < 2**(k+1), by trying."""
    k, power = 0, Fraction(1)
    while power > positive:
        k, power = k - 1, power / 2
    while 2 * power <= positive:
        k, power = k + 1, 2 * power
    return k


def scale_code(fmt: BlockFormat, block_largest: Fraction, tensor_factor: Fraction) -> int:
    """The stored scale of a block whose largest magnitude is given; 0 for a format without one."""
    match fmt.scale:
        case PowerOfTwoScale(rule=rule, offset=offset, bias=bias, negated=negated) as scale:
            top = (1 << scale.bits) - 1 - scale.nan
            if block_largest == 0:
                return top if negated else 0
            exponent = floor_log2(block_largest)
            if rule == "ceil" and block_largest > TWO**exponent:
                exponent += 1
            exponent -= floor_log2(largest(fmt.element)) if offset is None else offset
            return min(max((-exponent if negated else exponent) + bias, 0), top)
        case FloatScale(element=stored) if tensor_factor:
            return nearest(stored, block_largest / (largest(fmt.element) * tensor_factor))
    return 0


def scale_value(scale: Scale | None, code: int, tensor_factor: Fraction) -> Fraction:
    """What a stored scale is worth."""
    match scale:
        case PowerOfTwoScale(bias=bias):
            return TWO ** (code - bias)
        case FloatScale(element=stored):
            return Fraction(value(stored, code)) * tensor_factor
    return Fraction(1)


def tensor_factor(values: Sequence[float], fmt: BlockFormat) -> float:
    """The second-level scale of a whole tensor, where the format has one; it saturates at the largest float32."""
    if not (isinstance(fmt.scale, FloatScale) and fmt.scale.tensor_scale):
        return 1.0
    finite = [abs(Fraction(v)) for v in values if math.isfinite(v)]
    wanted = max(finite, default=Fraction(0)) / (largest(fmt.element) * largest(fmt.scale.element))
    return min(to_float32(wanted), float(np.finfo(np.float32).max))


def quantize_block(values: Sequence[float], fmt: BlockFormat, factor: float = 1.0) -> tuple[int, list[int]]:
    """Scale code and element codes of one block, for formats without quirks and values that the format can hold."""
    nan_code = nan_scale_code(fmt.scale)
    if nan_code is not None and not all(map(math.isfinite, values)):
        return nan_code, [0] * len(values)
    code = scale_code(fmt, max(map(_magnitude, values), default=Fraction(0)), Fraction(factor))
    unit = scale_value(fmt.scale, code, Fraction(factor))
    return code, [_encode_value(v, unit, fmt) for v in values]


def dequantize_block(code: int, codes: Sequence[int], fmt: BlockFormat, factor: float = 1.0) -> list[float]:
    """The block's values: each exact product rounded once to float32."""
    if code == nan_scale_code(fmt.scale):
        return [math.nan] * len(codes)
    unit = scale_value(fmt.scale, code, Fraction(factor))
    return [_scaled(value(fmt.element, c), unit) for c in codes]


def nan_scale_code(scale: Scale | None) -> int | None:
    """The scale code that makes its whole block NaN, where there is one."""
    match scale:
        case PowerOfTwoScale(bits=bits, nan=True):
            return (1 << bits) - 1
        case FloatScale(element=FloatElement(specials="nan" | "ieee") as stored):
            return _nan_code(stored)
    return None


def _nan_code(element: FloatElement) -> int:
    """The one NaN of OCP E4M3, the quiet one of IEEE 754; without the sign bit."""
    if element.specials == "nan":
        return len(rungs(element))
    return len(rungs(element)) + (1 << (element.mantissa_bits - 1))


def _magnitude(v: float) -> Fraction:
    """An infinity counts as the power of two above float32, so that it saturates; a NaN counts as nothing."""
    return Fraction(0) if math.isnan(v) else FLOAT32_OVERFLOW if math.isinf(v) else abs(Fraction(v))


def _encode_value(v: float, unit: Fraction, fmt: BlockFormat) -> int:
    negative = math.copysign(1, v) < 0
    if math.isnan(v):
        assert isinstance(fmt.element, FloatElement)
        return _nan_code(fmt.element) | negative << (fmt.element.bits - 1)
    infinities = fmt.scale is None and isinstance(fmt.element, FloatElement) and fmt.element.specials == "ieee"
    return encode(fmt.element, _magnitude(v) / unit if unit else Fraction(0), negative, infinities=infinities)


def _scaled(worth: float, unit: Fraction) -> float:
    return math.copysign(to_float32(Fraction(worth) * unit), worth) if math.isfinite(worth) else worth
