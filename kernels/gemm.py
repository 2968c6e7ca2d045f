"""The matrix product that a `plan` describes: operands laid out in panels, scales beside them, tile after tile."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from densimeter.formats.datapath import Datapath
from densimeter.kernels.adders import OFFSET, PARTS, Exact
from densimeter.kernels.operands import NAN_SCALE, code_table
from densimeter.kernels.panels import Factors, Grouping, Panels, lay_out, lay_out_scales, mark_steps
from densimeter.kernels.plan import Coded, Plan
from densimeter.kernels.planes import in_planes, integers
from densimeter.kernels.registers import (
    MAGIC,
    RULES,
    Aligned32,
    Aligned64,
    Float32Shifted,
    Fused,
    Multiplied,
    MultipliedFlushed,
)
from densimeter.kernels.split import Split, SplitCut, SplitNarrow
from densimeter.kernels.tile import multiply_panels, tile_rows
from densimeter.kernels.vectors import LANES

_CACHED_BYTES = 1 << 19  # of rows, which stay in a second-level cache
_ITEMS = 32  # of work at least, for threads to share


def multiply(a: Coded, w: Coded, how: Plan, datapath: Datapath, out: NDArray[np.float32]) -> None:
    """Fill `out` [M, N] with the accumulated values as float32; outputs of `slow_rows` are left undefined."""
    rows = Grouping(tile_rows(how.dtype, how.adder, type(how.register)), how.lanes, PARTS[how.dtype])
    columns = rows._replace(height=LANES)
    middle = sum(a.exponent_range) // 2
    shift = datapath.exponent_offset - how.lsb_exponent + middle
    groups = rows.groups(a.codes.shape[1]) if datapath.scaled else 1
    left = _panels(a, how, rows, datapath, is_first=True)._replace(scales=_scales(a, how, rows, groups, -middle))
    right = _panels(w, how, columns, datapath, is_first=False)
    if isinstance(how.register, Float32Shifted):
        left.scales[:] *= np.float32(MAGIC)
        starts = _shifted(left.starts, left.scales, rows.height, rows.groups(a.codes.shape[1]))
        left = left._replace(starts=starts)
    _run(left, right._replace(scales=_scales(w, how, columns, groups, shift)), how, _adder(how, rows.steps), out)


def multiply_floats(a: NDArray[np.float32], w: NDArray[np.float32], flushes: bool, out: NDArray[np.float32]) -> None:
    """Fill `out` [M, N]: every product of [M, K] and [N, K] rounded to float32, added in ascending k, each sum rounded.

    flushes: tiny products and sums become zero.
    """
    how = Plan("float32", Exact, MultipliedFlushed() if flushes else Multiplied(), 1)
    rows = Grouping(tile_rows(how.dtype, how.adder, type(how.register)), 1, 1)
    left, right = (
        Panels.of(lay_out(side, None, 0, grouping)[0])
        for side, grouping in ((a, rows), (w, rows._replace(height=LANES)))
    )
    _run(left, right, how, Exact(1), out)


def _run(left: Panels, right: Panels, how: Plan, adder: Any, out: NDArray[np.float32]) -> None:
    tiles, panels = len(left.values), len(right.values)
    together = min(_CACHED_BYTES // max(left.values[:1].nbytes, 1), tiles * panels // _ITEMS, tiles)
    multiply_panels(left, right, adder, how.register, max(together, 1), out)


def _adder(how: Plan, steps: int) -> Any:
    """The plan's adder with its numbers."""
    if how.adder in (Split, SplitNarrow):
        left, right = how.windows
        low_bits = left.high - left.low
        lowest = right.low if how.adder is Split else right.high
        units = math.ldexp(1.0, left.high + right.high), math.ldexp(1.0, left.low + lowest)
        return how.adder(steps, low_bits, *units)
    if how.adder is SplitCut:
        return SplitCut(steps, math.ldexp(1.0, -how.windows[0].high))
    return how.adder(steps)


def _panels(side: Coded, how: Plan, grouping: Grouping, datapath: Datapath, is_first: bool) -> Panels:
    """One operand as the plan's adder takes it, without its scales."""
    element = side.format.element
    if how.windows:
        values = integers(side.format, datapath)
        high, low = in_planes(values, how.windows[0 if is_first else 1])
        panels, below = (lay_out(side.codes, table, element.padding_code, grouping)[0] for table in (high, low))
        return Panels.of(panels, low=below, marks=mark_steps(below, grouping))
    offset = OFFSET if how.dtype == "int8" and not is_first else 0
    factors = None
    if datapath.windowed:
        numbers = code_table(side.format, False)
        middle = element.top_exponent - datapath.window_bits // 2
        table = np.ldexp(numbers.values.astype(np.float64), numbers.exponents - middle).astype(np.float32)
    else:
        values = code_table(side.format, True).values
        if _is_aligned(how) and side.has_significands:
            factors = Factors(side.scales.significands[side.scales.codes], *side.block, offset)
            offset = 0
        if isinstance(how.register, Fused) and not is_first:
            values = np.ldexp(values, datapath.product_lsb_exponent)
        table = (values + offset).astype(how.dtype)
    with_starts = is_first and how.dtype == "int8"
    laid, starts = lay_out(side.codes, table, element.padding_code, grouping, factors, with_starts)
    return Panels.of(laid, starts=starts)


def _scales(side: Coded, how: Plan, grouping: Grouping, groups: int, exponent: int) -> NDArray[Any]:
    """Scales times ``2**exponent`` as the plan's register takes them, by group and row."""
    kind = RULES[type(how.register)].scale
    exponents = np.where(side.scales.exponents == NAN_SCALE, 0, side.scales.exponents)
    if _is_aligned(how):
        table = exponents.astype(kind)
    else:
        with np.errstate(over="ignore", under="ignore"):  # in codes that do not occur
            table = np.ldexp(side.scales.significands.astype(np.float64), exponents + exponent).astype(kind)
    if isinstance(how.register, Fused):
        groups = 0
    return lay_out_scales(side.scales.codes, table, len(side.codes), side.block, groups, grouping)


def _is_aligned(how: Plan) -> bool:
    return isinstance(how.register, Aligned32 | Aligned64)


def _shifted(starts: NDArray[np.int32], scales: NDArray[np.float32], height: int, groups: int) -> NDArray[np.int32]:
    """Sums that start at the bits of `scales`, less what they start at otherwise."""
    bits = np.broadcast_to(scales.view(np.int32).reshape(len(scales), -1, height), (len(scales), groups, height))
    return bits.reshape(len(scales), -1) + (starts if starts.size else np.int32(0))
