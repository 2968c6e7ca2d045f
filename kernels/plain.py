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
from densimeter.kernels.bits import floor_log2, power_of_two
from densimeter.kernels.encode import saturated_float32
from densimeter.kernels.loops import Geometry, dequantize_row, extremes, largest_bits, put, range_of_block
from densimeter.kernels.parameters import (
    CEIL,
    CODEBOOK,
    EVEN,
    FLOAT,
    NAN_ZERO,
    RCEIL,
    SIGNED_SCALE,
    ZERO_POINT,
    CodecFields,
    ladder,
    parameters,
    value_table,
)
from densimeter.kernels.parameters import MINIMUM as MINIMUM_SCALE
from densimeter.kernels.plain_lanes import encode_plain, largest_of_many, look_up, use_widest_vectors
from densimeter.kernels.plain_plan import CODEBOOKS, LOGS, MANTISSA_BITS, Cells, Plan, cells, plan
from densimeter.kernels.scales import choose, exponent_code
from densimeter.kernels.simd import encode_floats, encode_integers, encode_levels
from densimeter.kernels.threads import share_out
from densimeter.kernels.vectors import LANES

_INFINITY_BITS = np.uint32(0x7F800000)
FIRST, SECOND, ADDED, MINIMUM, EPSILON, BACK, BACK_AGAIN, TOP = range(8)  # rows of what blocks share
_BIAS = 127
_SMALLEST_NORMAL = np.uint32(1 << MANTISSA_BITS)
_STEPS = 252  # binary exponents that two float32 factors span
_SMALLEST_PARTS = np.uint32((127 - 100) << 23)  # magnitudes below it may have parts that float32 cannot tell apart
_NO_CELLS = Cells(1, 0, np.empty(0, np.float32), np.empty(0, np.int32))
_LEAST, _MOST = 2.0**-120, 2.0**120  # inverses of scales that leave room for errors of one part in 2^23


@njit(error_model="numpy", cache=True)
def _largest(x, top, bottom, block, largest):  # type: ignore[no-untyped-def]
    """The largest bit pattern of a magnitude in each block over rows top to bottom; returns that of all."""
    use_widest_vectors()
    length, of_all = x.shape[1], np.uint32(0)
    for row in range(top, bottom):
        values = x[row]
        for b in range(largest.size):
            start, stop = b * block, min((b + 1) * block, length)
            found = largest_of_many(values, start, stop) if stop - start >= LANES else largest_bits(values, start, stop)
            largest[b] = found if row == top else max(largest[b], found)
            of_all = max(of_all, found)
    return of_all


@njit(error_model="numpy", cache=True)
def _exponents(largest, e, s, exponents):  # type: ignore[no-untyped-def]
    """Exponents of shared scales from the largest magnitudes of blocks; what is subnormal is taken by itself."""
    added = np.uint32(0x7FFFFF if s.rule == CEIL else 0)
    if s.rule == EVEN:
        added = np.uint32((2.0 - s.even_threshold) * 2.0**MANTISSA_BITS)
    sign, above, of_zero = -1 if s.negated else 1, _BIAS + s.offset, s.largest_code if s.negated else 0
    by_itself = s.rule == RCEIL
    for b in range(exponents.size):
        bits = largest[b]
        by_itself |= (bits != 0) & (bits < _SMALLEST_NORMAL)
        code = sign * (np.int32((bits + added) >> np.uint32(MANTISSA_BITS)) - above) + s.bias
        exponents[b] = (of_zero if bits == 0 else min(max(code, 0), s.largest_code)) - s.bias
    if by_itself:
        for b in range(exponents.size):
            exponents[b] = exponent_code(np.float64(np.uint32(largest[b]).view(np.float32)), s, e.largest) - s.bias


@njit(error_model="numpy", cache=True)
def _split(exponents, sign, units_exponent, factors):  # type: ignore[no-untyped-def]
    """Two powers of two, both normal, whose product is 2**(sign * (exponent - units_exponent)), as float32 bits."""
    for b in range(exponents.size):
        within = min(max(sign * (exponents[b] - units_exponent), -_STEPS), _STEPS)
        half = within >> 1
        factors[0, b] = (half + _BIAS) << MANTISSA_BITS
        factors[1, b] = (within - half + _BIAS) << MANTISSA_BITS


@njit(error_model="numpy", cache=True)
def _beside(exponents, largest, e, s, shared):  # type: ignore[no-untyped-def]
    """What else blocks under shared exponents share."""
    for b in range(exponents.size):
        exponent = exponents[b]
        shared[ADDED, b] = e.log_bias - exponent
        shared[MINIMUM, b] = _below(e.flush_at)
        epsilon = e.epsilon * power_of_two(exponent) * e.smallest if e.epsilon_of_smallest else e.epsilon
        shared[EPSILON, b] = np.float32(epsilon)
        shared[TOP, b] = 0 if largest[b] == 0 else exponent + s.offset


@njit(cache=True)
def _below(x):  # type: ignore[no-untyped-def]
    """The largest float32 that is not above x."""
    nearest = np.float32(x)
    return nearest if nearest <= x else np.nextafter(nearest, np.float32(0.0))


@njit(error_model="numpy", cache=True)
def _scales(x, top, bottom, block, largest, factor, e, f, s, stored, least_stored, codes, units, shared):  # type: ignore[no-untyped-def]
    """Choose other scales, and what blocks share under them; whether the loops here can go on."""
    p, first, length = CodecFields(e, f, s, stored, least_stored), x[top], x.shape[1]
    for b in range(units.size):
        extreme, least, greatest = 0.0, 0.0, 0.0
        if s.kind == SIGNED_SCALE or s.kind == ZERO_POINT or s.kind == MINIMUM_SCALE:
            start, stop = b * block, min((b + 1) * block, length)
            least, greatest = range_of_block(x, first, top, bottom, start, stop)
            extreme = greatest if greatest > -least else least
            if greatest == -least:  # of two extremes the first one counts
                extreme, least, greatest = extremes(x[top:bottom, start:stop], NAN_ZERO)
        magnitude = np.float64(np.uint32(largest[b]).view(np.float32))
        code, unit, zero, minimum = choose(magnitude, extreme, least, greatest, factor, p)
        units[b] = unit
        shared[FIRST, b] = saturated_float32(e.units / unit) if unit != 0.0 else 0.0
        shared[ADDED, b], shared[MINIMUM, b] = zero, minimum
        if not (unit == 0.0 or _LEAST < 1.0 / abs(unit) < _MOST):
            return False
        put(codes, b, s.code_bytes, code)
    return True


@njit(error_model="numpy", cache=True)
def _decide(values, out, i, unit, zero, minimum, e, f, ladder):  # type: ignore[no-untyped-def]
    """Sixteen codes by float64; whether that could be done."""
    if unit == 0.0:
        return False
    if e.kind == CODEBOOK:
        encode_levels(values, out, i, unit, e, ladder)
    elif e.kind == FLOAT:
        encode_floats(values, out, i, unit, 0.0, e, f, e.overflow_code if e.overflow_code >= 0 else f.largest_code)
    else:
        encode_integers(values, out, i, unit, 0.0, zero, minimum, e)
    return True


class Left(NamedTuple):
    """Rows, and the groups of rows that share scales, which the loops here could not do; as a matrix of their own."""

    rows: slice
    groups: slice
    geometry: Geometry


class _Scratch(NamedTuple):
    """What one thread keeps of the rows that it is at: of each block its scale, of a short block sixteen values."""

    largest: NDArray[np.uint32]
    exponents: NDArray[np.int32]
    units: NDArray[np.float64]
    shared: NDArray[np.float32]
    shared_bits: NDArray[np.int32]
    scales: NDArray[np.uint8]
    codes: NDArray[np.uint8]
    values: NDArray[np.float32]
    short_codes: NDArray[np.uint8]
    short_values: NDArray[np.float32]


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
    if chosen is None or (chosen.part and x.shape[1] % geometry.block):
        yield Left(slice(0, len(x)), slice(0, groups), geometry)
        return
    left = np.zeros(groups, np.bool_)
    scale_bytes = parameters(fmt).scale.code_bytes
    kept = cells(fmt) if chosen.kind == CODEBOOKS else None
    arguments = *parameters(fmt), ladder(fmt), tuple(kept or _NO_CELLS), value_table(fmt.element)
    loop = _quantizer(chosen, to_values)

    def work(first: int, stop: int) -> None:
        scratch = _scratch(x.shape[1], chosen.code_bytes, scales.shape[1] // scale_bytes, scale_bytes)
        loop(first, stop, x, geometry, factor, *arguments, out, scales, left, scratch)

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


def _scratch(length: int, code_bytes: int, blocks: int, scale_bytes: int) -> _Scratch:
    shared = np.zeros((TOP + 1, blocks), np.float32)
    shared[SECOND] = 1
    return _Scratch(
        np.zeros(blocks, np.uint32),
        np.zeros(blocks, np.int32),
        np.ones(blocks),
        shared,
        shared.view(np.int32),
        np.zeros(blocks * scale_bytes, np.uint8),
        np.zeros(length * code_bytes, np.uint8),
        np.zeros(LANES, np.float32),
        np.zeros(LANES * code_bytes, np.uint8),
        np.zeros(LANES, np.float32),
    )


@cache
def _quantizer(plan: Plan, to_values: bool) -> Any:
    """The loop that quantises to codes, or to the float32 numbers that the codes stand for."""
    kind, rounding, code_bytes, exact, pushed, part, part_bits, scale_bytes, direct = (int(field) for field in plan)
    values, at_once = int(to_values), int(to_values and direct)
    width = 0 if at_once else code_bytes

    @njit(nogil=True, cache=True, error_model="numpy")
    def quantize_groups(  # type: ignore[no-untyped-def]
        first_group, stop_group, x, g, factor, e, f, s, stored, least_stored, ladder, cells, table, out, scales, left, w
    ):
        """Quantise [rows, K] float32; `left` marks groups of rows for other loops, which write them again."""
        use_widest_vectors()
        length, count, shared = x.shape[1], w.largest.size, w.shared
        units_exponent = floor_log2(e.units)
        for group in range(first_group, stop_group):
            matrix = group // g.groups
            top = matrix * g.rows + (group - matrix * g.groups) * g.block_rows
            bottom = min(top + g.block_rows, (matrix + 1) * g.rows)
            kept = w.scales if values else scales[group]
            plain = _largest(x, top, bottom, g.block, w.largest) < _INFINITY_BITS
            if plain and not exact:
                fields = e, f, s, stored, least_stored
                plain = _scales(x, top, bottom, g.block, w.largest, factor, *fields, kept, w.units, shared)
            elif plain:
                if scale_bytes:
                    _exponents(w.largest, e, s, w.exponents)
                _split(w.exponents, -1, units_exponent, w.shared_bits[FIRST : SECOND + 1])
                _split(w.exponents, 1, units_exponent, w.shared_bits[BACK : BACK_AGAIN + 1])
                if pushed or part or kind == LOGS:
                    _beside(w.exponents, w.largest, e, s, shared)
                for b in range(count if scale_bytes else 0):
                    if scale_bytes == 1:
                        kept[b] = w.exponents[b] + s.bias
                    plain &= not part or w.largest[b] == 0 or w.largest[b] >= _SMALLEST_PARTS
                    if kind == CODEBOOKS:
                        w.units[b] = power_of_two(w.exponents[b])
            for row in range(top, bottom if plain else top):
                numbers = x[row]
                target = w.codes if values and not at_once else out[row]
                short_target = w.short_values if at_once else w.short_codes
                for b in range(count):
                    start, stop = b * g.block, min((b + 1) * g.block, length)
                    shifts = np.int64(0)
                    first, second, added, minimum = (
                        shared[FIRST, b],
                        shared[SECOND, b],
                        shared[ADDED, b],
                        shared[MINIMUM, b],
                    )
                    share = (
                        first,
                        second,
                        added,
                        minimum,
                        shared[EPSILON, b],
                        shared[BACK, b],
                        shared[BACK_AGAIN, b],
                        shared[TOP, b],
                    )
                    i = start
                    while i < stop and stop - start >= LANES:
                        i = min(i, stop - LANES)  # the last sixteen may overlap those before
                        if kind == CODEBOOKS:
                            told = look_up(
                                numbers, i, target, first, second, cells[0], cells[1], cells[2], cells[3], width
                            )
                        else:
                            told = encode_plain(
                                numbers, i, target, share, e, f, kind, rounding, width, exact, pushed, part, part_bits
                            )
                        if part:
                            shifts |= told << ((i - start) // max(part, 1) * part_bits)
                        elif told != 0:
                            plain &= _decide(numbers, target, i, w.units[b], added, minimum, e, f, ladder)
                        i += LANES
                    if i < stop:  # a short block: sixteen of its own, filled up
                        for lane in range(LANES):
                            w.values[lane] = numbers[min(start + lane, stop - 1)]
                        if kind == CODEBOOKS:
                            told = look_up(
                                w.values, 0, short_target, first, second, cells[0], cells[1], cells[2], cells[3], width
                            )
                        else:
                            told = encode_plain(
                                w.values,
                                0,
                                short_target,
                                share,
                                e,
                                f,
                                kind,
                                rounding,
                                width,
                                exact,
                                pushed,
                                part,
                                part_bits,
                            )
                        if told != 0:
                            plain &= _decide(w.values, short_target, 0, w.units[b], added, minimum, e, f, ladder)
                        size = 1 if at_once else code_bytes
                        for item in range((stop - start) * size):
                            target[start * size + item] = short_target[item]
                    if part:
                        put(kept, b, s.code_bytes, (w.exponents[b] + s.bias) | shifts << s.bits)
                if values and not at_once:
                    dequantize_row(target, kept, g.block, factor, e, f, s, stored, least_stored, table, out[row])
            left[group] = not plain

    return quantize_groups
