"""One tile of the matrix product, some rows by sixteen columns, and the loop over all of them.

The sums and accumulators of a tile stay in registers from the first product to the last. A tile belongs to one thread
and its groups come in ascending k, so that neither the number of threads nor the blocking changes a bit.
"""

from typing import Any, NamedTuple

from llvmlite import ir
from numba import njit, prange, types

from densimeter.kernels.adders import PARTS, add_products, sum_type
from densimeter.kernels.processor import has_wide_integers
from densimeter.kernels.registers import PRODUCT_BY_PRODUCT, RULES, Float32Shifted, Scales, vectors_of_512_bits
from densimeter.kernels.vectors import F32, F64, I32, I64, LANES, Builder, cgutils, intrinsic, operation, vector

_REGISTERS_OF_512_BITS, _REGISTERS_OF_256_BITS = 24, 12  # of 32 and 16, the others for operands

_KINDS = {"float32": F32, "float64": F64}  # integers: 32 bits, in which several narrow ones come at once


def tile_rows(dtype: str, adder: type, register: type) -> int:
    """Rows of a tile: as many as leave its sums (of 512 bits: its accumulators too) in processor registers."""
    sums = () if register in PRODUCT_BY_PRODUCT else (sum_type(dtype, adder),)
    if has_wide_integers():
        return _REGISTERS_OF_512_BITS // vectors_of_512_bits(sums + RULES[register].kinds)
    return _REGISTERS_OF_256_BITS // (2 * vectors_of_512_bits(sums or RULES[register].kinds))


@njit(parallel=True, nogil=True, cache=True)
def multiply_panels(rows, columns, starts, row_scales, column_scales, adder, register, together, out):  # type: ignore[no-untyped-def]
    """out[M, N] float32 = the product of panels (`panels.Panels`): `together` tiles of rows by panel by panel.

    These tiles stay in the second-level cache while panels of columns pass, each of which stays in the first.
    """
    tiles, panels = rows.shape[0], columns.shape[0]
    for index in prange(-(-tiles // together) * panels):
        first, panel = index // panels * together, index % panels
        for tile in range(first, min(first + together, tiles)):
            _tile(rows, columns, starts, row_scales, column_scales, adder, register, out, tile, panel)


class _Tile(NamedTuple):
    """What the code of a tile depends on. dtype: of panels. fields: names and LLVM types of the register's numbers."""

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
def _tile(typing_context, rows, columns, starts, row_scales, column_scales, adder, register, out, tile, panel):  # type: ignore[no-untyped-def]
    def generate(b: Builder, kinds: Any, operands: Any, context: Any) -> None:
        arrays = [context.make_array(kinds[i])(context, b.ir, operands[i]) for i in range(5)]
        lengths = [cgutils.unpack_tuple(b.ir, array.shape)[1] for array in arrays]
        tile, panel = operands[8:]
        positions = [b.ir.mul(at, length) for at, length in zip((tile, panel, tile, tile, panel), lengths, strict=True)]
        pointers = [b.ir.gep(array.data, [at]) for array, at in zip(arrays, positions, strict=True)]
        values = cgutils.unpack_tuple(b.ir, operands[6], len(kinds[6].fields))
        fields = tuple((name, value.type) for name, value in zip(kinds[6].fields, values, strict=True))
        shape = _Tile(str(kinds[0].dtype), kinds[5].instance_class, kinds[6].instance_class, fields)
        target = context.make_array(kinds[7])(context, b.ir, operands[7])
        height, width = cgutils.unpack_tuple(b.ir, target.shape)
        count = tile_rows(*shape[:3])
        top, left = b.ir.mul(tile, ir.Constant(I64, count)), b.ir.mul(panel, ir.Constant(I64, LANES))
        corner = b.ir.gep(target.data, [b.ir.add(b.ir.mul(top, width), left)])
        steps = cgutils.unpack_tuple(b.ir, operands[5], 1)[0]
        total = b.ir.sdiv(lengths[1], ir.Constant(I64, LANES * PARTS[shape.dtype]))
        scale_groups = b.ir.sdiv(lengths[4], ir.Constant(I64, LANES))
        left_over = b.ir.sub(height, top), b.ir.sub(width, left)
        function = _tile_function(b.ir.module, context, shape, [pointer.type for pointer in (*pointers, corner)])
        b.ir.call(function, [*pointers, corner, total, steps, scale_groups, width, *left_over, *values])

    operands = rows, columns, starts, row_scales, column_scales, adder, register, out, tile, panel
    return operation(types.void, generate)(typing_context, *operands)


def _tile_function(module: Any, context: Any, shape: _Tile, pointers: list[Any]) -> Any:
    """The function that computes one tile, once a module; apart, so that it may use the widest vectors."""
    if shape.name in module.globals:
        return module.globals[shape.name]
    kinds = [*pointers, *[I64] * 6, *[kind for _, kind in shape.fields]]
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
        self.rows, self.columns, self.starts, self.row_scales, self.column_scales, self.out = arguments[:6]
        self.steps, self.steps_per_group, self.scale_groups, self.width, self.rows_left, self.columns_left = arguments[
            6:12
        ]
        self.part, self.scale = (_KINDS.get(dtype, I32) for dtype in (shape.dtype, self.rule.scale))
        self.fields = dict(zip([name for name, _ in shape.fields], arguments[12:], strict=True))
        self.height = tile_rows(shape.dtype, shape.adder, shape.register)
        self.state = [
            [cgutils.alloca_once_value(b.ir, b.constant(kind, self.rule.start)) for kind in self.rule.kinds]
            for _ in range(self.height)
        ]

    def generate(self) -> None:
        if self.shape.register in PRODUCT_BY_PRODUCT:
            with cgutils.for_range(self.b.ir, self.steps) as step:
                columns = self._sixteen(self.columns, self.part, step.index)
                for row in range(self.height):
                    factor = self.b.splat(self._one(self.rows, self.part, step.index, row))
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
            start = b.splat(self._one(self.starts, I32, group, row)) if shape.has_starts else b.constant(kind, 0)
            b.ir.store(start, total)
        with cgutils.for_range(b.ir, self.steps_per_group) as inner:
            step = b.ir.add(b.ir.mul(group, self.steps_per_group), inner.index)
            columns = self._sixteen(self.columns, self.part, step)
            for row, total in enumerate(sums):
                factor = self._one(self.rows, self.part, step, row)
                b.ir.store(add_products(b, shape.dtype, shape.adder, b.ir.load(total), factor, columns), total)
        several = b.ir.icmp_signed(">", self.scale_groups, ir.Constant(I64, 1))
        own = b.ir.select(several, group, ir.Constant(I64, 0))
        column_scales = self._sixteen(self.column_scales, self.scale, own)
        for row, total in enumerate(sums):
            self._advance(
                row, b.ir.load(total), Scales(self._one(self.row_scales, self.scale, own, row), column_scales)
            )

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
