"""The matrix product at the speed of floating-point units, with the bits of `dot`: exact sums of groups in registers.

A group's sum of products of small integers is exact in float32 up to 24 bits, in float64 up to 53, in any order; its
scale multiplies it without rounding. What the accumulator does is done value by value, as `accumulator.step` would:
one rounding to float32 and one addition, or a shift, a floor and a saturating addition. `plan` says where that holds.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, prange, types
from numpy.typing import NDArray

from densimeter.formats.accumulator import FixedAccumulator, Fp32Accumulator, IntAccumulator
from densimeter.formats.datapath import Datapath
from densimeter.kernels.operands import NAN_SCALE, Operand
from densimeter.kernels.vectors import F32, F64, I64, LANES, Builder, cgutils, intrinsic, operation, vector

_ROWS = {"f32": 8, "f64": 4}  # of a tile, by the type of its sums: these and the accumulators stay in registers
_FLOAT32_BITS, _FLOAT64_BITS = 24, 53
_SMALLEST_EXPONENT, _LARGEST_EXPONENT = -126, 127  # of a normal float32
_FAR = 900  # exponents up to here leave float64 room


class Plan(NamedTuple):
    """How the groups of two operands are added up.

    dtype, out: float32 or float64, of the sums and of the accumulator. lanes: products a group. lsb_exponent: weight of
    one unit of the accumulator. smallest, largest: where a fixed-point accumulator saturates.
    """

    dtype: Any
    out: Any
    lanes: int
    lsb_exponent: int
    smallest: float = -math.inf
    largest: float = math.inf


def plan(a: Operand, w: Operand, datapath: Datapath) -> Plan | None:
    """The plan for two unpacked operands, or None where the general path has to do it."""
    if datapath.windowed or a.specials.size or w.specials.size:
        return None
    exponents = [_exponent_range(operand) for operand in (a, w)]
    offset, bits = datapath.exponent_offset, datapath.scaled_sum_bits - 1
    lowest, highest = (offset + sum(ends) for ends in zip(*exponents, strict=True))
    if lowest < -_FAR or highest > _FAR or bits > _FLOAT64_BITS:
        return None
    match datapath.accumulator:
        case Fp32Accumulator(subnormals=True):
            normal = lowest >= _SMALLEST_EXPONENT and highest + bits <= _LARGEST_EXPONENT
            close = exponents[0][1] - exponents[0][0] <= _LARGEST_EXPONENT
            dtype = np.float32 if bits <= _FLOAT32_BITS and normal and close else np.float64
            return Plan(dtype, np.float32, datapath.lanes, 0)
        case FixedAccumulator(bits=width, lsb_exponent=lsb) if width < _FLOAT64_BITS and not _has_nan(a, w):
            half = float(1 << (width - 1))
            return Plan(np.float64, np.float64, datapath.lanes, lsb, -half, half - 1)
        case IntAccumulator() as accumulator:
            return _integer_plan(a, w, accumulator, datapath)
    return None


def _integer_plan(a: Operand, w: Operand, accumulator: IntAccumulator, datapath: Datapath) -> Plan | None:
    """One group of all products, where no sum of them leaves the float type (nor, if that saturates, the register)."""
    count = a.values.shape[1]
    bound = count * int(np.abs(a.values).max(initial=0)) * int(np.abs(w.values).max(initial=0))
    if accumulator.overflow == "saturate" and bound >> (accumulator.bits - 1):
        return None
    for dtype, bits in ((np.float32, _FLOAT32_BITS), (np.float64, _FLOAT64_BITS)):
        if bound >> bits == 0:
            return Plan(dtype, dtype, max(count, 1), datapath.product_lsb_exponent)
    return None


def multiply(a: Operand, w: Operand, how: Plan, datapath: Datapath) -> NDArray[Any]:
    """The accumulators [M, N] in units of ``2**how.lsb_exponent`` (fp32: their values); NaN where a scale is."""
    shift, middle = datapath.exponent_offset - how.lsb_exponent, sum(_exponent_range(a)) // 2
    groups = -(-a.values.shape[1] // how.lanes)
    scales = None
    if datapath.scaled or shift:
        scales = _scales(a, -middle, groups, how), _scales(w, middle + shift, groups, how)
    return _product(a.values, w.values, scales, how)


def multiply_floats(a: NDArray[np.float32], w: NDArray[np.float32]) -> NDArray[np.float32]:
    """[M, K] times [N, K]: every product rounded to float32 and added in ascending k, each sum rounded."""
    product: NDArray[np.float32] = _product(a, w, None, Plan(np.float32, np.float32, 1, 0))
    return product


def _product(
    a: NDArray[Any], w: NDArray[Any], scales: tuple[NDArray[Any], NDArray[Any]] | None, how: Plan
) -> NDArray[Any]:
    """Operands filled up to whole tiles and groups, and the product cut back to what was asked for."""
    step = _ROWS["f32" if how.dtype == np.float32 else "f64"]
    rows, columns = -(-len(a) // step) * step, -(-len(w) // LANES) * LANES
    count = -(-a.shape[1] // how.lanes) * how.lanes
    left, right = _padded(a, rows, count, how.dtype), _panels(_padded(w, columns, count, how.dtype))
    none = np.empty((len(a), 0)), np.empty((len(w), 0))
    left_scales, right_scales = none if scales is None else scales
    groups = left_scales.shape[1]
    left_scales = _padded(left_scales, rows, groups, how.dtype)
    right_scales = _panels(_padded(right_scales, columns, groups, how.dtype))
    out = np.empty((rows, columns), how.out)
    _multiply(left, right, left_scales, right_scales, how.lanes, step, np.array([how.smallest, how.largest]), out)
    return out[: len(a), : len(w)]


def _exponent_range(operand: Operand) -> tuple[int, int]:
    """Smallest and largest exponent code of an operand's scales, NaN aside."""
    codes = operand.scale_exponents[operand.scale_exponents != NAN_SCALE]
    return (int(codes.min()), int(codes.max())) if codes.size else (0, 0)


def _has_nan(*operands: Operand) -> bool:
    return any(bool((operand.scale_exponents == NAN_SCALE).any()) for operand in operands)


def _padded(values: NDArray[Any], rows: int, columns: int, dtype: Any) -> NDArray[Any]:
    padded = np.zeros((rows, columns), dtype)
    padded[: values.shape[0], : values.shape[1]] = values
    return padded


def _panels(rows: NDArray[Any]) -> NDArray[Any]:
    """[N, K] as panels [N / 16, K, 16]: what a vector of sixteen columns needs stands together."""
    return np.ascontiguousarray(rows.reshape(len(rows) // LANES, LANES, rows.shape[1]).transpose(0, 2, 1))


def _scales(operand: Operand, shift: int, groups: int, how: Plan) -> NDArray[np.float64]:
    """Scales [rows, groups], times ``2**shift``; NaN where a scale is."""
    blocks = np.minimum(np.arange(groups) * how.lanes // operand.block, operand.scale_exponents.shape[1] - 1)
    exponents, significands = operand.scale_exponents[:, blocks], operand.scale_significands[:, blocks]
    scales: NDArray[np.float64] = np.ldexp(significands.astype(np.float64), exponents + shift)
    scales[exponents == NAN_SCALE] = np.nan
    return scales


@njit(parallel=True, nogil=True, cache=True)
def _multiply(a, panels, a_scales, panel_scales, lanes, step, limits, out):  # type: ignore[no-untyped-def]
    """One tile of `step` rows and sixteen columns after the other."""
    tiles = a.shape[0] // step
    for index in prange(panels.shape[0] * tiles):
        panel, tile = index // tiles, index % tiles
        top, stop = tile * step, (tile + 1) * step
        operands = a[top:stop], panels[panel], a_scales[top:stop], panel_scales[panel]
        _tile(*operands, lanes, limits, out, top, panel)


@intrinsic
def _tile(typing_context, a, panel, a_scales, panel_scales, lanes, limits, out, top, column):  # type: ignore[no-untyped-def]
    """A tile of the product. float32 sums and accumulators; or float64 sums, and accumulators of either type.

    float32 ones take the rounded sum, float64 ones its floor, and saturate.
    """

    def generate(b: Builder, kinds: Any, operands: Any, context: Any) -> None:
        lanes, limits, out, top, column = operands[4:]
        arrays = [context.make_array(kinds[i])(context, b.ir, operands[i]) for i in range(4)]
        count, scale_count = (cgutils.unpack_tuple(b.ir, arrays[i].shape)[1] for i in (0, 2))
        bounds = [b.ir.load(b.pointer(kinds[5], limits, ir.Constant(I64, i)), typ=F64) for i in (0, 1)]
        target = context.make_array(kinds[6])(context, b.ir, out)
        width = cgutils.unpack_tuple(b.ir, target.shape)[1]
        start = b.ir.add(b.ir.mul(top, width), b.ir.mul(column, ir.Constant(I64, LANES)))
        number, accumulator = (F32 if kinds[i].dtype.bitwidth == 32 else F64 for i in (0, 6))
        function = _tile_function(b.ir.module, context, number, accumulator)
        pointers = [array.data for array in arrays]
        b.ir.call(function, [*pointers, b.ir.gep(target.data, [start]), count, scale_count, lanes, width, *bounds])

    operands = a, panel, a_scales, panel_scales, lanes, limits, out, top, column
    return operation(types.void, generate)(typing_context, *operands)


def _tile_function(module: Any, context: Any, number: Any, accumulator: Any) -> Any:
    """The function that computes one tile, once a module; apart, so that it may use the widest vectors."""
    name = f"densimeter_tile_{number.intrinsic_name}_{accumulator.intrinsic_name}"
    if name in module.globals:
        return module.globals[name]
    pointers = [number.as_pointer()] * 4 + [accumulator.as_pointer()]
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), pointers + [I64] * 4 + [F64] * 2), name)
    function.linkage = "internal"
    b = Builder(context, ir.IRBuilder(function.append_basic_block()))
    b.use_widest_vectors()
    a, panel, a_scales, panel_scales, out, count, scale_count, lanes, width, low, high = function.args
    rows = range(_ROWS[number.intrinsic_name])
    registers = [cgutils.alloca_once_value(b.ir, b.constant(accumulator, 0.0)) for _ in rows]
    sums = [cgutils.alloca_once_value(b.ir, b.constant(number, 0.0)) for _ in rows]
    bits = {"f32": 32, "f64": 64}[number.intrinsic_name]

    def sixteen(base: Any, row: Any) -> Any:
        address = b.ir.gep(base, [b.ir.mul(row, ir.Constant(I64, LANES))])
        loaded = b.ir.load(b.ir.bitcast(address, vector(number).as_pointer()), typ=vector(number))
        loaded.align = bits // 8
        return loaded

    def one(base: Any, row_length: Any, row: int, position: Any) -> Any:
        at = b.ir.add(b.ir.mul(ir.Constant(I64, row), row_length), position)
        return b.splat(b.ir.load(b.ir.gep(base, [at]), typ=number))

    with cgutils.for_range(b.ir, b.ir.sdiv(count, lanes)) as group:
        for total in sums:
            b.ir.store(b.constant(number, 0.0), total)
        with cgutils.for_range(b.ir, lanes) as lane:
            k = b.ir.add(b.ir.mul(group.index, lanes), lane.index)
            weights = sixteen(panel, k)
            for row in rows:
                factors = one(a, count, row, k), weights, b.ir.load(sums[row])
                b.ir.store(b.call(f"llvm.fma.v{LANES}f{bits}", vector(number), *factors), sums[row])
        with b.ir.if_then(b.truth(scale_count)):
            weight_scales = sixteen(panel_scales, group.index)
            for row in rows:
                scaled = b.ir.fmul(b.ir.load(sums[row]), one(a_scales, scale_count, row, group.index))
                b.ir.store(b.ir.fmul(scaled, weight_scales), sums[row])
        for row in rows:
            b.ir.store(_accumulate(b, b.ir.load(registers[row]), b.ir.load(sums[row]), low, high), registers[row])
    for row in rows:
        address = b.ir.gep(out, [b.ir.mul(ir.Constant(I64, row), width)])
        stored = b.ir.store(b.ir.load(registers[row]), b.ir.bitcast(address, vector(accumulator).as_pointer()))
        stored.align = 4
    b.ir.ret_void()
    return function


def _accumulate(b: Builder, register: Any, total: Any, low: Any, high: Any) -> Any:
    """The register after one group."""
    if register.type == vector(F32):
        rounded = total if total.type == register.type else b.ir.fptrunc(total, register.type)
        return b.ir.fadd(register, rounded)
    added = b.ir.fadd(register, b.call(f"llvm.floor.v{LANES}f64", vector(F64), total))
    raised = b.call(f"llvm.maxnum.v{LANES}f64", vector(F64), added, b.splat(low))
    return b.smaller(raised, b.splat(high))
