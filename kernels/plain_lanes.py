"""Sixteen plain numbers to codes or values, in float32 throughout: the vector operations under `plain`.

Half the width of float64 is twice the lanes, and still exact. A float32 times a power of two, taken in two steps so
that no factor leaves its range, has no error but far below the smallest code, where every rounding gives zero. A
quotient by any other number is within 2^-22 of the product with the float32 reciprocal: where that leaves a lane in
doubt, the operation says so, and `simd` decides in float64.
"""

from typing import Any

from llvmlite import ir
from numba import types

from densimeter.kernels.bits import SQRT2_MANTISSA
from densimeter.kernels.parameters import NEAREST_AWAY, NEAREST_EVEN, TOWARD_ZERO
from densimeter.kernels.plain_plan import (
    ALIGNED,
    FLOATS,
    INTEGERS,
    LOGS,
    MAGNITUDES,
    MANTISSA_BITS,
    NO_HIDDEN,
    RECIPROCALS,
    SATURATING,
)
from densimeter.kernels.vectors import F32, F64, I32, I64, LANES, Builder, cgutils, intrinsic, operation, vector

_SIGN, _MAGNITUDE, _EXPONENT = 1 << 31, 0x7FFFFFFF, 0x7F800000
_BIAS = 127
_DOUBT = 2.0**-21  # relative: the reciprocal's and the product's rounding, twice over
_MANY = 2.0**30  # more units than any element has
_LARGEST_FLOAT32 = float.fromhex("0x1.fffffep127")
_PAIR: Any = types.UniTuple(types.float32, 2)  # type: ignore[no-untyped-call]
_NORMALISING = 32  # binary places that make any float32 but zero a normal one


@intrinsic(prefer_literal=True)
def encode_plain(  # type: ignore[no-untyped-def]
    typing_context, values, index, out, share, e, f, kind, rounding, width, exact, pushed, part, part_bits
):
    """Encode values[index:index + 16] to codes of `width` bytes; of width 0, to float32
    values.

    share: what the block shares, float32: two factors whose product is the inverse of its scale times the element's
    units, what is added to an integer (or to a biased exponent), the minimum, the epsilon; for values two factors back;
    the exponent of the block less the microexponents.
    e, f: ElementFields, FloatFields. The others are literals: the fields of a `Plan`.
    Returns whether a lane is in doubt (codes that are not `exact`), or the microexponents of all parts.
    """
    literals = tuple(one.literal_value for one in (kind, rounding, width, exact, pushed, part, part_bits))

    def generate(b: Builder, kinds: Any, operands: Any, context: Any) -> Any:
        values, index, out, share, e, f = operands[:6]
        shared = cgutils.unpack_tuple(b.ir, share, len(kinds[3]))
        lanes = _Lanes(
            b, shared, fields_of(context, b.ir, kinds[4], e), fields_of(context, b.ir, kinds[5], f), *literals
        )
        result, told = lanes.encode(b.load(kinds[0], values, index, I32))
        code_bytes = literals[2]
        if code_bytes:
            narrow = result if code_bytes == 4 else b.ir.trunc(result, vector(ir.IntType(8 * code_bytes)))
            b.store(narrow, kinds[2], out, b.ir.mul(index, ir.Constant(I64, code_bytes)))
        else:
            b.store(lanes.bits(result), kinds[2], out, index)
        return ir.Constant(I64, 0) if told is None else told

    operands = values, index, out, share, e, f, kind, rounding, width, exact, pushed, part, part_bits
    return operation(types.int64, generate)(typing_context, *operands)


@intrinsic(prefer_literal=True)
def look_up(typing_context, values, index, codes, first, second, shift, lowest, cells, width):  # type: ignore[no-untyped-def]
    """Codes of a codebook, of `width` bytes (a literal), by the cell of values[index:index + 16] times two factors.

    shift, lowest, cells: `plan.Cells`. Returns whether a lane is in doubt.
    """

    def generate(b: Builder, kinds: Any, operands: Any, context: Any) -> Any:
        values, index, codes, first, second, shift, lowest, cells, _ = operands
        x = b.ir.bitcast(b.load(kinds[0], values, index, I32), vector(F32))
        x = b.ir.fmul(b.ir.fmul(x, b.splat(first)), b.splat(second))
        bits = b.ir.bitcast(x, vector(I32))
        upper = b.ir.lshr(b.ir.and_(bits, b.constant(I32, _MAGNITUDE)), b.splat(b.narrow(shift)))
        table = context.make_array(kinds[7])(context, b.ir, cells)
        half = b.narrow(b.ir.lshr(table.nitems, ir.Constant(I64, 1)))
        within = b.ir.sub(upper, b.splat(b.narrow(lowest)))
        within = b.clamp(within, ir.Constant(I32, 0), b.ir.sub(half, ir.Constant(I32, 1)))
        negative = b.ir.icmp_signed("<", bits, b.constant(I32, 0))
        position = b.ir.add(within, b.ir.select(negative, b.splat(half), b.constant(I32, 0)))
        addresses = b.ir.gep(b.splat(table.data), [position], source_etype=I64)
        lanes, nothing = b.constant(ir.IntType(1), 1), b.constant(I64, 0)
        name = f"llvm.masked.gather.v{LANES}i64.v{LANES}p0"
        cell = b.call(name, vector(I64), addresses, ir.Constant(I32, 8), lanes, nothing)
        threshold = b.ir.bitcast(b.ir.trunc(cell, vector(I32)), vector(F32))
        pair = b.ir.trunc(b.ir.lshr(cell, b.constant(I64, 32)), vector(I32))
        above = b.ir.lshr(pair, b.constant(I32, 16))
        below = b.ir.and_(pair, b.constant(I32, 0xFFFF))
        code = b.ir.select(b.ir.fcmp_ordered(">", x, threshold), above, below)
        count = width.literal_value
        narrow = b.ir.trunc(code, vector(ir.IntType(8 * count)))
        b.store(narrow, kinds[2], codes, b.ir.mul(index, ir.Constant(I64, count)))
        room = b.ir.fmul(b.magnitude(x), b.constant(F32, _DOUBT))
        return any_of(b, b.ir.fcmp_ordered("<=", b.magnitude(b.ir.fsub(x, threshold)), room))

    operands = values, index, codes, first, second, shift, lowest, cells, width
    return operation(types.int64, generate)(typing_context, *operands)


@intrinsic
def largest_of_many(typing_context, values, start, stop):  # type: ignore[no-untyped-def]
    """The largest bit pattern of |values[start:stop]|, sixteen or more, as uint32; NaN has the largest of all."""

    def generate(b: Builder, kinds: Any, operands: Any, context: Any) -> Any:
        values, start, stop = operands
        last = b.ir.sub(stop, ir.Constant(I64, LANES))

        def magnitudes(index: Any) -> Any:
            return b.ir.and_(b.load(kinds[0], values, index, I32), b.constant(I32, _MAGNITUDE))

        largest = cgutils.alloca_once_value(b.ir, magnitudes(last))  # these may overlap the others
        with cgutils.for_range_slice(b.ir, start, last, ir.Constant(I64, LANES), I64) as (index, _):
            held = b.ir.load(largest)
            b.ir.store(b.call(f"llvm.umax.v{LANES}i32", vector(I32), held, magnitudes(index)), largest)
        return b.call(f"llvm.vector.reduce.umax.v{LANES}i32", I32, b.ir.load(largest))

    return operation(types.uint32, generate)(typing_context, values, start, stop)


@intrinsic
def range_of_many(typing_context, values, start, stop):  # type: ignore[no-untyped-def]
    """(least, greatest) of values[start:stop], sixteen or more and all numbers, as float32."""

    def generate(b: Builder, kinds: Any, operands: Any, context: Any) -> Any:
        values, start, stop = operands
        last = b.ir.sub(stop, ir.Constant(I64, LANES))

        def numbers(index: Any) -> Any:
            return b.ir.bitcast(b.load(kinds[0], values, index, I32), vector(F32))

        def less(left: Any, right: Any) -> Any:
            return b.ir.select(b.ir.fcmp_ordered("<", left, right), left, right)

        least = cgutils.alloca_once_value(b.ir, numbers(last))  # these may overlap the others
        opposite = cgutils.alloca_once_value(b.ir, b.ir.fneg(numbers(last)))
        with cgutils.for_range_slice(b.ir, start, last, ir.Constant(I64, LANES), I64) as (index, _):
            x = numbers(index)
            b.ir.store(less(b.ir.load(least), x), least)
            b.ir.store(less(b.ir.load(opposite), b.ir.fneg(x)), opposite)
        both = b.ir.load(least), b.ir.load(opposite)  # in one vector from here on, half of it each
        half = LANES // 2
        lower, upper = ([i + side for side in (0, LANES) for i in range(first, first + half)] for first in (0, half))
        found = less(*(b.ir.shuffle_vector(*both, ir.Constant(vector(I32), order)) for order in (lower, upper)))
        for distance in (4, 2, 1):
            order = ir.Constant(vector(I32), [lane ^ distance for lane in range(LANES)])
            found = less(found, b.ir.shuffle_vector(found, found, order))
        low, high = (b.ir.extract_element(found, ir.Constant(I32, lane)) for lane in (0, half))
        return context.make_tuple(b.ir, _PAIR, (low, b.ir.fneg(high)))

    return operation(_PAIR, generate)(typing_context, values, start, stop)


@intrinsic
def fetch(typing_context, values, index):  # type: ignore[no-untyped-def]
    """Have the cache line of values[index], float32, brought nearer; the index may be outside of the array."""

    def generate(b: Builder, kinds: Any, operands: Any, context: Any) -> None:
        address = b.ir.bitcast(b.pointer(kinds[0], *operands), ir.IntType(8).as_pointer())
        read, near, data = (ir.Constant(I32, number) for number in (0, 3, 1))
        b.call("llvm.prefetch.p0", ir.VoidType(), address, read, near, data)

    return operation(types.void, generate)(typing_context, values, index)


@intrinsic
def use_widest_vectors(typing_context):  # type: ignore[no-untyped-def]
    """Let the function that calls this use vectors of 512 bits."""

    def generate(b: Builder, kinds: Any, operands: Any, context: Any) -> None:
        b.use_widest_vectors()

    return operation(types.void, generate)(typing_context)


def fields_of(context: Any, builder: Any, kind: Any, value: Any) -> dict[str, Any]:
    """The fields of a NamedTuple by name."""
    return dict(zip(kind.fields, cgutils.unpack_tuple(builder, value, len(kind.fields)), strict=True))


def any_of(b: Builder, lanes: Any) -> Any:
    mask = b.ir.bitcast(lanes, ir.IntType(LANES))
    return b.ir.zext(b.ir.icmp_unsigned("!=", mask, ir.Constant(ir.IntType(LANES), 0)), I64)


class _Lanes:
    """Builds the instructions for one vector: what its block shares, the element's fields, what is known beforehand."""

    def __init__(self, b: Builder, share: Any, e: dict[str, Any], f: dict[str, Any], *literals: int) -> None:
        kind, rounding, width, exact, pushed, part, part_bits = literals
        self.b, self.e, self.f = b, e, f
        self.kind, self.rounding, self.values, self.exact = kind, rounding, width == 0, bool(exact)
        self.pushed, self.part, self.part_bits = bool(pushed), part, part_bits
        floats = [b.splat(one) for one in share[:-1]]
        self.first, self.second, self.added, self.minimum, self.epsilon, self.back, self.back_again = floats
        self.top = share[-1]

    def encode(self, x: Any) -> tuple[Any, Any]:
        """(codes or values, what the operation returns) of float32 bits."""
        make = {
            INTEGERS: self.integers,
            MAGNITUDES: self.magnitudes,
            RECIPROCALS: self.reciprocals,
            FLOATS: self.hidden_bit,
            ALIGNED: self.aligned,
            NO_HIDDEN: self.no_hidden_bit,
            SATURATING: self.saturating,
            LOGS: self.logs,
        }
        return make[self.kind](x)

    # Kinds of elements

    def integers(self, x: Any) -> tuple[Any, Any]:
        """Two's complement or offset: rounded, plus the zero, clipped."""
        b = self.b.ir
        numbers = self.floats(x)
        if not self.exact:
            limits = self.constant(-_LARGEST_FLOAT32), self.constant(_LARGEST_FLOAT32)
            numbers = self.clipped(b.fsub(numbers, self.minimum), *limits)
        units = self.scaled(numbers)
        low, high = self.number(self.e["smallest_integer"]), self.number(self.e["largest_integer"])
        one = self.constant(1.0)
        span = b.fadd(b.fsub(high, low), one)
        units = self.clipped(units, b.fsub(self.constant(0.0), span), span)
        result = self.clipped(b.fadd(self.rounded(units), self.added), low, high)
        told = None if self.exact else self.doubtful(units, span)
        if self.values:
            return self.unscaled(b.fadd(result, self.constant(0.0))), told  # no negative zero
        return self.offset_code(self.whole(result)), told

    def magnitudes(self, x: Any) -> tuple[Any, Any]:
        """Sign and magnitude, which may be shifted by the microexponents of parts."""
        b, told, down = self.b.ir, None, None
        _, magnitude, sign = self.magnitude(x)
        if self.part:
            up, down, told = self.parts(x)
            magnitude = b.fmul(magnitude, up)
        largest = self.number(self.e["largest_integer"])
        units = self.least(self.scaled(magnitude), b.fadd(largest, self.constant(1.0)))
        result = self.least(self.rounded(units), largest)
        if not self.exact:
            told = self.doubtful(units, b.fadd(largest, self.constant(1.0)))
        if self.values:
            shifted = b.fmul(result, down) if self.part else result
            return self.floats(b.or_(self.bits(self.unscaled(shifted)), sign)), told
        return b.or_(self.whole(result), self.sign_to(sign, self.less_one(self.e["bits"]))), told

    def reciprocals(self, x: Any) -> tuple[Any, Any]:
        """ggml's arithmetic (`encode._encode_reciprocal`)."""
        b = self.b.ir
        limit, least, many = self.constant(_LARGEST_FLOAT32), self.constant(-_LARGEST_FLOAT32), self.constant(_MANY)
        minus_many = self.constant(-_MANY)
        difference = self.clipped(b.fsub(self.floats(x), self.minimum), least, limit)
        quotient = self.clipped(b.fmul(difference, self.first), least, limit)
        if self.rounding == NEAREST_AWAY:
            integer = self.whole(self.clipped(self.rounded(quotient), minus_many, many))
        else:
            half = b.fadd(b.sitofp(self.integer(self.e["code_offset"]), vector(F32)), self.constant(0.5))
            integer = self.whole(self.clipped(b.fadd(quotient, half), minus_many, many))  # truncates, as C does
            integer = b.sub(integer, self.integer(self.e["code_offset"]))
        low, high = self.integer(self.e["smallest_integer"]), self.integer(self.e["largest_integer"])
        integer = self.b.call(f"llvm.smax.v{LANES}i32", vector(I32), integer, low)
        return self.offset_code(self.b.call(f"llvm.smin.v{LANES}i32", vector(I32), integer, high)), None

    def hidden_bit(self, x: Any) -> tuple[Any, Any]:
        """Floats with a hidden bit; a significand that rounds up carries into the exponent by itself."""
        b = self.b.ir
        magnitude, _, sign = self.magnitude(x)
        y = self.least(self.scaled(magnitude), self.beyond())
        exponent, lowest = self.exponent(y), self.exponent_bits(self.f["lowest_exponent"])
        exponent = self.b.call(f"llvm.smax.v{LANES}i32", vector(I32), exponent, lowest)
        units = self.in_units(y, exponent)
        told = None if self.exact else self.doubtful(units, self.significands(2))
        whole = self.rounded(units)
        fields = b.lshr(b.sub(exponent, lowest), self.mantissa_shift())
        code = self.capped(b.add(fields, self.whole(whole)))
        flushed = b.icmp_signed("<", code, self.integer(self.f["flush_below_code"]))
        zero = self.b.constant(I32, 0)
        code = b.select(flushed, zero, code)
        if self.values:
            unit = b.sub(exponent, b.shl(self.integer(self.f["mantissa_bits"]), self.integers_of(MANTISSA_BITS)))
            value = self.least(b.fmul(whole, self.floats(unit)), self.splat_float(self.e["largest"]))
            value = self.floats(b.select(flushed, zero, self.bits(value)))
            return self.floats(b.or_(self.bits(self.unscaled(value)), self.kept_sign(sign, code))), told
        return b.or_(code, self.sign_to(self.kept_sign(sign, code), self.narrow(self.f["sign_shift"]))), told

    def aligned(self, x: Any) -> tuple[Any, Any]:
        """Floats with the exponents of float32: the upper bits, rounded."""
        b = self.b.ir
        magnitude, sign = b.and_(x, self.integers_of(_MAGNITUDE)), b.and_(x, self.integers_of(_SIGN))
        dropped = b.sub(self.integers_of(MANTISSA_BITS), self.integer(self.f["mantissa_bits"]))
        unit = b.shl(self.integers_of(1), dropped)
        half = b.lshr(unit, self.integers_of(1))
        if self.rounding == NEAREST_AWAY:
            magnitude = b.add(magnitude, half)
        elif self.rounding == NEAREST_EVEN:
            odd = b.and_(b.lshr(magnitude, dropped), self.integers_of(1))
            below = b.sub(half, b.and_(self.integers_of(1), b.xor(odd, self.integers_of(1))))
            added = b.select(b.icmp_signed("==", half, self.integers_of(0)), half, below)
            magnitude = b.add(magnitude, added)
        code = self.capped(b.lshr(magnitude, dropped))
        flushed = b.icmp_signed("<", code, self.integer(self.f["flush_below_code"]))
        code = b.select(flushed, self.integers_of(0), code)
        if self.values:
            return self.floats(b.or_(b.shl(code, dropped), sign)), None
        return b.or_(code, self.sign_to(sign, self.narrow(self.f["sign_shift"]))), None

    def no_hidden_bit(self, x: Any) -> tuple[Any, Any]:
        """Floats that store all of their significand, which begins right of the point."""
        b = self.b.ir
        magnitude, _, sign = self.magnitude(x)
        y = self.least(self.scaled(magnitude), self.beyond())
        above = b.add(self.exponent(y), self.integers_of(1 << MANTISSA_BITS))
        lowest = self.exponent_bits(self.f["lowest_exponent"])
        exponent = self.b.call(f"llvm.smax.v{LANES}i32", vector(I32), above, lowest)
        units = self.whole(self.rounded(self.in_units(y, exponent)))
        carry = b.lshr(units, self.integer(self.f["mantissa_bits"]))
        fields = b.lshr(b.sub(exponent, lowest), self.mantissa_shift())
        carried = b.shl(carry, self.integer(self.f["mantissa_bits"]))
        code = self.capped(b.or_(b.add(fields, carried), b.lshr(units, carry)))
        return b.or_(code, self.sign_to(self.kept_sign(sign, code), self.narrow(self.f["sign_shift"]))), None

    def saturating(self, x: Any) -> tuple[Any, Any]:
        """The published rule: the exponent of the pushed magnitude first, then the significand clipped to it."""
        b = self.b.ir
        plain, pushed, sign = self.magnitude(x)
        y, pushed = self.scaled(plain), self.scaled(pushed)
        field = b.lshr(self.bits(pushed), self.integers_of(MANTISSA_BITS))
        fraction = b.and_(self.bits(pushed), self.integers_of((1 << MANTISSA_BITS) - 1))
        hidden = b.icmp_signed("!=", self.integer(self.f["hidden_bit"]), self.integers_of(0))
        up = b.and_(
            b.icmp_signed("!=", fraction, self.integers_of(0)), b.xor(hidden, self.b.constant(ir.IntType(1), 1))
        )
        field = b.add(b.sub(field, self.integers_of(_BIAS)), b.zext(up, vector(I32)))
        field = b.add(field, self.integer(self.f["bias"]))
        field = self.b.clamp(field, ir.Constant(I32, 0), self.narrow(self.f["largest_field"]))
        subnormal = b.and_(hidden, b.icmp_signed("==", field, self.integers_of(0)))
        power = b.sub(b.add(self.integer(self.f["mantissa_bits"]), self.integer(self.f["bias"])), field)
        power = b.add(b.sub(power, b.zext(subnormal, vector(I32))), self.integers_of(_BIAS))
        scaled = b.fmul(y, self.floats(b.shl(power, self.integers_of(MANTISSA_BITS))))
        significand = b.shl(self.integers_of(1), self.integer(self.f["mantissa_bits"]))
        units = self.whole(self.rounded(self.least(scaled, self.constant(_MANY))))
        units = b.sub(units, b.select(b.and_(hidden, b.xor(subnormal, hidden)), significand, self.integers_of(0)))
        largest = b.extract_element(b.sub(significand, self.integers_of(1)), ir.Constant(I32, 0))
        units = self.b.clamp(units, ir.Constant(I32, 0), largest)
        code = b.or_(b.shl(field, self.integer(self.f["mantissa_bits"])), units)
        top = self.integer(self.f["largest_code"])
        code = self.b.call(f"llvm.smin.v{LANES}i32", vector(I32), code, top)
        code = b.select(b.fcmp_ordered("==", y, self.constant(0.0)), self.integers_of(0), code)
        return b.or_(code, self.sign_to(self.kept_sign(sign, code), self.narrow(self.f["sign_shift"]))), None

    def logs(self, x: Any) -> tuple[Any, Any]:
        """Logarithms: the rounded exponent of a float32, plus what `added` makes of it."""
        b = self.b.ir
        _, pushed, sign = self.magnitude(x)
        subnormal = b.icmp_signed("<", self.bits(pushed), self.integers_of(1 << MANTISSA_BITS))
        normal = b.select(subnormal, b.fmul(pushed, self.constant(2.0**_NORMALISING)), pushed)
        field = b.lshr(self.bits(normal), self.integers_of(MANTISSA_BITS))
        if self.rounding != TOWARD_ZERO:
            fraction = b.and_(self.bits(normal), self.integers_of((1 << MANTISSA_BITS) - 1))
            up = b.icmp_signed(">", fraction, self.integers_of(int(SQRT2_MANTISSA) >> (52 - MANTISSA_BITS)))
            field = b.add(field, b.zext(up, vector(I32)))
        field = b.sub(field, b.select(subnormal, self.integers_of(_NORMALISING), self.integers_of(0)))
        field = b.add(b.sub(field, self.integers_of(_BIAS)), self.whole(self.added))
        field = self.b.clamp(field, ir.Constant(I32, 0), self.narrow(self.e["log_largest_field"]))
        zero = b.fcmp_ordered("==", pushed, self.constant(0.0))
        field = b.select(zero, self.integers_of(0), field)
        return b.or_(field, self.sign_to(sign, self.less_one(self.e["bits"]))), None

    # Steps they share

    def magnitude(self, x: Any) -> tuple[Any, Any, Any]:
        """(|x|, |x| with the published epsilon added, sign bit) of float32 bits; both zero where they are flushed."""
        b = self.b.ir
        sign, plain = b.and_(x, self.integers_of(_SIGN)), self.floats(b.and_(x, self.integers_of(_MAGNITUDE)))
        if not self.pushed:
            return plain, plain, sign
        zero = self.constant(0.0)
        kept = b.fcmp_ordered(">", plain, self.minimum)
        sign = b.select(b.fcmp_ordered(">", plain, self.epsilon), sign, self.integers_of(0))
        pushed = b.fadd(plain, self.epsilon)
        return b.select(kept, plain, zero), b.select(kept, pushed, zero), sign

    def parts(self, x: Any) -> tuple[Any, Any, Any]:
        """(powers of two that shift each lane up, and back, the microexponents of all parts, the first one lowest)."""
        b = self.b.ir
        largest = b.and_(x, self.integers_of(_MAGNITUDE))
        distance = 1
        while distance < self.part:
            order = ir.Constant(vector(I32), [lane ^ distance for lane in range(LANES)])
            other = b.shuffle_vector(largest, largest, order)
            largest = self.b.call(f"llvm.umax.v{LANES}i32", vector(I32), largest, other)
            distance *= 2
        exponent = b.lshr(largest, self.integers_of(MANTISSA_BITS))
        top = self.b.splat(b.fptosi(self.top, I32))
        below = b.sub(b.add(top, self.integers_of(_BIAS)), exponent)
        shift = self.b.clamp(below, ir.Constant(I32, 0), ir.Constant(I32, (1 << self.part_bits) - 1))
        mantissa_bits, bias = self.integers_of(MANTISSA_BITS), self.integers_of(_BIAS)
        up, down = (self.floats(b.shl(biased, mantissa_bits)) for biased in (b.add(bias, shift), b.sub(bias, shift)))
        places = [lane // self.part * self.part_bits for lane in range(LANES)]
        leads = [-(lane % self.part == 0) for lane in range(LANES)]
        placed = b.shl(b.and_(shift, ir.Constant(vector(I32), leads)), ir.Constant(vector(I32), places))
        told = self.b.call(f"llvm.vector.reduce.or.v{LANES}i32", I32, placed)
        return up, down, b.zext(told, I64)

    def scaled(self, numbers: Any) -> Any:
        once = self.b.ir.fmul(numbers, self.first)
        return self.b.ir.fmul(once, self.second) if self.exact else once

    def unscaled(self, numbers: Any) -> Any:
        return self.b.ir.fmul(self.b.ir.fmul(numbers, self.back), self.back_again)

    def rounded(self, numbers: Any) -> Any:
        name = {NEAREST_EVEN: "rint", TOWARD_ZERO: "trunc", NEAREST_AWAY: "round"}[self.rounding]
        return self.b.call(f"llvm.{name}.v{LANES}f32", vector(F32), numbers)

    def doubtful(self, units: Any, largest: Any) -> Any:
        """Whether any number of units, none above `largest`, is too near to where rounding turns to be trusted."""
        b = self.b.ir
        room = b.fmul(largest, self.constant(_DOUBT))
        nearest = self.b.call(f"llvm.rint.v{LANES}f32", vector(F32), units)
        distance = self.b.call(f"llvm.fabs.v{LANES}f32", vector(F32), b.fsub(units, nearest))
        if self.rounding != TOWARD_ZERO:
            return any_of(self.b, b.fcmp_ordered(">", distance, b.fsub(self.constant(0.5), room)))
        turns = b.fcmp_ordered("!=", nearest, self.constant(0.0))
        return any_of(self.b, b.and_(turns, b.fcmp_ordered("<", distance, room)))

    def beyond(self) -> Any:
        """Rounds to a code above the largest."""
        return self.splat_float(self.b.ir.fmul(self.e["largest"], ir.Constant(F64, 2.0)))

    def exponent(self, y: Any) -> Any:
        return self.b.ir.and_(self.bits(y), self.integers_of(_EXPONENT))

    def exponent_bits(self, exponent: Any) -> Any:
        """An exponent where float32 has it."""
        b = self.b.ir
        return self.b.splat(
            b.shl(b.add(self.narrow(exponent), ir.Constant(I32, _BIAS)), ir.Constant(I32, MANTISSA_BITS))
        )

    def in_units(self, y: Any, exponent: Any) -> Any:
        """y in units of the last bit under an exponent, which stands where float32 has it."""
        b = self.b.ir
        biases = b.add(self.narrow(self.f["mantissa_bits"]), ir.Constant(I32, 2 * _BIAS))
        power = b.sub(self.b.splat(b.shl(biases, ir.Constant(I32, MANTISSA_BITS))), exponent)
        return b.fmul(y, self.floats(power))

    def mantissa_shift(self) -> Any:
        """How far exponents stand higher in float32 than in the element."""
        return self.b.ir.sub(self.integers_of(MANTISSA_BITS), self.integer(self.f["mantissa_bits"]))

    def significands(self, count: int) -> Any:
        """`count` times the units of a power of two, as floats."""
        b = self.b.ir
        units = b.shl(ir.Constant(I32, count), self.narrow(self.f["mantissa_bits"]))
        return self.b.splat(b.sitofp(units, F32))

    def capped(self, code: Any) -> Any:
        """A magnitude code beyond the largest becomes that one, or Inf or NaN where the format says so."""
        b, largest, above = self.b.ir, self.narrow(self.f["largest_code"]), self.narrow(self.e["overflow_code"])
        saturates = b.icmp_signed("<", above, ir.Constant(I32, 0))
        top = largest if self.rounding == TOWARD_ZERO else b.select(saturates, largest, above)
        return b.select(b.icmp_signed(">", code, self.b.splat(largest)), self.b.splat(top), code)

    def kept_sign(self, sign: Any, code: Any) -> Any:
        """No sign for zero where there is no negative zero."""
        b = self.b.ir
        keeps = b.or_(
            self.b.splat(self.b.truth(self.f["negative_zero"])), b.icmp_signed("!=", code, self.integers_of(0))
        )
        return b.select(keeps, sign, self.integers_of(0))

    def sign_to(self, sign: Any, place: Any) -> Any:
        """The sign of a float32 moved down to a place in the code."""
        return self.b.ir.lshr(sign, self.b.splat(self.b.ir.sub(ir.Constant(I32, 31), place)))

    def offset_code(self, integer: Any) -> Any:
        """The code of an integer within its range."""
        b = self.b.ir
        mask = b.sub(b.shl(ir.Constant(I32, 1), self.narrow(self.e["bits"])), ir.Constant(I32, 1))
        return b.and_(b.add(integer, self.integer(self.e["code_offset"])), self.b.splat(mask))

    def clipped(self, numbers: Any, low: Any, high: Any) -> Any:
        return self.least(self.most(numbers, low), high)

    def least(self, left: Any, right: Any) -> Any:
        return self.b.ir.select(self.b.ir.fcmp_ordered("<", left, right), left, right)

    def most(self, left: Any, right: Any) -> Any:
        return self.b.ir.select(self.b.ir.fcmp_ordered(">", left, right), left, right)

    # Constants and casts

    def constant(self, number: float) -> Any:
        return self.b.constant(F32, number)

    def integers_of(self, number: int) -> Any:
        return self.b.constant(I32, number)

    def narrow(self, scalar: Any) -> Any:
        return self.b.narrow(scalar)

    def less_one(self, scalar: Any) -> Any:
        return self.b.ir.sub(self.narrow(scalar), ir.Constant(I32, 1))

    def integer(self, scalar: Any) -> Any:
        return self.b.splat(self.narrow(scalar))

    def number(self, scalar: Any) -> Any:
        """An integer as float lanes."""
        return self.b.splat(self.b.ir.sitofp(self.narrow(scalar), F32))

    def splat_float(self, scalar: Any) -> Any:
        return self.b.splat(self.b.ir.fptrunc(scalar, F32))

    def bits(self, floats: Any) -> Any:
        return self.b.ir.bitcast(floats, vector(I32))

    def floats(self, bits: Any) -> Any:
        return self.b.ir.bitcast(bits, vector(F32))

    def whole(self, numbers: Any) -> Any:
        return self.b.ir.fptosi(numbers, vector(I32))
