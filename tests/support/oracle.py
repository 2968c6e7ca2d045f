"""A second opinion on every codec, written from the formats' specifications on exact fractions.

It shares no arithmetic with densimeter: of the declarations passed in it reads the declared fields and the width
of a code, nothing else. Slow and plain on purpose. This module quantises and dequantises blocks; `oracle_element`
says what codes are worth, `oracle_rounding` how a number chooses one, `oracle_scale` what a block shares.
`oracle_dot` does the same for dot products, `published` for the block-quantisation paper's own formulas.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from densimeter.formats.block import BlockFormat
from densimeter.formats.element import FloatElement, IntElement
from densimeter.formats.scale import AffineScale, Scale
from support import oracle_ggml
from support.oracle_element import code_at, largest, rungs, smallest_step, value
from support.oracle_number import TWO, exact, floor_log2, negative, saturated_float32, to_float32
from support.oracle_rounding import encode, encode_saturating_significand, integer, next_above, overflows
from support.oracle_scale import (
    Shared,
    choose,
    depth_at,
    microexponents,
    nan_code,
    nan_scale_code,
    read,
    tensor_factor,
)

__all__ = [
    "TWO",
    "code_at",
    "dequantize_block",
    "floor_log2",
    "largest",
    "nan_scale_code",
    "quantize_block",
    "rungs",
    "scale_value",
    "tensor_factor",
    "to_float32",
    "value",
]

INFINITE = TWO**1024
"""What float32 arithmetic that overflows has become: it saturates under any scale."""


def scale_value(scale: Scale | None, code: int, tensor_factor: Fraction = Fraction(1)) -> Fraction:
    """What a stored scale without microexponents is worth."""
    shared = read(code, scale, tensor_factor)
    assert shared is not None
    return shared.unit


def quantize_block(
    values: Sequence[float], fmt: BlockFormat, factor: float = 1.0, chances: Sequence[int] | None = None
) -> tuple[int, list[int]]:
    """Scale code and element codes of one block of values that the format does not refuse."""
    nan_block_code = nan_scale_code(fmt.scale) if fmt.specials in (None, "block") else None
    if nan_block_code is not None and not all(map(math.isfinite, values)):
        return nan_block_code, [0] * len(values)
    if fmt.specials == "zero":
        values = [0.0 if math.isnan(v) else v for v in values]
    code, shared = choose([v for v in values if not math.isnan(v)], fmt, Fraction(factor))
    code += microexponents(values, code, fmt)
    units = [shared.unit / depth_at(i, code, fmt) for i in range(len(values))]
    drawn = [0] * len(values) if chances is None else chances
    return code, [
        _encode_value(v, shared._replace(unit=unit), fmt, chance)
        for v, unit, chance in zip(values, units, drawn, strict=True)
    ]


def dequantize_block(code: int, codes: Sequence[int], fmt: BlockFormat, factor: float = 1.0) -> list[float]:
    """The block's values: each exact product rounded once to float32, and a minimum added to it."""
    shared = read(code, fmt.scale, Fraction(factor))
    if shared is None:
        return [math.nan] * len(codes)
    return [
        _scaled(value(fmt.element, c), shared._replace(unit=shared.unit / depth_at(i, code, fmt)), fmt)
        for i, c in enumerate(codes)
    ]


def _encode_value(v: float, shared: Shared, fmt: BlockFormat, chance: int) -> int:
    element, rounding = fmt.element, fmt.rounding
    if math.isnan(v):
        assert isinstance(element, FloatElement)
        signed = negative(v) and element.specials != "fnuz"
        return nan_code(element) | signed << (element.bits - 1)
    if fmt.quirks.float32_reciprocal:
        assert isinstance(element, IntElement)
        return oracle_ggml.encode(v, float(shared.unit), float(shared.minimum), element, rounding)
    if isinstance(fmt.scale, AffineScale):
        offset = Fraction(saturated_float32(exact(v) - shared.minimum))
        whole = integer(offset / shared.unit, rounding, chance) if shared.unit else 0
        return encode(element, Fraction(whole + shared.zero))
    magnitude, sign = _pushed(v, shared.unit, fmt)
    sign ^= shared.unit < 0
    if abs(exact(v)) <= Fraction(fmt.quirks.flush_at) or not shared.unit:
        return encode(element, Fraction(0), sign, rounding, chance)
    wanted = magnitude / abs(shared.unit) * (-1 if sign else 1)
    if not isinstance(element, FloatElement):
        return encode(element, wanted, sign, rounding, chance)
    plain = abs(exact(v) / shared.unit)  # a float takes only its exponent from the pushed one
    if fmt.quirks.saturate_significand:
        code = encode_saturating_significand(element, plain, abs(wanted))
        return code | (sign and (code > 0 or element.specials != "fnuz")) << (element.bits - 1)
    return _encode_float(v, -plain if sign else plain, sign, fmt, element, chance)


def _encode_float(v: float, wanted: Fraction, sign: bool, fmt: BlockFormat, element: FloatElement, chance: int) -> int:
    policy = fmt.overflow
    if policy is None:
        policy = "special" if fmt.scale is None and element.specials == "ieee" else "saturate"
    beyond = overflows(element, wanted, fmt.rounding, chance) or (math.isinf(v) and abs(wanted) >= next_above(element))
    if policy == "saturate" or not beyond:
        return encode(element, wanted, sign, fmt.rounding, chance)
    if element.specials == "ieee":
        return rungs(element)[-1] + 1 | sign << (element.bits - 1)
    return nan_code(element) | (sign and element.specials == "nan") << (element.bits - 1)


def _pushed(v: float, unit: Fraction, fmt: BlockFormat) -> tuple[Fraction, bool]:
    """|v| plus the published constant, and the sign of v plus that constant; sums are the processor's own."""
    quirks = fmt.quirks
    if not quirks.epsilon or math.isinf(v):
        return abs(exact(v)), negative(v)
    with np.errstate(over="ignore"):
        epsilon = np.float32(quirks.epsilon)
        if quirks.epsilon_of_smallest:
            epsilon = np.float32(to_float32(Fraction(float(epsilon)) * unit * smallest_step(fmt.element)))
        magnitude, total = float(np.float32(abs(v)) + epsilon), float(np.float32(v) + epsilon)
    return Fraction(magnitude) if math.isfinite(magnitude) else INFINITE, total < 0


def _scaled(worth: float, shared: Shared, fmt: BlockFormat) -> float:
    """unit * (element - zero) + minimum, with the signs of zeros and infinities that products have."""
    unit, sign = shared.unit, -1.0 if shared.unit < 0 else 1.0
    if not math.isfinite(worth):
        return worth * sign if unit else math.nan
    difference = worth - shared.zero  # integers of at most 17 bits, where there is a zero point
    product = math.copysign(to_float32(Fraction(difference) * unit), difference * sign)
    if isinstance(fmt.scale, AffineScale) and isinstance(fmt.scale.zero, FloatElement) and math.isfinite(product):
        return to_float32(Fraction(product) + shared.minimum)
    return product
