"""Where the rounding of an element decides: the middle between two neighbours, and one float32 step either side."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import Element, FloatElement, LogElement
from support.oracle_element import rungs, worth_at
from support.oracle_rounding import next_above

ALL_OF = 256


def decision_points(element: Element, unit: float = 1.0) -> NDArray[np.float32]:
    """float32 numbers, both signs: values, middles, their neighbours, and numbers beyond the largest value.

    All pairs of elements of up to eight bits; of wider ones the lowest, the highest and some between.
    """
    values = [float(worth_at(element, rung)) for rung in _chosen(element)]
    middles = [(a + b) / 2 for a, b in pairwise(values)]
    if isinstance(element, LogElement):  # rounds the logarithm: it decides at the geometric mean
        middles += [float(np.sqrt(a * b)) for a, b in pairwise(values)]
    beyond = [1.5 * values[0], 1.5 * values[-1]]
    if isinstance(element, FloatElement):  # where overflow begins
        beyond += [(values[-1] + float(next_above(element))) / 2, float(next_above(element))]
    return around([unit * point for point in (*values, *middles, *beyond)])


def around(points: list[float]) -> NDArray[np.float32]:
    """float32 numbers, one step either side of each, and their negatives; what float32 cannot hold is left out."""
    every = np.array(points)
    inside = every[np.abs(every) < np.finfo(np.float32).max].astype(np.float32)
    up, down = np.nextafter(inside, np.float32(np.inf)), np.nextafter(inside, np.float32(-np.inf))
    positive = np.concatenate([inside, up, down])
    return np.unique(np.concatenate([positive, -positive]).view(np.uint32)).view(np.float32)


def _chosen(element: Element) -> list[int]:
    every = rungs(element)
    if len(every) <= ALL_OF:
        return list(every)
    if every[0] < 0:  # the other half is its mirror image
        every = range(every[-1] + 1)
    if len(every) <= ALL_OF:
        return list(every)
    return sorted({*every[:40], *every[-40:], *every[:: len(every) // 97]})
