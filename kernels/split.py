"""Group sums of values too wide for one integer instruction, in LLVM: two planes of 16 bits each (`planes`).

The high planes are multiplied everywhere; the low ones hold something in few places (of values far below the largest of
their kind), which are marked, and cost time in these alone.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import ir

from densimeter.kernels.adders import Exact, add_products
from densimeter.kernels.vectors import F32, F64, I32, Builder, vector


class Split(NamedTuple):
    """Every product is added as it is. steps: instructions a group.

    low_bits: by which a high plane's unit is above a low one's, on either side. high_unit, low_unit: worth of one in
    products of two high planes, and in the sum of all.
    """

    steps: int
    low_bits: int
    high_unit: float
    low_unit: float


class SplitNarrow(NamedTuple):
    """The same where the sum of all has `low_bits` more than that of the high planes, and these are few: at most 16."""

    steps: int
    low_bits: int
    high_unit: float
    low_unit: float


class SplitCut(NamedTuple):
    """Products of powers of two, each cut off toward zero to an integer (`Datapath.windowed`).

    Those of two high planes are integers, those of two low ones below one; mixed_unit: worth of one in mixed ones.
    """

    steps: int
    mixed_unit: float


Parts = tuple[Any, ...]
Fields = dict[str, Any]
Add = Callable[[Builder, Parts, Any, Any, Fields], Parts]


class SplitRule(NamedTuple):
    """What makes such an adder.

    parts: int32 sums kept beside that of the high planes. add_mixed, add_low: these, after one step of a row (32 bits)
    and columns (sixteen times as many), one or both of which are of the low plane. total: of all, as one of the LLVM
    types `kinds`; its parts are None where nothing was marked.
    """

    parts: int
    add_mixed: Add
    add_low: Add | None
    total: Callable[[Builder, Any, Parts | None, Any, Fields], Any]
    kinds: tuple[Any, ...]


def _pairs(b: Builder, total: Any, row: Any, columns: Any) -> Any:
    return add_products(b, "int16", Exact, total, row, columns)


def _add_mixed(b: Builder, parts: Parts, row: Any, columns: Any, fields: Fields) -> Parts:
    return _pairs(b, parts[0], row, columns), *parts[1:]


def _add_low(b: Builder, parts: Parts, row: Any, columns: Any, fields: Fields) -> Parts:
    return parts[0], _pairs(b, parts[1], row, columns)


def _add_low_narrow(b: Builder, parts: Parts, row: Any, columns: Any, fields: Fields) -> Parts:
    """Low planes stand so high that nothing is shifted out."""
    products = _pairs(b, b.constant(I32, 0), row, columns)
    return (b.ir.add(parts[0], b.ir.ashr(products, b.splat(b.narrow(fields["low_bits"])))),)


def _total(b: Builder, high: Any, parts: Parts | None, kind: Any, fields: Fields) -> Any:
    """Float32 rounded once, or an exact float64: carries first, so that what is left of the low sums is positive."""
    if parts is None:
        return _high_alone(b, high, kind, fields)
    bits, mask = _low_bits(b, fields)
    middle = b.ir.add(parts[0], b.ir.ashr(parts[1], bits))
    top = b.ir.add(high, b.ir.ashr(middle, bits))
    rest = b.ir.or_(b.ir.shl(b.ir.and_(middle, mask), bits), b.ir.and_(parts[1], mask))
    low = b.ir.fmul(b.ir.sitofp(rest, vector(F64)), b.splat(fields["low_unit"]))
    exact = b.fma(b.ir.sitofp(top, vector(F64)), b.splat(fields["high_unit"]), low)
    return b.ir.fptrunc(exact, vector(F32)) if kind == F32 else exact


def _total_narrow(b: Builder, high: Any, parts: Parts | None, kind: Any, fields: Fields) -> Any:
    """The sum's upper 24 bits and its lower 8 + `low_bits`, each a float32 number: one rounding adds them."""
    if parts is None:
        return _high_alone(b, high, kind, fields)
    bits, mask = _low_bits(b, fields)
    top = b.ir.add(high, b.ir.ashr(parts[0], bits))
    upper = b.ir.ashr(top, b.constant(I32, 8))
    lower = b.ir.or_(b.ir.shl(b.ir.and_(top, b.constant(I32, 255)), bits), b.ir.and_(parts[0], mask))
    high_unit, low_unit = (b.ir.fptrunc(fields[name], F32) for name in ("high_unit", "low_unit"))
    low = b.ir.fmul(b.ir.sitofp(lower, vector(F32)), b.splat(low_unit))
    return b.fma(b.ir.sitofp(upper, vector(F32)), b.splat(b.ir.fmul(high_unit, ir.Constant(F32, 256.0))), low)


def _high_alone(b: Builder, high: Any, kind: Any, fields: Fields) -> Any:
    unit = b.ir.fptrunc(fields["high_unit"], kind) if kind == F32 else fields["high_unit"]
    return b.ir.fmul(b.ir.sitofp(high, vector(kind)), b.splat(unit))


def _low_bits(b: Builder, fields: Fields) -> tuple[Any, Any]:
    """How many, and a mask of them."""
    bits, one = b.narrow(fields["low_bits"]), ir.Constant(I32, 1)
    return b.splat(bits), b.splat(b.ir.sub(b.ir.shl(one, bits), one))


def _add_cut(b: Builder, parts: Parts, row: Any, columns: Any, fields: Fields) -> Parts:
    """Product by product: an instruction adds two before anything can be cut off."""
    total = parts[0]
    for left, right in zip(_halves(b, row), _halves(b, columns), strict=True):
        scaled = b.ir.fmul(b.ir.sitofp(left, F32), b.ir.fptrunc(fields["mixed_unit"], F32))
        product = b.ir.fmul(b.splat(scaled), b.ir.sitofp(right, vector(F32)))
        total = b.ir.add(total, b.ir.fptosi(product, vector(I32)))
    return (total,)


def _halves(b: Builder, word: Any) -> tuple[Any, Any]:
    """Lower and upper 16 bits of one word or of sixteen, as signed integers."""
    sixteen = ir.Constant(I32, 16) if word.type == I32 else b.constant(I32, 16)
    return b.ir.ashr(b.ir.shl(word, sixteen), sixteen), b.ir.ashr(word, sixteen)


def _total_cut(b: Builder, high: Any, parts: Parts | None, kind: Any, fields: Fields) -> Any:
    return high if parts is None else b.ir.add(high, parts[0])


SPLITS: dict[type, SplitRule] = {
    Split: SplitRule(2, _add_mixed, _add_low, _total, (F32, F64)),
    SplitNarrow: SplitRule(1, _add_mixed, _add_low_narrow, _total_narrow, (F32,)),
    SplitCut: SplitRule(1, _add_cut, None, _total_cut, (I32,)),
}
