"""Elements of a wide range in two planes of 16-bit integers: which bits go where, and which rows fit there.

The high plane starts at the largest value in use and is as wide as sums of products in 32 bits allow; the low one has
the bits below. Of a block scaled to its largest value, few elements reach there.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from densimeter.formats.block import BlockFormat
from densimeter.formats.datapath import Datapath
from densimeter.formats.element import LogElement
from densimeter.kernels.operands import code_table

_SUM_BITS, _PLANE_BITS, _FLOAT64_BITS = 31, 15, 53
_STEPS = 32
"""Bits of a mark: the most steps of a group."""


class Window(NamedTuple):
    """Weights of the lowest bits of both planes, as powers of two in units of an `integers` value; `low` may be
    negative, where the other side has more bits to hold."""

    high: int
    low: int


def integers(fmt: BlockFormat, datapath: Datapath) -> NDArray[np.int64]:
    """The value of every code in units of its lowest bit; of powers of two in a window, those that matter there."""
    if not datapath.windowed:
        return code_table(fmt, True).values
    numbers = code_table(fmt, False)
    shifts = numbers.exponents - (fmt.element.top_exponent - datapath.window_bits)
    return np.where(shifts < 0, 0, numbers.values << np.maximum(shifts, 0))


def in_planes(values: NDArray[np.int64], window: Window) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """High and low plane of values; bits below both are lost."""
    magnitudes = np.abs(values)
    high = magnitudes >> window.high
    below = magnitudes & ((1 << window.high) - 1)
    low = below >> window.low if window.low >= 0 else below << -window.low
    return (np.sign(values) * high).astype(np.int16), (np.sign(values) * low).astype(np.int16)


def cut_windows(datapath: Datapath) -> tuple[Window, Window] | None:
    """The planes of powers of two under a window, or None where they do not do."""
    half = datapath.window_bits // 2
    both = all(isinstance(fmt.element, LogElement) for fmt in datapath.operands)
    fits = datapath.sum_bits - 1 <= _SUM_BITS and datapath.window_bits == 2 * half and half < _PLANE_BITS
    return (Window(half, 0), Window(half, 0)) if both and fits and _steps(datapath) <= _STEPS else None


def narrow_windows(tops: tuple[int, int], datapath: Datapath) -> tuple[Window, Window] | None:
    """The planes of operands whose largest values have `tops` bits, with room for all below; None where there is none.

    Sums of products of high planes fit 32 bits, and those of mixed ones (of both sides together) in units of the whole
    sum too: low planes stand as far above their lowest bit as the high ones do.
    """
    highs, room = _high_planes(tops, datapath)
    low_bits = 2 * max(highs)
    if _steps(datapath) > _STEPS or low_bits > room:
        return None
    return Window(highs[0], highs[0] - low_bits), Window(highs[1], highs[1] - low_bits)


def wide_windows(tops: tuple[int, int], datapath: Datapath) -> tuple[Window, Window] | None:
    """The same with as many bits as there is room for; the whole sum times the significands of scales fits float64."""
    if _steps(datapath) > _STEPS:
        return None
    highs, room = _high_planes(tops, datapath)
    left = _FLOAT64_BITS - _SUM_BITS - (datapath.scaled_sum_bits - datapath.sum_bits)
    low_bits = min(room, left // 2, max(highs))
    return Window(highs[0], highs[0] - low_bits), Window(highs[1], highs[1] - low_bits)


def _high_planes(tops: tuple[int, int], datapath: Datapath) -> tuple[tuple[int, int], int]:
    """Where the high planes of either side start, and how many bits that leaves in a sum of mixed products."""
    lanes_bits = (datapath.lanes - 1).bit_length()
    wide = min((_SUM_BITS - lanes_bits) // 2, _PLANE_BITS)
    return (max(tops[0] - wide, 0), max(tops[1] - wide, 0)), min(_SUM_BITS - lanes_bits - 1 - wide, _PLANE_BITS)


def _steps(datapath: Datapath) -> int:
    return -(-datapath.lanes // 2)
