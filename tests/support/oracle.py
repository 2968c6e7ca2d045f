"""A second opinion on every codec, written from the formats' specifications on exact fractions.

It shares no arithmetic with densimeter: of the declarations passed in it reads the declared fields and the width
of a code, nothing else. Slow and plain on purpose. `oracle_dot` does the same for dot products, `published` for
the paper's own formulas.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from fractions import Fraction
from functools import cache, lru_cache

from densimeter.formats.block import BlockFormat
from densimeter.formats.element import Element, FloatElement, IntElement, LogElement
from densimeter.formats.scale import FloatScale, PowerOfTwoScale, Scale

FLOAT32 = FloatElement(8, 23, 127, specials="ieee")
TWO = Fraction(2)


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


@cache
def ladder(element: Element) -> Sequence[int]:
    """Codes of the finite values in ascending order, each value once.

    Magnitudes only, without the sign bit, where the sign stands apart.
    """
    match element:
        case IntElement(bits=bits, encoding="twos_complement", symmetric=symmetric):
            half = 1 << (bits - 1)
            return [*range(half + symmetric, 2 * half), *range(half)]
        case FloatElement(hidden_bit=False, mantissa_bits=mantissa_bits):
            # A significand in the lower half of its range has the same value one exponent below, where there is one.
            codes = range(1 << (element.bits - 1))
            return [c for c in codes if c < 1 << mantissa_bits or c >> (mantissa_bits - 1) & 1]
        case FloatElement(specials=specials, mantissa_bits=mantissa_bits):
            reserved = {"none": 0, "nan": 1, "ieee": 1 << mantissa_bits}[specials]
            return range((1 << (element.bits - 1)) - reserved)
        case _:
            return range(1 << (element.bits - 1))


def largest(element: Element) -> Fraction:
    """The largest finite value."""
    return Fraction(value(element, ladder(element)[-1]))


def nearest(element: Element, wanted: Fraction) -> int:
    """The code on the ladder whose value is nearest to `wanted`; of two equally near ones, the even code."""
    codes = ladder(element)
    above = bisect_left(codes, wanted, key=lambda code: Fraction(value(element, code)))
    candidates = codes[max(above - 1, 0) : above + 1]
    return min(candidates, key=lambda code: (abs(Fraction(value(element, code)) - wanted), code & 1))


def encode(element: Element, wanted: Fraction, negative: bool, *, infinities: bool = False) -> int:
    """The code of a magnitude and a sign, which a zero has too; overflow saturates or, with `infinities`, goes there."""
    sign = negative << (element.bits - 1)
    match element:
        case IntElement(encoding="twos_complement"):
            return nearest(element, -wanted if negative else wanted)
        case LogElement():
            return sign | _nearest_power(element, wanted)
        case FloatElement(mantissa_bits=mantissa_bits, hidden_bit=hidden_bit, subnormals=subnormals):
            if infinities and wanted >= largest(element) + _top_step(element) / 2:
                return sign | ladder(element)[-1] + 1
            if hidden_bit and not subnormals:
                full = FloatElement(element.exponent_bits, mantissa_bits, element.bias, specials=element.specials)
                code = nearest(full, wanted)
                return sign | (code if code >= 1 << mantissa_bits else 0)
    return sign | nearest(element, wanted)


def _top_step(element: FloatElement) -> Fraction:
    codes = ladder(element)
    return Fraction(value(element, codes[-1])) - Fraction(value(element, codes[-2]))


def _nearest_power(element: LogElement, wanted: Fraction) -> int:
    """The nearest exponent: the step from k to k+1 lies at 2**(k+1/2), compared through squares."""
    field = 0
    while field < (1 << element.exponent_bits) - 1 and wanted**2 > TWO ** (2 * (field - element.bias) + 1):
        field += 1
    return field


@lru_cache(maxsize=1 << 16)
def to_float32(exact: Fraction) -> float:
    """An exact number rounded once to float32, nearest even; +0 for zero."""
    return value(FLOAT32, encode(FLOAT32, abs(exact), exact < 0, infinities=True))


def floor_log2(positive: Fraction) -> int:
    """The k with 2**k <= positive < 2**(k+1), by trying."""
    k = 0
    while TWO**k > positive:
        k -= 1
    while TWO ** (k + 1) <= positive:
        k += 1
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
    """The second-level scale of a whole tensor, where the format has one."""
    if not (isinstance(fmt.scale, FloatScale) and fmt.scale.tensor_scale):
        return 1.0
    finite = [abs(Fraction(v)) for v in values if math.isfinite(v)]
    return to_float32(max(finite, default=Fraction(0)) / (largest(fmt.element) * largest(fmt.scale.element)))


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
        return ladder(element)[-1] + 1
    return ladder(element)[-1] + 1 + (1 << (element.mantissa_bits - 1))


def _magnitude(v: float) -> Fraction:
    """An infinity counts as the power of two above float32, so that it saturates; a NaN counts as nothing."""
    return Fraction(0) if math.isnan(v) else TWO**128 if math.isinf(v) else abs(Fraction(v))


def _encode_value(v: float, unit: Fraction, fmt: BlockFormat) -> int:
    negative = math.copysign(1, v) < 0
    if math.isnan(v):
        assert isinstance(fmt.element, FloatElement)
        return _nan_code(fmt.element) | negative << (fmt.element.bits - 1)
    infinities = fmt.scale is None and isinstance(fmt.element, FloatElement) and fmt.element.specials == "ieee"
    return encode(fmt.element, _magnitude(v) / unit if unit else Fraction(0), negative, infinities=infinities)


def _scaled(worth: float, unit: Fraction) -> float:
    return math.copysign(to_float32(Fraction(worth) * unit), worth) if math.isfinite(worth) else worth
