"""Vectors of sixteen lanes in LLVM, and how a compiled loop comes to use them; changes when llvmlite's interface does.

An `operation` is written in terms of a `Builder` and called from Numba code like any function.
"""

from collections.abc import Callable
from typing import Any

import numba.core.cgutils
import numba.extending
from llvmlite import ir

from densimeter.kernels.parameters import NEAREST_EVEN, TOWARD_ZERO
from densimeter.kernels.processor import features

LANES = 16

# Untyped: what these return is called with operands that type checkers do not see.
cgutils: Any = numba.core.cgutils
intrinsic: Any = numba.extending.intrinsic

I16, I32, I64, F32, F64 = ir.IntType(16), ir.IntType(32), ir.IntType(64), ir.FloatType(), ir.DoubleType()

Generator = Callable[[Any, Any, Any, Any], Any]


def vector(kind: Any) -> Any:
    return ir.VectorType(kind, LANES)


def _suffix(value: Any) -> str:
    """The element type of a vector as names of LLVM's operations spell it."""
    kind = value.type.element
    return f"i{kind.width}" if isinstance(kind, ir.IntType) else str(kind.intrinsic_name)


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
        first = self.ir.insert_element(undefined, scalar, ir.Constant(I32, 0))
        return self.ir.shuffle_vector(first, undefined, ir.Constant(vector(I32), [0] * LANES))

    def call(self, name: str, result: Any, *operands: Any) -> Any:
        signature = ir.FunctionType(result, [operand.type for operand in operands])
        return self.ir.call(cgutils.get_or_insert_function(self.ir.module, signature, name), operands)

    def fma(self, left: Any, right: Any, added: Any) -> Any:
        return self.call(f"llvm.fma.v{LANES}{_suffix(added)}", added.type, left, right, added)

    def floor(self, value: Any) -> Any:
        return self.call(f"llvm.floor.v{LANES}{_suffix(value)}", value.type, value)

    def add_product_down(self, left: Any, right: Any, added: Any) -> Any:
        """float64 ``floor(left * right) + added``, where that product is exact and sums are integers below 2**53.

        Beside numbers from 2**52 on, whose units are ones, a sum rounded down has the floor: AVX-512 has it in one.
        """
        if "avx512f" not in features():
            return self.ir.fadd(added, self.floor(self.ir.fmul(left, right)))
        half, down = LANES // 2, ir.Constant(I32, 9)  # toward minus infinity, without exceptions
        kind = ir.VectorType(F64, half)
        pieces = (
            self.call(
                "llvm.x86.avx512.vfmadd.pd.512", kind, *[self.lanes(v, at, half) for v in (left, right, added)], down
            )
            for at in (0, half)
        )
        return self.join(*pieces)

    def magnitude(self, value: Any) -> Any:
        return self.call(f"llvm.fabs.v{LANES}{_suffix(value)}", value.type, value)

    def within(self, value: Any, low: Any, high: Any) -> Any:
        """Float lanes clamped to two vectors."""
        raised = self.call(f"llvm.maxnum.v{LANES}{_suffix(value)}", value.type, value, low)
        return self.call(f"llvm.minnum.v{LANES}{_suffix(value)}", value.type, raised, high)

    def lanes(self, value: Any, start: int, count: int) -> Any:
        """`count` lanes of a vector, as a vector of its own."""
        if count == LANES:
            return value
        chosen = ir.Constant(ir.VectorType(I32, count), list(range(start, start + count)))
        return self.ir.shuffle_vector(value, ir.Constant(value.type, ir.Undefined), chosen)

    def join(self, low: Any, high: Any) -> Any:
        """Two half vectors in one."""
        return self.ir.shuffle_vector(low, high, ir.Constant(vector(I32), list(range(LANES))))

    def pointer(self, array_type: Any, array: Any, index: Any) -> Any:
        return self.ir.gep(self.context.make_array(array_type)(self.context, self.ir, array).data, [index])

    def load(self, array_type: Any, array: Any, index: Any, kind: Any) -> Any:
        address = self.ir.bitcast(self.pointer(array_type, array, index), vector(kind).as_pointer())
        loaded = self.ir.load(address, typ=vector(kind))
        loaded.align = array_type.dtype.bitwidth // 8
        return loaded

    def gather(self, base: Any, positions: Any) -> Any:
        """float64 lanes from an array."""
        addresses = self.ir.gep(self.splat(base), [positions], source_etype=F64)
        lanes, nothing = self.constant(ir.IntType(1), 1), self.constant(F64, 0.0)
        name = f"llvm.masked.gather.v{LANES}f64.v{LANES}p0"
        return self.call(name, vector(F64), addresses, ir.Constant(I32, 8), lanes, nothing)

    def store(self, value: Any, array_type: Any, array: Any, index: Any) -> None:
        address = self.ir.bitcast(self.pointer(array_type, array, index), value.type.as_pointer())
        self.ir.store(value, address).align = array_type.dtype.bitwidth // 8

    def masked_store(self, value: Any, address: Any, mask: Any) -> None:
        """Store the lanes of float32 that the mask says."""
        name = f"llvm.masked.store.v{LANES}{_suffix(value)}.p0"
        self.call(name, ir.VoidType(), value, address, ir.Constant(I32, 4), mask)

    def larger(self, left: Any, right: Any) -> Any:
        """Of signed integers."""
        return self.call(f"llvm.smax.v{LANES}{_suffix(left)}", left.type, left, right)

    def lesser(self, left: Any, right: Any) -> Any:
        """Of signed integers."""
        return self.call(f"llvm.smin.v{LANES}{_suffix(left)}", left.type, left, right)

    def resized(self, value: Any, kind: Any) -> Any:
        """Signed integers, one or sixteen, with more or fewer bits."""
        is_vector = isinstance(value.type, ir.VectorType)
        own, wanted = (value.type.element, vector(kind)) if is_vector else (value.type, kind)
        if own.width == kind.width:
            return value
        return self.ir.sext(value, wanted) if own.width < kind.width else self.ir.trunc(value, wanted)

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

    def round(self, value: Any, rounding: Any) -> Any:
        """Non-negative numbers rounded to integers: nearest even, toward zero or nearest away, as int32."""

        def by(name: str) -> Callable[[], Any]:
            return lambda: self.call(f"llvm.{name}.v{LANES}f64", vector(F64), value)

        def mode(code: int) -> Any:
            return self.ir.icmp_signed("==", rounding, ir.Constant(rounding.type, code))

        rounded = self.choose(
            mode(NEAREST_EVEN), by("rint"), lambda: self.choose(mode(TOWARD_ZERO), by("trunc"), by("round"))
        )
        return self.ir.fptosi(rounded, vector(I32))

    def smaller(self, left: Any, right: Any) -> Any:
        return self.call(f"llvm.minnum.v{LANES}f64", vector(F64), left, right)

    def clamp(self, value: Any, low: Any, high: Any) -> Any:
        """int32 lanes within two scalars."""
        raised = self.call(f"llvm.smax.v{LANES}i32", vector(I32), value, self.splat(low))
        return self.call(f"llvm.smin.v{LANES}i32", vector(I32), raised, self.splat(high))

    def narrow(self, scalar: Any) -> Any:
        return self.ir.trunc(scalar, I32)

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
