"""Integer dot products in registers of finite width, compiled: exact running sums first, and only where these leave the
register, the register step by step.

Integers travel in float32 or float64, whichever holds every sum exactly (`EXACT_SUMS`), since processors add and
compare floats no slower than integers and multiply them faster. One row of `a` meets a panel of columns of `w` at a
time.
"""

from typing import NamedTuple

import numba
import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from densimeter.kernels.bits import floor_log2

EXACT_SUMS: dict[type[np.floating], float] = {np.float32: 2.0**22, np.float64: 2.0**51}
"""Sums of magnitudes up to here are exact in that type, with two bits to spare.

A register that such sums can leave is no wider, so that it plus one group plus half its range is exact too.
"""
_LARGEST_PANEL = 256  # columns, whose registers and running extremes stay in the first-level cache

_ROWS = 16  # of a task
_SMALLEST_PANEL = 32
_TASKS_PER_THREAD = 4

# Integers have no NaN and need no negative zero; fused multiplication rounds them no more than any other.
_INTEGERS = {"contract", "nnan", "nsz"}


class ArrayParameters(NamedTuple):
    """lanes: products a group. segment: products until the register is read and cleared."""

    lanes: int
    segment: int
    saturate: bool


class Limits(NamedTuple):
    """Numbers about a register, in the type of the sums.

    It holds -half to most, a range of size `span`; inverse: one by that. How often a sum went around it is
    ``(sum + tie_break) / span`` rounded to nearest, which adding and subtracting `rounder` does.
    """

    half: np.floating
    most: np.floating
    span: np.floating
    inverse: np.floating
    tie_break: np.floating
    rounder: np.floating

    @classmethod
    def of(cls, bits: int, dtype: type[np.floating]) -> "Limits":
        """In float32, widths that exact sums cannot leave may round: they are never left."""
        half = 2.0 ** (bits - 1)
        numbers = half, half - 1, 2 * half, 0.5 / half, 0.5, 1.5 * 2.0 ** np.finfo(dtype).nmant
        return cls(*map(dtype, numbers))


class Side(NamedTuple):
    """The block scales [blocks, rows] of one operand, and how many products one serves."""

    scales: NDArray[np.float64]
    block: int


def widest_panel(rows: int, columns: int) -> int:
    """Columns of a panel of a product of this shape: fewer where rows alone would leave threads without a task."""
    tasks = _TASKS_PER_THREAD * numba.get_num_threads()
    panels = -(-tasks // max(-(-rows // _ROWS), 1))
    return min(max(columns // panels, _SMALLEST_PANEL), _LARGEST_PANEL)


@njit(inline="always")
def _add_products(row, panel, start, stop, sums):  # type: ignore[no-untyped-def]
    """sums += the products of one group."""
    k = start
    while k + 4 <= stop:
        x0, x1, x2, x3 = row[k], row[k + 1], row[k + 2], row[k + 3]
        w0, w1, w2, w3 = panel[k], panel[k + 1], panel[k + 2], panel[k + 3]
        for j in range(sums.size):
            sums[j] = sums[j] + x0 * w0[j] + x1 * w1[j] + x2 * w2[j] + x3 * w3[j]
        k += 4
    while k < stop:
        x, w = row[k], panel[k]
        for j in range(sums.size):
            sums[j] += x * w[j]
        k += 1


@njit(inline="always")
def _add_single_products(row, panel, start, stop, sums, least, greatest):  # type: ignore[no-untyped-def]
    """Groups of one product, eight at a time: sums and extremes are loaded and stored once for all of them."""
    k = start
    while k + 8 <= stop:
        x0, x1, x2, x3 = row[k], row[k + 1], row[k + 2], row[k + 3]
        x4, x5, x6, x7 = row[k + 4], row[k + 5], row[k + 6], row[k + 7]
        w0, w1, w2, w3 = panel[k], panel[k + 1], panel[k + 2], panel[k + 3]
        w4, w5, w6, w7 = panel[k + 4], panel[k + 5], panel[k + 6], panel[k + 7]
        for j in range(sums.size):
            s0 = sums[j] + x0 * w0[j]
            s1 = s0 + x1 * w1[j]
            s2 = s1 + x2 * w2[j]
            s3 = s2 + x3 * w3[j]
            s4 = s3 + x4 * w4[j]
            s5 = s4 + x5 * w5[j]
            s6 = s5 + x6 * w6[j]
            s7 = s6 + x7 * w7[j]
            least[j] = min(least[j], min(min(min(s0, s1), min(s2, s3)), min(min(s4, s5), min(s6, s7))))
            greatest[j] = max(greatest[j], max(max(max(s0, s1), max(s2, s3)), max(max(s4, s5), max(s6, s7))))
            sums[j] = s7
        k += 8
    while k < stop:
        x, w = row[k], panel[k]
        for j in range(sums.size):
            sums[j] += x * w[j]
            least[j], greatest[j] = min(least[j], sums[j]), max(greatest[j], sums[j])
        k += 1


@njit(fastmath=_INTEGERS)
def _add_exactly(row, panel, start, stop, lanes, sums, least, greatest):  # type: ignore[no-untyped-def]
    """The running sums of a segment without end, and their extremes."""
    if lanes == 1:
        _add_single_products(row, panel, start, stop, sums, least, greatest)
        return
    for k in range(start, stop, lanes):
        _add_products(row, panel, k, k + lanes, sums)
        for j in range(sums.size):
            least[j], greatest[j] = min(least[j], sums[j]), max(greatest[j], sums[j])


@njit(fastmath=_INTEGERS)
def _add_in_registers(row, panel, start, stop, p, limits, group, registers, counts, firsts):  # type: ignore[no-untyped-def]
    """The same segment in registers, counting the additions that overflowed."""
    half, most, span, inverse, tie_break, rounder = limits
    saturate = p.saturate
    registers[:] = 0
    for k in range(start, stop, p.lanes):
        if p.lanes == 1:
            x, w = row[k], panel[k]
            for j in range(registers.size):
                group[j] = x * w[j]
        else:
            group[:] = 0
            _add_products(row, panel, k, k + p.lanes, group)
        for j in range(registers.size):
            total = registers[j] + group[j]
            held = min(max(total, -half), most)
            beyond = held != total
            counts[j] += np.int32(1) if beyond else np.int32(0)
            firsts[j] = np.int32(k) if (beyond and firsts[j] < 0) else firsts[j]
            turns = (total + tie_break) * inverse + rounder - rounder
            registers[j] = held if saturate else total - span * turns


@njit
def _needed_bits(least, greatest):  # type: ignore[no-untyped-def]
    """Width of the narrowest two's complement register, of at least two bits, that holds both."""
    magnitude = max(np.float64(greatest), -1.0 - np.float64(least))
    return floor_log2(magnitude) + 2 if magnitude >= 1.0 else 2


@njit(fastmath=_INTEGERS)
def _all_within(least, greatest, limits):  # type: ignore[no-untyped-def]
    lowest, highest = least[0], greatest[0]
    for j in range(least.size):
        lowest, highest = min(lowest, least[j]), max(highest, greatest[j])
    return lowest >= -limits.half and highest <= limits.most


@njit(fastmath=_INTEGERS)
def _widen(all_least, all_greatest, least, greatest):  # type: ignore[no-untyped-def]
    for j in range(least.size):
        all_least[j], all_greatest[j] = min(all_least[j], least[j]), max(all_greatest[j], greatest[j])


@njit
def _add_scaled(values, registers, a_scale, w_scales):  # type: ignore[no-untyped-def]
    """values += registers times scales, rounded to float32 and added as the fp32 accumulator would."""
    for j in range(values.size):
        values[j] += np.float32(np.float64(registers[j]) * (a_scale * w_scales[j]))


@njit
def _some_rows(rows, panel, a, w, p, limits, first_row, first_column, product, overflows, first_overflow, needed_bits):  # type: ignore[no-untyped-def]
    """A few rows by one panel, whose first row and column in the product are given."""
    length, width = panel.shape
    columns = slice(first_column, min(first_column + width, product.shape[1]))
    # Arrays of their own: of rows of one array the compiler could not tell that they do not overlap.
    sums, group, registers = np.empty(width, rows.dtype), np.empty(width, rows.dtype), np.empty(width, rows.dtype)
    least, all_least = np.empty(width, rows.dtype), np.empty(width, rows.dtype)
    greatest, all_greatest = np.empty(width, rows.dtype), np.empty(width, rows.dtype)
    counts, firsts = np.empty(width, np.int32), np.empty(width, np.int32)
    for i in range(first_row, first_row + rows.shape[0]):
        row, values = rows[i - first_row], product[i, columns]
        values[:], all_least[:], all_greatest[:], counts[:], firsts[:] = 0, 0, 0, 0, -1
        for start in range(0, length, p.segment):
            stop = min(start + p.segment, length)
            sums[:], least[:], greatest[:] = 0, 0, 0
            _add_exactly(row, panel, start, stop, p.lanes, sums, least, greatest)
            _widen(all_least, all_greatest, least, greatest)
            a_scale, w_scales = a.scales[start // a.block, i], w.scales[start // w.block, columns]
            if _all_within(least, greatest, limits):
                _add_scaled(values, sums, a_scale, w_scales)
            else:
                _add_in_registers(row, panel, start, stop, p, limits, group, registers, counts, firsts)
                _add_scaled(values, registers, a_scale, w_scales)
        overflows[i, columns], first_overflow[i, columns] = counts[: values.size], firsts[: values.size]
        for j in range(values.size):
            needed_bits[i, first_column + j] = _needed_bits(all_least[j], all_greatest[j])


@njit(parallel=True, nogil=True, cache=True)
def run(rows, panels, a, w, p, limits, product, overflows, first_overflow, needed_bits):  # type: ignore[no-untyped-def]
    """Rows [M, K] times panels [N / columns, K, columns]; a, w: their `Side`. The last four are filled, [M, N]."""
    chunks = -(-rows.shape[0] // _ROWS)
    for task in prange(panels.shape[0] * chunks):
        index, top = task // chunks, task % chunks * _ROWS
        some, panel = rows[top : top + _ROWS], panels[index]
        column = index * panel.shape[1]
        _some_rows(some, panel, a, w, p, limits, top, column, product, overflows, first_overflow, needed_bits)
