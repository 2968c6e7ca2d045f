"""How a number between two values chooses one: the neighbours by search on the ladder, then the mode by its name."""

from bisect import bisect_left
from dataclasses import replace
from fractions import Fraction

from densimeter.formats.codebook import CodebookElement
from densimeter.formats.element import Element, FloatElement, IntElement, LogElement
from support.oracle_element import code_at, float_worth, ladder, largest, rungs, worth_at
from support.oracle_number import TWO, clip, floor_log2

CHANCES = 1 << 16


def encode(
    element: Element, wanted: Fraction, negative: bool = False, rounding: str = "nearest_even", chance: int = 0
) -> int:
    """The code of a number that saturates. `negative`: its sign, for zeros that have one."""
    match element:
        case LogElement():
            return _field(element, wanted, rounding) | negative << element.exponent_bits
        case FloatElement(hidden_bit=True, subnormals=False, mantissa_bits=mantissa_bits):
            code = encode(replace(element, subnormals=True), wanted, negative, rounding, chance)
            magnitude = code % (1 << (element.bits - 1))
            return code if magnitude >> mantissa_bits else _zero(element, negative)
    rung = _rung(element, wanted, rounding, chance)
    return code_at(element, rung) if worth_at(element, rung) else _zero(element, negative)


def _zero(element: Element, negative: bool) -> int:
    """The code of zero with a sign, where the element has a zero of each."""
    match element:
        case CodebookElement(levels=levels):
            signs = {str(level).startswith("-"): code for code, level in enumerate(levels) if level == 0}
            return signs.get(negative, signs.get(not negative, 0))
        case IntElement(encoding="offset", bits=bits):
            return 1 << (bits - 1)
        case IntElement(encoding="twos_complement" | "unsigned") | FloatElement(specials="fnuz"):
            return 0
    return negative << (element.bits - 1)


def _rung(element: Element, wanted: Fraction, rounding: str, chance: int) -> int:
    every, values = rungs(element), ladder(element)
    if values is not None:
        above = bisect_left(values, wanted)
    else:
        above = bisect_left(every, wanted, key=lambda rung: worth_at(element, rung))
    if above == len(every):
        return every[-1]
    upper = worth_at(element, every[above])
    if above == 0 or upper == wanted:
        return every[above]
    lower = worth_at(element, every[above - 1])
    if isinstance(element, CodebookElement):
        even, outward = (above - 1) % 2 == 0, False
    else:
        even, outward = _is_even(lower, upper), True
    return every[above - (not takes_upper(wanted, lower, upper, rounding, chance, even=even, outward=outward))]


def _is_even(lower: Fraction, upper: Fraction) -> bool:
    """Whether the lower of two neighbours is an even multiple of their distance."""
    return lower % (2 * (upper - lower)) == 0


def takes_upper(
    wanted: Fraction,
    lower: Fraction,
    upper: Fraction,
    rounding: str,
    chance: int = 0,
    *,
    even: bool,
    outward: bool = True,
) -> bool:
    """Whether a number strictly between two neighbours takes the upper one.

    `even`: the lower one is the even one. `outward`: chance decides between a smaller and a larger magnitude, instead
    of between a lower and an upper value.
    """
    down, up = wanted - lower, upper - wanted
    match rounding:
        case "toward_minus_infinity":
            return False
        case "toward_zero":
            return abs(upper) <= abs(lower)
        case "stochastic" if outward and wanted < 0:
            return not chance * (up + down) < CHANCES * up
        case "stochastic":
            return chance * (up + down) < CHANCES * down
    if up != down:
        return up < down
    return {"nearest_even": not even, "nearest_away": abs(upper) > abs(lower), "nearest_up": True}[rounding]


def integer(wanted: Fraction, rounding: str, chance: int = 0) -> int:
    """An integer, by the same rules."""
    lower = wanted.numerator // wanted.denominator
    if lower == wanted:
        return lower
    return lower + takes_upper(wanted, Fraction(lower), Fraction(lower + 1), rounding, chance, even=lower % 2 == 0)


def overflows(element: FloatElement, wanted: Fraction, rounding: str, chance: int = 0) -> bool:
    """Whether a number rounds beyond the largest value, if the exponents went on as they are."""
    top = largest(element)
    if abs(wanted) <= top or rounding == "toward_zero" or (rounding == "toward_minus_infinity" and wanted > 0):
        return False
    following = next_above(element)
    if abs(wanted) >= following:
        return True
    if wanted > 0:
        return takes_upper(wanted, top, following, rounding, chance, even=_is_even(top, following))
    return not takes_upper(wanted, -following, -top, rounding, chance, even=_is_even(-following, -top))


def next_above(element: FloatElement) -> Fraction:
    """The value that would follow the largest one."""
    top = code_at(element, rungs(element)[-1])
    if element.hidden_bit:
        return float_worth(replace(element, subnormals=True), top + 1)
    return TWO ** ((1 << element.exponent_bits) - 1 - element.bias)  # 0.111 becomes 1.000


def _field(element: LogElement, wanted: Fraction, rounding: str) -> int:
    """The exponent field of a power of two; the step from 2**k to 2**(k+1) lies at 2**(k+1/2), compared in squares.

    Exponents below the smallest become field 0, zero or not; only toward minus infinity nothing negative becomes zero.
    """
    magnitude = abs(wanted)
    if magnitude == 0:
        return 0
    k = floor_log2(magnitude)
    match rounding:
        case "toward_zero":
            outer = False
        case "toward_minus_infinity":
            outer = wanted < 0 and magnitude > TWO**k
        case _:
            outer = magnitude**2 > TWO ** (2 * k + 1)
    smallest = int(element.zero and rounding == "toward_minus_infinity" and wanted < 0)
    return clip(k + outer + element.bias, smallest, (1 << element.exponent_bits) - 1)


def encode_saturating_significand(element: FloatElement, magnitude: Fraction, pushed: Fraction) -> int:
    """The published formulas: the exponent of the pushed magnitude, clipped; then the significand, clipped to it."""
    if magnitude == 0:
        return 0
    one, top = 1 << element.mantissa_bits, (1 << element.exponent_bits) - 1 - (element.specials == "ieee")
    exponent = floor_log2(pushed)
    if not element.hidden_bit and pushed > TWO**exponent:
        exponent += 1
    field = clip(exponent + element.bias, 0, top)
    if element.hidden_bit and field == 0:
        mantissa = round(magnitude / TWO ** (1 - element.bias) * one)
    elif element.hidden_bit:
        mantissa = round((magnitude / TWO ** (field - element.bias) - 1) * one)
    else:
        mantissa = round(magnitude / TWO ** (field - element.bias) * one)
    code = field * one + clip(mantissa, 0, one - 1)
    return min(code, code_at(element, rungs(element)[-1]))
