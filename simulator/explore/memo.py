"""Things made once for each distinct combination of small integers, and found again for whole columns of these."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.integer]
Slots = NDArray[np.intp]
T = TypeVar("T")

_DENSE_BITS = 21  # eight MiB of int32


class Memo(Generic[T]):
    """`found[slot]` is what `make` gave for the slot's combination, in the order of first appearance.

    Combinations are packed into one integer each, whose fields widen as larger numbers come. While it has few bits, a
    table holds every slot, and looking up a column is arithmetic and one gather; else the column is sorted.
    """

    def __init__(self) -> None:
        self.found: list[T] = []
        self._combinations: list[tuple[int, ...]] = []
        self._widths: list[int] = []
        self._dense: NDArray[np.int32] = np.zeros(0, np.int32)
        self._sparse: dict[int, int] = {}

    def slots(self, columns: Sequence[Integers], make: Callable[[int], T]) -> Slots:
        """The slot of each row's combination of non-negative integers; `make` is given the number of a row.

        There is at least one column. Raises OverflowError for combinations of more than 63 bits.
        """
        self._widen(columns)
        if self.found and not any(self._widths):
            return np.zeros(len(columns[0]), np.intp)
        keys = self._packed(columns)
        if not self._sparse_keys:
            unknown = np.flatnonzero(self._dense[keys] < 0)
            if len(unknown):
                self._add(columns, keys[unknown], unknown, make)
            return self._dense[keys].astype(np.intp)
        distinct, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
        new = np.array([key not in self._sparse for key in distinct.tolist()], bool)
        self._add(columns, distinct[new], first[new], make)
        return np.array([self._sparse[key] for key in distinct.tolist()], np.intp)[inverse]

    @property
    def _sparse_keys(self) -> bool:
        return sum(self._widths) > _DENSE_BITS

    def _widen(self, columns: Sequence[Integers]) -> None:
        widths = [int(column.max(initial=0)).bit_length() for column in columns]
        if self._widths and all(width <= known for width, known in zip(widths, self._widths, strict=True)):
            return
        self._widths = [max(pair) for pair in zip(widths, self._widths or widths, strict=True)]
        if sum(self._widths) > 63:
            raise OverflowError(f"combinations of {len(columns)} columns take more than 63 bits")
        self._dense = np.full(0 if self._sparse_keys else 1 << sum(self._widths), -1, np.int32)
        self._sparse = {}
        known = np.array(self._combinations, np.int64).reshape(len(self.found), len(columns))
        self._note(self._packed(list(known.T)), 0)

    def _packed(self, columns: Sequence[Integers]) -> NDArray[np.int64]:
        keys = np.zeros(len(columns[0]), np.int64)
        for column, width in zip(columns, self._widths, strict=True):
            if width:
                keys <<= width
                keys |= column
        return keys

    def _add(self, columns: Sequence[Integers], keys: NDArray[np.int64], rows: Slots, make: Callable[[int], T]) -> None:
        """Make what is missing for these rows, once for each distinct key, in the order of rows."""
        distinct, first = np.unique(keys, return_index=True)
        order = np.argsort(first)
        beginning = len(self.found)
        made = [make(int(row)) for row in rows[first[order]]]
        self._combinations += zip(*(column[rows[first[order]]].tolist() for column in columns), strict=True)
        self.found += made
        self._note(distinct[order], beginning)

    def _note(self, keys: NDArray[np.int64], beginning: int) -> None:
        slots = np.arange(beginning, beginning + len(keys))
        if self._sparse_keys:
            self._sparse.update(zip(keys.tolist(), slots.tolist(), strict=True))
        else:
            self._dense[keys] = slots


def interned(values: Iterable[Hashable], known: dict[Hashable, int]) -> Slots:
    """A small integer for each value, equal for equal values; `known` grows."""
    return np.array([known.setdefault(value, len(known)) for value in values], np.intp)
