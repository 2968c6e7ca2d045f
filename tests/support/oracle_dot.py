"""A second opinion on dot products and accumulators: exact values in, the register after every group out.

Written from the units' definition on fractions; float32 sums are the processor's own. Shares no arithmetic with
densimeter: besides declared fields it reads one derived number, the guard bits of an aligned accumulator, which
tests/formats/test_datapath.py pins.
"""

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from densimeter.formats.accumulator import AlignedAccumulator, FixedAccumulator, Fp32Accumulator, IntAccumulator
from densimeter.formats.block import BlockFormat
from densimeter.formats.codebook import CodebookElement
from densimeter.formats.datapath import Datapath
from densimeter.formats.element import Element, FloatElement, IntElement, LogElement
from densimeter.formats.reference_dot import Group
from densimeter.formats.scale import FloatScale, PowerOfTwoScale, Scale
from support import oracle
from support.oracle import TWO

WINDOW_BITS = 24
TINY = TWO**-126
CANONICAL_NAN = 0x7FC00000
NO_GROUP = Group((), ())


def accumulate(groups: Sequence[Group], datapath: Datapath) -> list[tuple[int, bool]]:
    """Register and invalid flag after each group, from zero."""
    register, invalid, history = 0, False, []
    for group in groups:
        if group.clear:
            register, invalid = 0, False
        special = _special(group, datapath)
        if special is not None and not isinstance(datapath.accumulator, Fp32Accumulator):
            invalid = True
        else:
            register = _add(register, group, special, datapath)
        history.append((register, invalid))
    return history


def register_value(register: int, datapath: Datapath) -> float:
    """The register as a number, rounded once to float32."""
    match datapath.accumulator:
        case Fp32Accumulator():
            return _float_of(register)
        case FixedAccumulator(bits=bits, lsb_exponent=lsb_exponent):
            return oracle.to_float32(_signed(register, bits) * TWO**lsb_exponent)
        case IntAccumulator(bits=bits):
            return oracle.to_float32(_signed(register, bits) * _product_unit(datapath))
        case AlignedAccumulator(bits=bits):
            exponent, significand = register >> bits, _signed(register % (1 << bits), bits)
            unit = _product_unit(datapath) * _scale_unit(datapath) * TWO ** (exponent - datapath.guard_bits)
            return oracle.to_float32(significand * unit)


def _special(group: Group, datapath: Datapath) -> float | None:
    """NaN or an infinity where one enters the group: IEEE arithmetic on the pairs that hold one."""
    if any(_is_not_finite(scale, code) for scale, code in _unit_scales(datapath, group)):
        return math.nan
    special = [a * w for a, w in _pairs(group, datapath) if not (math.isfinite(a) and math.isfinite(w))]
    return sum(special) if special else None


def _is_not_finite(scale: Scale, code: int) -> bool:
    """Whether a scale code is NaN; an infinite scale is one as well, and the sign makes no difference."""
    if isinstance(scale, FloatScale):
        return not math.isfinite(oracle.value(scale.element, code))
    return code == oracle.nan_scale_code(scale)


def _unit_scales(datapath: Datapath, group: Group = NO_GROUP) -> list[tuple[Scale, int]]:
    """The scales that the unit applies, those of blocks of a fixed count, with the group's codes for them."""
    codes = (group.activation_scale, group.weight_scale)
    operands = zip(datapath.operands, codes, strict=True)
    return [(fmt.scale, code) for fmt, code in operands if fmt.scale is not None and not isinstance(fmt.block, str)]


def _pairs(group: Group, datapath: Datapath) -> list[tuple[float, float]]:
    a = _values(datapath.activation, group.activation, group.activation_scale)
    w = _values(datapath.weight, group.weight, group.weight_scale)
    return list(zip(a, w, strict=True))


def _values(fmt: BlockFormat, codes: Sequence[int], scale_code: int) -> list[float]:
    """Elements as numbers; those of a part are divided by two to its microexponent, the next in the scale code."""
    values = [oracle.value(fmt.element, code) for code in codes]
    if not _has_microexponents(fmt):
        return values
    assert isinstance(fmt.scale, PowerOfTwoScale)
    assert isinstance(fmt.block, int)
    left, shifts = scale_code // (1 << fmt.scale.bits), []
    for _ in range(len(codes)):
        left, micro = divmod(left, 1 << fmt.scale.microexponent_bits)
        shifts += [micro] * (fmt.block // fmt.scale.microexponents)
    return [value / 2**shift for value, shift in zip(values, shifts, strict=False)]


def _has_microexponents(fmt: BlockFormat) -> bool:
    return isinstance(fmt.scale, PowerOfTwoScale) and fmt.scale.microexponents > 0


def _significand(group: Group, datapath: Datapath) -> Fraction:
    """The group's sum in units of the products' lowest bit, times the significands of float scales."""
    unit = _product_unit(datapath)
    units = [Fraction(a) * Fraction(w) / unit for a, w in _pairs(group, datapath)]
    windowed = any(isinstance(fmt.element, LogElement) for fmt in datapath.operands)
    total = Fraction(sum(map(int, units)) if windowed else sum(units))  # int() cuts towards zero
    for scale, code in _unit_scales(datapath, group):
        if isinstance(scale, FloatScale):
            sign, magnitude = divmod(code, 1 << (scale.element.bits - 1))
            one = 1 << scale.element.mantissa_bits
            total *= (magnitude % one + (one if magnitude >= one else 0)) * (-1) ** sign
    return total


def _exponent_code(group: Group, datapath: Datapath) -> int:
    """The sum of what the scale stage adds up: shared exponents, and exponent fields of float scales (subnormal: 1)."""
    return sum(_exponent_field(scale, code) for scale, code in _unit_scales(datapath, group))


def _exponent_field(scale: Scale, code: int) -> int:
    if isinstance(scale, FloatScale):
        return max(code % (1 << (scale.element.bits - 1)) >> scale.element.mantissa_bits, 1)
    assert isinstance(scale, PowerOfTwoScale)
    return code % (1 << scale.bits)


def _product_unit(datapath: Datapath) -> Fraction:
    """What the lowest bit of an aligned product is worth; logarithms keep a window under the largest product."""
    a, w = (fmt.element for fmt in datapath.operands)
    if isinstance(a, LogElement) or isinstance(w, LogElement):
        return _spacing_at_top(a) * _spacing_at_top(w) * TWO**-WINDOW_BITS
    spacing = _finest_spacing(a) * _finest_spacing(w)
    for fmt in datapath.operands:
        if isinstance(fmt.scale, PowerOfTwoScale) and _has_microexponents(fmt):
            spacing /= 2 ** ((1 << fmt.scale.microexponent_bits) - 1)
    return spacing


def _spacing_at_top(element: Element) -> Fraction:
    match element:
        case IntElement(fraction_bits=fraction_bits):
            return TWO**-fraction_bits
        case LogElement():
            return oracle.largest(element)
        case FloatElement(exponent_bits=exponent_bits, specials=specials, bias=bias, mantissa_bits=mantissa_bits):
            return TWO ** ((1 << exponent_bits) - 1 - (specials == "ieee") - bias - mantissa_bits)
    raise AssertionError(f"no spacing at the top is defined for {element}")


def _finest_spacing(element: Element) -> Fraction:
    match element:
        case IntElement(fraction_bits=fraction_bits):
            return TWO**-fraction_bits
        case LogElement():
            raise AssertionError("logarithms are windowed")
        case FloatElement(hidden_bit=hidden_bit, bias=bias, mantissa_bits=mantissa_bits):
            return TWO ** (hidden_bit - bias - mantissa_bits)
        case CodebookElement(levels=levels):  # every float32 is a fraction of two to some power
            return Fraction(1, max(Fraction(level).denominator for level in levels))


def _scale_unit(datapath: Datapath) -> Fraction:
    """What scale codes with exponent zero are worth, significand steps of float scales included."""
    unit = Fraction(1)
    for scale, _ in _unit_scales(datapath):
        if isinstance(scale, FloatScale):
            unit *= TWO ** -(scale.element.bias + scale.element.mantissa_bits)
        elif isinstance(scale, PowerOfTwoScale):
            unit *= TWO**-scale.bias
    return unit


def _add(register: int, group: Group, special: float | None, datapath: Datapath) -> int:
    match datapath.accumulator:
        case Fp32Accumulator(subnormals=subnormals):
            operand = _float32_operand(group, special, datapath, subnormals)
            return _add_float32(_float_of(register), operand, subnormals)
        case IntAccumulator(bits=bits, overflow=overflow):
            total = _signed(register, bits) + int(_significand(group, datapath))
            return (_clamp(total, bits) if overflow == "saturate" else total) % (1 << bits)
        case FixedAccumulator(bits=bits, lsb_exponent=lsb_exponent):
            total = _signed(register, bits) + math.floor(_exact(group, datapath) / TWO**lsb_exponent)
            return _clamp(total, bits) % (1 << bits)
        case AlignedAccumulator(bits=bits):
            return _add_aligned(register, group, bits, datapath)


def _exact(group: Group, datapath: Datapath) -> Fraction:
    unit = _product_unit(datapath) * _scale_unit(datapath)
    return _significand(group, datapath) * unit * TWO ** _exponent_code(group, datapath)


def _add_aligned(register: int, group: Group, bits: int, datapath: Datapath) -> int:
    held_exponent, held = register >> bits, _signed(register % (1 << bits), bits)
    added_exponent, added = _exponent_code(group, datapath), _significand(group, datapath) * (1 << datapath.guard_bits)
    exponent = max(held_exponent, added_exponent)
    total = (held >> (exponent - held_exponent)) + math.floor(added / TWO ** (exponent - added_exponent))
    if total != _clamp(total, bits):
        total, exponent = total >> 1, exponent + 1
    return exponent << bits | total % (1 << bits)


def _float32_operand(group: Group, special: float | None, datapath: Datapath, subnormals: bool) -> float:
    if special is not None:
        return special
    exact = _exact(group, datapath)
    sign = 1.0
    if _is_float_mac(datapath):
        (a, w), *_ = _pairs(group, datapath)
        sign = math.copysign(1, a) * math.copysign(1, w)
    if exact == 0 or (not subnormals and abs(exact) < TINY):
        return math.copysign(0.0, exact or sign)
    return oracle.to_float32(exact)


def _is_float_mac(datapath: Datapath) -> bool:
    """One product of floats at a time, no block scale, no window: a conventional MAC, where a zero product has a
    sign."""
    floats = any(isinstance(fmt.element, FloatElement) for fmt in datapath.operands)
    logarithms = any(isinstance(fmt.element, LogElement) for fmt in datapath.operands)
    return floats and not logarithms and datapath.lanes == 1 and not _unit_scales(datapath)


def _add_float32(left: float, right: float, subnormals: bool) -> int:
    with np.errstate(over="ignore", invalid="ignore"):
        total = np.float32(left) + np.float32(right)
    if np.isnan(total):
        return CANONICAL_NAN
    if not subnormals and abs(float(total)) < TINY:
        total = np.copysign(np.float32(0), total)
    return int(total.view(np.uint32))


def _float_of(register: int) -> float:
    return float(np.uint32(register).view(np.float32))


def _signed(register: int, bits: int) -> int:
    return register - (1 << bits) if register >> (bits - 1) else register


def _clamp(integer: int, bits: int) -> int:
    half = 1 << (bits - 1)
    return min(max(integer, -half), half - 1)
