"""What blocks of plain numbers share, chosen for all blocks of a row at once: equal to `scales.choose`, block by block.

Each loop goes over blocks, does one thing and takes no branches, so that it compiles to vectors.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from densimeter.kernels.bits import floor_log2, mantissa, power_of_two, round_half_even
from densimeter.kernels.encode import decode_float, encode_saturating, saturated_float32
from densimeter.kernels.loops import extremes, largest_bits
from densimeter.kernels.parameters import (
    CEIL,
    EVEN,
    FLOAT_SCALE,
    NAN_ZERO,
    RCEIL,
    SIGNED_SCALE,
    ZERO_POINT,
)
from densimeter.kernels.parameters import MINIMUM as MINIMUM_SCALE
from densimeter.kernels.plain_lanes import largest_of_many, range_of_many, use_widest_vectors
from densimeter.kernels.plain_plan import MANTISSA_BITS
from densimeter.kernels.scales import exponent_code
from densimeter.kernels.vectors import LANES

FIRST, SECOND, ADDED, MINIMUM, EPSILON, BACK, BACK_AGAIN, TOP = range(8)  # rows of `shared`
_BIAS = 127
_SMALLEST_NORMAL = np.uint32(1 << MANTISSA_BITS)
_STEPS = 252  # binary exponents that two float32 factors span
_MANY = 2.0**40  # more than any zero
_LEAST, _MOST = 2.0**-120, 2.0**120  # inverses of scales that leave room for errors of one part in 2^23


class Blocks(NamedTuple):
    """Of each block of a row: what it holds, and the scale chosen for it."""

    largest: NDArray[np.uint32]  # bit pattern of a magnitude
    least: NDArray[np.float32]
    greatest: NDArray[np.float32]
    wanted: NDArray[np.float64]  # scale before it is stored
    codes: NDArray[np.int64]
    units: NDArray[np.float64]  # the scale that values are divided by
    minimum_codes: NDArray[np.int64]
    minima: NDArray[np.float64]
    exponents: NDArray[np.int32]  # of scales that are powers of two
    shared: NDArray[np.float32]  # what a vector operation takes, [FIRST ... TOP, blocks]
    shared_bits: NDArray[np.int32]  # the same memory


def blocks_of_row(count: int) -> Blocks:
    """Room for so many blocks, which share nothing yet."""
    shared = np.zeros((TOP + 1, count), np.float32)
    shared[SECOND] = 1
    return Blocks(
        np.zeros(count, np.uint32),
        np.zeros(count, np.float32),
        np.zeros(count, np.float32),
        np.zeros(count),
        np.zeros(count, np.int64),
        np.ones(count),
        np.zeros(count, np.int64),
        np.zeros(count),
        np.zeros(count, np.int32),
        shared,
        shared.view(np.int32),
    )


@njit(error_model="numpy", cache=True)
def find_largest(x, top, bottom, block, largest):  # type: ignore[no-untyped-def]
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
def find_ranges(x, top, bottom, block, least, greatest):  # type: ignore[no-untyped-def]
    """The least and the greatest of each block of finite numbers."""
    use_widest_vectors()
    for row in range(top, bottom):
        values = x[row]
        for b in range(least.size):
            start, stop = b * block, min((b + 1) * block, values.size)
            if stop - start >= LANES:
                low, high = range_of_many(values, start, stop)
            else:
                _, low, high = extremes(x[row : row + 1, start:stop], NAN_ZERO)
            least[b] = low if row == top else min(least[b], np.float32(low))
            greatest[b] = high if row == top else max(greatest[b], np.float32(high))


@njit(error_model="numpy", cache=True)
def choose_exponents(blocks, e, s):  # type: ignore[no-untyped-def]
    """Exponents of shared scales from the largest magnitudes of blocks; what is subnormal is taken by itself."""
    largest, exponents = blocks.largest, blocks.exponents
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
def share_exponents(blocks, e, s, has_scale):  # type: ignore[no-untyped-def]
    """What blocks share under their exponents: two factors to the element's units, two back, codes and scales."""
    units_exponent = floor_log2(e.units)
    _split(blocks.exponents, -1, units_exponent, blocks.shared_bits[FIRST : SECOND + 1])
    _split(blocks.exponents, 1, units_exponent, blocks.shared_bits[BACK : BACK_AGAIN + 1])
    for b in range(blocks.codes.size if has_scale else 0):
        blocks.codes[b] = blocks.exponents[b] + s.bias
        blocks.units[b] = power_of_two(np.int64(blocks.exponents[b]))


@njit(error_model="numpy", cache=True)
def _split(exponents, sign, units_exponent, factors):  # type: ignore[no-untyped-def]
    """Two powers of two, both normal, whose product is 2**(sign * (exponent - units_exponent)), as float32 bits."""
    for b in range(exponents.size):
        within = min(max(sign * (exponents[b] - units_exponent), -_STEPS), _STEPS)
        half = within >> 1
        factors[0, b] = (half + _BIAS) << MANTISSA_BITS
        factors[1, b] = (within - half + _BIAS) << MANTISSA_BITS


@njit(error_model="numpy", cache=True)
def share_beside(blocks, e, s):  # type: ignore[no-untyped-def]
    """What else blocks under shared exponents share: biases of logarithms, epsilons, microexponents' top."""
    shared = blocks.shared
    for b in range(blocks.exponents.size):
        exponent = blocks.exponents[b]
        shared[ADDED, b] = e.log_bias - exponent
        shared[MINIMUM, b] = _below(e.flush_at)
        epsilon = e.epsilon * power_of_two(exponent) * e.smallest if e.epsilon_of_smallest else e.epsilon
        shared[EPSILON, b] = np.float32(epsilon)
        shared[TOP, b] = 0 if blocks.largest[b] == 0 else exponent + s.offset


@njit(cache=True)
def _below(x):  # type: ignore[no-untyped-def]
    """The largest float32 that is not above x."""
    nearest = np.float32(x)
    return nearest if nearest <= x else np.nextafter(nearest, np.float32(0.0))


@njit(error_model="numpy", cache=True)
def choose_others(x, top, bottom, block, factor, blocks, e, s, stored, least_stored):  # type: ignore[no-untyped-def]
    """Choose scales that are no powers of two, and what blocks share under them; whether float32 loops can go on."""
    use_widest_vectors()
    wanted, codes, units = blocks.wanted, blocks.codes, blocks.units
    if factor == 0.0:
        codes[:], units[:], blocks.shared[FIRST] = 0, 0.0, 0.0
        return True
    if s.kind == FLOAT_SCALE:
        _want_of_largest(blocks.largest, e.largest * factor, wanted)
    else:
        find_ranges(x, top, bottom, block, blocks.least, blocks.greatest)
        if s.kind == SIGNED_SCALE:
            _want_of_extremes(x, top, bottom, block, s.anchor, blocks.least, blocks.greatest, wanted)
        else:
            _want_of_ranges(blocks.least, blocks.greatest, e.largest, s.kind == ZERO_POINT, wanted)
    if s.unrounded:
        _saturate(wanted)
    if s.exponent_stored:
        _store_exponents(wanted, s, codes, units)
    else:
        _store_floats(wanted, stored, codes, units)
    if s.kind == ZERO_POINT:
        _add_zeros(blocks.least, s, units, codes, blocks.shared[ADDED])
    elif s.unrounded:
        units[:] = wanted
    elif factor != 1.0:
        units *= factor
    if s.kind == MINIMUM_SCALE:
        wanted[:] = blocks.least
        _store_floats(wanted, least_stored, blocks.minimum_codes, blocks.minima)
        blocks.shared[MINIMUM][:] = wanted if s.unrounded else blocks.minima
        codes |= blocks.minimum_codes << s.bits
    return _invert(units, e.units, blocks.shared[FIRST])


@njit(error_model="numpy", cache=True)
def _want_of_largest(largest, divisor, wanted):  # type: ignore[no-untyped-def]
    for b in range(wanted.size):
        wanted[b] = np.float64(np.uint32(largest[b]).view(np.float32)) / divisor


@njit(error_model="numpy", cache=True)
def _want_of_extremes(x, top, bottom, block, anchor, least, greatest, wanted):  # type: ignore[no-untyped-def]
    ties = False
    for b in range(wanted.size):
        low, high = least[b], greatest[b]
        ties |= (high == -low) & (high != 0.0)
        wanted[b] = np.float64(high if high > -low else low) / anchor
    for b in range(wanted.size if ties else 0):
        if greatest[b] == -least[b]:  # of two extremes the first one counts
            stop = min((b + 1) * block, x.shape[1])
            wanted[b] = extremes(x[top:bottom, b * block : stop], NAN_ZERO)[0] / anchor


@njit(error_model="numpy", cache=True)
def _want_of_ranges(least, greatest, element_largest, with_zero, wanted):  # type: ignore[no-untyped-def]
    for b in range(wanted.size):
        low = min(least[b], np.float32(0.0)) if with_zero else least[b]
        high = max(greatest[b], np.float32(0.0)) if with_zero else greatest[b]
        wanted[b] = saturated_float32(np.float64(high) - np.float64(low)) / element_largest


@njit(error_model="numpy", cache=True)
def _saturate(wanted):  # type: ignore[no-untyped-def]
    for b in range(wanted.size):
        wanted[b] = saturated_float32(wanted[b])


@njit(error_model="numpy", cache=True)
def _store_exponents(wanted, s, codes, units):  # type: ignore[no-untyped-def]
    """The powers of two from `wanted` upward."""
    for b in range(wanted.size):
        exponent = floor_log2(wanted[b]) + (mantissa(wanted[b]) != 0)
        code = min(max(exponent + s.bias, 0), s.largest_code)
        codes[b], units[b] = code, power_of_two(code - s.bias)


@njit(error_model="numpy", cache=True)
def _store_floats(wanted, f, codes, units):  # type: ignore[no-untyped-def]
    """The nearest floats, even ones on ties; beyond the largest, that one."""
    if f.hidden_bit == 0:
        for b in range(wanted.size):
            codes[b] = encode_saturating(wanted[b], f)
            units[b] = decode_float(codes[b], f)
        return
    largest = decode_float(f.largest_code, f)
    for b in range(wanted.size):
        y = min(abs(wanted[b]), largest)
        exponent = max(floor_log2(y), f.lowest_exponent)
        whole = round_half_even(y * power_of_two(f.mantissa_bits - exponent))
        code = ((exponent - f.lowest_exponent) << f.mantissa_bits) + np.int64(whole)
        flushed = code < f.flush_below_code
        code = 0 if flushed else code
        negative = (wanted[b] < 0.0) & (f.negative_zero | (code > 0))
        unit = 0.0 if flushed else whole * power_of_two(exponent - f.mantissa_bits)
        codes[b] = code | np.int64(negative) << f.sign_shift
        units[b] = -unit if negative else unit


@njit(error_model="numpy", cache=True)
def _add_zeros(least, s, units, codes, added):  # type: ignore[no-untyped-def]
    for b in range(codes.size):
        above = -np.float64(min(least[b], np.float32(0.0)))
        wanted = np.float64(min(above / units[b], _MANY) if units[b] != 0.0 else 0.0)
        zero = min(np.int64(round_half_even(wanted)), s.zero_largest)
        codes[b] |= zero << s.bits
        added[b] = zero


@njit(error_model="numpy", cache=True)
def _invert(units, element_units, inverses):  # type: ignore[no-untyped-def]
    """float32 reciprocals, of a scale of zero zero; whether all leave room for the errors of float32."""
    outside = False
    for b in range(units.size):
        unit = units[b]
        size = 1.0 / abs(unit)
        outside |= (unit != 0.0) & ((size <= _LEAST) | (size >= _MOST))
        inverses[b] = saturated_float32(element_units / unit) if unit != 0.0 else 0.0
    return not outside
