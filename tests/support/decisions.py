"""Where the rounding of an element decides: the middle between two neighbours, and one float32 step either side."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import Element, LogElement
from support import oracle

ALL_OF = 256


def decision_points(element: Element, unit: float = 1.0) -> NDArray[np.float32]:
    """float32 numbers, both signs: values, middles, their neighbours, and one number beyond the largest value.

    All pairs of elements of up to eight bits; of wider ones the lowest, the highest and some between.
    """
    ladder = oracle.rungs(element)
    chosen = ladder if len(ladder) <= ALL_OF else sorted({*ladder[:40], *ladder[-40:], *ladder[:: len(ladder) // 97]})
    values = [oracle.value(element, oracle.code_at(element, rung)) for rung in chosen]
    middles = [(a + b) / 2 for a, b in pairwise(values)]
    if isinstance(element, LogElement):  # rounds the logarithm: it decides at the geometric mean
        middles += [float(np.sqrt(a * b)) for a, b in pairwise(values)]
    points = np.array([*values, *middles, 1.5 * values[-1]]) * unit
    inside = points[np.abs(points) < np.finfo(np.float32).max].astype(np.float32)
    up, down = np.nextafter(inside, np.float32(np.inf)), np.nextafter(inside, np.float32(-np.inf))
    every = np.concatenate([inside, up, down])
    return np.unique(np.concatenate([every, -every]).view(np.uint32)).view(np.float32)
