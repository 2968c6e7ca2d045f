"""Loops over rows of plain numbers, sixteen at a time in float32; a row with a NaN or an Inf is left to `loops`.

Each loop is compiled for one `Plan` when a format first needs it, and kept on disk.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from densimeter.formats.block import BlockFormat
from densimeter.kernels.loops import Geometry, dequantize_row, encode_by_float64, put
from densimeter.kernels.parameters import ladder, parameters, value_table
from densimeter.kernels.plain_lanes import encode_plain, fetch, look_up, use_widest_vectors
from densimeter.kernels.plain_plan import CODEBOOKS, LOGS, Cells, Plan, cells, plan
from densimeter.kernels.plain_scales import (
    ADDED,
    BACK,
    BACK_AGAIN,
    EPSILON,
    FIRST,
    MINIMUM,
    SECOND,
    TOP,
    blocks_of_row,
    choose_exponents,
    choose_others,
    find_largest,
    share_beside,
    share_exponents,
)
from densimeter.kernels.threads import share_out
from densimeter.kernels.vectors import LANES

_INFINITY_BITS = np.uint32(0x7F800000)
_SMALLEST_PARTS = np.uint32((127 - 100) << 23)  # magnitudes below it may have parts that float32 cannot tell apart
_NO_CELLS = Cells(1, 0, np.empty(0, np.int64))
_AHEAD = 1 << 13  # values that are on their way from memory while others are encoded: half of a first-level cache


class Left(NamedTuple):
    """Rows, and the groups of rows that share scales, which the loops here could not do; as a matrix of their own."""

    rows: slice
    groups: slice
    geometry: Geometry


class _Scratch(NamedTuple):
    """What one thread keeps of the row that it is at: what is no output, and a row of short blocks spread out."""

    scales: NDArray[np.uint8]
    codes: NDArray[np.uint8]
    spread: NDArray[np.float32]
    spread_codes: NDArray[np.uint8]
    spread_values: NDArray[np.float32]


def quantize_plain(
    x: NDArray[np.float32],
    fmt: BlockFormat,
    geometry: Geometry,
    factor: float,
    out: NDArray[np.uint8] | NDArray[np.float32],
    scales: NDArray[np.uint8],
    to_values: bool,
) -> Iterator[Left]:
    """Quantise [rows, K] into codes and scales (bytes), or into the values that they stand for; yield what is left."""
    chosen = plan(fmt)
    groups = len(x) // geometry.rows * geometry.groups
    if chosen is None or not x.size or (chosen.part and x.shape[1] % geometry.block):
        yield Left(slice(0, len(x)), slice(0, groups), geometry)
        return
    left = np.zeros(groups, np.bool_)
    scale_bytes = parameters(fmt).scale.code_bytes
    kept = cells(fmt) if chosen.kind == CODEBOOKS else None
    arguments = *parameters(fmt), ladder(fmt), tuple(kept or _NO_CELLS), value_table(fmt.element)
    loop = _quantizer(chosen, to_values)

    def work(first: int, stop: int) -> None:
        blocks = blocks_of_row(scales.shape[1] // scale_bytes)
        scratch = _scratch(x.shape[1], geometry.block, chosen.code_bytes, scales.shape[1])
        loop(first, stop, x, geometry, factor, *arguments, out, scales, left, blocks, scratch)

    share_out(work, groups, x.size)
    edges = np.flatnonzero(np.diff(left, prepend=False, append=False)) if left.any() else np.empty(0, np.int64)
    for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if geometry.block_rows == 1:
            yield Left(slice(start, stop), slice(start, stop), Geometry(stop - start, stop - start, 1, geometry.block))
            continue
        for group in range(start, stop):
            matrix, within = divmod(group, geometry.groups)
            top = within * geometry.block_rows
            rows = min(geometry.block_rows, geometry.rows - top)
            first = matrix * geometry.rows + top
            tile = Geometry(rows, 1, geometry.block_rows, geometry.block)
            yield Left(slice(first, first + rows), slice(group, group + 1), tile)


def _scratch(length: int, block: int, code_bytes: int, scale_bytes: int) -> _Scratch:
    spread = -(-length // block) * max(block, LANES) if _has_short_blocks(length, block) else 0
    return _Scratch(
        np.zeros(scale_bytes, np.uint8),
        np.zeros(length * code_bytes, np.uint8),
        np.zeros(spread, np.float32),
        np.zeros(spread * code_bytes, np.uint8),
        np.zeros(spread, np.float32),
    )


@njit(cache=True)
def _has_short_blocks(length, block):  # type: ignore[no-untyped-def]
    """Whether a block, be it the last, is shorter than a vector."""
    return block < LANES or 0 < length % block < LANES


@njit(cache=True)
def _spread(values, block, stride, spread):  # type: ignore[no-untyped-def]
    """Copy blocks to where they are vectors: at multiples of `stride`, filled up with their last value."""
    for b in range(-(-values.size // block)):
        start, stop = b * block, min((b + 1) * block, values.size)
        for i in range(max(stop - start, LANES)):
            spread[b * stride + i] = values[min(start + i, stop - 1)]


@njit(cache=True)
def _join(spread, block, stride, item_bytes, joined):  # type: ignore[no-untyped-def]
    """Undo `_spread`."""
    for i in range(joined.size // item_bytes):
        at = i // block * stride + i % block
        for byte in range(item_bytes):
            joined[i * item_bytes + byte] = spread[at * item_bytes + byte]


@njit(error_model="numpy", cache=True)
def _share(x, top, bottom, block, factor, blocks, literals, e, s, stored, least_stored):  # type: ignore[no-untyped-def]
    """Fill `blocks` for rows top to bottom; whether the loops here can go on with them."""
    kind, exact, pushed, part, scale_bytes = literals
    if find_largest(x, top, bottom, block, blocks.largest) >= _INFINITY_BITS:
        return False
    if not exact:
        return choose_others(x, top, bottom, block, factor, blocks, e, s, stored, least_stored)
    if scale_bytes > 0:
        choose_exponents(blocks, e, s)
    share_exponents(blocks, e, s, scale_bytes > 0)
    if pushed or part > 0 or kind == LOGS:
        share_beside(blocks, e, s)
    told_apart = True
    for b in range(blocks.largest.size if part > 0 else 0):
        told_apart &= (blocks.largest[b] == 0) | (blocks.largest[b] >= _SMALLEST_PARTS)
    return told_apart


@njit(inline="always")
def _of_block(shared, b):  # type: ignore[no-untyped-def]
    """What `encode_plain` takes of block b."""
    return (
        shared[FIRST, b],
        shared[SECOND, b],
        shared[ADDED, b],
        shared[MINIMUM, b],
        shared[EPSILON, b],
        shared[BACK, b],
        shared[BACK_AGAIN, b],
        shared[TOP, b],
    )


@cache
def _quantizer(plan: Plan, to_values: bool) -> Any:
    """The loop that quantises to codes, or to the float32 numbers that the codes stand for."""
    kind, rounding, code_bytes, exact, pushed, part, part_bits, scale_bytes, direct = (int(field) for field in plan)
    values, at_once = int(to_values), int(to_values and direct)
    width = 0 if at_once else code_bytes
    item_bytes = 1 if at_once else code_bytes  # of `out`: a float32 counts as one

    @njit(nogil=True, cache=True, error_model="numpy")
    def quantize_groups(  # type: ignore[no-untyped-def]
        first_group,
        stop_group,
        x,
        g,
        factor,
        e,
        f,
        s,
        stored,
        least_stored,
        ladder,
        cells,
        table,
        out,
        scales,
        left,
        blocks,
        w,
    ):
        """Quantise [rows, K] float32; `left` marks groups of rows for other loops, which write them again."""
        use_widest_vectors()
        length, count, shared = x.shape[1], blocks.largest.size, blocks.shared
        ahead, short = min(g.block_rows * length, _AHEAD), _has_short_blocks(length, g.block)
        stride = max(g.block, LANES) if short else g.block
        literals = kind, exact, pushed, part, scale_bytes
        for group in range(first_group, stop_group):
            matrix = group // g.groups
            top = matrix * g.rows + (group - matrix * g.groups) * g.block_rows
            bottom = min(top + g.block_rows, (matrix + 1) * g.rows)
            kept = w.scales if values else scales[group]
            plain = _share(x, top, bottom, g.block, factor, blocks, literals, e, s, stored, least_stored)
            for row in range(top, bottom if plain else top):
                numbers = x[row]
                target = w.codes if values and not at_once else out[row]
                source, into = numbers, target
                if short:
                    source, into = w.spread, w.spread_values if at_once else w.spread_codes
                    _spread(numbers, g.block, stride, source)
                for b in range(count):
                    share, shifts, start = _of_block(shared, b), np.int64(0), b * stride
                    stop = start + max(min(g.block, length - b * g.block), LANES)
                    i = start
                    while i < stop:
                        i = min(i, stop - LANES)  # the last sixteen may overlap those before
                        fetch(source, i + ahead)
                        if kind == CODEBOOKS:
                            told = look_up(
                                source, i, into, share[FIRST], share[SECOND], cells[0], cells[1], cells[2], width
                            )
                        else:
                            told = encode_plain(
                                source, i, into, share, e, f, kind, rounding, width, exact, pushed, part, part_bits
                            )
                        if part:
                            shifts |= told << ((i - start) // max(part, 1) * part_bits)
                        elif told != 0 and blocks.units[b] == 0.0:
                            plain = False
                        elif told != 0:
                            unit, zero, minimum = blocks.units[b], share[ADDED], share[MINIMUM]
                            encode_by_float64(source, into, i, unit, zero, minimum, e, f, ladder)
                        i += LANES
                    if part:
                        blocks.codes[b] |= shifts << s.bits
                if short:
                    _join(into, g.block, stride, item_bytes, target)
                for b in range(count if scale_bytes and row == top else 0):
                    put(kept, b, scale_bytes, blocks.codes[b])
                if values and not at_once:
                    dequantize_row(target, kept, g.block, factor, e, f, s, stored, least_stored, table, out[row])
            left[group] = not plain

    return quantize_groups
