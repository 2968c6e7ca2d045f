"""Sixteen values at a time: the vector operations under the codec, as LLVM instructions.

LLVM lowers the vectors to whatever the processor has. The arithmetic is that of `encode` and `decode_float`, in the
same float64, so that the bits are the same; what is rare (NaN, chance, quirks) is left to them. Each function takes
rows of contiguous arrays and the index of the first of sixteen values.
"""

from typing import Any

from llvmlite import ir
from numba import types

from densimeter.kernels.bits import SQRT2_MANTISSA
from densimeter.kernels.parameters import NEAREST_AWAY, TOWARD_ZERO
from densimeter.kernels.vectors import (
    F32,
    F64,
    I32,
    I64,
    LANES,
    Builder,
    Generator,
    cgutils,
    intrinsic,
    operation,
    vector,
)

_MAGNITUDE = 0x7FFFFFFF
_EXPONENT_SHIFT, _EXPONENT_MASK, _EXPONENT_BIAS = 52, 0x7FF << 52, 1023
_MANY = 2.0**30  # more units than any element has
_LARGEST_FLOAT32 = float.fromhex("0x1.fffffep127")


@intrinsic
def largest_magnitude_bits(typing_context, values, index):  # type: ignore[no-untyped-def]
    """The largest of the bit patterns of |values[index:index + 16]|, float32, as uint32."""

    def generate(b: Builder, kinds: Any, operands: Any, context: Any) -> Any:
        bits = b.load(kinds[0], operands[0], operands[1], I32)
        return b.call(f"llvm.vector.reduce.umax.v{LANES}i32", I32, b.ir.and_(bits, b.constant(I32, _MAGNITUDE)))

    return operation(types.uint32, generate)(typing_context, values, index)


@intrinsic
def least_value(typing_context, values, index):  # type: ignore[no-untyped-def]
    """The least of values[index:index + 16], float32 without NaN."""
    return operation(types.float32, _reduction("fmin"))(typing_context, values, index)


@intrinsic
def greatest_value(typing_context, values, index):  # type: ignore[no-untyped-def]
    """The greatest of values[index:index + 16], float32 without NaN."""
    return operation(types.float32, _reduction("fmax"))(typing_context, values, index)


def _reduction(name: str) -> Generator:
    def generate(b: Builder, kinds: Any, operands: Any, context: Any) -> Any:
        values = b.ir.bitcast(b.load(kinds[0], operands[0], operands[1], I32), vector(F32))
        return b.call(f"llvm.vector.reduce.{name}.v{LANES}f32", F32, values)

    return generate


@intrinsic
def shift_parts(typing_context, values, out, index, top, width, bits, largest):  # type: ignore[no-untyped-def]
    """Shift parts of `width` values (1, 2, 4, 8 or 16) up by their microexponents, into `out`.

    A part's microexponent is `top` less the exponent of its largest magnitude, from 0 to `largest`, which a part of
    zeros has. Returns those of the 16 / width parts, `bits` each, the first in the low bits, as int64.
    """

    def generate(b: Builder, kinds: Any, operands: Any, context: Any) -> Any:
        values, out, index, top, width, bits, largest = operands
        x = b.load(kinds[0], values, index, I32)
        part = cgutils.alloca_once_value(b.ir, b.ir.and_(x, b.constant(I32, _MAGNITUDE)))
        for distance in (1, 2, 4, 8):
            with b.ir.if_then(b.ir.icmp_signed(">", width, ir.Constant(I64, distance))):
                held = b.ir.load(part)
                order = ir.Constant(vector(I32), [lane ^ distance for lane in range(LANES)])
                other = b.ir.shuffle_vector(held, held, order)
                b.ir.store(b.call(f"llvm.umax.v{LANES}i32", vector(I32), held, other), part)
        magnitude = b.ir.fpext(b.ir.bitcast(b.ir.load(part), vector(F32)), vector(F64))
        biased = b.ir.lshr(b.ir.bitcast(magnitude, vector(I64)), b.constant(I64, _EXPONENT_SHIFT))
        exponent = b.ir.trunc(biased, vector(I32))
        biased_top = b.ir.add(b.narrow(top), ir.Constant(I32, _EXPONENT_BIAS))
        distance_below = b.ir.sub(b.splat(biased_top), exponent)
        shift = b.clamp(distance_below, ir.Constant(I32, 0), b.narrow(largest))
        power = b.ir.shl(b.ir.add(shift, b.constant(I32, 127)), b.constant(I32, 23))
        scaled = b.ir.fmul(b.ir.bitcast(x, vector(F32)), b.ir.bitcast(power, vector(F32)))
        b.store(b.ir.bitcast(scaled, vector(I32)), kinds[1], out, index)
        lane = ir.Constant(vector(I64), list(range(LANES)))
        within = b.ir.and_(lane, b.splat(b.ir.sub(width, ir.Constant(I64, 1))))
        leads = b.ir.icmp_unsigned("==", within, b.constant(I64, 0))
        position = b.ir.mul(b.ir.udiv(lane, b.splat(width)), b.splat(bits))
        placed = b.ir.shl(b.ir.zext(shift, vector(I64)), position)
        kept = b.ir.select(leads, placed, b.constant(I64, 0))
        return b.call(f"llvm.vector.reduce.or.v{LANES}i64", I64, kept)

    operands = values, out, index, top, width, bits, largest
    return operation(types.int64, generate)(typing_context, *operands)


@intrinsic
def encode_integers(typing_context, values, codes, index, unit, inverse, zero, minimum, element):  # type: ignore[no-untyped-def]
    """Codes of integers: float32(x - minimum) / unit, rounded, plus zero, saturated; `element`: ElementFields."""

    def generate(b: Builder, kinds: Any, operands: Any, context: Any) -> None:
        values, codes, index, unit, inverse, zero, minimum, element = operands
        fields = _fields(context, b.ir, kinds[7], element)
        bits = b.load(kinds[0], values, index, I32)
        offset = b.ir.fsub(b.ir.bitcast(bits, vector(F32)), b.splat(b.ir.fptrunc(minimum, F32)))
        negative = b.ir.icmp_signed("<", b.ir.bitcast(offset, vector(I32)), b.constant(I32, 0))
        flipped = b.splat(b.ir.fcmp_ordered("<", unit, ir.Constant(F64, 0.0)))
        negative = b.ir.xor(negative, flipped)
        magnitude = b.ir.fpext(b.call(f"llvm.fabs.v{LANES}f32", vector(F32), offset), vector(F64))
        magnitude = b.smaller(magnitude, b.constant(F64, _LARGEST_FLOAT32))
        magnitude_unit = b.call("llvm.fabs.f64", F64, unit)
        units = b.ir.fmul(b.quotient(magnitude, magnitude_unit, inverse), b.splat(fields["units"]))
        rounded = b.round(b.smaller(units, b.constant(F64, _MANY)), fields["rounding"])
        signed = b.ir.select(negative, b.ir.sub(b.constant(I32, 0), rounded), rounded)
        shifted = b.ir.add(signed, b.splat(b.ir.fptosi(zero, I32)))
        _store_integers(b, shifted, negative, fields, kinds[1], codes, index)

    operands = values, codes, index, unit, inverse, zero, minimum, element
    return operation(types.void, generate)(typing_context, *operands)


@intrinsic
def encode_reciprocals(typing_context, values, codes, index, reciprocal, minimum, element):  # type: ignore[no-untyped-def]
    """Codes of integers in ggml's float32 arithmetic (`encode._encode_reciprocal`)."""

    def generate(b: Builder, kinds: Any, operands: Any, context: Any) -> None:
        values, codes, index, reciprocal, minimum, element = operands
        fields = _fields(context, b.ir, kinds[5], element)

        def saturate(value: Any) -> Any:
            low = b.call(f"llvm.maxnum.v{LANES}f32", vector(F32), value, b.constant(F32, -_LARGEST_FLOAT32))
            return b.call(f"llvm.minnum.v{LANES}f32", vector(F32), low, b.constant(F32, _LARGEST_FLOAT32))

        x = b.ir.bitcast(b.load(kinds[0], values, index, I32), vector(F32))
        offset = saturate(b.ir.fsub(x, b.splat(b.ir.fptrunc(minimum, F32))))
        quotient = saturate(b.ir.fmul(offset, b.splat(b.ir.fptrunc(reciprocal, F32))))
        negative = b.ir.fcmp_ordered("<", quotient, b.constant(F32, 0.0))
        away = b.ir.icmp_signed("==", fields["rounding"], ir.Constant(I64, NEAREST_AWAY))
        code_offset = fields["code_offset"]

        def whole(value: Any) -> Any:
            wide = b.ir.fpext(value, vector(F64))
            low = b.call(f"llvm.maxnum.v{LANES}f64", vector(F64), wide, b.constant(F64, -_MANY))
            return b.ir.fptosi(b.smaller(low, b.constant(F64, _MANY)), vector(I32))

        def nearest_away() -> Any:
            return whole(b.call(f"llvm.round.v{LANES}f32", vector(F32), quotient))

        def nearest_up() -> Any:
            half = b.ir.fadd(b.ir.sitofp(code_offset, F32), ir.Constant(F32, 0.5))
            added = saturate(b.ir.fadd(quotient, b.splat(half)))
            return b.ir.sub(whole(added), b.splat(b.narrow(code_offset)))  # truncates, as C does

        signed = b.choose(away, nearest_away, nearest_up)
        negative = b.ir.icmp_signed("<", signed, b.constant(I32, 0))
        _store_integers(b, signed, negative, fields, kinds[1], codes, index)

    operands = values, codes, index, reciprocal, minimum, element
    return operation(types.void, generate)(typing_context, *operands)


@intrinsic
def encode_logs(typing_context, values, codes, index, inverse, element):  # type: ignore[no-untyped-def]
    """Codes of logarithms: the exponent of |x| * inverse, rounded; `element`: ElementFields."""

    def generate(b: Builder, kinds: Any, operands: Any, context: Any) -> None:
        values, codes, index, inverse, element = operands
        fields = _fields(context, b.ir, kinds[4], element)
        bits = b.load(kinds[0], values, index, I32)
        magnitude = b.ir.bitcast(b.ir.and_(bits, b.constant(I32, _MAGNITUDE)), vector(F32))
        quotient = b.ir.fmul(b.ir.fpext(magnitude, vector(F64)), b.splat(inverse))
        wide = b.ir.bitcast(quotient, vector(I64))
        fraction = b.ir.and_(wide, b.constant(I64, (1 << _EXPONENT_SHIFT) - 1))
        toward_zero = b.ir.icmp_signed("==", fields["rounding"], ir.Constant(I64, TOWARD_ZERO))
        threshold = b.ir.select(
            toward_zero, ir.Constant(I64, 1 << _EXPONENT_SHIFT), ir.Constant(I64, int(SQRT2_MANTISSA))
        )
        up = b.ir.zext(b.ir.icmp_signed(">", fraction, b.splat(threshold)), vector(I64))
        exponent = b.ir.add(b.ir.lshr(wide, b.constant(I64, _EXPONENT_SHIFT)), up)
        offset = b.ir.sub(fields["log_bias"], ir.Constant(I64, _EXPONENT_BIAS))
        field = b.ir.trunc(b.ir.add(exponent, b.splat(offset)), vector(I32))
        field = b.clamp(field, ir.Constant(I32, 0), b.narrow(fields["log_largest_field"]))
        zero = b.ir.fcmp_ordered("==", quotient, b.constant(F64, 0.0))
        field = b.ir.select(zero, b.constant(I32, 0), field)
        sign_shift = b.ir.sub(b.narrow(fields["bits"]), ir.Constant(I32, 1))
        sign = b.ir.shl(b.ir.lshr(bits, b.constant(I32, 31)), b.splat(sign_shift))
        _store_codes(b, b.ir.or_(field, sign), fields["code_bytes"], kinds[1], codes, index)

    operands = values, codes, index, inverse, element
    return operation(types.void, generate)(typing_context, *operands)


@intrinsic
def encode_levels(typing_context, values, codes, index, unit, element, ladder):  # type: ignore[no-untyped-def]
    """Codes of a codebook: the rank of x among its thresholds times unit, by halving; `ladder`: `parameters.ladder`."""

    def generate(b: Builder, kinds: Any, operands: Any, context: Any) -> None:
        values, codes, index, unit, element, ladder = operands
        fields = _fields(context, b.ir, kinds[4], element)
        bits = b.load(kinds[0], values, index, I32)
        x = b.ir.fpext(b.ir.bitcast(bits, vector(F32)), vector(F64))
        base = context.make_array(kinds[5])(context, b.ir, ladder).data
        width = b.narrow(b.ir.shl(ir.Constant(I64, 1), fields["bits"]))

        def row(number: int, ranks: Any) -> Any:
            start = b.ir.mul(width, ir.Constant(I32, number))
            return b.gather(base, b.ir.add(ranks, b.splat(start)))

        rank = cgutils.alloca_once_value(b.ir, b.constant(I32, 0))
        step = cgutils.alloca_once_value(b.ir, b.ir.lshr(width, ir.Constant(I32, 1)))
        with cgutils.for_range(b.ir, fields["bits"]):
            stride = b.splat(b.ir.load(step))
            before = b.ir.load(rank)
            tried = b.ir.sub(b.ir.add(before, stride), b.constant(I32, 1))
            difference = b.ir.fsub(x, b.ir.fmul(row(2, tried), b.splat(unit)))
            above = b.ir.fcmp_ordered(">", difference, row(3, tried))
            b.ir.store(b.ir.select(above, b.ir.add(before, stride), before), rank)
            b.ir.store(b.ir.lshr(b.ir.load(step), ir.Constant(I32, 1)), step)
        ranks = b.ir.load(rank)
        code = b.ir.fptosi(row(1, ranks), vector(I32))
        negative_zero = b.narrow(fields["negative_zero_code"])
        level_is_zero = b.ir.fcmp_ordered("==", row(0, ranks), b.constant(F64, 0.0))
        negative = b.ir.icmp_signed("<", bits, b.constant(I32, 0))
        has_negative_zero = b.splat(b.ir.icmp_signed(">=", negative_zero, ir.Constant(I32, 0)))
        takes_it = b.ir.and_(b.ir.and_(level_is_zero, negative), has_negative_zero)
        code = b.ir.select(takes_it, b.splat(negative_zero), code)
        _store_codes(b, code, fields["code_bytes"], kinds[1], codes, index)

    operands = values, codes, index, unit, element, ladder
    return operation(types.void, generate)(typing_context, *operands)


@intrinsic
def encode_floats(typing_context, values, codes, index, unit, inverse, element, fields, top):  # type: ignore[no-untyped-def]
    """Codes of floats with a hidden bit: |x| / unit, rounded; magnitude codes beyond the largest become `top`.

    `element`: ElementFields, `fields`: FloatFields.
    """

    def generate(b: Builder, kinds: Any, operands: Any, context: Any) -> None:
        values, codes, index, unit, inverse, element, fields, top = operands
        e, f = _fields(context, b.ir, kinds[5], element), _fields(context, b.ir, kinds[6], fields)
        bits = b.load(kinds[0], values, index, I32)
        magnitude = b.ir.bitcast(b.ir.and_(bits, b.constant(I32, _MAGNITUDE)), vector(F32))
        quotient = b.quotient(b.ir.fpext(magnitude, vector(F64)), unit, inverse)
        beyond = b.ir.fmul(e["largest"], ir.Constant(F64, 2.0))  # rounds to a code above the largest
        quotient = b.smaller(quotient, b.splat(beyond))
        lowest = b.ir.add(f["lowest_exponent"], ir.Constant(I64, _EXPONENT_BIAS))
        lowest_bits = b.splat(b.ir.shl(lowest, ir.Constant(I64, _EXPONENT_SHIFT)))
        exponent = b.ir.and_(b.ir.bitcast(quotient, vector(I64)), b.constant(I64, _EXPONENT_MASK))
        exponent = b.call(f"llvm.smax.v{LANES}i64", vector(I64), exponent, lowest_bits)
        two_biases = b.ir.add(f["mantissa_bits"], ir.Constant(I64, 2 * _EXPONENT_BIAS))
        scale = b.ir.sub(b.splat(b.ir.shl(two_biases, ir.Constant(I64, _EXPONENT_SHIFT))), exponent)
        units = b.round(b.ir.fmul(quotient, b.ir.bitcast(scale, vector(F64))), e["rounding"])
        field = b.ir.lshr(b.ir.sub(exponent, lowest_bits), b.constant(I64, _EXPONENT_SHIFT))
        mantissa_bits = b.splat(b.narrow(f["mantissa_bits"]))
        code = b.ir.add(b.ir.shl(b.ir.trunc(field, vector(I32)), mantissa_bits), units)
        too_large = b.ir.icmp_signed(">", code, b.splat(b.narrow(f["largest_code"])))
        code = b.ir.select(too_large, b.splat(b.narrow(top)), code)
        flushed = b.ir.icmp_signed("<", code, b.splat(b.narrow(f["flush_below_code"])))
        code = b.ir.select(flushed, b.constant(I32, 0), code)
        sign = b.ir.lshr(bits, b.constant(I32, 31))
        keeps_sign = b.splat(b.truth(f["negative_zero"]))
        signed = b.ir.or_(keeps_sign, b.ir.icmp_signed("!=", code, b.constant(I32, 0)))
        sign = b.ir.and_(sign, b.ir.zext(signed, vector(I32)))
        code = b.ir.or_(code, b.ir.shl(sign, b.splat(b.narrow(f["sign_shift"]))))
        _store_codes(b, code, e["code_bytes"], kinds[1], codes, index)

    operands = values, codes, index, unit, inverse, element, fields, top
    return operation(types.void, generate)(typing_context, *operands)


@intrinsic
def decode(typing_context, codes, width, table, out, index, unit, zero, added, shifts, part, bits, largest):  # type: ignore[no-untyped-def]
    """out = float32((table[code] - zero) * unit) + float32(added); codes of `width` bytes, a table of float64.

    Where `largest` is not zero, lane i is shifted down by the microexponent of its part:
    ``shifts >> (i // part * bits) & largest``.
    """

    def generate(b: Builder, kinds: Any, operands: Any, context: Any) -> None:
        codes, width, table, out, index, unit, zero, added, shifts, part, bits, largest = operands

        def positions(count: int) -> Any:
            kind = ir.IntType(8 * count)
            narrow = b.load(kinds[0], codes, b.ir.mul(index, width), kind)
            return narrow if count == 4 else b.ir.zext(narrow, vector(I32))

        def shifted_units() -> Any:
            lane = ir.Constant(vector(I64), list(range(LANES)))
            position = b.ir.mul(b.ir.udiv(lane, b.splat(part)), b.splat(bits))
            shift = b.ir.and_(b.ir.lshr(b.splat(shifts), position), b.splat(largest))
            biased = b.ir.sub(b.constant(I64, _EXPONENT_BIAS), shift)
            power = b.ir.bitcast(b.ir.shl(biased, b.constant(I64, _EXPONENT_SHIFT)), vector(F64))
            return b.ir.fmul(b.splat(unit), power)

        base = context.make_array(kinds[2])(context, b.ir, table).data
        values = b.gather(base, b.by_width(width, positions))
        units = b.choose(b.truth(largest), shifted_units, lambda: b.splat(unit))
        rounded = b.ir.fptrunc(b.ir.fmul(b.ir.fsub(values, b.splat(zero)), units), vector(F32))
        b.store(b.ir.fadd(rounded, b.splat(b.ir.fptrunc(added, F32))), kinds[3], out, index)

    operands = codes, width, table, out, index, unit, zero, added, shifts, part, bits, largest
    return operation(types.void, generate)(typing_context, *operands)


def _fields(context: Any, builder: Any, kind: Any, value: Any) -> dict[str, Any]:
    """The fields of a NamedTuple by name."""
    return dict(zip(kind.fields, cgutils.unpack_tuple(builder, value, len(kind.fields)), strict=True))


def _store_integers(b: Builder, signed: Any, negative: Any, fields: Any, kind: Any, codes: Any, index: Any) -> None:
    """Store int32 integers, saturated, in the element's encoding; `negative` is the sign of zeros too."""
    bits_less_one = b.ir.sub(b.narrow(fields["bits"]), ir.Constant(I32, 1))
    largest, smallest = b.narrow(fields["largest_integer"]), b.narrow(fields["smallest_integer"])

    def sign_magnitude() -> Any:
        magnitude = b.ir.select(negative, b.ir.sub(b.constant(I32, 0), signed), signed)
        clipped = b.clamp(magnitude, ir.Constant(I32, 0), largest)
        return b.ir.or_(clipped, b.ir.shl(b.ir.zext(negative, vector(I32)), b.splat(bits_less_one)))

    def in_one_piece() -> Any:
        code = b.ir.add(b.clamp(signed, smallest, largest), b.splat(b.narrow(fields["code_offset"])))
        mask = b.ir.sub(b.ir.shl(ir.Constant(I32, 2), bits_less_one), ir.Constant(I32, 1))
        return b.ir.and_(code, b.splat(mask))

    code = b.choose(b.truth(fields["sign_magnitude"]), sign_magnitude, in_one_piece)
    _store_codes(b, code, fields["code_bytes"], kind, codes, index)


def _store_codes(b: Builder, code: Any, width: Any, kind: Any, codes: Any, index: Any) -> None:
    """Store int32 codes in 1, 2 or 4 bytes each."""
    position = b.ir.mul(index, width)

    def in_bytes(count: int) -> None:
        narrow = code if count == 4 else b.ir.trunc(code, vector(ir.IntType(8 * count)))
        b.store(narrow, kind, codes, position)

    b.by_width(width, in_bytes)
