"""Stimulus for arithmetic units: every pair of codes where they can be counted, corners and random streams always."""

from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import BlockFormat, Datapath, FloatElement, PowerOfTwoScale
from densimeter.rtl.simulate import Stimulus
from densimeter.simulator.directed import directed
from densimeter.simulator.extremes import scale_sign

CODES_PER_CHUNK = 1 << 18
"""Random groups are drawn in chunks of about this many codes a side, so that streams of any length fit in memory."""

EXHAUSTIVE_BITS = 12
"""All pairs are drawn where both codes together have at most this many bits (two 6-bit elements)..."""
EXHAUSTIVE_SINGLE_LANE_BITS = 16
"""...or this many on a single lane (two 8-bit elements)."""

_CLEAR_SHARE, _ENABLE_SHARE = 0.05, 0.9
_WIDE_EXPONENT_BITS = 5


def is_exhaustive(datapath: Datapath) -> bool:
    """Whether `draw` visits every pair of element codes on every lane."""
    bits = sum(f.element.bits for f in datapath.operands)
    return bits <= (EXHAUSTIVE_SINGLE_LANE_BITS if datapath.lanes == 1 else EXHAUSTIVE_BITS)


def chunks(datapath: Datapath, random_vectors: int, seed: int) -> Iterator[Stimulus]:
    """The stream of `draw` in parts that are streams of their own; pairs and corners stand in the first."""
    for index, count in enumerate(chunk_sizes(datapath, random_vectors)):
        if index == 0:
            yield draw(datapath, count, seed)
        else:
            rng = np.random.default_rng((seed, index))
            yield _surrounded(datapath, _random(datapath, count, rng), rng)


def chunk_sizes(datapath: Datapath, random_vectors: int) -> list[int]:
    """How many random groups each of the `chunks` holds."""
    size = CODES_PER_CHUNK // datapath.lanes
    whole, rest = divmod(random_vectors, size)
    return [size] * whole + [rest] * bool(rest)


def draw(datapath: Datapath, random_vectors: int, seed: int) -> Stimulus:
    """A stream of corners and `random_vectors` random groups, after all pairs of codes where `is_exhaustive`.

    Scale codes, clears and bubbles are random throughout, so that pairs also meet accumulators of every size; only
    where a corner needs a sequence of groups are they directed too.
    """
    rng = np.random.default_rng(seed)
    parts = [_corners(datapath, rng)]
    if is_exhaustive(datapath):
        parts.insert(0, _all_pairs(datapath))
    streams = [_surrounded(datapath, part, rng) for part in parts]
    return _joined([*streams, directed(datapath), _surrounded(datapath, _random(datapath, random_vectors, rng), rng)])


def _surrounded(datapath: Datapath, codes: "Codes", rng: np.random.Generator) -> Stimulus:
    """Codes with random scales, clears and bubbles around them."""
    count = len(codes[0])
    clear, enable = rng.random(count) < _CLEAR_SHARE, rng.random(count) < _ENABLE_SHARE
    clear[0] = enable[0] = True
    a, w = datapath.operands
    return Stimulus(
        *codes,
        activation_scale=_scale_codes(datapath, a, count, rng) if a.has_unit_scale else None,
        weight_scale=_scale_codes(datapath, w, count, rng) if w.has_unit_scale else None,
        clear=clear,
        enable=enable,
    )


def _joined(streams: list[Stimulus]) -> Stimulus:
    """One stream after the other."""

    def column(name: str) -> Any:
        parts = [getattr(stream, name) for stream in streams]
        return None if parts[0] is None else np.concatenate(parts)

    return Stimulus(**{field.name: column(field.name) for field in fields(Stimulus)})


Codes = tuple[NDArray[np.uint32], NDArray[np.uint32]]


def _all_pairs(datapath: Datapath) -> Codes:
    """[pairs, lanes]: every lane sees every pair once, each lane starting at another one."""
    a_codes, w_codes = (1 << f.element.bits for f in datapath.operands)
    pairs = a_codes * w_codes
    index = (np.arange(pairs)[:, None] + np.arange(datapath.lanes) * (pairs // datapath.lanes + 1)) % pairs
    return (index // w_codes).astype(np.uint32), (index % w_codes).astype(np.uint32)


def _corners(datapath: Datapath, rng: np.random.Generator) -> Codes:
    """Groups made of one corner code a side, every pair of corners, then corners mixed at random over the lanes."""
    corners = [_corner_codes(f) for f in datapath.operands]
    a, w = (grid.ravel() for grid in np.meshgrid(*corners))
    uniform = [np.repeat(side[:, None], datapath.lanes, axis=1) for side in (a, w)]
    mixed = [rng.choice(codes, (len(a), datapath.lanes)) for codes in corners]
    activation, weight = (np.concatenate(pair).astype(np.uint32) for pair in zip(uniform, mixed, strict=True))
    return activation, weight


def _corner_codes(fmt: BlockFormat) -> NDArray[np.int64]:
    """The codes around zero, the sign change, the extremes, and each power of two, of both signs."""
    bits = fmt.element.bits
    powers = 1 << np.arange(bits - 1)
    magnitudes = np.concatenate([[0], powers, powers - 1, (1 << (bits - 1)) - powers])
    codes = np.concatenate([magnitudes, magnitudes | 1 << (bits - 1)])
    return np.unique(codes)


def _random(datapath: Datapath, count: int, rng: np.random.Generator) -> Codes:
    a, w = (_random_codes(f, (count, datapath.lanes), rng) for f in datapath.operands)
    return a, w


def _random_codes(fmt: BlockFormat, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.uint32]:
    """Any code; of floats with a wide exponent, half come from binades near one, where sums cancel and round."""
    element = fmt.element
    codes = rng.integers(0, 1 << element.bits, shape, dtype=np.uint32)
    if not isinstance(element, FloatElement) or element.exponent_bits < _WIDE_EXPONENT_BITS:
        return codes
    field_mask = ((1 << element.exponent_bits) - 1) << element.mantissa_bits
    near_one = np.clip(rng.normal(element.bias, 3, shape), 0, element.largest_exponent_field).astype(np.uint32)
    return np.where(rng.random(shape) < 0.5, codes & ~np.uint32(field_mask) | near_one << element.mantissa_bits, codes)


def _scale_codes(
    datapath: Datapath, fmt: BlockFormat, count: int, rng: np.random.Generator
) -> NDArray[np.unsignedinteger]:
    """Scales that wander near the middle, where sums meet, with a tenth anywhere in the range, NaN codes included;
    microexponents of any kind, in a tenth of the groups all the same."""
    assert fmt.scale is not None
    magnitude_bits = fmt.scale.bits if isinstance(fmt.scale, PowerOfTwoScale) else fmt.scale.code_bits - 1
    top = 1 << magnitude_bits
    near = np.clip(rng.normal(top / 2, top / 16, count), 0, top - 1).astype(np.uint32)
    codes = np.where(rng.random(count) < 0.1, rng.integers(0, top, count, dtype=np.uint32), near)
    if parts := datapath.microexponents(fmt):
        return codes | _microexponents(fmt, (count, parts), rng)
    sign = np.uint32(scale_sign(fmt))
    return codes ^ sign * rng.integers(0, 2, count, dtype=np.uint32) if sign else codes


def _microexponents(fmt: BlockFormat, shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.uint64]:
    """Microexponents of [groups, parts], where they stand in the scale codes."""
    scale = fmt.scale
    assert isinstance(scale, PowerOfTwoScale)
    same = rng.integers(0, scale.largest_shift + 1, (shape[0], 1), dtype=np.uint64)
    each = rng.integers(0, scale.largest_shift + 1, shape, dtype=np.uint64)
    places = (scale.bits + np.arange(shape[1]) * scale.microexponent_bits).astype(np.uint64)
    drawn = np.where(rng.random((shape[0], 1)) < 0.1, same, each)
    joined: NDArray[np.uint64] = np.bitwise_or.reduce(drawn << places, axis=1)
    return joined
