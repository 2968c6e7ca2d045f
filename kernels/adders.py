"""How the products of one group are added up exactly, sixteen columns at a time, in LLVM.

An adder is told by the type of the operands in their panels, and says itself when it is another one:

    int8         signed bytes by bytes with an offset of 128, four products an instruction; the sum starts at what the
                 offset makes too much (`panels`)
    int16        two products an instruction
    float32/64   one fused multiplication and addition; exact while sums have no more bits than the type
    `Truncated`  float32 products cut off to integers

Integer sums are exact modulo 2**32 in any order, so that only a group's whole sum has to fit 32 bits.
"""

from typing import Any, NamedTuple

from llvmlite import ir

from densimeter.kernels.processor import features, has_wide_integers
from densimeter.kernels.vectors import F32, F64, I16, I32, LANES, Builder, vector

OFFSET = 128
"""What bytes of the second operand stand above their values."""

PARTS = {"int8": 4, "int16": 2, "float32": 1, "float64": 1}
"""Products an instruction adds, by the operands' type: so many values stand together in a panel."""


class Exact(NamedTuple):
    """Every product is added as it is. steps: instructions a group."""

    steps: int


class Truncated(NamedTuple):
    """Every product is cut off toward zero to an integer first: alignment in a window (`Datapath.windowed`)."""

    steps: int


def add_products(b: Builder, dtype: str, adder: type, total: Any, row: Any, columns: Any) -> Any:
    """`total` and one step of products. row: a scalar of 32 bits or a float; columns: sixteen of them."""
    if dtype == "int8":
        return _dot(b, "vpdpbusd", total, columns, b.splat(row))
    if dtype == "int16":
        return _add_pairs(b, total, columns, b.splat(row))
    if adder is Truncated:
        return b.ir.add(total, b.ir.fptosi(b.ir.fmul(b.splat(row), columns), vector(I32)))
    return b.fma(b.splat(row), columns, total)


def sum_type(dtype: str, adder: type) -> Any:
    """LLVM's type of a group's sum."""
    if dtype.startswith("int") or adder is Truncated:
        return I32
    return F32 if dtype == "float32" else F64


def _add_pairs(b: Builder, total: Any, left: Any, right: Any) -> Any:
    if "avx512vnni" in features() or "avxvnni" in features():
        return _dot(b, "vpdpwssd", total, left, right)
    name, lanes = ("avx512.pmaddw.d.512", LANES) if has_wide_integers() else ("avx2.pmadd.wd", LANES // 2)
    products = _by_width(b, f"llvm.x86.{name}", lanes, (), (left, right), I16)
    return b.ir.add(total, products)


def _dot(b: Builder, name: str, total: Any, left: Any, right: Any) -> Any:
    wide = "avx512vnni" in features()
    lanes = LANES if wide else LANES // 2
    return _by_width(b, f"llvm.x86.avx512.{name}.{32 * lanes}", lanes, (total,), (left, right), I32)


def _by_width(b: Builder, name: str, lanes: int, totals: tuple[Any, ...], factors: tuple[Any, ...], kind: Any) -> Any:
    """The instruction on sixteen lanes of 32 bits, in one piece or two; `kind`: what it takes its factors for."""
    taken = ir.VectorType(kind, lanes * 32 // kind.width)
    pieces = []
    for start in range(0, LANES, lanes):
        operands = [b.lanes(total, start, lanes) for total in totals]
        operands += [b.ir.bitcast(b.lanes(factor, start, lanes), taken) for factor in factors]
        pieces.append(b.call(name, ir.VectorType(I32, lanes), *operands))
    return pieces[0] if len(pieces) == 1 else b.join(*pieces)
