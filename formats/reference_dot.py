"""The exact dot product and accumulators on integers and Fractions: the specification of the arithmetic units, in
code."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from densimeter.formats.accumulator import AlignedAccumulator, FixedAccumulator, IntAccumulator
from densimeter.formats.block import BlockFormat
from densimeter.formats.datapath import Datapath, part_width
from densimeter.formats.element import FLOAT32
from densimeter.formats.number import Kind, Number, power_of_two
from densimeter.formats.reference import decode_scale, encode_float
from densimeter.formats.scale import FloatScale, PowerOfTwoScale

_NAN = 0x7FC00000
_INFINITY = 0x7F800000
_SIGN = 0x80000000
_TINY = power_of_two(-126)


@dataclass(frozen=True)
class Group:
    """What one clock edge takes in: a code per lane and operand, and the scale codes (0 where there is none), in which
    stand the microexponents of these lanes alone."""

    activation: Sequence[int]
    weight: Sequence[int]
    activation_scale: int = 0
    weight_scale: int = 0
    clear: bool = False


@dataclass(frozen=True)
class GroupSum:
    """The scaled sum of one group: ``significand * 2**(exponent_code + datapath.exponent_offset)``, or a special."""

    significand: int
    exponent_code: int
    kind: Kind = Kind.FINITE
    negative_zero: bool = False
    negative: bool = False


def accumulate(groups: Sequence[Group], datapath: Datapath) -> list[tuple[int, bool]]:
    """The accumulator register (as an unsigned integer) and the invalid flag after each group."""
    register, invalid, history = 0, False, []
    for group in groups:
        if group.clear:
            register, invalid = 0, False
        total = group_sum(group, datapath)
        if datapath.has_invalid_flag and total.kind is not Kind.FINITE:
            invalid = True
        else:
            register = _add(register, total, datapath)
        history.append((register, invalid))
    return history


def group_sum(group: Group, datapath: Datapath) -> GroupSum:
    """Products of one group, aligned, summed and scaled, exactly as the datapath says."""
    significand, exponent_code, nan = 1, 0, False
    for operand, code in (
        (datapath.activation, group.activation_scale),
        (datapath.weight, group.weight_scale),
    ):
        factor, exponent, scale_nan = _decode_scale(operand, code)
        significand, exponent_code, nan = significand * factor, exponent_code + exponent, nan or scale_nan
    left = _decode(datapath.activation, group.activation, group.activation_scale)
    right = _decode(datapath.weight, group.weight, group.weight_scale)
    products = [_multiply(a, w) for a, w in zip(left, right, strict=True)]
    kinds = {(p.kind, p.negative) for p in products if p.kind is not Kind.FINITE}
    if nan or len(kinds) > 1 or any(kind is Kind.NAN for kind, _ in kinds):
        return GroupSum(0, 0, Kind.NAN)
    if kinds:
        return GroupSum(0, 0, Kind.INFINITE, negative=kinds.pop()[1])
    total = sum(_align(p, datapath) for p in products)
    negative_zero = datapath.float_mac and products[0].negative and total == 0
    return GroupSum(total * significand, exponent_code, negative_zero=negative_zero)


def _decode(operand: BlockFormat, codes: Sequence[int], scale_code: int) -> list[Number]:
    """The elements of a group, shifted down by the microexponents in its scale code."""
    numbers = [operand.element.decode(code) for code in codes]
    scale, width = operand.scale, part_width(operand)
    if not (isinstance(scale, PowerOfTwoScale) and width):
        return numbers
    places = [scale.bits + lane // width * scale.microexponent_bits for lane in range(len(codes))]
    shifts = [scale_code >> place & scale.largest_shift for place in places]
    return [replace(n, exponent=n.exponent - shift) for n, shift in zip(numbers, shifts, strict=True)]


def _decode_scale(operand: BlockFormat, code: int) -> tuple[int, int, bool]:
    """(signed significand, exponent code, is not finite) of an operand's block scale."""
    if not operand.has_unit_scale or operand.scale is None:
        return 1, 0, False
    if decode_scale(code, operand) is None:
        return 0, 0, True
    if isinstance(operand.scale, PowerOfTwoScale):
        return 1, code & ((1 << operand.scale.bits) - 1), False
    assert isinstance(operand.scale, FloatScale)
    element = operand.scale.element
    sign, magnitude = divmod(code, 1 << (element.bits - 1))
    field, mantissa = divmod(magnitude, 1 << element.mantissa_bits)
    significand = mantissa | (1 << element.mantissa_bits if field else 0)
    return (-significand if sign else significand), max(field, 1), False


def _multiply(a: Number, w: Number) -> Number:
    negative = a.negative != w.negative
    kinds = {a.kind, w.kind}
    if Kind.NAN in kinds:
        return Number(False, 0, 0, Kind.NAN)
    if Kind.INFINITE in kinds:
        zero = any(n.kind is Kind.FINITE and n.significand == 0 for n in (a, w))
        return Number(False, 0, 0, Kind.NAN) if zero else Number(negative, 0, 0, Kind.INFINITE)
    return Number(negative, a.significand * w.significand, a.exponent + w.exponent)


def _align(product: Number, datapath: Datapath) -> int:
    """The product as an integer in units of the datapath's lowest bit; a window truncates the magnitude."""
    shift = product.exponent - datapath.product_lsb_exponent
    magnitude = product.significand << shift if shift >= 0 else product.significand >> -shift
    return -magnitude if product.negative else magnitude


def _add(register: int, total: GroupSum, datapath: Datapath) -> int:
    accumulator = datapath.accumulator
    if isinstance(accumulator, IntAccumulator):
        return _add_integer(_signed(register, accumulator.bits) + total.significand, accumulator)
    if isinstance(accumulator, FixedAccumulator):
        exponent = total.exponent_code + datapath.exponent_offset - accumulator.lsb_exponent
        shifted = _floor_shift(total.significand, exponent)
        return _clamp(_signed(register, accumulator.bits) + shifted, accumulator.bits)
    if isinstance(accumulator, AlignedAccumulator):
        return _add_aligned(register, total, datapath)
    return _add_float32(register, total, datapath)


def _add_integer(total: int, accumulator: IntAccumulator) -> int:
    return total % (1 << accumulator.bits) if accumulator.overflow == "wrap" else _clamp(total, accumulator.bits)


def _add_aligned(register: int, total: GroupSum, datapath: Datapath) -> int:
    bits = datapath.accumulator.bits  # type: ignore[union-attr]
    exponent, significand = register >> bits, _signed(register & ((1 << bits) - 1), bits)
    top = max(exponent, total.exponent_code)
    added = _floor_shift(significand, exponent - top) + _floor_shift(
        total.significand << datapath.guard_bits, total.exponent_code - top
    )
    if not -(1 << (bits - 1)) <= added < 1 << (bits - 1):
        added, top = added >> 1, top + 1
    return top << bits | added % (1 << bits)


def _add_float32(register: int, total: GroupSum, datapath: Datapath) -> int:
    subnormals = datapath.accumulator.subnormals  # type: ignore[union-attr]
    operand = _float32_of(total, datapath, subnormals)
    left, right = FLOAT32.decode(register), FLOAT32.decode(operand)
    special = {(n.kind, n.negative) for n in (left, right) if n.kind is not Kind.FINITE}
    if any(kind is Kind.NAN for kind, _ in special) or len(special) > 1:
        return _NAN
    if special:
        return _INFINITY | (_SIGN if special.pop()[1] else 0)
    value = left.value + right.value
    return _round_float32(value, negative_zero=left.negative and right.negative, subnormals=subnormals)


def _float32_of(total: GroupSum, datapath: Datapath, subnormals: bool) -> int:
    if total.kind is Kind.NAN:
        return _NAN
    if total.kind is Kind.INFINITE:
        return _INFINITY | (_SIGN if total.negative else 0)
    value = total.significand * power_of_two(total.exponent_code + datapath.exponent_offset)
    return _round_float32(value, negative_zero=total.negative_zero, subnormals=subnormals)


def _round_float32(value: Fraction, *, negative_zero: bool, subnormals: bool) -> int:
    sign = _SIGN if value < 0 or (value == 0 and negative_zero) else 0
    if not subnormals and abs(value) < _TINY:
        return sign
    return sign | min(encode_float(abs(value), FLOAT32), _INFINITY)


def _floor_shift(integer: int, exponent: int) -> int:
    return integer << exponent if exponent >= 0 else integer >> -exponent


def _signed(register: int, bits: int) -> int:
    return register - ((register >> (bits - 1)) << bits)


def _clamp(integer: int, bits: int) -> int:
    half = 1 << (bits - 1)
    return min(max(integer, -half), half - 1) % (1 << bits)
