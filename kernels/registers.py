"""What accumulators do with a group's scaled sum, sixteen columns at a time, in LLVM: `accumulator.step` as vectors.

A register is a NamedTuple of its numbers; its class chooses the code. `RULES` holds that code: what stands in processor
registers, what one group does to it, and the float32 in the end. Nothing here meets NaN or Inf but from overflow.

Scales are powers of two and at most a few significand bits, so that sums times scales are exact (`gemm.plan` sees to
it): one rounding remains where the accumulator itself rounds, and a fused multiplication and addition is the addition.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import ir

from densimeter.kernels.vectors import F32, F64, I32, I64, LANES, Builder, vector

MAGIC = 1.5 * 2.0**23
"""Adding an integer n to the bits of this float32 adds n to its value, while abs(n) < 2**22."""

ORIGIN = 1.5 * 2.0**52
"""Float64 numbers within 2**51 of this are the integers."""

_BIAS, _MANTISSA_BITS, _FAR = 1023, 52, 1000
_TINY = 2.0**-126


class Float32(NamedTuple):
    """fp32; sums times scales are normal float32 numbers."""


class Float32Shifted(NamedTuple):
    """The same for sums that start at the bits of MAGIC times the row's scale, and thus need no conversion."""


class Rounded(NamedTuple):
    """fp32; sums times scales are float64 numbers."""


class Flushed(NamedTuple):
    """fp32_ftz; sums times scales are float64 numbers."""


class Fixed(NamedTuple):
    """Floors, clamped: float64 integers beside ORIGIN, where rounding a sum down takes its floor.

    smallest, largest: of the register, ORIGIN added. unit: the worth of one. unused_bits: how many of 64 are cut off at
    the top in the end (integers that wrap).
    """

    smallest: float
    largest: float
    unit: float
    unused_bits: int


class Aligned32(NamedTuple):
    """A significand of `bits` and an exponent code, of which `lsb_exponent` makes the exponent; scales are codes.

    guard_bits: by which a group's sum is shifted up.
    """

    bits: int
    guard_bits: int
    lsb_exponent: int


class Aligned64(NamedTuple):
    """The same for significands above 31 bits."""

    bits: int
    guard_bits: int
    lsb_exponent: int


class Fused(NamedTuple):
    """fp32 after every product, which is a float32 number itself."""


class Multiplied(NamedTuple):
    """fp32 after every product, which is rounded first."""


class MultipliedFlushed(NamedTuple):
    """fp32_ftz after every product, which is rounded first."""


class Scales(NamedTuple):
    """Loaded scales of a group: one of the row, a vector of sixteen columns."""

    row: Any
    columns: Any


Fields = dict[str, Any]
State = tuple[Any, ...]


class Rule(NamedTuple):
    """What makes an accumulator.

    kinds: LLVM types of the state. scale: numpy's type of scales. add: the state after a group's sum. value: the
    float32 in the end. start: of every part of the state.
    """

    kinds: tuple[Any, ...]
    scale: str
    add: Callable[[Builder, State, Any, Scales, Fields], State]
    value: Callable[[Builder, State, Fields], Any]
    start: float = 0


def _float32(b: Builder, state: State, total: Any, scales: Scales, fields: Fields) -> State:
    value = b.ir.sitofp(total, vector(F32)) if total.type == vector(I32) else total
    return (b.fma(b.ir.fmul(value, b.splat(scales.row)), scales.columns, state[0]),)


def _float32_shifted(b: Builder, state: State, total: Any, scales: Scales, fields: Fields) -> State:
    scaled = b.ir.fsub(b.ir.bitcast(total, vector(F32)), b.splat(scales.row))
    return (b.fma(scaled, scales.columns, state[0]),)


def _as_float64(b: Builder, total: Any) -> Any:
    convert = {vector(I32): b.ir.sitofp, vector(F32): b.ir.fpext}.get(total.type, lambda value, _: value)
    return convert(total, vector(F64))


def _scaled(b: Builder, total: Any, scales: Scales) -> Any:
    return b.ir.fmul(b.ir.fmul(_as_float64(b, total), b.splat(scales.row)), scales.columns)


def _rounded(b: Builder, state: State, total: Any, scales: Scales, fields: Fields) -> State:
    return (b.ir.fadd(state[0], b.ir.fptrunc(_scaled(b, total, scales), vector(F32))),)


def _flushed(b: Builder, state: State, total: Any, scales: Scales, fields: Fields) -> State:
    operand = b.ir.fptrunc(_flush(b, _scaled(b, total, scales)), vector(F32))
    return (_flush(b, b.ir.fadd(state[0], operand)),)


def _flush(b: Builder, value: Any) -> Any:
    """Tiny numbers become zeros of their sign."""
    kind = value.type.element
    tiny = b.ir.fcmp_ordered("<", b.magnitude(value), b.constant(kind, _TINY))
    return b.ir.select(tiny, b.ir.fmul(value, b.constant(kind, 0.0)), value)


def _fixed(b: Builder, state: State, total: Any, scales: Scales, fields: Fields) -> State:
    moved = b.add_product_down(b.ir.fmul(_as_float64(b, total), b.splat(scales.row)), scales.columns, state[0])
    return (b.within(moved, b.splat(fields["smallest"]), b.splat(fields["largest"])),)


def _fixed_value(b: Builder, state: State, fields: Fields) -> Any:
    unused = b.splat(fields["unused_bits"])
    integers = b.ir.fptosi(b.ir.fsub(state[0], b.constant(F64, ORIGIN)), vector(I64))
    kept = b.ir.ashr(b.ir.shl(integers, unused), unused)
    return b.ir.fptrunc(b.ir.fmul(b.ir.sitofp(kept, vector(F64)), b.splat(fields["unit"])), vector(F32))


def _aligned(b: Builder, state: State, total: Any, scales: Scales, fields: Fields) -> State:
    """The operand of the smaller exponent is shifted down; a sum beyond the register too, by one."""
    significand, exponent = state
    kind = significand.type.element
    bits, guard = (b.splat(b.resized(fields[name], kind)) for name in ("bits", "guard_bits"))
    code = b.resized(b.ir.add(b.splat(scales.row), scales.columns), kind)
    top = b.larger(exponent, code)
    whole = b.resized(total, kind) if total.type == vector(I32) else b.ir.fptosi(total, vector(kind))
    last = b.constant(kind, kind.width - 1)

    def lowered(value: Any, own: Any) -> Any:
        return b.ir.ashr(value, b.lesser(b.ir.sub(top, own), last))

    added = b.ir.add(lowered(significand, exponent), lowered(b.ir.shl(whole, guard), code))
    one = b.constant(kind, 1)
    signs = b.ir.ashr(added, b.ir.sub(bits, one))  # zero or minus one where it fits
    fits = b.ir.icmp_unsigned("<", b.ir.add(signs, one), b.constant(kind, 2))
    return b.ir.select(fits, added, b.ir.ashr(added, one)), b.ir.select(fits, top, b.ir.add(top, one))


def _aligned_value(b: Builder, state: State, fields: Fields) -> Any:
    """significand * 2**exponent, rounded once; what float32 cannot hold by far need not be told apart."""
    exponent = b.ir.add(b.resized(state[1], I64), b.splat(fields["lsb_exponent"]))
    near = b.larger(b.lesser(exponent, b.constant(I64, _FAR)), b.constant(I64, -_FAR))
    power = b.ir.shl(b.ir.add(near, b.constant(I64, _BIAS)), b.constant(I64, _MANTISSA_BITS))
    value = b.ir.fmul(b.ir.sitofp(state[0], vector(F64)), b.ir.bitcast(power, vector(F64)))
    return b.ir.fptrunc(value, vector(F32))


def _fused(b: Builder, state: State, factors: Any, scales: Scales, fields: Fields) -> State:
    return (b.fma(factors[0], factors[1], state[0]),)


def _multiplied(b: Builder, state: State, factors: Any, scales: Scales, fields: Fields) -> State:
    return (b.ir.fadd(state[0], b.ir.fmul(*factors)),)


def _multiplied_flushed(b: Builder, state: State, factors: Any, scales: Scales, fields: Fields) -> State:
    """A product is tiny before rounding if its magnitude less 2**-126, rounded once, has a sign."""
    product = b.ir.fmul(*factors)
    excess = b.fma(b.magnitude(factors[0]), b.magnitude(factors[1]), b.constant(F32, -_TINY))
    tiny = b.ir.icmp_signed("<", b.ir.bitcast(excess, vector(I32)), b.constant(I32, 0))
    flushed = b.ir.select(tiny, b.ir.fmul(product, b.constant(F32, 0.0)), product)
    return (_flush(b, b.ir.fadd(state[0], flushed)),)


def _own_value(b: Builder, state: State, fields: Fields) -> Any:
    return state[0]


PRODUCT_BY_PRODUCT: dict[type, Rule] = {
    Fused: Rule((F32,), "float32", _fused, _own_value),
    Multiplied: Rule((F32,), "float32", _multiplied, _own_value),
    MultipliedFlushed: Rule((F32,), "float32", _multiplied_flushed, _own_value),
}
"""Registers that take products instead of sums: `add` is given the two factors."""

RULES: dict[type, Rule] = {
    Float32: Rule((F32,), "float32", _float32, _own_value),
    Float32Shifted: Rule((F32,), "float32", _float32_shifted, _own_value),
    Rounded: Rule((F32,), "float64", _rounded, _own_value),
    Flushed: Rule((F32,), "float64", _flushed, _own_value),
    Fixed: Rule((F64,), "float64", _fixed, _fixed_value, ORIGIN),
    Aligned32: Rule((I32, I32), "int32", _aligned, _aligned_value),
    Aligned64: Rule((I64, I64), "int32", _aligned, _aligned_value),
    **PRODUCT_BY_PRODUCT,
}


def vectors_of_512_bits(kinds: tuple[Any, ...]) -> int:
    """How many registers of 512 bits sixteen lanes of each of these types fill."""
    widths = [kind.width if isinstance(kind, ir.IntType) else 32 if kind == F32 else 64 for kind in kinds]
    return sum(widths) * LANES // 512
