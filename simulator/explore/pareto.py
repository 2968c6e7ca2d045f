"""The Pareto front: rows that no other row is at least as good as in everything and better than in something."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Direction = Literal["min", "max"]
_FEW, _SAMPLED = 1024, 256
_Columns = list[NDArray[np.float64]]


def non_dominated_in_groups(costs: NDArray[np.float64], groups: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Which rows are on the front of their own group; groups are numbered from 0."""
    found = np.zeros(len(costs), np.bool_)
    order = np.argsort(groups, kind="stable")
    for rows in np.split(order, np.cumsum(np.bincount(groups))[:-1]):
        found[rows] = non_dominated(costs[rows])
    return found


def non_dominated(costs: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which rows of ``costs[rows, objectives]`` are on the front, where less is better in each.

    Equal rows stay or go together. A row with a NaN is never on the front.
    """
    left = np.flatnonzero(~np.isnan(costs).any(axis=1))
    columns = list(costs[left].T.copy())
    left, columns = _sieved(left, columns)
    # In this order no row dominates an earlier one, so each round's first row is on the front.
    order = np.lexsort(columns[::-1])
    left, columns = left[order], [column[order] for column in columns]
    found = np.zeros(len(costs), np.bool_)
    while len(left):
        better, equal = _compared(columns, [column[0] for column in columns])
        found[left[equal]] = True
        left, columns = left[better], [column[better] for column in columns]
    return found


def grouped(columns: Sequence[NDArray[Any]], rows: int) -> NDArray[np.intp]:
    """A number from 0 on for each of `rows`, the same where all columns are."""
    found = np.zeros(rows, np.intp)
    for column in columns:
        distinct, codes = np.unique(column, return_inverse=True)
        found = np.unique(found * len(distinct) + codes, return_inverse=True)[1]
    return found


def as_costs(columns: Mapping[str, NDArray[np.float64]], objectives: Mapping[str, Direction]) -> NDArray[np.float64]:
    """Objectives as columns of which less is better."""
    signs = {"min": 1.0, "max": -1.0}
    return np.stack([signs[direction] * columns[name] for name, direction in objectives.items()], axis=1)


def _sieved(left: NDArray[np.intp], columns: _Columns) -> tuple[NDArray[np.intp], _Columns]:
    """Of many rows, those that the front of a few of them does not dominate: much fewer."""
    if len(left) <= _FEW:
        return left, columns
    sample = np.stack([column[:: len(left) // _SAMPLED] for column in columns], axis=1)
    for point in sample[non_dominated(sample)]:
        better, equal = _compared(columns, point)
        kept = better | equal
        left, columns = left[kept], [column[kept] for column in columns]
    return left, columns


def _compared(columns: _Columns, point: Sequence[np.float64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which rows are better than a point in something, and which equal it; it dominates all others."""
    better, equal = columns[0] < point[0], columns[0] == point[0]
    for column, value in zip(columns[1:], point[1:], strict=True):
        better |= column < value
        equal &= column == value
    return better, equal
