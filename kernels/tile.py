"""One tile of the matrix product, some rows by sixteen columns, and the loop over all of them.

The sums and accumulators of a tile stay in registers from the first product to the last. A tile belongs to one thread
and its groups come in ascending k, so that neither the number of threads nor the blocking changes a bit.
"""

from itertools import chain, islice
from typing import Any, NamedTuple

from llvmlite import ir
from numba import njit, prange, types

from densimeter.kernels.adders import PARTS, add_products, sum_type
from densimeter.kernels.panels import Panels
from densimeter.kernels.processor import has_wide_integers
from densimeter.kernels.registers import (
    PRODUCT_BY_PRODUCT,
    RULES,
    Float32,
    Float32Shifted,
    Scales,
    vectors_of_512_bits,
)
from densimeter.kernels.split import SPLITS, Add, SplitRule
from densimeter.kernels.vectors import F32, F64, I32, I64, LANES, Builder, cgutils, intrinsic, operation, vector

_REGISTERS_OF_512_BITS, _REGISTERS_OF_256_BITS = 24, 12  # of 32 and 16, the others for operands

_KINDS = {"float32": F32, "float64": F64}  # integers: 32 bits, in which several narrow ones come at once


def tile_rows(dtype: str, adder: type, register: type) -> int:
    """Rows of a tile: as many as leave its sums (of 512 bits: its accumulators too) in processor registers."""
    sums = () if register in PRODUCT_BY_PRODUCT else (sum_type(dtype, adder),)
    if has_wide_integers():
        return _REGISTERS_OF_512_BITS // vectors_of_512_bits(sums + RULES[register].kinds)
    return _REGISTERS_OF_256_BITS // (2 * vectors_of_512_bits(sums or RULES[register].kinds))


_LENGTHS = "values", "scales"  # of panels, from which the numbers of steps and groups follow
_ZERO = ir.Constant(I32, 0)


@njit(parallel=True, nogil=True, cache=True)
def multiply_panels(rows, columns, adder, register, together, out):  # type: ignore[no-untyped-def]
    """out[M, N] float32 = the product of two `Panels`: `together` tiles of rows by panel by panel.

    These tiles stay in the second-level cache while panels of columns pass, each of which stays in the first.
    """
    tiles, panels = rows.values.shape[0], columns.values.shape[0]
    for index in prange(-(-tiles // together) * panels):
        first, panel = index // panels * together, index % panels
        for tile in range(first, min(first + together, tiles)):
            _tile(rows, columns, adder, register, out, tile, panel)


class _Tile(NamedTuple):
    """What the code of a tile depends on. dtype: of panels. fields: names and LLVM types of the numbers of adder and
    register, in which no name is in both."""

    dtype: str
    adder: type
    register: type
    fields: tuple[tuple[str, Any], ...]

    @property
    def name(self) -> str:
        return f"densimeter_tile_{self.dtype}_{self.adder.__name__}_{self.register.__name__}".lower()

    @property
    def has_starts(self) -> bool:
        """Whether sums start elsewhere than at zero."""
        return self.dtype == "int8" or self.register is Float32Shifted


@intrinsic
def _tile(typing_context, rows, columns, adder, register, out, tile, panel):  # type: ignore[no-untyped-def]
    def generate(b: Builder, kinds: Any, operands: Any, context: Any) -> None:
        tile, panel = operands[5:]
        pointers, lengths = [], []
        for kind, side, at in zip(kinds[:2], operands[:2], (tile, panel), strict=True):
            for own, array in zip(kind.types, cgutils.unpack_tuple(b.ir, side, len(kind.types)), strict=True):
                found = context.make_array(own)(context, b.ir, array)
                lengths.append(cgutils.unpack_tuple(b.ir, found.shape)[1])
                pointers.append(b.ir.gep(found.data, [b.ir.mul(at, lengths[-1])]))
        columns_length, scales_length = (lengths[len(Panels._fields) + Panels._fields.index(n)] for n in _LENGTHS)
        values = [v for i in (2, 3) for v in cgutils.unpack_tuple(b.ir, operands[i], len(kinds[i].fields))]
        names = [*kinds[2].fields, *kinds[3].fields]
        fields = tuple((name, value.type) for name, value in zip(names, values, strict=True))
        shape = _Tile(str(kinds[0].types[0].dtype), kinds[2].instance_class, kinds[3].instance_class, fields)
        target = context.make_array(kinds[4])(context, b.ir, operands[4])
        height, width = cgutils.unpack_tuple(b.ir, target.shape)
        count = tile_rows(*shape[:3])
        top, left = b.ir.mul(tile, ir.Constant(I64, count)), b.ir.mul(panel, ir.Constant(I64, LANES))
        corner = b.ir.gep(target.data, [b.ir.add(b.ir.mul(top, width), left)])
        total = b.ir.sdiv(columns_length, ir.Constant(I64, LANES * PARTS[shape.dtype]))
        scale_groups = b.ir.sdiv(scales_length, ir.Constant(I64, LANES))
        left_over = b.ir.sub(height, top), b.ir.sub(width, left)
        function = _tile_function(b.ir.module, context, shape, [pointer.type for pointer in (*pointers, corner)])
        b.ir.call(function, [*pointers, corner, total, scale_groups, width, *left_over, *values])

    operands = rows, columns, adder, register, out, tile, panel
    return operation(types.void, generate)(typing_context, *operands)


def _tile_function(module: Any, context: Any, shape: _Tile, pointers: list[Any]) -> Any:
    """The function that computes one tile, once a module; apart, so that it may use the widest vectors."""
    if shape.name in module.globals:
        return module.globals[shape.name]
    kinds = [*pointers, *[I64] * 5, *[kind for _, kind in shape.fields]]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), kinds), shape.name)
    function.linkage = "internal"
    b = Builder(context, ir.IRBuilder(function.append_basic_block()))
    b.use_widest_vectors()
    _TileCode(b, shape, function.args).generate()
    b.ir.ret_void()
    return function


class _TileCode:
    """Writes the body of a tile function."""

    def __init__(self, b: Builder, shape: _Tile, arguments: Any) -> None:
        self.b, self.shape, self.rule = b, shape, RULES[shape.register]
        sides, rest = 2 * len(Panels._fields), iter(arguments[2 * len(Panels._fields) :])
        self.rows, self.columns = Panels(*arguments[: sides // 2]), Panels(*arguments[sides // 2 : sides])
        self.out, self.steps, self.scale_groups, self.width, self.rows_left, self.columns_left = islice(rest, 6)
        self.fields = dict(zip([name for name, _ in shape.fields], rest, strict=True))
        self.steps_per_group = self.fields["steps"]
        self.part, self.scale = (_KINDS.get(dtype, I32) for dtype in (shape.dtype, self.rule.scale))
        self.height = tile_rows(shape.dtype, shape.adder, shape.register)
        self.state = [
            [cgutils.alloca_once_value(b.ir, b.constant(kind, self.rule.start)) for kind in self.rule.kinds]
            for _ in range(self.height)
        ]

    def generate(self) -> None:
        if self.shape.register in PRODUCT_BY_PRODUCT:
            with cgutils.for_range(self.b.ir, self.steps) as step:
                columns = self._sixteen(self.columns.values, self.part, step.index)
                for row in range(self.height):
                    factor = self.b.splat(self._one(self.rows.values, self.part, step.index, row))
                    self._advance(row, (factor, columns), Scales(None, None))
        else:
            with cgutils.for_range(self.b.ir, self.b.ir.sdiv(self.steps, self.steps_per_group)) as group:
                self._group(group.index)
        self._store()

    def _group(self, group: Any) -> None:
        b, shape = self.b, self.shape
        kind = sum_type(shape.dtype, shape.adder)
        sums = [cgutils.alloca_once(b.ir, vector(kind)) for _ in range(self.height)]
        for row, total in enumerate(sums):
            start = b.splat(self._one(self.rows.starts, I32, group, row)) if shape.has_starts else b.constant(kind, 0)
            b.ir.store(start, total)
        with cgutils.for_range(b.ir, self.steps_per_group) as inner:
            step = b.ir.add(b.ir.mul(group, self.steps_per_group), inner.index)
            columns = self._sixteen(self.columns.values, self.part, step)
            for row, total in enumerate(sums):
                factor = self._one(self.rows.values, self.part, step, row)
                b.ir.store(add_products(b, shape.dtype, shape.adder, b.ir.load(total), factor, columns), total)
        totals = self._with_low_planes(group, sums) if shape.adder in SPLITS else sums
        several = b.ir.icmp_signed(">", self.scale_groups, ir.Constant(I64, 1))
        own = b.ir.select(several, group, ir.Constant(I64, 0))
        column_scales = self._sixteen(self.columns.scales, self.scale, own)
        for row, total in enumerate(totals):
            self._advance(
                row, b.ir.load(total), Scales(self._one(self.rows.scales, self.scale, own, row), column_scales)
            )

    def _with_low_planes(self, group: Any, sums: list[Any]) -> list[Any]:
        """Totals of the high planes' sums and of what either side marks in its low plane."""
        b, split = self.b, SPLITS[self.shape.adder]
        kind = next(kind for kind in split.kinds if kind != F32 or self.shape.register is Float32)
        totals = [cgutils.alloca_once(b.ir, vector(kind)) for _ in sums]
        marks = [self._read(side.marks, I32, group, I32) for side in (self.rows, self.columns)]
        with b.ir.if_else(b.ir.icmp_unsigned("!=", b.ir.or_(*marks), _ZERO), likely=False) as (marked, unmarked):
            with marked:
                every = self._marked_steps(group, marks, split)
                for high, parts, total in zip(sums, every, totals, strict=True):
                    b.ir.store(split.total(b, b.ir.load(high), tuple(map(b.ir.load, parts)), kind, self.fields), total)
            with unmarked:
                for high, total in zip(sums, totals, strict=True):
                    b.ir.store(split.total(b, b.ir.load(high), None, kind, self.fields), total)
        return totals

    def _marked_steps(self, group: Any, marks: list[Any], split: SplitRule) -> list[list[Any]]:
        """Where the parts are, by row, that the marked steps of a group add up to."""
        b = self.b
        row_marks, column_marks = marks
        parts = [[cgutils.alloca_once(b.ir, vector(I32)) for _ in range(split.parts)] for _ in range(self.height)]
        for part in chain(*parts):
            b.ir.store(b.constant(I32, 0), part)
        rows, columns = self.rows, self.columns
        self._add_marked(group, row_marks, rows.low, columns.values, split.add_mixed, parts)
        self._add_marked(group, column_marks, rows.values, columns.low, split.add_mixed, parts)
        if split.add_low is not None:
            both = b.ir.and_(row_marks, column_marks)
            self._add_marked(group, both, rows.low, columns.low, split.add_low, parts)
        return parts

    def _add_marked(self, group: Any, marks: Any, rows: Any, columns: Any, add: Add, parts: list[list[Any]]) -> None:
        """Add products of two planes at every step whose bit is set."""
        b = self.b
        rest = cgutils.alloca_once(b.ir, I32)
        b.ir.store(marks, rest)
        with cgutils.for_range(b.ir, b.call("llvm.ctpop.i32", I32, marks)):
            left = b.ir.load(rest)
            b.ir.store(b.ir.and_(left, b.ir.sub(left, ir.Constant(I32, 1))), rest)
            mark = b.ir.zext(b.call("llvm.cttz.i32", I32, left, ir.Constant(ir.IntType(1), 1)), I64)
            step = b.ir.add(b.ir.mul(group, self.steps_per_group), mark)
            values = self._sixteen(columns, I32, step)
            for row, own in enumerate(parts):
                added = add(b, tuple(map(b.ir.load, own)), self._one(rows, I32, step, row), values, self.fields)
                for value, part in zip(added, own, strict=True):
                    b.ir.store(value, part)

    def _advance(self, row: int, total: Any, scales: Scales) -> None:
        before = tuple(self.b.ir.load(register) for register in self.state[row])
        after = self.rule.add(self.b, before, total, scales, self.fields)
        for register, value in zip(self.state[row], after, strict=True):
            self.b.ir.store(value, register)

    def _store(self) -> None:
        """What of the tile lies within the product."""
        b = self.b
        lanes = ir.Constant(vector(I64), list(range(LANES)))
        mask = b.ir.icmp_signed("<", lanes, b.splat(self.columns_left))
        for row, registers in enumerate(self.state):
            with b.ir.if_then(b.ir.icmp_signed("<", ir.Constant(I64, row), self.rows_left)):
                value = self.rule.value(b, tuple(map(b.ir.load, registers)), self.fields)
                address = b.ir.gep(self.out, [b.ir.mul(ir.Constant(I64, row), self.width)])
                b.masked_store(value, address, mask)

    def _one(self, base: Any, kind: Any, index: Any, row: int) -> Any:
        """What stands for a row at a step or group."""
        position = self.b.ir.add(self.b.ir.mul(index, ir.Constant(I64, self.height)), ir.Constant(I64, row))
        return self._read(base, kind, position, kind)

    def _sixteen(self, base: Any, kind: Any, index: Any) -> Any:
        """What stands for sixteen columns at a step or group."""
        return self._read(base, kind, self.b.ir.mul(index, ir.Constant(I64, LANES)), vector(kind))

    def _read(self, base: Any, kind: Any, position: Any, wanted: Any) -> Any:
        address = self.b.ir.gep(self.b.ir.bitcast(base, kind.as_pointer()), [position], source_etype=kind)
        loaded = self.b.ir.load(self.b.ir.bitcast(address, wanted.as_pointer()), typ=wanted)
        loaded.align = 4
        return loaded
