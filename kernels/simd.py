"""Sixteen values to codes by float64, where float32 leaves them in doubt or there is none: LLVM instructions.

LLVM lowers the vectors to whatever the processor has. The arithmetic is that of `encode`, in the same float64, so that
the bits are the same; what is rare (NaN, chance, quirks) is left to it. Each function takes rows of contiguous arrays
and the index of the first of sixteen values.
"""

from typing import Any

from llvmlite import ir
from numba import types

from densimeter.kernels.vectors import (
    F32,
    F64,
    I32,
    I64,
    LANES,
    Builder,
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
def encode_integers(typing_context, values, codes, index, unit, zero, minimum, element):  # type: ignore[no-untyped-def]
    """Codes of integers: float32(x - minimum) / unit, rounded, plus zero, saturated; `element`: ElementFields."""

    def generate(b: Builder, kinds: Any, operands: Any, context: Any) -> None:
        values, codes, index, unit, zero, minimum, element = operands
        fields = _fields(context, b.ir, kinds[6], element)
        bits = b.load(kinds[0], values, index, I32)
        offset = b.ir.fsub(b.ir.bitcast(bits, vector(F32)), b.splat(b.ir.fptrunc(minimum, F32)))
        negative = b.ir.icmp_signed("<", b.ir.bitcast(offset, vector(I32)), b.constant(I32, 0))
        flipped = b.splat(b.ir.fcmp_ordered("<", unit, ir.Constant(F64, 0.0)))
        negative = b.ir.xor(negative, flipped)
        magnitude = b.ir.fpext(b.call(f"llvm.fabs.v{LANES}f32", vector(F32), offset), vector(F64))
        magnitude = b.smaller(magnitude, b.constant(F64, _LARGEST_FLOAT32))
        magnitude_unit = b.call("llvm.fabs.f64", F64, unit)
        units = b.ir.fmul(b.ir.fdiv(magnitude, b.splat(magnitude_unit)), b.splat(fields["units"]))
        rounded = b.round(b.smaller(units, b.constant(F64, _MANY)), fields["rounding"])
        signed = b.ir.select(negative, b.ir.sub(b.constant(I32, 0), rounded), rounded)
        shifted = b.ir.add(signed, b.splat(b.ir.fptosi(zero, I32)))
        _store_integers(b, shifted, negative, fields, kinds[1], codes, index)

    operands = values, codes, index, unit, zero, minimum, element
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
def encode_floats(typing_context, values, codes, index, unit, element, fields, top):  # type: ignore[no-untyped-def]
    """Codes of floats with a hidden bit: |x| / unit, rounded; magnitude codes beyond the largest become `top`.

    `element`: ElementFields, `fields`: FloatFields.
    """

    def generate(b: Builder, kinds: Any, operands: Any, context: Any) -> None:
        values, codes, index, unit, element, fields, top = operands
        e, f = _fields(context, b.ir, kinds[4], element), _fields(context, b.ir, kinds[5], fields)
        bits = b.load(kinds[0], values, index, I32)
        magnitude = b.ir.bitcast(b.ir.and_(bits, b.constant(I32, _MAGNITUDE)), vector(F32))
        quotient = b.ir.fdiv(b.ir.fpext(magnitude, vector(F64)), b.splat(unit))
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

    operands = values, codes, index, unit, element, fields, top
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
