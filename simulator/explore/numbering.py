"""Numbers for the points of a space: mixed radix over its axes, where a condition can switch an axis off.

A point is a code on each axis. An axis that is switched off has one code only, its `rest`, so that points which differ
in nothing but values without effect are the same point, counted once. Conditions depend on few axes, the controlling
ones: their allowed combinations are written out as a table, and all other axes stay arithmetic. Without conditions the
order of the points is that of `itertools.product`; with them, combinations of controlling axes vary slowest, then the
axes that they switch, then the free ones.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from densimeter.formats.errors import ConfigError

Codes = Mapping[str, NDArray[np.integer]]
Indices = NDArray[Any]
"""Numbers of points: int64, or Python's integers where that does not count them all."""

MOST_COMBINATIONS = 2**20
_INDEX_BITS = 63


@dataclass(frozen=True)
class NumberedAxis:
    """An axis of `count` codes. applies: where its condition holds, from the axes' codes; None for always.

    rest: its code where it does not; `count` itself where that is none of its values. controls: named by a condition.
    """

    name: str
    count: int
    applies: Callable[[Codes], NDArray[np.bool_]] | None = None
    rest: int = 0
    controls: bool = False

    @property
    def codes(self) -> int:
        """Codes that can occur, `rest` included."""
        return self.count if self.applies is None else max(self.count, self.rest + 1)


@dataclass(frozen=True)
class Numbering:
    """Indices of points from 0 on, and back. An axis stands after those that its condition reads."""

    axes: tuple[NumberedAxis, ...]

    @cached_property
    def size(self) -> int:
        """Points, exactly. Raises ConfigError for conditions whose table is too large."""
        return sum(map(math.prod, self._radices.astype(object))) * self._free_size

    @property
    def is_vast(self) -> bool:
        """Whether there are more points than int64 counts."""
        return self.size.bit_length() > _INDEX_BITS

    def codes(self, indices: Indices) -> dict[str, NDArray[np.int64]]:
        """The code of each axis, by name."""
        switched, rest = _divmod(indices.astype(self._integer), self._free_size)
        found = {}
        for axis in reversed(self._free):
            rest, found[axis.name] = _divmod(rest, axis.count)
        row = np.searchsorted(self._starts, switched, side="right") - 1
        found |= {name: column[row] for name, column in self._table.items()}
        offset = switched - self._starts[row]
        for i, axis in reversed(list(enumerate(self._switched))):
            offset, code = _divmod(offset, self._radices[row, i])
            found[axis.name] = np.where(self._active[row, i], code, axis.rest)
        return {axis.name: found[axis.name].astype(np.int64) for axis in self.axes}

    def canonical(self, codes: Codes) -> dict[str, NDArray[np.int64]]:
        """Codes of points from any codes: an axis that is switched off comes to rest."""
        found: dict[str, NDArray[np.int64]] = {}
        for axis in self.axes:
            code = np.asarray(codes[axis.name], np.int64)
            if axis.applies is not None:
                code = np.where(axis.applies(found), np.where(code < axis.count, code, 0), axis.rest)
            found[axis.name] = code
        return found

    def indices(self, codes: Codes) -> Indices:
        """The index of each point; codes need not be canonical."""
        found = self.canonical(codes)
        row = self._row_of[ravel([found[axis.name] for axis in self._controlling], self._shape)]
        offset: Indices = np.zeros(np.shape(row), self._integer)
        for i, axis in enumerate(self._switched):
            offset = offset * self._radices[row, i] + np.where(self._active[row, i], found[axis.name], 0)
        index: Indices = self._starts[row] + offset
        for axis in self._free:
            index = index * axis.count + found[axis.name].astype(self._integer)
        return index

    @cached_property
    def _integer(self) -> type:
        return object if self.is_vast else np.int64

    @cached_property
    def _controlling(self) -> list[NumberedAxis]:
        return [axis for axis in self.axes if axis.controls]

    @cached_property
    def _switched(self) -> list[NumberedAxis]:
        return [axis for axis in self.axes if axis.applies is not None and not axis.controls]

    @cached_property
    def _free(self) -> list[NumberedAxis]:
        return [axis for axis in self.axes if axis.applies is None and not axis.controls]

    @cached_property
    def _free_size(self) -> int:
        return math.prod(axis.count for axis in self._free)

    @cached_property
    def _shape(self) -> tuple[int, ...]:
        return tuple(axis.codes for axis in self._controlling)

    @cached_property
    def _table(self) -> dict[str, NDArray[np.int64]]:
        """The controlling axes' codes, an allowed combination a row."""
        found = combinations({axis.name: axis.codes for axis in self._controlling})
        for axis in self._controlling:
            allowed = found[axis.name] < axis.count
            if axis.applies is not None:
                allowed = np.where(axis.applies(found), allowed, found[axis.name] == axis.rest)
            found = {name: column[allowed] for name, column in found.items()}
        return found

    @cached_property
    def _rows(self) -> int:
        return len(next(iter(self._table.values()))) if self._table else 1

    @cached_property
    def _active(self) -> NDArray[np.bool_]:
        """For each row of the table, which of the switched axes apply."""
        active = np.ones((self._rows, len(self._switched)), np.bool_)
        for i, axis in enumerate(self._switched):
            if axis.applies is not None:
                active[:, i] = axis.applies(self._table)
        return active

    @cached_property
    def _radices(self) -> NDArray[np.int64]:
        return np.where(self._active, [axis.count for axis in self._switched], 1).astype(np.int64)

    @cached_property
    def _starts(self) -> Indices:
        """For each row of the table, the number of switched points before it."""
        counts = np.prod(self._radices.astype(self._integer), axis=1)
        return np.concatenate((np.zeros(1, self._integer), np.cumsum(counts)[:-1]))

    @cached_property
    def _row_of(self) -> NDArray[np.int64]:
        rows = np.zeros(math.prod(self._shape), np.int64)
        keys = ravel([self._table[axis.name] for axis in self._controlling], self._shape)
        rows[np.atleast_1d(keys)] = np.arange(self._rows)
        return rows


def _divmod(numbers: Indices, divisors: Any) -> tuple[Indices, Indices]:
    """`np.divmod`, which does not take Python's integers."""
    quotients = numbers // divisors
    return quotients, numbers - quotients * divisors


def as_indices(numbers: Sequence[int]) -> Indices:
    """Numbers of points as an array; NumPy itself would make floats of some."""
    return np.array(numbers, np.int64 if max(numbers, default=0).bit_length() <= _INDEX_BITS else object)


def combinations(counts: Mapping[str, int]) -> dict[str, NDArray[np.int64]]:
    """Codes of all combinations, the last axis varying fastest. Raises ConfigError for more than MOST_COMBINATIONS."""
    total = math.prod(counts.values())
    if total > MOST_COMBINATIONS:
        named = " x ".join(f"{count} of {name}" for name, count in counts.items())
        raise ConfigError(f"{named} are {total} combinations, expected at most {MOST_COMBINATIONS}")
    columns = np.unravel_index(np.arange(total), tuple(counts.values())) if counts else ()
    return {name: column.astype(np.int64) for name, column in zip(counts, columns, strict=True)}


def ravel(codes: Sequence[NDArray[np.integer]], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """One number for the codes of several axes, the last varying fastest; 0 for none."""
    key = np.zeros((), np.int64)
    for code, count in zip(codes, shape, strict=True):
        key = key * count + code
    return key
