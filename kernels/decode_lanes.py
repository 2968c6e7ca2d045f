"""Sixteen codes to float32 values, as LLVM instructions: through a table, or out of the fields of wide floats.

The arithmetic is float64's, in which elements and their products with scales are exact, and rounded once.
"""

from typing import Any

from llvmlite import ir
from numba import types

from densimeter.kernels.plain_lanes import fields_of
from densimeter.kernels.vectors import F32, F64, I32, I64, LANES, Builder, intrinsic, operation, vector

_MANTISSA_BITS, _BIAS = 52, 1023  # of float64


@intrinsic
def decode(typing_context, codes, width, table, out, index, unit, zero, added, shifts, part, bits, largest):  # type: ignore[no-untyped-def]
    """out = float32((table[code] - zero) * unit) + float32(added); codes of `width` bytes, a table of float64.

    Where `largest` is not zero, lane i is shifted down by the microexponent of its part, a power of two of values or
    whole vectors of them: ``shifts >> (i // part * bits) & largest``.
    """

    def generate(b: Builder, kinds: Any, operands: Any, context: Any) -> None:
        codes, width, table, out, index, unit, zero, added, shifts, part, bits, largest = operands

        def shifted_units() -> Any:
            lane = ir.Constant(vector(I64), list(range(LANES)))
            binary_places = b.call("llvm.cttz.i64", I64, part, ir.Constant(ir.IntType(1), 1))
            position = b.ir.mul(b.ir.lshr(lane, b.splat(binary_places)), b.splat(bits))
            shift = b.ir.and_(b.ir.lshr(b.splat(shifts), position), b.splat(largest))
            return b.ir.fmul(b.splat(unit), _power_of_two(b, b.ir.sub(b.constant(I64, _BIAS), shift)))

        base = context.make_array(kinds[2])(context, b.ir, table).data
        values = b.ir.fsub(b.gather(base, _load(b, kinds[0], codes, width, index)), b.splat(zero))
        units = b.choose(b.truth(largest), shifted_units, lambda: b.splat(unit))
        _store(b, b.ir.fmul(values, units), added, kinds[3], out, index)

    operands = codes, width, table, out, index, unit, zero, added, shifts, part, bits, largest
    return operation(types.void, generate)(typing_context, *operands)


@intrinsic
def decode_floats(typing_context, codes, width, out, index, unit, added, fields):  # type: ignore[no-untyped-def]
    """out = float32(value * unit) + float32(added), values as in `encode.decode_float`; `fields`: FloatFields."""

    def generate(b: Builder, kinds: Any, operands: Any, context: Any) -> None:
        codes, width, out, index, unit, added, fields = operands
        code = _load(b, kinds[0], codes, width, index)
        value = _value(b, fields_of(context, b.ir, kinds[6], fields), code)
        _store(b, b.ir.fmul(value, b.splat(unit)), added, kinds[2], out, index)

    operands = codes, width, out, index, unit, added, fields
    return operation(types.void, generate)(typing_context, *operands)


def _value(b: Builder, f: dict[str, Any], code: Any) -> Any:
    """float64 lanes: a significand, which is an integer, times a power of two; Inf and NaN put in their place."""
    zero, one = b.constant(I32, 0), b.constant(I32, 1)
    sign_shift, mantissa_bits, hidden, nan_code, largest_field, flush_below = (
        b.splat(b.narrow(f[name]))
        for name in ("sign_shift", "mantissa_bits", "hidden_bit", "nan_code", "largest_field", "flush_below_code")
    )
    given = b.ir.and_(code, b.ir.sub(b.ir.shl(one, sign_shift), one))
    magnitude = b.ir.select(b.ir.icmp_signed("<", given, flush_below), zero, given)
    field = b.ir.lshr(magnitude, mantissa_bits)
    fraction = b.ir.and_(magnitude, b.ir.sub(b.ir.shl(one, mantissa_bits), one))
    first = b.ir.select(b.ir.icmp_signed(">", field, zero), b.ir.shl(hidden, mantissa_bits), zero)
    steps = b.ir.sub(b.larger(field, hidden), hidden)
    lowest = b.ir.sub(b.ir.add(f["lowest_exponent"], ir.Constant(I64, _BIAS)), f["mantissa_bits"])
    power = _power_of_two(b, b.ir.add(b.ir.zext(steps, vector(I64)), b.splat(lowest)))
    value = b.ir.fmul(b.ir.sitofp(b.ir.or_(first, fraction), vector(F64)), power)
    beyond, whole = b.ir.icmp_signed(">", field, largest_field), b.ir.icmp_signed("==", fraction, zero)
    compared = b.ir.select(b.splat(b.truth(f["negative_zero"])), given, code)
    nan = b.ir.or_(b.ir.icmp_signed("==", compared, nan_code), b.ir.and_(beyond, b.ir.not_(whole)))
    value = b.ir.select(b.ir.and_(beyond, whole), b.constant(F64, float("inf")), value)
    value = b.ir.select(nan, b.constant(F64, float("nan")), value)
    sign = b.ir.shl(b.ir.zext(b.ir.lshr(code, sign_shift), vector(I64)), b.constant(I64, 63))
    return b.ir.bitcast(b.ir.or_(b.ir.bitcast(value, vector(I64)), sign), vector(F64))


def _load(b: Builder, kind: Any, codes: Any, width: Any, index: Any) -> Any:
    """Sixteen codes of `width` bytes as int32 lanes."""

    def of(count: int) -> Any:
        narrow = b.load(kind, codes, b.ir.mul(index, width), ir.IntType(8 * count))
        return narrow if count == 4 else b.ir.zext(narrow, vector(I32))

    return b.by_width(width, of)


def _store(b: Builder, products: Any, added: Any, kind: Any, out: Any, index: Any) -> None:
    rounded = b.ir.fptrunc(products, vector(F32))
    b.store(b.ir.fadd(rounded, b.splat(b.ir.fptrunc(added, F32))), kind, out, index)


def _power_of_two(b: Builder, biased: Any) -> Any:
    return b.ir.bitcast(b.ir.shl(biased, b.constant(I64, _MANTISSA_BITS)), vector(F64))
