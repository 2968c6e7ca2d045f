"""What the codes of elements are worth, and the ladder of values that a quantiser may choose from."""

import math
from fractions import Fraction
from functools import lru_cache

from densimeter.formats.codebook import CodebookElement
from densimeter.formats.element import Element, FloatElement, IntElement, LogElement
from support.oracle_number import TWO

WIDE = 1 << 12  # rungs; of taller ladders no table is made


@lru_cache(maxsize=1 << 17)
def value(element: Element, code: int) -> float:
    """What a code is worth. Every value of every element is a float64 exactly; so are -0, the infinities and NaN."""
    half = 1 << (element.bits - 1)
    sign, magnitude = divmod(code, half)
    match element:
        case CodebookElement(levels=levels):
            return levels[code] if code < len(levels) else 0.0
        case IntElement(encoding="twos_complement", fraction_bits=fraction_bits):
            return float((magnitude - sign * half) * TWO**-fraction_bits)
        case IntElement(encoding="offset", fraction_bits=fraction_bits):
            return float((code - half) * TWO**-fraction_bits)
        case IntElement(encoding="unsigned", fraction_bits=fraction_bits):
            return float(code * TWO**-fraction_bits)
        case IntElement(encoding="sign_magnitude", fraction_bits=fraction_bits):
            worth = magnitude * TWO**-fraction_bits
        case LogElement(bias=bias, zero=zero):
            worth = Fraction(0) if zero and magnitude == 0 else TWO ** (magnitude - bias)
        case FloatElement(specials="fnuz") if code == half:
            return math.nan
        case FloatElement():
            if _is_special(element, magnitude):
                infinite = element.specials == "ieee" and magnitude % (1 << element.mantissa_bits) == 0
                return math.copysign(math.inf if infinite else math.nan, -sign or 1)
            worth = float_worth(element, magnitude)
    return math.copysign(float(worth), -sign or 1)


def _is_special(element: FloatElement, magnitude: int) -> bool:
    if element.specials == "nan":
        return magnitude == (1 << (element.exponent_bits + element.mantissa_bits)) - 1
    return element.specials == "ieee" and magnitude >> element.mantissa_bits == (1 << element.exponent_bits) - 1


def float_worth(element: FloatElement, magnitude: int) -> Fraction:
    """A magnitude code as if it stood for a number, even where it does not, or where the exponents have ended."""
    one = 1 << element.mantissa_bits
    field, mantissa = divmod(magnitude, one)
    fraction = Fraction(mantissa, one)
    if not element.hidden_bit:
        return TWO ** (field - element.bias) * fraction
    if field == 0:
        return TWO ** (1 - element.bias) * fraction * element.subnormals
    return TWO ** (field - element.bias) * (1 + fraction)


def rungs(element: Element) -> range:
    """The ladder of finite values that a quantiser may choose: its rungs, in ascending order, each value once.

    Where the sign stands apart, rung -r is the negative of rung r. Logarithms, which have no rung between the signs
    unless they hold zero, count magnitudes only.
    """
    half = 1 << (element.bits - 1)
    match element:
        case CodebookElement():
            return range(len(_by_value(element)))
        case IntElement(encoding="unsigned"):
            return range(2 * half)
        case IntElement(encoding="twos_complement" | "offset", symmetric=symmetric):
            return range(-half + symmetric, half)
        case LogElement():
            return range(half)
    above = _magnitudes(element)
    return range(1 - above, above)


def _magnitudes(element: IntElement | FloatElement) -> int:
    """Different finite magnitudes, zero included, of an element with a sign that stands apart."""
    half = 1 << (element.bits - 1)
    match element:
        case FloatElement(hidden_bit=False, mantissa_bits=mantissa_bits):
            return (half + (1 << mantissa_bits)) // 2
        case FloatElement(specials=specials, mantissa_bits=mantissa_bits):
            return half - {"none": 0, "nan": 1, "fnuz": 0, "ieee": 1 << mantissa_bits}[specials]
    return half


def code_at(element: Element, rung: int) -> int:
    """The code on a rung. Without a hidden bit, of all codes of one value the one with the smallest exponent."""
    half = 1 << (element.bits - 1)
    match element:
        case CodebookElement():
            return _by_value(element)[rung]
        case IntElement(encoding="twos_complement"):
            return rung % (2 * half)
        case IntElement(encoding="offset"):
            return rung + half
        case FloatElement(hidden_bit=False, mantissa_bits=mantissa_bits) if abs(rung) >> mantissa_bits:
            one = 1 << (mantissa_bits - 1)
            field, significand = divmod(abs(rung), one)
            return (field - 1) << mantissa_bits | one + significand | half * (rung < 0)
    return abs(rung) | half * (rung < 0)


@lru_cache(maxsize=256)
def _by_value(element: CodebookElement) -> list[int]:
    """Codes in the order of their levels; of two zeros the first."""
    first_codes = [code for code, level in enumerate(element.levels) if element.levels.index(level) == code]
    return sorted(first_codes, key=element.levels.__getitem__)


def worth_at(element: Element, rung: int) -> Fraction:
    """The value on a rung."""
    return Fraction(value(element, code_at(element, rung)))


@lru_cache(maxsize=256)
def ladder(element: Element) -> list[Fraction] | None:
    """All values in ascending order; None where they are too many for a table."""
    every = rungs(element)
    return [worth_at(element, rung) for rung in every] if len(every) <= WIDE else None


def largest(element: Element) -> Fraction:
    """The largest finite magnitude that a quantiser may be asked to reach: of integers the largest positive value."""
    top = worth_at(element, rungs(element)[-1])
    return max(top, -worth_at(element, 0)) if isinstance(element, CodebookElement) else top


def smallest_step(element: Element) -> Fraction:
    """What every value is a multiple of: the lowest bit, or the smallest power above zero."""
    match element:
        case LogElement(bias=bias, zero=zero):
            return TWO ** (zero - bias)
        case FloatElement(hidden_bit=hidden_bit, bias=bias, mantissa_bits=mantissa_bits):
            return TWO ** (hidden_bit - bias - mantissa_bits)
        case IntElement(fraction_bits=fraction_bits):
            return TWO**-fraction_bits
        case CodebookElement(levels=levels):
            raise AssertionError(f"asked for the step of {levels}")


def fraction_bits_at_top(element: Element) -> int:
    """Bits below the leading one of the largest value's significand."""
    match element:
        case LogElement():
            return 0
        case FloatElement(hidden_bit=True, exponent_bits=1, specials="ieee", mantissa_bits=mantissa_bits):
            return mantissa_bits - 1  # subnormals alone: 0.111
        case FloatElement(hidden_bit=hidden_bit, mantissa_bits=mantissa_bits):
            return mantissa_bits - (not hidden_bit)  # 1.111 or 0.111
        case IntElement():
            return rungs(element)[-1].bit_length() - 1
        case CodebookElement(levels=levels):
            raise AssertionError(f"asked for the precision of {levels}")
