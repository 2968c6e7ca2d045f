"""The loops of the codec, compiled: over groups of rows, over blocks, over values; first all scales, then all codes."""

from typing import NamedTuple

import numpy as np
from numba import njit, prange

from densimeter.kernels.bits import power_of_two
from densimeter.kernels.decode_lanes import decode, decode_floats
from densimeter.kernels.encode import ABOVE_FLOAT32, decode_float, encode, nan_code, noise
from densimeter.kernels.parameters import (
    CODEBOOK,
    FLOAT,
    MINIMUM,
    NAN_BLOCK,
    NAN_KEPT,
    NAN_REFUSED,
    NAN_ZERO,
    POWER_OF_TWO,
    SIGNED_SCALE,
    STOCHASTIC,
    TOWARD_ZERO,
    ZERO_POINT,
    CodecFields,
)
from densimeter.kernels.plain_lanes import largest_of_many
from densimeter.kernels.scales import choose, exponent_code, microexponent, read, read_microexponent
from densimeter.kernels.simd import encode_floats, encode_integers, encode_levels
from densimeter.kernels.vectors import LANES

_INFINITY_BITS = np.uint32(0x7F800000)
_MAGNITUDE_MASK = np.uint32(0x7FFFFFFF)

PLAIN, SPECIAL, NAN_THROUGHOUT, REFUSED = range(4)  # what a block holds


class Geometry(NamedTuple):
    """A `Grid` for compiled code: rows and groups of rows in a matrix, rows and columns of a block."""

    rows: int
    groups: int
    block_rows: int
    block: int


@njit(inline="always")
def put(out, i, width, code):  # type: ignore[no-untyped-def]
    """Write code number i, `width` bytes wide, into bytes."""
    for byte in range(width):
        out[i * width + byte] = np.uint8((code >> (8 * byte)) & 0xFF)


@njit(inline="always")
def get(codes, i, width):  # type: ignore[no-untyped-def]
    """Code number i, `width` bytes wide, of bytes."""
    code = np.int64(0)
    for byte in range(width):
        code |= np.int64(codes[i * width + byte]) << (8 * byte)
    return code


@njit(inline="always")
def _number(x):  # type: ignore[no-untyped-def]
    """A float32 that is not NaN as float64, infinities as powers of two that saturate whatever they meet."""
    return min(max(np.float64(x), -ABOVE_FLOAT32), ABOVE_FLOAT32)


@njit(inline="always")
def _magnitude(bits):  # type: ignore[no-untyped-def]
    """The magnitude of a float32 bit pattern as float64, infinity as a power of two."""
    return min(np.float64(np.uint32(bits).view(np.float32)), ABOVE_FLOAT32)


@njit(cache=True)
def largest_bits(values, start, stop):  # type: ignore[no-untyped-def]
    """The largest bit pattern of |values[start:stop]|; NaN has the largest of all."""
    if stop - start >= LANES:
        return largest_of_many(values, start, stop)
    largest, bits = np.uint32(0), values.view(np.uint32)
    for i in range(start, stop):
        largest = max(largest, bits[i] & _MAGNITUDE_MASK)
    return largest


@njit
def _largest_number(values):  # type: ignore[no-untyped-def]
    """(largest bit pattern of a magnitude that is not NaN, how many NaN)."""
    largest, nans = np.uint32(0), 0
    for one in values.view(np.uint32):
        magnitude = one & _MAGNITUDE_MASK
        if magnitude > _INFINITY_BITS:
            nans += 1
        else:
            largest = max(largest, magnitude)
    return largest, nans


@njit(cache=True)
def extremes(values, policy):  # type: ignore[no-untyped-def]
    """(value of largest magnitude, the first of several; least; greatest) of a block, [rows, columns]."""
    extreme, least, greatest = 0.0, np.inf, -np.inf
    for row in values:
        for x in row:
            number = 0.0
            if np.isnan(x):
                if policy != NAN_ZERO:
                    continue
            else:
                number = _number(x)
            if abs(number) > abs(extreme):
                extreme = number
            least, greatest = min(least, number), max(greatest, number)
    return (extreme, least, greatest) if least <= greatest else (0.0, 0.0, 0.0)


@njit(inline="always")
def _choose_scale(x, first, top, bottom, start, stop, factor, p):  # type: ignore[no-untyped-def]
    """(state, scale code, unit, zero, minimum) of the block x[top:bottom, start:stop]; microexponents follow.

    `first` is x[top]: a view made for every block would cost more than the block.
    Of a refused block, the number of NaN stands for the unit.
    """
    e, s = p.element, p.scale
    largest, nans = largest_bits(first, start, stop), 0
    for row in range(top + 1, bottom):
        largest = max(largest, largest_bits(x[row], start, stop))
    state = PLAIN
    if largest >= _INFINITY_BITS:
        if e.nan_policy == NAN_BLOCK:
            return NAN_THROUGHOUT, np.int64(s.nan_code), 0.0, 0.0, 0.0
        state, largest = SPECIAL, np.uint32(0)
        for row in range(top, bottom):
            row_largest, row_nans = _largest_number(x[row, start:stop])
            largest, nans = max(largest, row_largest), nans + row_nans
        if nans > 0 and e.nan_policy == NAN_REFUSED:
            return REFUSED, np.int64(0), np.float64(nans), 0.0, 0.0
    if s.kind == POWER_OF_TWO:
        code = exponent_code(_magnitude(largest), s, e.largest)
        return state, code, power_of_two(code - s.bias), 0.0, 0.0
    extreme, least, greatest = 0.0, 0.0, 0.0
    if s.kind == SIGNED_SCALE or s.kind == ZERO_POINT or s.kind == MINIMUM:
        extreme, least, greatest = extremes(x[top:bottom, start:stop], e.nan_policy)
    code, unit, zero, minimum = choose(_magnitude(largest), extreme, least, greatest, factor, p)
    return state, code, unit, zero, minimum


@njit(inline="always")
def encode_by_float64(values, out, i, unit, zero, minimum, e, f, ladder):  # type: ignore[no-untyped-def]
    """Sixteen codes of plain numbers, of the kinds of elements that `ElementFields.vectors` says, or in doubt."""
    if e.kind == CODEBOOK:
        encode_levels(values, out, i, unit, e, ladder)
    elif e.kind == FLOAT:
        above = e.overflow_code if e.overflow_code >= 0 and e.rounding != TOWARD_ZERO else f.largest_code
        encode_floats(values, out, i, unit, e, f, above)
    else:
        encode_integers(values, out, i, unit, zero, minimum, e)


@njit(inline="always")
def _encode_run(values, row, start, stop, seed, state, unit, zero, minimum, p, ladder, out):  # type: ignore[no-untyped-def]
    """Encode values[start:stop] of a row, which share a scale; values are numbered row after row."""
    e, i = p.element, start
    if state == PLAIN and unit != 0.0 and e.vectors:
        while i + LANES <= stop:
            encode_by_float64(values, out, i, unit, zero, minimum, e, p.float, ladder)
            i += LANES
    if i < stop:
        _encode_one_by_one(values, i, stop, row * values.size, seed, unit, zero, minimum, p, ladder, out)


@njit
def _encode_one_by_one(values, start, stop, index, seed, unit, zero, minimum, p, ladder, out):  # type: ignore[no-untyped-def]
    e = p.element
    for i in range(start, stop):
        chance = noise(seed, index + i) if e.rounding == STOCHASTIC else 0.0
        value = values[i]
        if np.isnan(value):
            if e.nan_policy == NAN_KEPT:
                put(out, i, e.code_bytes, nan_code(np.float32(value).view(np.int32) < 0, p.float))
                continue
            value = np.float32(0.0)
        put(out, i, e.code_bytes, encode(value, unit, zero, minimum, chance, p, ladder))


@njit(error_model="numpy")
def _scale_parts(values, start, stop, block, code, s, scaled):  # type: ignore[no-untyped-def]
    """Shift the parts of one block up by their microexponents, which is exact, into `scaled`.

    Returns the scale code with the microexponents: under the shared exponent, the shifted values have the right codes.
    """
    width, shared, part = block // s.micro_parts, code, 0
    while part < s.micro_parts:
        first = min(start + part * width, stop)
        last = min(first + width, stop)
        largest, _ = _largest_number(values[first:last])
        shift = microexponent(_magnitude(largest), shared, s)
        code |= shift << (s.bits + part * s.micro_bits)
        factor = np.float32(1 << shift)
        for i in range(first, last):
            scaled[i] = values[i] * factor
        part += 1
    return code


@njit(error_model="numpy")
def _quantize_group(x, top, bottom, block, factor, seed, e, f, s, stored, least_stored, ladder, codes, scales):  # type: ignore[no-untyped-def]
    """Quantise the blocks over rows top to bottom, which share their scales; returns how many NaN were refused.

    First all scales, then all codes: a block's codes need not wait for its scale.
    """
    p = CodecFields(e, f, s, stored, least_stored)
    length, refused, count = x.shape[1], np.int64(0), scales.size // s.code_bytes
    shares_exponent = s.kind == POWER_OF_TWO
    states = np.empty(count, np.uint8)
    shared = np.empty((0 if shares_exponent else count, 3))  # an exponent is read again from its code
    scaled = np.empty(length if s.micro_parts > 0 else 0, np.float32)
    first = x[top]
    for b in range(count):
        stop = min((b + 1) * block, length)
        state, code, unit, zero, minimum = _choose_scale(x, first, top, bottom, b * block, stop, factor, p)
        states[b] = state
        put(scales, b, s.code_bytes, code)
        if state == REFUSED:
            refused += np.int64(unit)
        elif not shares_exponent:
            shared[b, 0], shared[b, 1], shared[b, 2] = unit, zero, minimum
    for row in range(top, bottom):
        values, out = x[row], codes[row]
        source = scaled if s.micro_parts > 0 else values
        for b in range(count):
            start, stop, state = b * block, min((b + 1) * block, length), states[b]
            if state == NAN_THROUGHOUT:
                for i in range(start * e.code_bytes, stop * e.code_bytes):
                    out[i] = 0
            elif state != REFUSED:
                unit, zero, minimum = 1.0, 0.0, 0.0
                if shares_exponent:
                    code = get(scales, b, s.code_bytes)
                    unit = power_of_two((code & ((np.int64(1) << s.bits) - 1)) - s.bias)
                    if s.micro_parts > 0:
                        code = _scale_parts(values, start, stop, block, code, s, scaled)
                        put(scales, b, s.code_bytes, code)
                else:
                    unit, zero, minimum = shared[b, 0], shared[b, 1], shared[b, 2]
                _encode_run(source, row, start, stop, seed, state, unit, zero, minimum, p, ladder, out)
    return refused


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def quantize_loop(x, g, factor, seed, e, f, s, stored, minimum, ladder, codes, scales, refused):  # type: ignore[no-untyped-def]
    """Quantise [rows, K] float32; `refused[group of rows]` counts the NaNs that the format refuses."""
    for group in prange(scales.shape[0]):
        matrix = group // g.groups
        top = matrix * g.rows + (group - matrix * g.groups) * g.block_rows
        bottom = min(top + g.block_rows, (matrix + 1) * g.rows)
        refused[group] = _quantize_group(
            x, top, bottom, g.block, factor, seed, e, f, s, stored, minimum, ladder, codes, scales[group]
        )


@njit(error_model="numpy", cache=True)
def dequantize_row(codes, scales, block, factor, e, f, s, stored, least_stored, table, out):  # type: ignore[no-untyped-def]
    p = CodecFields(e, f, s, stored, least_stored)
    length, width = out.size, block // max(s.micro_parts, 1)
    listed = table.size > 0
    vectors = s.micro_parts == 0 or (listed and (LANES % width == 0 or width % LANES == 0))
    for b in range(scales.size // s.code_bytes):
        code = get(scales, b, s.code_bytes)
        unit, zero, added = read(code, factor, p)
        start, stop = b * block, min((b + 1) * block, length)
        i = start
        if vectors:
            while i + LANES <= stop:
                if listed:
                    shifts = code >> (s.bits + (i - start) // width * s.micro_bits) if s.micro_parts > 0 else 0
                    shifting = shifts, width, s.micro_bits, s.micro_largest
                    decode(codes, e.code_bytes, table, out, i, unit, zero, added, *shifting)
                else:
                    decode_floats(codes, e.code_bytes, out, i, unit, added, f)
                i += LANES
        while i < stop:
            element = get(codes, i, e.code_bytes)
            value = table[element] if listed else decode_float(element, f)
            if s.micro_parts > 0:
                value *= power_of_two(-read_microexponent(code, (i - start) // width, s))
            out[i] = np.float32((value - zero) * unit) + np.float32(added)
            i += 1


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def dequantize_loop(codes, scales, g, factor, e, f, s, stored, minimum, table, out):  # type: ignore[no-untyped-def]
    """Dequantise [rows, K] codes through a table of element values."""
    for row in prange(codes.shape[0]):
        matrix = row // g.rows
        group = matrix * g.groups + (row - matrix * g.rows) // g.block_rows
        dequantize_row(codes[row], scales[group], g.block, factor, e, f, s, stored, minimum, table, out[row])


@njit(parallel=True, nogil=True, cache=True)
def largest_finite(x):  # type: ignore[no-untyped-def]
    """Largest finite magnitude of [rows, K] float32, a row at a time."""
    largest = np.zeros(x.shape[0], np.float32)
    for row in prange(x.shape[0]):
        bits = largest_bits(x[row], 0, x.shape[1])
        if bits < _INFINITY_BITS:
            largest[row] = np.float32(_magnitude(bits))
        else:
            for value in x[row]:
                if np.isfinite(value):
                    largest[row] = max(largest[row], abs(value))
    return largest
