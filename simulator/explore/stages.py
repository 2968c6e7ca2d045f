"""The steps in which a batch of designs is resolved; each gives every design a slot, or refuses designs by kind."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from densimeter.formats.errors import DensimeterError
from densimeter.simulator.explore.memo import Integers, Memo, Slots

T = TypeVar("T")


@dataclass(frozen=True)
class Refusal:
    """Designs that cannot be built for one kind of reason: how many, and of the first the row and the reason itself."""

    count: int
    row: int
    reason: str


@dataclass
class Batch:
    """Designs on their way. rows: numbers, in the codes, of those not refused; slots: by stage, a column of `rows`."""

    codes: Mapping[str, Integers]
    rows: Slots
    slots: dict[str, Slots] = field(default_factory=dict)
    refusals: dict[str, Refusal] = field(default_factory=dict)

    def refuse(self, kind: str, which: NDArray[np.bool_], reason: Callable[[int], str]) -> None:
        """Take designs out; `reason` says why for the first of them, by its place in `rows`."""
        if not which.any():
            return
        first = int(np.argmax(which))
        refused = Refusal(int(np.count_nonzero(which)), int(self.rows[first]), reason(first))
        self.refusals[kind] = merged_refusals(self.refusals.get(kind), refused)
        kept = np.flatnonzero(~which)
        self.rows = self.rows[kept]
        self.slots = {name: slots[kept] for name, slots in self.slots.items()}


def merged_refusals(one: Refusal | None, other: Refusal) -> Refusal:
    """Both counts, and the reason of the earlier row."""
    if one is None:
        return other
    earlier = min(one, other, key=lambda refusal: refusal.row)
    return Refusal(one.count + other.count, earlier.row, earlier.reason)


class Stage(Generic[T]):
    """Makes what each distinct combination of keys stands for, once; a DensimeterError from `make` refuses designs."""

    def __init__(self, name: str, kind: str | None = None) -> None:
        self.name = name
        self._kind = kind or name
        self._memo: Memo[T | DensimeterError] = Memo()
        self._refused = np.zeros(0, np.bool_)
        self._tables: dict[str, NDArray[Any]] = {}

    def resolve(self, batch: Batch, keys: Sequence[Integers], make: Callable[[int], T]) -> None:
        """Give the designs of the batch their slots. `keys` are columns of the batch; `make` takes a place in them."""

        def attempt(place: int) -> T | DensimeterError:
            try:
                return make(place)
            except DensimeterError as error:
                return error.with_traceback(None)

        slots = self._memo.slots(keys, attempt)
        batch.slots[self.name] = slots
        new = [isinstance(found, DensimeterError) for found in self._memo.found[len(self._refused) :]]
        self._refused = np.append(self._refused, np.array(new, np.bool_))
        if self._refused.any():
            batch.refuse(self._kind, self._refused[slots], lambda place: str(self._memo.found[slots[place]]))

    def of(self, batch: Batch, place: int) -> T:
        """What the design at a place of the batch was given."""
        return self.at(int(batch.slots[self.name][place]))

    def at(self, slot: int) -> T:
        found = self._memo.found[slot]
        assert not isinstance(found, DensimeterError), "refused designs have left the batch"
        return found

    @property
    def accepted(self) -> list[T]:
        """What was not refused, in the order of slots."""
        return [found for found in self._memo.found if not isinstance(found, DensimeterError)]

    def table(self, name: str, rows_of: Callable[[Sequence[T]], NDArray[Any]]) -> NDArray[Any]:
        """A row for each slot, zeros for what was refused; `rows_of`, the same for a name, makes new ones."""
        known = self._tables.get(name)
        new = self._memo.found[0 if known is None else len(known) :]
        if new or known is None:
            made = rows_of([found for found in new if not isinstance(found, DensimeterError)])
            rows = np.zeros(len(new), made.dtype)
            rows[~self._refused[len(self._refused) - len(new) :]] = made
            known = self._tables[name] = rows if known is None else np.concatenate([known, rows])
        return known
