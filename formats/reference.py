"""The exact codec on integers and Fractions: the specification of every format, in code.

Slow on purpose: no floating-point arithmetic takes part in a decision. The kernels and the Verilog must agree with this
module bit for bit; `reference_dot` does the same for the dot product.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from densimeter.formats.block import BlockFormat, scale_format
from densimeter.formats.codebook import CodebookElement
from densimeter.formats.element import FLOAT32, FloatElement, IntElement, LogElement
from densimeter.formats.errors import FormatError
from densimeter.formats.number import Kind, Number, ceil_log2, floor_log2, power_of_two
from densimeter.formats.rounding import Rounding, round_between, round_magnitude
from densimeter.formats.scale import AffineScale, DoubleScale, FloatScale, PowerOfTwoScale

_HALF = Fraction(1, 2)


@dataclass(frozen=True)
class Shared:
    """What a scale code says of its block: value = ``unit * (element - zero) + minimum``; microexponents apart."""

    unit: Fraction
    zero: int = 0
    minimum: Fraction = Fraction(0)


@dataclass(frozen=True)
class DoubleScales:
    """Scales stored by a `DoubleScale`: a code each, a float32 factor per run of them, and their mean."""

    codes: list[int]
    factors: list[float]
    mean: float


def tensor_scale(values: Sequence[float], fmt: BlockFormat) -> float:
    """The float32 factor of a whole tensor: ``max|x| / (largest element * largest scale)`` over its finite values."""
    if not (isinstance(fmt.scale, FloatScale) and fmt.scale.tensor_scale):
        return 1.0
    largest = max((abs(Fraction(v)) for v in values if math.isfinite(v)), default=Fraction(0))
    return _saturated_float32(largest / (fmt.element.largest * fmt.scale.element.largest))


def quantize_block(
    values: Sequence[float], fmt: BlockFormat, tensor_factor: float = 1.0, chances: Sequence[int] | None = None
) -> tuple[int, list[int]]:
    """Codes of one block of float32 values: (scale code, element codes). The scale code is 0 where there is no scale.

    The values of a tile stand row after row. `chances`: the `rounding.noise` of each value, for stochastic rounding.
    Under a `DoubleScale`, quantise with `first_level` and hand the scales to `compress_scales`.
    Raises FormatError for a NaN that the format refuses.
    """
    if fmt.scale is not None and fmt.nan_block and not all(math.isfinite(v) for v in values):
        return fmt.scale.nan_code, [0] * len(values)
    if fmt.specials == "zero":
        values = [0.0 if math.isnan(v) else v for v in values]
    numbers = [v for v in values if not math.isnan(v)]
    scale_code, shared = _choose_scale(numbers, fmt, Fraction(tensor_factor))
    scale_code |= _microexponents(values, scale_code, fmt) << _exponent_bits(fmt)
    chances = [0] * len(values) if chances is None else chances
    units = [shared.unit / power_of_two(_shift(scale_code, i, fmt)) for i in range(len(values))]
    return scale_code, [
        _encode(v, Shared(unit, shared.zero, shared.minimum), fmt, chance)
        for v, unit, chance in zip(values, units, chances, strict=True)
    ]


def dequantize_block(
    scale_code: int, codes: Sequence[int], fmt: BlockFormat, tensor_factor: float = 1.0
) -> list[float]:
    """Values of one block: the exact product of element and scales, rounded once to float32, and a minimum added to it.

    A scale that is not finite makes its block NaN, a scale of zero makes an infinity NaN.
    """
    shared = decode_scale(scale_code, fmt, Fraction(tensor_factor))
    if shared is None:
        return [math.nan] * len(codes)
    return [_decode(code, shared, power_of_two(-_shift(scale_code, i, fmt)), fmt) for i, code in enumerate(codes)]


def decode_scale(code: int, fmt: BlockFormat, tensor_factor: Fraction = Fraction(1)) -> Shared | None:
    """What a scale code stands for; None where it is not finite. Not for a `DoubleScale`."""
    scale = fmt.scale
    if scale is None:
        return Shared(Fraction(1))
    if isinstance(scale, PowerOfTwoScale):
        return None if scale.nan and code == scale.nan_code else Shared(_power(code, scale))
    assert not isinstance(scale, DoubleScale)
    unit = _decode_stored(code & ((1 << scale.element.bits) - 1), scale.element)
    if unit is None:
        return None
    if isinstance(scale, FloatScale):
        return Shared(unit * tensor_factor)
    zero = scale.zero.decode(code >> scale.element.bits)
    if isinstance(scale.zero, IntElement):
        return Shared(unit, zero=int(zero.value))
    return Shared(unit, minimum=zero.value) if zero.kind is Kind.FINITE else None


def _power(code: int, scale: PowerOfTwoScale) -> Fraction:
    """The power of two in the low bits of a code."""
    return power_of_two((code & ((1 << scale.bits) - 1)) - scale.bias)


def _decode_stored(code: int, stored: FloatElement | PowerOfTwoScale) -> Fraction | None:
    """The scale alone, without what may stand above it; None where it is not finite."""
    if isinstance(stored, PowerOfTwoScale):
        return None if stored.nan and code == stored.nan_code else _power(code, stored)
    number = stored.decode(code)
    return number.value if number.kind is Kind.FINITE else None


def compress_scales(scales: Sequence[float], scale: DoubleScale) -> DoubleScales:
    """Store float32 scales as `DoubleScale` says."""
    mean = 0.0
    if scale.centred and scales:
        total = float(sum(map(Fraction, scales)))
        mean = round_to_float32(Fraction(total / len(scales)))
    centred = [_saturated_float32(Fraction(s) - Fraction(mean)) for s in scales]
    runs = [centred[start : start + scale.block] for start in range(0, len(centred), scale.block)]
    stored = [quantize_block(run, scale_format(scale)) for run in runs]
    factors = [float(FLOAT32.decode(factor)) for factor, _ in stored]
    return DoubleScales([code for _, codes in stored for code in codes], factors, mean)


def restore_scales(stored: DoubleScales, scale: DoubleScale) -> list[float]:
    """The float32 scales that `compress_scales` kept."""
    products = []
    for run, factor in enumerate(stored.factors):
        codes = stored.codes[run * scale.block : (run + 1) * scale.block]
        products += dequantize_block(encode_float(Fraction(factor), FLOAT32), codes, scale_format(scale))
    return [_saturated_float32(Fraction(p) + Fraction(stored.mean)) for p in products]


def round_to_float32(exact: Fraction) -> float:
    """An exact value rounded to float32: nearest even, subnormals kept, overflow to infinity."""
    code = encode_float(abs(exact), FLOAT32)
    magnitude = math.inf if code > FLOAT32.largest_magnitude_code else float(FLOAT32.decode(code))
    return -magnitude if exact < 0 else magnitude


def encode_float(
    magnitude: Fraction,
    element: FloatElement,
    negative: bool = False,
    rounding: Rounding = "nearest_even",
    chance: int = 0,
) -> int:
    """The magnitude code to which a magnitude rounds; beyond the largest, some code above `largest_magnitude_code`."""
    if magnitude == 0:
        return 0
    if not element.hidden_bit:
        return _encode_without_hidden_bit(magnitude, element, negative, rounding, chance)
    lowest = 1 - element.bias
    exponent = max(floor_log2(magnitude), lowest)
    units = round_magnitude(magnitude / power_of_two(exponent - element.mantissa_bits), negative, rounding, chance)
    # A significand that rounds up to the next power of two carries into the exponent field by itself.
    code = ((exponent - lowest) << element.mantissa_bits) + units
    return code if element.subnormals or code >> element.mantissa_bits else 0


def _encode_without_hidden_bit(
    magnitude: Fraction, element: FloatElement, negative: bool, rounding: Rounding, chance: int
) -> int:
    """Of the several codes of one value, the one with the smallest exponent, whose step is the finest."""
    exponent = max(floor_log2(magnitude) + 1, -element.bias)
    units = round_magnitude(magnitude / power_of_two(exponent - element.mantissa_bits), negative, rounding, chance)
    if units >> element.mantissa_bits:
        exponent, units = exponent + 1, units >> 1
    return ((exponent + element.bias) << element.mantissa_bits) | units


def _encode_float_saturating(magnitude: Fraction, pushed: Fraction, element: FloatElement) -> int:
    """The published rule: pick the exponent of `pushed` first, then clip the significand to it, without a carry."""
    if magnitude == 0:
        return 0
    mantissa_bits, bias = element.mantissa_bits, element.bias
    exponent = floor_log2(pushed) if element.hidden_bit else ceil_log2(pushed)
    field = min(max(exponent + bias, 0), element.largest_exponent_field)
    subnormal = element.hidden_bit and field == 0
    units = round(magnitude / power_of_two(field + subnormal - bias - mantissa_bits))
    hidden = 1 << mantissa_bits if element.hidden_bit and not subnormal else 0
    mantissa = min(max(units - hidden, 0), (1 << mantissa_bits) - 1)
    code = (field << mantissa_bits) | mantissa
    return min(code, element.largest_magnitude_code)


def _encode_log(magnitude: Fraction, negative: bool, element: LogElement, rounding: Rounding) -> int:
    """The nearest exponent on the logarithmic scale (no ties: the square root of 2 is irrational), or a neighbour."""
    if magnitude == 0:
        return 0
    exponent = floor_log2(magnitude)
    fraction = magnitude / power_of_two(exponent)
    lowest = 0
    if rounding == "toward_minus_infinity":
        exponent += negative and fraction > 1
        lowest = element.smallest_field if negative else 0  # what is below zero stays there
    elif rounding != "toward_zero":
        exponent += fraction**2 > 2
    return min(max(exponent + element.bias, lowest), (1 << element.exponent_bits) - 1)


def _encode_level(number: Fraction, negative: bool, element: CodebookElement, rounding: Rounding, chance: int) -> int:
    """The code of a neighbouring level; `negative` chooses between two zeros."""
    ladder = element.ladder
    rank = bisect_right(ladder, number, key=lambda step: step[0]) - 1
    if 0 <= rank < len(ladder) - 1 and number > ladder[rank][0]:
        lower, upper = ladder[rank][0], ladder[rank + 1][0]
        position = (number - lower) / (upper - lower)
        rank += round_between(position, rank % 2 == 1, rounding, abs(upper) <= abs(lower), chance)
    level, code = ladder[max(rank, 0)]
    zero = element.negative_zero_code if negative else element.positive_zero_code
    return zero if level == 0 and zero is not None else code


def _encode(value: float, shared: Shared, fmt: BlockFormat, chance: int) -> int:
    element = fmt.element
    if math.isnan(value):
        if not (fmt.keeps_nan and isinstance(element, FloatElement)):
            raise FormatError(f"{fmt.name} has no code for NaN")
        return _nan(element, math.copysign(1, value) < 0)
    if fmt.quirks.float32_reciprocal:
        assert isinstance(element, IntElement)
        return _encode_reciprocal(value, shared, element, fmt.rounding)
    if fmt.scale is not None and isinstance(fmt.scale, AffineScale):
        assert isinstance(element, IntElement)
        return _encode_affine(value, shared, element, fmt.rounding, chance)
    magnitude, (pushed, negative) = _magnitude(value), _push(value, shared.unit, fmt)
    negative = negative != (shared.unit < 0)  # of zeros too, so that the way back restores their sign
    if magnitude <= Fraction(fmt.quirks.flush_at) or not shared.unit:
        magnitude = pushed = Fraction(0)
    else:
        magnitude, pushed = magnitude / abs(shared.unit), pushed / abs(shared.unit)
    if isinstance(element, IntElement):
        integer = pushed / power_of_two(element.lsb_exponent)
        return element.encode(round_magnitude(integer, negative, fmt.rounding, chance), negative)
    if isinstance(element, LogElement):
        return _encode_log(pushed, negative, element, fmt.rounding) | negative << element.exponent_bits
    if isinstance(element, CodebookElement):
        return _encode_level(-magnitude if negative else magnitude, negative, element, fmt.rounding, chance)
    if fmt.quirks.saturate_significand:
        return element.with_sign(_encode_float_saturating(magnitude, pushed, element), negative)
    code = encode_float(magnitude, element, negative, fmt.rounding, chance)
    if code <= element.largest_magnitude_code:
        return element.with_sign(code, negative)
    toward_zero = fmt.rounding == "toward_zero" or (fmt.rounding == "toward_minus_infinity" and not negative)
    if not fmt.overflows_to_special or (toward_zero and not math.isinf(value)):
        return element.with_sign(element.largest_magnitude_code, negative)
    if element.has_infinity:
        return element.with_sign(element.infinity_code, negative)
    return _nan(element, negative)


def _encode_affine(value: float, shared: Shared, element: IntElement, rounding: Rounding, chance: int) -> int:
    """``round(x / scale) + zero``, or ``round(float32(x - minimum) / scale)``."""
    offset = Fraction(_saturated_float32(_exact(value) - shared.minimum))
    quotient = offset / shared.unit if shared.unit else Fraction(0)
    rounded = round_magnitude(abs(quotient), quotient < 0, rounding, chance)
    integer = shared.zero + (-rounded if quotient < 0 else rounded)
    return element.encode(abs(integer), integer < 0)


def _encode_reciprocal(value: float, shared: Shared, element: IntElement, rounding: Rounding) -> int:
    """ggml's arithmetic: times the float32 reciprocal of the scale, in float32 throughout."""
    offset = Fraction(_saturated_float32(_exact(value) - shared.minimum))
    reciprocal = Fraction(_saturated_float32(1 / shared.unit)) if shared.unit else Fraction(0)
    quotient = Fraction(_saturated_float32(offset * reciprocal))
    if rounding == "nearest_away":
        rounded = round_magnitude(abs(quotient), quotient < 0, rounding)
        integer = -rounded if quotient < 0 else rounded
    else:
        added = _saturated_float32(quotient + element.code_offset + _HALF)
        integer = int(added) - element.code_offset  # truncates, as C does
    return element.encode(abs(integer), integer < 0)


def _nan(element: FloatElement, negative: bool) -> int:
    return element.nan_code if element.specials == "fnuz" else element.with_sign(element.nan_code, negative)


def _push(value: float, unit: Fraction, fmt: BlockFormat) -> tuple[Fraction, bool]:
    """Magnitude and sign of a value after the published addition in float32; the plain ones where there is none."""
    magnitude, negative = _magnitude(value), math.copysign(1, value) < 0
    quirks = fmt.quirks
    if not quirks.epsilon or math.isinf(value):
        return magnitude, negative
    epsilon = _float32(Fraction(quirks.epsilon))
    if quirks.epsilon_of_smallest:
        epsilon = _float32(epsilon * unit * power_of_two(fmt.element.lsb_exponent))
    return _float32(magnitude + epsilon), negative and magnitude > epsilon


def _float32(exact: Fraction) -> Fraction:
    """A number rounded to float32; one that overflows becomes a number that saturates under any scale."""
    rounded = round_to_float32(exact)
    return power_of_two(1024) if math.isinf(rounded) else Fraction(rounded)


def _magnitude(value: float) -> Fraction:
    """|value|, with infinity as the power of two just above float32: it saturates whatever it meets."""
    return power_of_two(128) if math.isinf(value) else abs(Fraction(value))


def _exact(value: float) -> Fraction:
    return -_magnitude(value) if value < 0 else _magnitude(value)


def _choose_scale(numbers: Sequence[float], fmt: BlockFormat, tensor_factor: Fraction) -> tuple[int, Shared]:
    """The scale code of a block (microexponents aside), and what its values are divided by."""
    scale, element = fmt.scale, fmt.element
    largest = max(map(_magnitude, numbers), default=Fraction(0))
    if isinstance(scale, PowerOfTwoScale):
        code = _exponent_code(largest, fmt, scale)
    elif isinstance(scale, AffineScale):
        return _choose_affine(numbers, fmt, scale)
    elif isinstance(scale, FloatScale) and tensor_factor:
        wanted = largest / (element.largest * tensor_factor)
        if scale.anchor == "signed":
            assert isinstance(element, IntElement)
            extreme = next((v for v in numbers if _magnitude(v) == largest), 0.0)
            wanted = _exact(extreme) / (element.smallest_integer * power_of_two(element.lsb_exponent))
        if fmt.quirks.float32_reciprocal:
            wanted = Fraction(_saturated_float32(wanted))
            return _encode_scale(wanted, scale.element), Shared(wanted)
        code = _encode_scale(wanted, scale.element)
    else:
        code = 0
    shared = decode_scale(code, fmt, tensor_factor)
    assert shared is not None
    return code, shared


def _choose_affine(numbers: Sequence[float], fmt: BlockFormat, scale: AffineScale) -> tuple[int, Shared]:
    assert isinstance(fmt.element, IntElement)
    exact = [_exact(v) for v in numbers]
    least, greatest = min(exact, default=Fraction(0)), max(exact, default=Fraction(0))
    if not scale.has_minimum:
        least, greatest = min(least, Fraction(0)), max(greatest, Fraction(0))
    unit = Fraction(_saturated_float32(greatest - least)) / fmt.element.largest
    if fmt.quirks.float32_reciprocal:
        unit = Fraction(round_to_float32(unit))
    code = _encode_scale(unit, scale.element)
    if isinstance(scale.zero, IntElement):
        stored = _decode_stored(code, scale.element)
        assert stored is not None
        zero = scale.zero.encode(round_magnitude(-least / stored, False, "nearest_even") if stored else 0, False)
        return code | zero << scale.element.bits, Shared(stored, zero=zero)
    code |= _encode_scale(least, scale.zero) << scale.element.bits
    if fmt.quirks.float32_reciprocal:
        return code, Shared(unit, minimum=Fraction(_saturated_float32(least)))
    shared = decode_scale(code, fmt)
    assert shared is not None
    return code, shared


def _exponent_code(largest: Fraction, fmt: BlockFormat, scale: PowerOfTwoScale) -> int:
    if largest == 0:  # log2 0 is minus infinity; the negated rule turns it over
        return scale.largest_code if scale.negated else 0
    if scale.rule == "rceil":
        exponent = ceil_log2(largest / fmt.element.largest)
    else:
        exponent = ceil_log2(largest) if scale.rule == "ceil" else floor_log2(largest)
        if scale.rule == "even":
            step = power_of_two(exponent - fmt.top_fraction_bits)
            exponent = floor_log2(((largest / step + _HALF) // 1) * step)
        exponent -= fmt.scale_exponent_offset
    return min(max((-exponent if scale.negated else exponent) + scale.bias, 0), scale.largest_code)


def _microexponents(values: Sequence[float], scale_code: int, fmt: BlockFormat) -> int:
    """The microexponents of a block, the first in the low bits."""
    scale = fmt.scale
    if not (isinstance(scale, PowerOfTwoScale) and scale.microexponents):
        return 0
    top = scale_code - scale.bias + fmt.scale_exponent_offset
    assert isinstance(fmt.block, int)
    width, packed = fmt.block // scale.microexponents, 0
    for part in range(scale.microexponents):
        numbers = [_magnitude(v) for v in values[part * width : (part + 1) * width] if not math.isnan(v)]
        largest = max(numbers, default=Fraction(0))
        shift = min(max(top - floor_log2(largest), 0), scale.largest_shift) if largest else scale.largest_shift
        packed |= shift << (part * scale.microexponent_bits)
    return packed


def _exponent_bits(fmt: BlockFormat) -> int:
    return fmt.scale.bits if isinstance(fmt.scale, PowerOfTwoScale) else 0


def _shift(scale_code: int, position: int, fmt: BlockFormat) -> int:
    """The microexponent of the value at a position of its block; 0 where there are none."""
    scale = fmt.scale
    if not (isinstance(scale, PowerOfTwoScale) and scale.microexponents):
        return 0
    assert isinstance(fmt.block, int)
    part = position // (fmt.block // scale.microexponents)
    return (scale_code >> (scale.bits + part * scale.microexponent_bits)) & scale.largest_shift


def _encode_scale(wanted: Fraction, element: FloatElement | PowerOfTwoScale) -> int:
    """The nearest code of a scale or minimum, or the smallest power of two that is not below; saturating."""
    if isinstance(element, PowerOfTwoScale):
        return min(max(ceil_log2(wanted) + element.bias, 0), element.largest_code) if wanted else 0
    magnitude = min(encode_float(abs(wanted), element), element.largest_magnitude_code)
    return element.with_sign(magnitude, wanted < 0)


def _saturated_float32(exact: Fraction) -> float:
    largest = float(FLOAT32.largest)
    return min(max(round_to_float32(exact), -largest), largest)


def _decode(code: int, shared: Shared, factor: Fraction, fmt: BlockFormat) -> float:
    number: Number = fmt.element.decode(code)
    unit = shared.unit * factor
    if number.kind is not Kind.FINITE:
        sign = (unit > 0) - (unit < 0)
        return float(number) * sign if sign else math.nan  # an infinity times a scale of zero is none
    negative = number.negative != (unit < 0)
    if shared.zero:
        integer = int(number.value) - shared.zero
        number, negative = Number(integer < 0, abs(integer), 0), (integer < 0) != (unit < 0)
    magnitude = round_to_float32(number.significand * power_of_two(number.exponent) * abs(unit))
    value = -magnitude if negative else magnitude
    if isinstance(fmt.scale, AffineScale) and fmt.scale.has_minimum and math.isfinite(value):
        return round_to_float32(Fraction(value) + shared.minimum)
    return value
