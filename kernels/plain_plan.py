"""Which formats the vector loops of `plain` take, and what of a format is known when they are compiled."""

from functools import cache
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from densimeter.formats.block import BlockFormat, Quirks
from densimeter.kernels.parameters import (
    AFFINE,
    CODEBOOK,
    FLOAT,
    FLOAT_NO_HIDDEN,
    FLOAT_SATURATING,
    INT,
    LOG,
    NEAREST_AWAY,
    NEAREST_EVEN,
    NEAREST_UP,
    NO_SCALE,
    POWER_OF_TWO,
    RECIPROCAL,
    TOWARD_ZERO,
    CodecFields,
    ladder,
    parameters,
)
from densimeter.kernels.vectors import LANES

INTEGERS, MAGNITUDES, RECIPROCALS, FLOATS, ALIGNED, NO_HIDDEN, SATURATING, LOGS, CODEBOOKS = range(9)

MANTISSA_BITS = 23  # of float32
_EXPONENT_BIAS = 127
_ROOM = 100  # elements within 2^-100 and 2^100 leave float32 exponents enough for scales and roundings
_WIDEST_INTEGER = 16
_MICRO_BITS = 32
_CELLS = 1 << 13
_DOUBT = 2.0**-20  # relative: how near a threshold may come to a neighbouring cell


class Plan(NamedTuple):
    """What a vector loop is compiled for; the rest of a format it takes as numbers."""

    kind: int
    rounding: int
    code_bytes: int
    exact: bool  # scales are powers of two, or there are none
    pushed: bool  # an epsilon is added to magnitudes, and small ones are flushed
    part: int  # values that share a microexponent; 0: none
    part_bits: int
    scale_bytes: int  # 0: no scale
    direct: bool  # values can be had at once, without codes


class Cells(NamedTuple):
    """A codebook by the upper bits of a float32: each cell has one threshold at most, and a code on either side of it.

    The cell of x is ``clip((|bits of x| >> shift) - first, 0, n - 1)``, plus n for negative numbers.
    """

    shift: int
    first: int
    cells: NDArray[np.int64]  # bits of the float32 threshold, then 16 bits each of the codes below and above it


@cache
def plan(fmt: BlockFormat) -> Plan | None:
    """None where each value has to be taken by itself."""
    p = parameters(fmt)
    kind = _kind(fmt, p)
    if kind is None:
        return None
    e, s = p.element, p.scale
    part = fmt.block_length(1) // s.micro_parts if s.micro_parts else 0
    saturates = kind in (INTEGERS, MAGNITUDES, FLOATS) and e.overflow_code < 0
    direct = kind == ALIGNED or (saturates and _exact(p))
    scale_bytes = s.code_bytes if fmt.scale is not None else 0
    pushed = fmt.quirks.epsilon != 0
    return Plan(kind, e.rounding, e.code_bytes, _exact(p), pushed, part, s.micro_bits, scale_bytes, direct)


def _exact(p: CodecFields) -> bool:
    return p.scale.kind in (NO_SCALE, POWER_OF_TWO)


def _kind(fmt: BlockFormat, p: CodecFields) -> int | None:
    """The vector operation that encodes a format."""
    e, quirks = p.element, fmt.quirks
    if e.kind == RECIPROCAL:
        alone = quirks == Quirks(float32_reciprocal=True) and not e.sign_magnitude
        return RECIPROCALS if alone and e.rounding in (NEAREST_AWAY, NEAREST_UP) else None
    if e.kind == CODEBOOK:
        whole = e.vectors and not p.scale.micro_parts
        return CODEBOOKS if whole and cells(fmt) is not None else None
    if e.rounding not in (NEAREST_EVEN, NEAREST_AWAY, TOWARD_ZERO):
        return None
    if quirks.epsilon != 0 or quirks.flush_at != 0 or quirks.saturate_significand:
        published = {INT: MAGNITUDES if e.sign_magnitude else None, FLOAT_SATURATING: SATURATING, LOG: LOGS}
        kind = published.get(e.kind) if quirks.epsilon != 0 and not p.scale.micro_parts and _exact(p) else None
    elif p.scale.micro_parts:
        kind = MAGNITUDES if e.sign_magnitude and _parts_fit(fmt, p) else None
    elif e.kind == FLOAT and p.scale.kind == NO_SCALE and _is_aligned(p):
        return ALIGNED
    else:
        kinds = {INT: MAGNITUDES if e.sign_magnitude else INTEGERS, AFFINE: INTEGERS}
        kind = (kinds | {FLOAT: FLOATS, FLOAT_NO_HIDDEN: NO_HIDDEN, LOG: LOGS}).get(e.kind)
    if kind in (NO_HIDDEN, SATURATING, LOGS) and not _exact(p):
        return None
    return kind if _fits_float32(p) else None


def _parts_fit(fmt: BlockFormat, p: CodecFields) -> bool:
    """Whether parts of blocks, and what tells their scales, stand whole in vectors."""
    part = fmt.block_length(1) // p.scale.micro_parts
    bits = p.scale.micro_parts * p.scale.micro_bits
    return part > 0 and LANES % part == 0 and fmt.block_length(1) % LANES == 0 and bits <= _MICRO_BITS


def _is_aligned(p: CodecFields) -> bool:
    """Whether magnitude codes are the upper bits of float32 ones."""
    f = p.float
    fields = f.bias == _EXPONENT_BIAS and f.largest_field == 2 * _EXPONENT_BIAS
    return fields and f.mantissa_bits <= MANTISSA_BITS and f.negative_zero


def _fits_float32(p: CodecFields) -> bool:
    e, f = p.element, p.float
    if e.kind == LOG:
        return True
    if e.kind in (INT, AFFINE):
        return e.bits <= _WIDEST_INTEGER and e.units <= 2.0**_ROOM
    nan_on_overflow_without_sign = e.overflow_code >= 0 and e.overflow_code == f.nan_code and not f.negative_zero
    narrow = f.lowest_exponent - f.mantissa_bits >= -_ROOM and e.largest <= 2.0**_ROOM
    return narrow and f.mantissa_bits < MANTISSA_BITS - 1 and not nan_on_overflow_without_sign


@cache
def cells(fmt: BlockFormat) -> Cells | None:
    """The cells of a codebook, as few as there may be; None where thousands would not do."""
    steps = ladder(fmt)
    thresholds = steps[2][np.isfinite(steps[2])]
    magnitudes = np.abs(thresholds[thresholds != 0]).astype(np.float32).view(np.int32)
    for mantissa_bits in range(MANTISSA_BITS if magnitudes.size else 0):
        shift = MANTISSA_BITS - mantissa_bits
        first, last = (int(magnitudes.min()) >> shift) - 1, (int(magnitudes.max()) >> shift) + 1
        if first < 0 or last - first >= _CELLS:
            break
        edges = (np.arange(first, last + 2, dtype=np.int32) << shift).view(np.float32).astype(np.float64)
        edges[0], edges[-1] = 0.0, np.inf
        signed = product((False, True), pairwise(edges))
        filled = [_cell(low, high, negative, thresholds, fmt) for negative, (low, high) in signed]
        if None not in filled:
            between, codes = zip(*filled, strict=True)
            limits = np.array(between, np.float32).view(np.uint32)
            return Cells(shift, first, limits.astype(np.int64) | np.array(codes, np.int64) << 32)
    return None


def _cell(
    low: float, high: float, negative: bool, thresholds: NDArray[np.float64], fmt: BlockFormat
) -> tuple[float, int] | None:
    """(threshold, codes) of the cell of magnitudes from low to high; None where there are two thresholds or more."""
    low, high = low * (1 - _DOUBT), high * (1 + _DOUBT)
    if negative:
        low, high = -high, -low
    below, above = int(np.searchsorted(thresholds, low, "left")), int(np.searchsorted(thresholds, high, "right"))
    if above > below + 1:
        return None
    steps, minus_zero = ladder(fmt), parameters(fmt).element.negative_zero_code

    def code(rank: int) -> int:
        return minus_zero if negative and minus_zero >= 0 and steps[0, rank] == 0 else int(steps[1, rank])

    return float(thresholds[below]) if above > below else np.inf, code(below) | code(above) << 16
