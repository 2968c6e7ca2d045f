"""Directed stimulus: the sequences of groups that random streams are too short to meet."""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import BlockFormat, Datapath, FloatElement
from densimeter.formats.datapath import part_width
from densimeter.rtl.simulate import Stimulus
from densimeter.simulator.extremes import extremes, scale_extremes, scale_sign
from densimeter.simulator.reach import groups_to_overflow

_MIDDLE = 0.5
_LEVELS = (0.01, 0.25, 0.5, 0.75, 1.0)
"""Scale levels that are paired; the lowest lies above the scale of zero that floats have."""


@dataclass(frozen=True)
class _Group:
    """One edge: codes from lane 0 on, the last on all lanes that remain; scale levels from 0 to 1 of their codes."""

    activation: tuple[int, ...]
    weight: tuple[int, ...]
    levels: tuple[float, float] = (0.5, 0.5)
    clear: bool = False
    enable: bool = True
    nan_scales: tuple[bool, bool] = (False, False)
    negative_scales: tuple[bool, bool] = (False, False)


def directed(datapath: Datapath) -> Stimulus:
    """Overflow at both ends, exponents far apart both ways, special values in every pairing, scales at their ends,
    clears and bubbles together."""
    groups = [*_overflows(datapath), *_distances(datapath), *_specials(datapath), *_scales(datapath)]
    groups += [*_cancellations(datapath), *_controls(datapath)]
    lanes = datapath.lanes
    a, w = datapath.operands
    return Stimulus(
        np.array([_spread(g.activation, lanes) for g in groups], np.uint32),
        np.array([_spread(g.weight, lanes) for g in groups], np.uint32),
        activation_scale=_scale_codes(datapath, a, groups, 0),
        weight_scale=_scale_codes(datapath, w, groups, 1),
        clear=np.array([g.clear for g in groups]),
        enable=np.array([g.enable for g in groups]),
    )


def _spread(codes: tuple[int, ...], lanes: int) -> list[int]:
    """The codes lane by lane, the last one on all lanes that remain."""
    return [*codes[:lanes], *[codes[-1]] * (lanes - len(codes))]


def _scale_codes(
    datapath: Datapath, fmt: BlockFormat, groups: list[_Group], side: int
) -> NDArray[np.unsignedinteger] | None:
    """Microexponents are the largest under scales below the middle, and zero from there on."""
    if not fmt.has_unit_scale or fmt.scale is None:
        return None
    low, high = scale_extremes(fmt)
    finite = [low + round(g.levels[side] * (high - low)) for g in groups]
    nan = fmt.scale.nan_code if fmt.nan_block else high
    codes = (nan if g.nan_scales[side] else code for g, code in zip(groups, finite, strict=True))
    signs = (g.negative_scales[side] * scale_sign(fmt) for g in groups)
    bits = datapath.scale_code_bits(fmt)
    below = ((g.levels[side] < _MIDDLE) * (((1 << bits) - 1) & ~high) * bool(part_width(fmt)) for g in groups)
    together = zip(codes, signs, below, strict=True)
    return np.array([code | sign | shifts for code, sign, shifts in together], np.uint64)


def _overflows(datapath: Datapath) -> list[_Group]:
    """The largest groups of each sign, at the largest scales and in the middle, as often as the register needs."""
    a, w = (extremes(f) for f in datapath.operands)
    found = []
    for left, right in itertools.product(a.largest, w.largest):
        positive = (left == a.largest[0]) == (right == w.largest[0])
        for level in (1.0, 0.5):
            needed = groups_to_overflow(datapath, positive=positive) if level == 1.0 else None
            count = 4 if needed is None else needed + 2
            found += [_Group((left,), (right,), (level, level), clear=i == 0) for i in range(count)]
    return found


def _distances(datapath: Datapath) -> list[_Group]:
    """A largest or a smallest group onto another one, at every pair of scale levels, of equal and of opposite sign."""
    a, w = (extremes(f) for f in datapath.operands)
    zero = () if a.zero is None else (a.zero,)
    levels = _LEVELS if datapath.scaled else (0.5,)
    found = []
    for first, second in itertools.product(levels, levels):
        for left, right in itertools.product((a.largest, a.smallest), (a.largest, a.smallest)):
            for sign in (0, -1):
                # A smallest group has one product, on lane 0.
                held, added = (w.largest if codes is a.largest else w.smallest for codes in (left, right))
                rest = [() if codes is a.largest else zero for codes in (left, right)]
                found.append(_Group((left[0], *rest[0]), (held[0],), (first, first), clear=True))
                found.append(_Group((right[sign], *rest[1]), (added[0],), (second, second)))
                found.append(_Group((right[0], *rest[1]), (added[sign],), (second, second)))
    return found


def _cancellations(datapath: Datapath) -> list[_Group]:
    """Ones, whose products no register loses, added up to zero from either side."""
    a, w = (_ones(fmt) for fmt in datapath.operands)
    element = datapath.activation.element
    tiny = []
    if isinstance(element, FloatElement) and element.mantissa_bits:
        # Normal numbers at the lower end, whose difference is subnormal.
        normal, sign = 1 << element.mantissa_bits, 1 << (element.bits - 1)
        tiny = [_Group((normal | 1,), (w[0],), clear=True), _Group((sign | normal,), (w[0],))]
    return tiny + [
        _Group((left,), (right,), clear=clear)
        for first in a
        for right in w
        for left, clear in ((first, True), *((other, False) for other in a if other != first))
    ]


def _ones(fmt: BlockFormat) -> tuple[int, ...]:
    """1 and -1 in a floating-point element whose bias lies among its exponents, else the smallest codes."""
    element = fmt.element
    if not isinstance(element, FloatElement) or not 1 <= element.bias <= element.largest_exponent_field:
        return extremes(fmt).smallest
    one = element.bias << element.mantissa_bits
    return one, 1 << (element.bits - 1) | one


def _specials(datapath: Datapath) -> list[_Group]:
    """Every pair of special and ordinary codes on lane 0, and two special products of every sign in one group; each
    once on a cleared register and twice more on what that left."""
    a, w = (extremes(f) for f in datapath.operands)
    ordinary = [(*e.largest, *([] if e.zero is None else [e.zero])) for e in (a, w)]
    special = [(*e.infinite, *([] if e.nan is None else [e.nan])) for e in (a, w)]
    pairs = [
        (left, right)
        for left, right in itertools.product(special[0] + ordinary[0], special[1] + ordinary[1])
        if left in special[0] or right in special[1]
    ]
    found = []
    for (left, right), (next_left, next_right) in itertools.product(pairs, pairs):
        found.append(_Group((left, a.smallest[0]), (right, w.smallest[0]), clear=True))
        found.append(_Group((next_left, a.smallest[0]), (next_right, w.smallest[0])))
        found.append(_Group((left, next_left, a.smallest[0]), (right, next_right, w.smallest[0])))
    return found


def _scales(datapath: Datapath) -> list[_Group]:
    """Every pair of scales at an end, in the middle or NaN, of both signs where they have one, on a cleared register
    and on what that left."""
    if not datapath.scaled:
        return []
    a, w = (extremes(f) for f in datapath.operands)
    ends = [(0.0, False), (0.5, False), (1.0, False), (0.5, True)]
    signs = [(False, True) if f.has_unit_scale and scale_sign(f) else (False,) for f in datapath.operands]
    found = []
    for (left, left_nan), (right, right_nan), negative in itertools.product(ends, ends, itertools.product(*signs)):
        group = {"levels": (left, right), "nan_scales": (left_nan, right_nan), "negative_scales": negative}
        found.append(_Group((a.smallest[0],), (w.smallest[0],), clear=True, **group))  # type: ignore[arg-type]
        found.append(_Group((a.largest[-1],), (w.largest[0],), **group))  # type: ignore[arg-type]
        found.append(_Group((a.smallest[0],), (w.smallest[0],)))
    return found


def _controls(datapath: Datapath) -> list[_Group]:
    """Every sequence of three of: take in, clear, hold, hold with clear; and groups of zeros."""
    a, w = (extremes(f) for f in datapath.operands)
    kinds = [(False, True), (True, True), (False, False), (True, False)]
    found = [_Group((a.largest[0],), (w.largest[0],), clear=True)]
    for sequence in itertools.product(kinds, repeat=3):
        found += [_Group((a.smallest[0],), (w.largest[0],), clear=clear, enable=enable) for clear, enable in sequence]
    if a.zero is not None:
        found += [_Group((a.zero,), (w.largest[0],), clear=clear) for clear in (False, True)]
    if w.zero is not None:
        found += [_Group((a.largest[0],), (w.zero,), clear=clear) for clear in (False, True)]
    return found
