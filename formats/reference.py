"""The exact codec on integers and Fractions: the specification of every format, in code.

Slow on purpose: no floating-point arithmetic takes part in a decision. The kernels and the Verilog must agree with this
module bit for bit; `reference_dot` does the same for the dot product.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

from densimeter.formats.block import BlockFormat
from densimeter.formats.element import FLOAT32, Element, FloatElement, IntElement, LogElement
from densimeter.formats.errors import FormatError
from densimeter.formats.number import Kind, Number, ceil_log2, floor_log2, power_of_two
from densimeter.formats.scale import FloatScale, PowerOfTwoScale


def tensor_scale(values: Sequence[float], fmt: BlockFormat) -> float:
    """The float32 factor of a whole tensor: ``max|x| / (largest element * largest scale)`` over its finite values."""
    if not (isinstance(fmt.scale, FloatScale) and fmt.scale.tensor_scale):
        return 1.0
    largest = max((abs(Fraction(v)) for v in values if math.isfinite(v)), default=Fraction(0))
    factor = round_to_float32(largest / (fmt.element.largest * fmt.scale.element.largest))
    return min(factor, float(FLOAT32.largest))


def quantize_block(values: Sequence[float], fmt: BlockFormat, tensor_factor: float = 1.0) -> tuple[int, list[int]]:
    """Codes of one block of float32 values: (scale code, element codes). The scale code is 0 where there is no scale.

    Raises FormatError for a NaN where neither scale nor element can hold one.
    """
    if fmt.scale is not None and fmt.nan_block and not all(math.isfinite(v) for v in values):
        return fmt.scale.nan_code, [0] * len(values)
    largest = max((_magnitude(v) for v in values if not math.isnan(v)), default=Fraction(0))
    scale_code = _scale_code(largest, fmt, Fraction(tensor_factor))
    unit = _scale_value(scale_code, fmt, Fraction(tensor_factor))
    return scale_code, [_encode(v, unit, fmt) for v in values]


def dequantize_block(
    scale_code: int, codes: Sequence[int], fmt: BlockFormat, tensor_factor: float = 1.0
) -> list[float]:
    """Values of one block: the exact product of element and scales, rounded once to float32."""
    if fmt.scale is not None and fmt.nan_block and scale_code == fmt.scale.nan_code:
        return [math.nan] * len(codes)
    unit = _scale_value(scale_code, fmt, Fraction(tensor_factor))
    return [_scaled_to_float32(fmt.element.decode(code), unit) for code in codes]


def round_to_float32(magnitude: Fraction) -> float:
    """A non-negative exact value rounded to float32: nearest even, subnormals kept, overflow to infinity."""
    code = encode_float(magnitude, FLOAT32)
    return math.inf if code > FLOAT32.largest_magnitude_code else float(FLOAT32.decode(code))


def encode_float(magnitude: Fraction, element: FloatElement) -> int:
    """The nearest magnitude code, ties to even; beyond the largest value, some code above `largest_magnitude_code`."""
    if magnitude == 0:
        return 0
    if not element.hidden_bit:
        return _encode_without_hidden_bit(magnitude, element)
    lowest = 1 - element.bias
    exponent = max(floor_log2(magnitude), lowest)
    units = round(magnitude / power_of_two(exponent - element.mantissa_bits))
    # A significand that rounds up to the next power of two carries into the exponent field by itself.
    code = ((exponent - lowest) << element.mantissa_bits) + units
    return code if element.subnormals or code >> element.mantissa_bits else 0


def _encode_without_hidden_bit(magnitude: Fraction, element: FloatElement) -> int:
    """Of the several codes of one value, the one with the smallest exponent, whose step is the finest."""
    exponent = max(floor_log2(magnitude) + 1, -element.bias)
    units = round(magnitude / power_of_two(exponent - element.mantissa_bits))
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


def _encode_log(magnitude: Fraction, element: LogElement) -> int:
    """The nearest exponent on the logarithmic scale (no ties: the square root of 2 is irrational)."""
    if magnitude == 0:
        return 0
    exponent = floor_log2(magnitude)
    if (magnitude / power_of_two(exponent)) ** 2 > 2:
        exponent += 1
    return min(max(exponent + element.bias, 0), (1 << element.exponent_bits) - 1)


def _encode_int(magnitude: Fraction, negative: bool, element: IntElement) -> int:
    integer = round(magnitude / power_of_two(element.lsb_exponent))
    if negative and not element.sign_magnitude:
        return max(-integer, element.smallest_integer) % (1 << element.bits)
    return _with_sign(min(integer, element.largest_integer), negative, element)


def _encode(value: float, unit: Fraction, fmt: BlockFormat) -> int:
    element = fmt.element
    if math.isnan(value):
        if not (isinstance(element, FloatElement) and element.has_nan):
            raise FormatError(f"{fmt.name} has no code for NaN")
        return _with_sign(element.nan_code, math.copysign(1, value) < 0, element)
    magnitude, (pushed, negative) = _magnitude(value), _push(value, unit, fmt)
    if magnitude <= Fraction(fmt.quirks.flush_at) or not unit:
        magnitude = pushed = Fraction(0)
    else:
        magnitude, pushed = magnitude / unit, pushed / unit
    if isinstance(element, IntElement):
        return _encode_int(pushed, negative, element)
    if isinstance(element, LogElement):
        return _with_sign(_encode_log(pushed, element), negative, element)
    if fmt.quirks.saturate_significand:
        return _with_sign(_encode_float_saturating(magnitude, pushed, element), negative, element)
    code = encode_float(magnitude, element)
    if code > element.largest_magnitude_code:
        code = element.infinity_code if fmt.overflows_to_infinity else element.largest_magnitude_code
    return _with_sign(code, negative, element)


def _push(value: float, unit: Fraction, fmt: BlockFormat) -> tuple[Fraction, bool]:
    """Magnitude and sign of a value after the published addition in float32; the plain ones where there is none."""
    magnitude, negative = _magnitude(value), math.copysign(1, value) < 0
    quirks = fmt.quirks
    if not quirks.epsilon or math.isinf(value):
        return magnitude, negative
    epsilon = Fraction(round_to_float32(Fraction(quirks.epsilon)))
    if quirks.epsilon_of_smallest:
        epsilon = Fraction(round_to_float32(epsilon * unit * power_of_two(fmt.element.lsb_exponent)))
    return Fraction(round_to_float32(magnitude + epsilon)), negative and magnitude > epsilon


def _magnitude(value: float) -> Fraction:
    """|value|, with infinity as the power of two just above float32: it saturates whatever it meets."""
    return power_of_two(128) if math.isinf(value) else abs(Fraction(value))


def _scale_code(largest: Fraction, fmt: BlockFormat, tensor_factor: Fraction) -> int:
    scale = fmt.scale
    if isinstance(scale, PowerOfTwoScale):
        if largest == 0:  # log2 0 is minus infinity; the negated rule turns it over
            return scale.largest_code if scale.negated else 0
        exponent = ceil_log2(largest) if scale.rule == "ceil" else floor_log2(largest)
        exponent -= fmt.scale_exponent_offset
        return min(max((-exponent if scale.negated else exponent) + scale.bias, 0), scale.largest_code)
    if scale is None or tensor_factor == 0:
        return 0
    code = encode_float(largest / (fmt.element.largest * tensor_factor), scale.element)
    return min(code, scale.element.largest_magnitude_code)


def _scale_value(code: int, fmt: BlockFormat, tensor_factor: Fraction) -> Fraction:
    if fmt.scale is None:
        return Fraction(1)
    if isinstance(fmt.scale, PowerOfTwoScale):
        return power_of_two(code - fmt.scale.bias)
    return fmt.scale.element.decode(code).value * tensor_factor


def _with_sign(magnitude_code: int, negative: bool, element: Element) -> int:
    return magnitude_code | negative << (element.bits - 1)


def _scaled_to_float32(number: Number, unit: Fraction) -> float:
    if number.kind is not Kind.FINITE:
        return float(number)
    magnitude = round_to_float32(number.significand * power_of_two(number.exponent) * unit)
    return -magnitude if number.negative else magnitude
