"""What a block shares: how each kind of scale is chosen from the block's numbers, stored as a code, and read back."""

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from densimeter.formats.block import BlockFormat
from densimeter.formats.element import FloatElement, IntElement
from densimeter.formats.scale import AffineScale, DoubleScale, FloatScale, PowerOfTwoScale, Scale
from support import oracle_ggml
from support.oracle_element import fraction_bits_at_top, largest, rungs, value, worth_at
from support.oracle_number import (
    LARGEST_FLOAT32,
    TWO,
    ceil_log2,
    clip,
    exact,
    floor_log2,
    saturated_float32,
)
from support.oracle_rounding import encode, integer


class Shared(NamedTuple):
    """A block's values are ``unit * (element - zero) + minimum``."""

    unit: Fraction
    zero: int = 0
    minimum: Fraction = Fraction(0)


def choose(numbers: Sequence[float], fmt: BlockFormat, tensor_factor: Fraction) -> tuple[int, Shared]:
    """The scale code of a block, microexponents apart, and what its values are divided by; NaN are left out before."""
    exact_numbers = [exact(v) for v in numbers]
    block_largest = max(map(abs, exact_numbers), default=Fraction(0))
    match fmt.scale:
        case None:
            return 0, Shared(Fraction(1))
        case FloatScale() | AffineScale() if fmt.quirks.float32_reciprocal:
            return _choose_as_ggml(numbers, fmt)
        case PowerOfTwoScale() as scale:
            code = _exponent(block_largest, scale, fmt)
        case FloatScale() if not tensor_factor:
            code = 0
        case FloatScale(element=stored, anchor="signed"):
            extreme = next((x for x in exact_numbers if abs(x) == block_largest), Fraction(0))
            wanted = extreme / worth_at(fmt.element, rungs(fmt.element)[0])
            code = encode(stored, wanted, wanted < 0)
        case FloatScale(element=stored):
            code = encode(stored, block_largest / (largest(fmt.element) * tensor_factor))
        case AffineScale(zero=IntElement()) as scale:
            code = _with_zero_point([*exact_numbers, Fraction(0)], scale, fmt)
        case AffineScale() as scale:
            code = _with_minimum(exact_numbers or [Fraction(0)], scale, fmt)
        case DoubleScale():
            raise AssertionError("quantise under the first level, then compress")
    shared = read(code, fmt.scale, tensor_factor)
    assert shared is not None
    return code, shared


def _exponent(block_largest: Fraction, scale: PowerOfTwoScale, fmt: BlockFormat) -> int:
    top = (1 << scale.bits) - 1 - scale.nan
    if block_largest == 0:
        return top if scale.negated else 0
    offset = floor_log2(largest(fmt.element)) if scale.offset is None else scale.offset
    match scale.rule:
        case "floor":
            exponent = floor_log2(block_largest) - offset
        case "ceil":
            exponent = ceil_log2(block_largest) - offset
        case "even":
            step = TWO ** (floor_log2(block_largest) - fraction_bits_at_top(fmt.element))
            exponent = floor_log2(integer(block_largest / step, "nearest_up") * step) - offset
        case "rceil":
            exponent = ceil_log2(block_largest / largest(fmt.element))
    return clip((-exponent if scale.negated else exponent) + scale.bias, 0, top)


def _with_zero_point(numbers: Sequence[Fraction], scale: AffineScale, fmt: BlockFormat) -> int:
    code = _spread(numbers, scale, fmt)
    step = Fraction(_worth(scale.element, code))
    zero = encode(scale.zero, -min(numbers) / step) if step else 0
    return code | zero << scale.element.bits


def _with_minimum(numbers: Sequence[Fraction], scale: AffineScale, fmt: BlockFormat) -> int:
    minimum = encode(scale.zero, min(numbers), min(numbers) < 0)
    return _spread(numbers, scale, fmt) | minimum << scale.element.bits


def _spread(numbers: Sequence[Fraction], scale: AffineScale, fmt: BlockFormat) -> int:
    """The code of the distance between the extremes, a step of the largest integer."""
    step = Fraction(saturated_float32(max(numbers) - min(numbers))) / largest(fmt.element)
    if isinstance(scale.element, FloatElement):
        return encode(scale.element, step)
    powers = range((1 << scale.element.bits) - scale.element.nan)  # the first that is not below, or the last
    return next((code for code in powers if _worth(scale.element, code) >= step), powers[-1])


def _worth(stored: FloatElement | PowerOfTwoScale, code: int) -> float | Fraction:
    """What a float, or an exponent, is worth; NaN where the exponent says so."""
    if isinstance(stored, FloatElement):
        return value(stored, code)
    return math.nan if code == nan_scale_code(stored) else TWO ** (code - stored.bias)


def _choose_as_ggml(numbers: Sequence[float], fmt: BlockFormat) -> tuple[int, Shared]:
    """The values see the scale, and the minimum, before they are rounded to their stored form."""
    scale, (bottom, top) = fmt.scale, (worth_at(fmt.element, rungs(fmt.element)[end]) for end in (0, -1))
    if isinstance(scale, AffineScale):
        assert isinstance(scale.zero, FloatElement)
        assert isinstance(scale.element, FloatElement)
        step, minimum = oracle_ggml.spread(numbers, float(top))
        code = _stored(step, scale.element) | _stored(minimum, scale.zero) << scale.element.bits
        return code, Shared(Fraction(step), minimum=Fraction(minimum))
    assert isinstance(scale, FloatScale)
    if scale.anchor == "signed":
        step = oracle_ggml.signed_scale(numbers, float(bottom))
    else:
        step = oracle_ggml.absolute_scale(numbers, float(top))
    return _stored(step, scale.element), Shared(Fraction(step))


def _stored(number: float, element: FloatElement) -> int:
    return encode(element, Fraction(number), number < 0)


def read(code: int, scale: Scale | None, tensor_factor: Fraction = Fraction(1)) -> Shared | None:
    """What a scale code stands for, microexponents apart; None where it is not finite."""
    match scale:
        case PowerOfTwoScale(bits=bits, bias=bias):
            return None if code == nan_scale_code(scale) else Shared(TWO ** (code % (1 << bits) - bias))
        case FloatScale(element=stored):
            worth = value(stored, code)
            return Shared(Fraction(worth) * tensor_factor) if math.isfinite(worth) else None
        case AffineScale(element=stored, zero=zero):
            step, other = _worth(stored, code % (1 << stored.bits)), value(zero, code >> stored.bits)
            if not (math.isfinite(step) and math.isfinite(other)):
                return None
            if isinstance(zero, IntElement):
                return Shared(Fraction(step), zero=int(other))
            return Shared(Fraction(step), minimum=Fraction(other))
    return Shared(Fraction(1))


def nan_scale_code(scale: Scale | None) -> int | None:
    """The scale code that makes its whole block NaN, where there is one."""
    match scale:
        case PowerOfTwoScale(bits=bits, nan=True):
            return (1 << bits) - 1
        case AffineScale(element=PowerOfTwoScale() as stored):
            return nan_scale_code(stored)
        case FloatScale(element=FloatElement() as stored) | AffineScale(element=FloatElement() as stored):
            return nan_code(stored) if stored.specials != "none" else None
    return None


def nan_code(element: FloatElement) -> int:
    """The one NaN of OCP E4M3, the quiet one of IEEE 754, both without the sign bit; negative zero of fnuz."""
    finite = rungs(element)[-1] + 1
    return finite + (1 << (element.mantissa_bits - 1)) if element.specials == "ieee" else finite


def microexponents(values: Sequence[float], code: int, fmt: BlockFormat) -> int:
    """The bits of a scale code above its exponent: how far each part of the block lies below the stored exponent."""
    scale, above = fmt.scale, 0
    if not isinstance(scale, PowerOfTwoScale) or not scale.microexponents:
        return 0
    deepest = (1 << scale.microexponent_bits) - 1
    offset = floor_log2(largest(fmt.element)) if scale.offset is None else scale.offset
    for part in range(scale.microexponents):
        numbers = [v for i, v in enumerate(values) if part_of(i, fmt) == part and not math.isnan(v)]
        part_largest = max((abs(exact(v)) for v in numbers), default=Fraction(0))
        depth = code - scale.bias + offset - floor_log2(part_largest) if part_largest else deepest
        above += clip(depth, 0, deepest) << part * scale.microexponent_bits
    return above << scale.bits


def part_of(position: int, fmt: BlockFormat) -> int:
    """The part of its block in which a value stands."""
    assert isinstance(fmt.scale, PowerOfTwoScale)
    assert isinstance(fmt.block, int)
    return position * fmt.scale.microexponents // fmt.block


def depth_at(position: int, code: int, fmt: BlockFormat) -> Fraction:
    """What the microexponent of a value divides its unit by."""
    scale = fmt.scale
    if not isinstance(scale, PowerOfTwoScale) or not scale.microexponents:
        return Fraction(1)
    bits = scale.microexponent_bits
    return TWO ** (code >> scale.bits + part_of(position, fmt) * bits & (1 << bits) - 1)


def tensor_factor(values: Sequence[float], fmt: BlockFormat) -> float:
    """The second-level scale of a whole tensor, where the format has one; it saturates at the largest float32."""
    if not (isinstance(fmt.scale, FloatScale) and fmt.scale.tensor_scale):
        return 1.0
    finite = [abs(Fraction(v)) for v in values if math.isfinite(v)]
    return saturated_float32(max(finite, default=Fraction(0)) / (largest(fmt.element) * largest(fmt.scale.element)))


def compress(scales: Sequence[float], scale: DoubleScale) -> tuple[list[int], list[float], float]:
    """Codes, a factor per run and the mean of float32 scales; sums and differences are the processor's own."""
    mean = np.float32(math.fsum(scales) / len(scales) if scale.centred and scales else 0)
    rest = _add(np.array(scales, np.float32), -mean).tolist()
    runs = [rest[start : start + scale.block] for start in range(0, len(rest), scale.block)]
    factors = [max(map(abs, run)) for run in runs]
    pairs = [(x, factor) for run, factor in zip(runs, factors, strict=True) for x in run]
    quotients = [Fraction(x) / Fraction(factor) if factor else Fraction(0) for x, factor in pairs]
    codes = [encode(scale.element, q, x < 0) for q, (x, _) in zip(quotients, pairs, strict=True)]
    return codes, factors, float(mean)


def restore(codes: Sequence[int], factors: Sequence[float], mean: float, scale: DoubleScale) -> list[float]:
    """The float32 scales that were kept: ``float32(float32(level * factor) + mean)``."""
    levels = np.array([value(scale.element, code) for code in codes], np.float32)
    products = levels * np.repeat(np.array(factors, np.float32), scale.block)[: len(codes)]
    restored: list[float] = _add(products, np.float32(mean)).tolist()
    return restored


def _add(left: NDArray[np.float32], right: np.float32) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        total: NDArray[np.float32] = np.clip(left + right, -LARGEST_FLOAT32, LARGEST_FLOAT32)
    return total
