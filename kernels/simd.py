"""Sixteen values at a time: the vector operations under the codec, as LLVM instructions.

LLVM lowers the vectors to whatever the processor has. The arithmetic is that of `encode` and `decode_float`, in the
same float64, so that the bits are the same; what is rare (NaN, chance, quirks) is left to them. Each function takes
rows of contiguous arrays and the index of the first of sixteen values.
"""

from collections.abc import Callable
from typing import Any

import numba.core.cgutils
import numba.extending
from llvmlite import ir
from numba import types

from densimeter.kernels.bits import SQRT2_MANTISSA
from densimeter.kernels.parameters import NEAREST_AWAY, NEAREST_EVEN, TOWARD_ZERO

LANES = 16

# Untyped: what these return is called with operands that type checkers do not see.
cgutils: Any = numba.core.cgutils
intrinsic: Any = numba.extending.intrinsic

_I32, _I64, _F32, _F64 = ir.IntType(32), ir.IntType(64), ir.FloatType(), ir.DoubleType()
_MAGNITUDE = 0x7FFFFFFF
_EXPONENT_SHIFT, _EXPONENT_MASK, _EXPONENT_BIAS = 52, 0x7FF << 52, 1023
_MANY = 2.0**30  # more units than any element has
_LARGEST_FLOAT32 = float.fromhex("0x1.fffffep127")

Generator = Callable[[Any, Any, Any, Any], Any]


def vector(kind: Any) -> Any:
    return ir.VectorType(kind, LANES)


class Builder:
    """An LLVM builder that knows vectors of sixteen; scalars among operands become vectors of equal lanes."""

    def __init__(self, context: Any, builder: Any) -> None:
        self.context, self.ir = context, builder

    def use_widest_vectors(self) -> None:
        """Let the function being built, kept apart from its callers, use vectors of 512 bits where there are such.

        LLVM avoids them by default, since they slowed the clock of early processors. llvmlite knows no attribute with a
        value, so that this one has to be put past its check.
        """
        self.ir.function.attributes.add("noinline")
        set.add(self.ir.function.attributes, '"prefer-vector-width"="512"')

    def constant(self, kind: Any, value: Any) -> Any:
        return ir.Constant(vector(kind), [value] * LANES)

    def splat(self, scalar: Any) -> Any:
        undefined = ir.Constant(vector(scalar.type), ir.Undefined)
        first = self.ir.insert_element(undefined, scalar, ir.Constant(_I32, 0))
        return self.ir.shuffle_vector(first, undefined, ir.Constant(vector(_I32), [0] * LANES))

    def call(self, name: str, result: Any, *operands: Any) -> Any:
        signature = ir.FunctionType(result, [operand.type for operand in operands])
        return self.ir.call(cgutils.get_or_insert_function(self.ir.module, signature, name), operands)

    def pointer(self, array_type: Any, array: Any, index: Any) -> Any:
        return self.ir.gep(self.context.make_array(array_type)(self.context, self.ir, array).data, [index])

    def load(self, array_type: Any, array: Any, index: Any, kind: Any) -> Any:
        address = self.ir.bitcast(self.pointer(array_type, array, index), vector(kind).as_pointer())
        loaded = self.ir.load(address, typ=vector(kind))
        loaded.align = array_type.dtype.bitwidth // 8
        return loaded

    def gather(self, base: Any, positions: Any) -> Any:
        """float64 lanes from an array."""
        addresses = self.ir.gep(self.splat(base), [positions], source_etype=_F64)
        lanes, nothing = self.constant(ir.IntType(1), 1), self.constant(_F64, 0.0)
        name = f"llvm.masked.gather.v{LANES}f64.v{LANES}p0"
        return self.call(name, vector(_F64), addresses, ir.Constant(_I32, 8), lanes, nothing)

    def store(self, value: Any, array_type: Any, array: Any, index: Any) -> None:
        address = self.ir.bitcast(self.pointer(array_type, array, index), value.type.as_pointer())
        self.ir.store(value, address).align = array_type.dtype.bitwidth // 8

    def choose(self, condition: Any, then: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
        """One of two values (or of two effects), of which only the chosen one is computed."""
        with self.ir.if_else(condition) as (first, second):
            with first:
                left = then()
                left_block = self.ir.block
            with second:
                right = otherwise()
                right_block = self.ir.block
        if left is None:
            return None
        chosen = self.ir.phi(left.type)
        chosen.add_incoming(left, left_block)
        chosen.add_incoming(right, right_block)
        return chosen

    def by_width(self, width: Any, make: Callable[[int], Any]) -> Any:
        """What `make` makes for 1, 2 or 4 bytes, whichever `width` says."""

        def is_width(count: int) -> Any:
            return self.ir.icmp_signed("==", width, ir.Constant(width.type, count))

        return self.choose(
            is_width(1), lambda: make(1), lambda: self.choose(is_width(2), lambda: make(2), lambda: make(4))
        )

    def quotient(self, value: Any, unit: Any, inverse: Any) -> Any:
        """value / unit; by multiplication where the inverse is exact (else it is given as zero)."""
        exact = self.ir.fcmp_unordered("!=", inverse, ir.Constant(_F64, 0.0))
        product = lambda: self.ir.fmul(value, self.splat(inverse))  # noqa: E731
        return self.choose(exact, product, lambda: self.ir.fdiv(value, self.splat(unit)))

    def round(self, value: Any, rounding: Any) -> Any:
        """Non-negative numbers rounded to integers: nearest even, toward zero or nearest away, as int32."""

        def by(name: str) -> Callable[[], Any]:
            return lambda: self.call(f"llvm.{name}.v{LANES}f64", vector(_F64), value)

        def mode(code: int) -> Any:
            return self.ir.icmp_signed("==", rounding, ir.Constant(rounding.type, code))

        rounded = self.choose(
            mode(NEAREST_EVEN), by("rint"), lambda: self.choose(mode(TOWARD_ZERO), by("trunc"), by("round"))
        )
        return self.ir.fptosi(rounded, vector(_I32))

    def smaller(self, left: Any, right: Any) -> Any:
        return self.call(f"llvm.minnum.v{LANES}f64", vector(_F64), left, right)

    def clamp(self, value: Any, low: Any, high: Any) -> Any:
        """int32 lanes within two scalars."""
        raised = self.call(f"llvm.smax.v{LANES}i32", vector(_I32), value, self.splat(low))
        return self.call(f"llvm.smin.v{LANES}i32", vector(_I32), raised, self.splat(high))

    def narrow(self, scalar: Any) -> Any:
        return self.ir.trunc(scalar, _I32)

    def truth(self, scalar: Any) -> Any:
        """A boolean, however it is held."""
        return self.ir.icmp_unsigned("!=", scalar, ir.Constant(scalar.type, 0))


def operation(result: Any, generate: Generator) -> Callable[..., Any]:
    """An intrinsic of any operands: `generate(builder, operand types, operands, context)`."""

    def typing(context: Any, *operands: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            made = generate(Builder(context, builder), signature.args, values, context)
            return context.get_dummy_value() if made is None else made

        return result(*operands), codegen

    return typing


@intrinsic
def largest_magnitude_bits(typing_context, values, index):  # type: ignore[no-untyped-def]
    """The largest of the bit patterns of |values[index:index + 16]|, float32, as uint32."""

    def generate(b: Builder, kinds: Any, operands: Any, context: Any) -> Any:
        bits = b.load(kinds[0], operands[0], operands[1], _I32)
        return b.call(f"llvm.vector.reduce.umax.v{LANES}i32", _I32, b.ir.and_(bits, b.constant(_I32, _MAGNITUDE)))

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
        values = b.ir.bitcast(b.load(kinds[0], operands[0], operands[1], _I32), vector(_F32))
        return b.call(f"llvm.vector.reduce.{name}.v{LANES}f32", _F32, values)

    return generate


@intrinsic
def shift_parts(typing_context, values, out, index, top, width, bits, largest):  # type: ignore[no-untyped-def]
    """Shift parts of `width` values (1, 2, 4, 8 or 16) up by their microexponents, into `out`.

    A part's microexponent is `top` less the exponent of its largest magnitude, from 0 to `largest`, which a part of
    zeros has. Returns those of the 16 / width parts, `bits` each, the first in the low bits, as int64.
    """

    def generate(b: Builder, kinds: Any, operands: Any, context: Any) -> Any:
        values, out, index, top, width, bits, largest = operands
        x = b.load(kinds[0], values, index, _I32)
        part = cgutils.alloca_once_value(b.ir, b.ir.and_(x, b.constant(_I32, _MAGNITUDE)))
        for distance in (1, 2, 4, 8):
            with b.ir.if_then(b.ir.icmp_signed(">", width, ir.Constant(_I64, distance))):
                held = b.ir.load(part)
                order = ir.Constant(vector(_I32), [lane ^ distance for lane in range(LANES)])
                other = b.ir.shuffle_vector(held, held, order)
                b.ir.store(b.call(f"llvm.umax.v{LANES}i32", vector(_I32), held, other), part)
        magnitude = b.ir.fpext(b.ir.bitcast(b.ir.load(part), vector(_F32)), vector(_F64))
        biased = b.ir.lshr(b.ir.bitcast(magnitude, vector(_I64)), b.constant(_I64, _EXPONENT_SHIFT))
        exponent = b.ir.trunc(biased, vector(_I32))
        biased_top = b.ir.add(b.narrow(top), ir.Constant(_I32, _EXPONENT_BIAS))
        distance_below = b.ir.sub(b.splat(biased_top), exponent)
        shift = b.clamp(distance_below, ir.Constant(_I32, 0), b.narrow(largest))
        power = b.ir.shl(b.ir.add(shift, b.constant(_I32, 127)), b.constant(_I32, 23))
        scaled = b.ir.fmul(b.ir.bitcast(x, vector(_F32)), b.ir.bitcast(power, vector(_F32)))
        b.store(b.ir.bitcast(scaled, vector(_I32)), kinds[1], out, index)
        lane = ir.Constant(vector(_I64), list(range(LANES)))
        within = b.ir.and_(lane, b.splat(b.ir.sub(width, ir.Constant(_I64, 1))))
        leads = b.ir.icmp_unsigned("==", within, b.constant(_I64, 0))
        position = b.ir.mul(b.ir.udiv(lane, b.splat(width)), b.splat(bits))
        placed = b.ir.shl(b.ir.zext(shift, vector(_I64)), position)
        kept = b.ir.select(leads, placed, b.constant(_I64, 0))
        return b.call(f"llvm.vector.reduce.or.v{LANES}i64", _I64, kept)

    operands = values, out, index, top, width, bits, largest
    return operation(types.int64, generate)(typing_context, *operands)


@intrinsic
def encode_integers(typing_context, values, codes, index, unit, inverse, zero, minimum, element):  # type: ignore[no-untyped-def]
    """Codes of integers: float32(x - minimum) / unit, rounded, plus zero, saturated; `element`: ElementFields."""

    def generate(b: Builder, kinds: Any, operands: Any, context: Any) -> None:
        values, codes, index, unit, inverse, zero, minimum, element = operands
        fields = _fields(context, b.ir, kinds[7], element)
        bits = b.load(kinds[0], values, index, _I32)
        offset = b.ir.fsub(b.ir.bitcast(bits, vector(_F32)), b.splat(b.ir.fptrunc(minimum, _F32)))
        negative = b.ir.icmp_signed("<", b.ir.bitcast(offset, vector(_I32)), b.constant(_I32, 0))
        flipped = b.splat(b.ir.fcmp_ordered("<", unit, ir.Constant(_F64, 0.0)))
        negative = b.ir.xor(negative, flipped)
        magnitude = b.ir.fpext(b.call(f"llvm.fabs.v{LANES}f32", vector(_F32), offset), vector(_F64))
        magnitude = b.smaller(magnitude, b.constant(_F64, _LARGEST_FLOAT32))
        magnitude_unit = b.call("llvm.fabs.f64", _F64, unit)
        units = b.ir.fmul(b.quotient(magnitude, magnitude_unit, inverse), b.splat(fields["units"]))
        rounded = b.round(b.smaller(units, b.constant(_F64, _MANY)), fields["rounding"])
        signed = b.ir.select(negative, b.ir.sub(b.constant(_I32, 0), rounded), rounded)
        shifted = b.ir.add(signed, b.splat(b.ir.fptosi(zero, _I32)))
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
            low = b.call(f"llvm.maxnum.v{LANES}f32", vector(_F32), value, b.constant(_F32, -_LARGEST_FLOAT32))
            return b.call(f"llvm.minnum.v{LANES}f32", vector(_F32), low, b.constant(_F32, _LARGEST_FLOAT32))

        x = b.ir.bitcast(b.load(kinds[0], values, index, _I32), vector(_F32))
        offset = saturate(b.ir.fsub(x, b.splat(b.ir.fptrunc(minimum, _F32))))
        quotient = saturate(b.ir.fmul(offset, b.splat(b.ir.fptrunc(reciprocal, _F32))))
        negative = b.ir.fcmp_ordered("<", quotient, b.constant(_F32, 0.0))
        away = b.ir.icmp_signed("==", fields["rounding"], ir.Constant(_I64, NEAREST_AWAY))
        code_offset = fields["code_offset"]

        def whole(value: Any) -> Any:
            wide = b.ir.fpext(value, vector(_F64))
            low = b.call(f"llvm.maxnum.v{LANES}f64", vector(_F64), wide, b.constant(_F64, -_MANY))
            return b.ir.fptosi(b.smaller(low, b.constant(_F64, _MANY)), vector(_I32))

        def nearest_away() -> Any:
            return whole(b.call(f"llvm.round.v{LANES}f32", vector(_F32), quotient))

        def nearest_up() -> Any:
            half = b.ir.fadd(b.ir.sitofp(code_offset, _F32), ir.Constant(_F32, 0.5))
            added = saturate(b.ir.fadd(quotient, b.splat(half)))
            return b.ir.sub(whole(added), b.splat(b.narrow(code_offset)))  # truncates, as C does

        signed = b.choose(away, nearest_away, nearest_up)
        negative = b.ir.icmp_signed("<", signed, b.constant(_I32, 0))
        _store_integers(b, signed, negative, fields, kinds[1], codes, index)

    operands = values, codes, index, reciprocal, minimum, element
    return operation(types.void, generate)(typing_context, *operands)


@intrinsic
def encode_logs(typing_context, values, codes, index, inverse, element):  # type: ignore[no-untyped-def]
    """Codes of logarithms: the exponent of |x| * inverse, rounded; `element`: ElementFields."""

    def generate(b: Builder, kinds: Any, operands: Any, context: Any) -> None:
        values, codes, index, inverse, element = operands
        fields = _fields(context, b.ir, kinds[4], element)
        bits = b.load(kinds[0], values, index, _I32)
        magnitude = b.ir.bitcast(b.ir.and_(bits, b.constant(_I32, _MAGNITUDE)), vector(_F32))
        quotient = b.ir.fmul(b.ir.fpext(magnitude, vector(_F64)), b.splat(inverse))
        wide = b.ir.bitcast(quotient, vector(_I64))
        fraction = b.ir.and_(wide, b.constant(_I64, (1 << _EXPONENT_SHIFT) - 1))
        toward_zero = b.ir.icmp_signed("==", fields["rounding"], ir.Constant(_I64, TOWARD_ZERO))
        threshold = b.ir.select(
            toward_zero, ir.Constant(_I64, 1 << _EXPONENT_SHIFT), ir.Constant(_I64, int(SQRT2_MANTISSA))
        )
        up = b.ir.zext(b.ir.icmp_signed(">", fraction, b.splat(threshold)), vector(_I64))
        exponent = b.ir.add(b.ir.lshr(wide, b.constant(_I64, _EXPONENT_SHIFT)), up)
        offset = b.ir.sub(fields["log_bias"], ir.Constant(_I64, _EXPONENT_BIAS))
        field = b.ir.trunc(b.ir.add(exponent, b.splat(offset)), vector(_I32))
        field = b.clamp(field, ir.Constant(_I32, 0), b.narrow(fields["log_largest_field"]))
        zero = b.ir.fcmp_ordered("==", quotient, b.constant(_F64, 0.0))
        field = b.ir.select(zero, b.constant(_I32, 0), field)
        sign_shift = b.ir.sub(b.narrow(fields["bits"]), ir.Constant(_I32, 1))
        sign = b.ir.shl(b.ir.lshr(bits, b.constant(_I32, 31)), b.splat(sign_shift))
        _store_codes(b, b.ir.or_(field, sign), fields["code_bytes"], kinds[1], codes, index)

    operands = values, codes, index, inverse, element
    return operation(types.void, generate)(typing_context, *operands)


@intrinsic
def encode_levels(typing_context, values, codes, index, unit, element, ladder):  # type: ignore[no-untyped-def]
    """Codes of a codebook: the rank of x among its thresholds times unit, by halving; `ladder`: `parameters.ladder`."""

    def generate(b: Builder, kinds: Any, operands: Any, context: Any) -> None:
        values, codes, index, unit, element, ladder = operands
        fields = _fields(context, b.ir, kinds[4], element)
        bits = b.load(kinds[0], values, index, _I32)
        x = b.ir.fpext(b.ir.bitcast(bits, vector(_F32)), vector(_F64))
        base = context.make_array(kinds[5])(context, b.ir, ladder).data
        width = b.narrow(b.ir.shl(ir.Constant(_I64, 1), fields["bits"]))

        def row(number: int, ranks: Any) -> Any:
            start = b.ir.mul(width, ir.Constant(_I32, number))
            return b.gather(base, b.ir.add(ranks, b.splat(start)))

        rank = cgutils.alloca_once_value(b.ir, b.constant(_I32, 0))
        step = cgutils.alloca_once_value(b.ir, b.ir.lshr(width, ir.Constant(_I32, 1)))
        with cgutils.for_range(b.ir, fields["bits"]):
            stride = b.splat(b.ir.load(step))
            before = b.ir.load(rank)
            tried = b.ir.sub(b.ir.add(before, stride), b.constant(_I32, 1))
            difference = b.ir.fsub(x, b.ir.fmul(row(2, tried), b.splat(unit)))
            above = b.ir.fcmp_ordered(">", difference, row(3, tried))
            b.ir.store(b.ir.select(above, b.ir.add(before, stride), before), rank)
            b.ir.store(b.ir.lshr(b.ir.load(step), ir.Constant(_I32, 1)), step)
        ranks = b.ir.load(rank)
        code = b.ir.fptosi(row(1, ranks), vector(_I32))
        negative_zero = b.narrow(fields["negative_zero_code"])
        level_is_zero = b.ir.fcmp_ordered("==", row(0, ranks), b.constant(_F64, 0.0))
        negative = b.ir.icmp_signed("<", bits, b.constant(_I32, 0))
        has_negative_zero = b.splat(b.ir.icmp_signed(">=", negative_zero, ir.Constant(_I32, 0)))
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
        bits = b.load(kinds[0], values, index, _I32)
        magnitude = b.ir.bitcast(b.ir.and_(bits, b.constant(_I32, _MAGNITUDE)), vector(_F32))
        quotient = b.quotient(b.ir.fpext(magnitude, vector(_F64)), unit, inverse)
        beyond = b.ir.fmul(e["largest"], ir.Constant(_F64, 2.0))  # rounds to a code above the largest
        quotient = b.smaller(quotient, b.splat(beyond))
        lowest = b.ir.add(f["lowest_exponent"], ir.Constant(_I64, _EXPONENT_BIAS))
        lowest_bits = b.splat(b.ir.shl(lowest, ir.Constant(_I64, _EXPONENT_SHIFT)))
        exponent = b.ir.and_(b.ir.bitcast(quotient, vector(_I64)), b.constant(_I64, _EXPONENT_MASK))
        exponent = b.call(f"llvm.smax.v{LANES}i64", vector(_I64), exponent, lowest_bits)
        two_biases = b.ir.add(f["mantissa_bits"], ir.Constant(_I64, 2 * _EXPONENT_BIAS))
        scale = b.ir.sub(b.splat(b.ir.shl(two_biases, ir.Constant(_I64, _EXPONENT_SHIFT))), exponent)
        units = b.round(b.ir.fmul(quotient, b.ir.bitcast(scale, vector(_F64))), e["rounding"])
        field = b.ir.lshr(b.ir.sub(exponent, lowest_bits), b.constant(_I64, _EXPONENT_SHIFT))
        mantissa_bits = b.splat(b.narrow(f["mantissa_bits"]))
        code = b.ir.add(b.ir.shl(b.ir.trunc(field, vector(_I32)), mantissa_bits), units)
        too_large = b.ir.icmp_signed(">", code, b.splat(b.narrow(f["largest_code"])))
        code = b.ir.select(too_large, b.splat(b.narrow(top)), code)
        flushed = b.ir.icmp_signed("<", code, b.splat(b.narrow(f["flush_below_code"])))
        code = b.ir.select(flushed, b.constant(_I32, 0), code)
        sign = b.ir.lshr(bits, b.constant(_I32, 31))
        keeps_sign = b.splat(b.truth(f["negative_zero"]))
        signed = b.ir.or_(keeps_sign, b.ir.icmp_signed("!=", code, b.constant(_I32, 0)))
        sign = b.ir.and_(sign, b.ir.zext(signed, vector(_I32)))
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
            return narrow if count == 4 else b.ir.zext(narrow, vector(_I32))

        def shifted_units() -> Any:
            lane = ir.Constant(vector(_I64), list(range(LANES)))
            position = b.ir.mul(b.ir.udiv(lane, b.splat(part)), b.splat(bits))
            shift = b.ir.and_(b.ir.lshr(b.splat(shifts), position), b.splat(largest))
            biased = b.ir.sub(b.constant(_I64, _EXPONENT_BIAS), shift)
            power = b.ir.bitcast(b.ir.shl(biased, b.constant(_I64, _EXPONENT_SHIFT)), vector(_F64))
            return b.ir.fmul(b.splat(unit), power)

        base = context.make_array(kinds[2])(context, b.ir, table).data
        values = b.gather(base, b.by_width(width, positions))
        units = b.choose(b.truth(largest), shifted_units, lambda: b.splat(unit))
        rounded = b.ir.fptrunc(b.ir.fmul(b.ir.fsub(values, b.splat(zero)), units), vector(_F32))
        b.store(b.ir.fadd(rounded, b.splat(b.ir.fptrunc(added, _F32))), kinds[3], out, index)

    operands = codes, width, table, out, index, unit, zero, added, shifts, part, bits, largest
    return operation(types.void, generate)(typing_context, *operands)


def _fields(context: Any, builder: Any, kind: Any, value: Any) -> dict[str, Any]:
    """The fields of a NamedTuple by name."""
    return dict(zip(kind.fields, cgutils.unpack_tuple(builder, value, len(kind.fields)), strict=True))


def _store_integers(b: Builder, signed: Any, negative: Any, fields: Any, kind: Any, codes: Any, index: Any) -> None:
    """Store int32 integers, saturated, in the element's encoding; `negative` is the sign of zeros too."""
    bits_less_one = b.ir.sub(b.narrow(fields["bits"]), ir.Constant(_I32, 1))
    largest, smallest = b.narrow(fields["largest_integer"]), b.narrow(fields["smallest_integer"])

    def sign_magnitude() -> Any:
        magnitude = b.ir.select(negative, b.ir.sub(b.constant(_I32, 0), signed), signed)
        clipped = b.clamp(magnitude, ir.Constant(_I32, 0), largest)
        return b.ir.or_(clipped, b.ir.shl(b.ir.zext(negative, vector(_I32)), b.splat(bits_less_one)))

    def in_one_piece() -> Any:
        code = b.ir.add(b.clamp(signed, smallest, largest), b.splat(b.narrow(fields["code_offset"])))
        mask = b.ir.sub(b.ir.shl(ir.Constant(_I32, 2), bits_less_one), ir.Constant(_I32, 1))
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
