"""A systolic array moved on cycle by cycle, word by word: what a closed form of its cycles and accesses must equal.

Nothing here knows a formula. Steps enter skewed and move right; weights and sums move down, one row a cycle, wherever
the register below is free. An element has one spare register: a weight waits in that of its own row for the first step
that needs it, a sum waits in it to leave. A plain array runs fold after fold from rest to rest. A double-buffered one
starts folds at the smallest distance at which no two words ever want one place, which is found by trying.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from itertools import count

Word = tuple[int, int]  # a fold, and the step or the row that it belongs to


class CollisionError(Exception):
    """Two words want one place, or a step came before its weights."""


@dataclass
class Counted:
    """cycles: up to the last product; drained: up to the last result at the array's edge. Slots are single products."""

    cycles: int = 0
    drained: int = 0
    useful: int = 0
    edge: int = 0
    fill: int = 0
    activation_reads: int = 0
    weight_reads: int = 0
    result_writes: int = 0
    partial_sum_reads: int = 0

    def __add__(self, other: "Counted") -> "Counted":
        return Counted(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def count_by_cycle(
    *, m: int, n: int, k: int, rows: int, cols: int, lanes: int, dataflow: str, double_buffered: bool
) -> Counted:
    """Run an m x k by k x n product; `dataflow` as `hwmodels.systolic` names it."""
    if dataflow == "input_stationary":
        found = _count(_LoadedArray(n, m, k, rows, cols, lanes), double_buffered)
        return replace(found, activation_reads=found.weight_reads, weight_reads=found.activation_reads)
    kind = _LoadedArray if dataflow == "weight_stationary" else _SummingArray
    return _count(kind(m, n, k, rows, cols, lanes), double_buffered)


def _count(array: "_Array", double_buffered: bool) -> Counted:
    folds = array.folds()
    if not double_buffered:
        return sum((array.run([fold], array.steps) for fold in folds), Counted())
    for distance in count(array.steps):
        try:
            return array.run(folds, distance)
        except CollisionError:
            continue
    raise AssertionError("unreachable")


@dataclass
class _Array(ABC):
    m: int
    n: int
    k: int
    rows: int
    cols: int
    lanes: int

    def folds(self) -> list[tuple[int, int]]:
        """The first row's and the first column's place in the matrix that each fold holds."""
        return [(row, col) for col in range(0, self.n, self.cols) for row in range(0, self.held, self.rows)]

    def run(self, folds: list[tuple[int, int]], distance: int) -> Counted:
        """These folds from rest to rest, their first steps `distance` cycles apart."""
        self.now, self.given = Counted(), folds
        # What works in row i and column j; what stays in column j, row i; what waits there.
        working: list[list[Word | None]] = [[None] * self.cols for _ in range(self.rows)]
        self.kept: list[list[Word | None]] = [[None] * self.rows for _ in range(self.cols)]
        self.spare: list[list[Word | None]] = [[None] * self.rows for _ in range(self.cols)]
        busy = 0
        for cycle in range(self.load + len(folds) * (distance + self.rows) + 2 * self.rows + self.cols + self.steps):
            for i, row in enumerate(working):
                fold, step = divmod(cycle - i - self.load, distance)
                enters = 0 <= fold < len(folds) and step < self.steps
                working[i] = [(fold, step) if enters else None, *row[:-1]]
            for j in range(self.cols):
                self.move_down(cycle, j, [row[j] for row in working])
            for i, row in enumerate(working):
                for j, word in enumerate(row):
                    if word is not None:
                        busy += 1
                        self.now.cycles = cycle + 1
                        self.work(i, j, *word)
        self.now.edge = busy * self.lanes - self.now.useful
        self.now.fill = (self.now.cycles * self.rows * self.cols - busy) * self.lanes
        return self.now

    def lanes_of(self, group: int) -> int:
        """Values of k in a group: fewer in the last, none behind it."""
        return max(0, min(self.lanes, self.k - group * self.lanes))

    @property
    def groups(self) -> int:
        return len(range(0, self.k, self.lanes))

    @property
    @abstractmethod
    def held(self) -> int:
        """What rows hold one of, in all folds together."""

    @property
    @abstractmethod
    def load(self) -> int:
        """Cycles before the first step."""

    @property
    @abstractmethod
    def steps(self) -> int:
        """Steps of a fold."""

    @abstractmethod
    def move_down(self, cycle: int, j: int, arriving: list[Word | None]) -> None:
        """One cycle of column j's spare registers, while these steps arrive at its elements."""

    @abstractmethod
    def work(self, i: int, j: int, fold: int, step: int) -> None:
        """The element in row i and column j takes a step."""


class _LoadedArray(_Array):
    """Weights stay; groups of k in rows, n in columns, m steps."""

    @property
    def held(self) -> int:
        return self.groups

    @property
    def load(self) -> int:
        return self.rows

    @property
    def steps(self) -> int:
        return self.m

    def run(self, folds: list[tuple[int, int]], distance: int) -> Counted:
        words = [(fold, row) for fold in range(len(folds)) for row in reversed(range(self.rows))]
        self.queues = [list(words) for _ in range(self.cols)]
        counted = super().run(folds, distance)
        return replace(counted, drained=counted.cycles)

    def move_down(self, cycle: int, j: int, arriving: list[Word | None]) -> None:
        spare, kept, queue = self.spare[j], self.kept[j], self.queues[j]
        for i, word in enumerate(arriving):
            if word is not None and kept[i] != (word[0], i):
                if spare[i] != (word[0], i):
                    raise CollisionError
                kept[i], spare[i] = spare[i], None
        for i in reversed(range(1, self.rows)):
            above = spare[i - 1]
            if spare[i] is None and above is not None and above[1] != i - 1:
                spare[i], spare[i - 1] = above, None
        if spare[0] is None and queue and cycle >= j:
            fold, i = spare[0] = queue.pop(0)
            row, col = self.given[fold]
            self.now.weight_reads += self.lanes_of(row + i) * (col + j < self.n)

    def work(self, i: int, j: int, fold: int, step: int) -> None:
        row, col = self.given[fold]
        real = col + j < self.n
        self.now.useful += self.lanes_of(row + i) * real
        self.now.activation_reads += self.lanes_of(row + i) * (j == 0)
        self.now.partial_sum_reads += real and i == 0 and row > 0
        self.now.result_writes += real and i == self.rows - 1


class _SummingArray(_Array):
    """Sums stay; m in rows, n in columns, groups of k are the steps."""

    @property
    def held(self) -> int:
        return self.m

    @property
    def load(self) -> int:
        return 0

    @property
    def steps(self) -> int:
        return self.groups

    def move_down(self, cycle: int, j: int, arriving: list[Word | None]) -> None:
        spare, done = self.spare[j], self.kept[j]
        if spare[-1] is not None:
            fold, i = spare[-1]
            self.now.result_writes += self.given[fold][0] + i < self.m and self.given[fold][1] + j < self.n
            self.now.drained = cycle
            spare[-1] = None
        for i in reversed(range(self.rows)):
            if done[i] is not None:
                if spare[i] is not None:
                    raise CollisionError
                spare[i], done[i] = done[i], None
            elif spare[i] is None and i > 0:
                spare[i], spare[i - 1] = spare[i - 1], None
        for i, word in enumerate(arriving):
            if word is not None and word[1] == self.steps - 1:
                done[i] = (word[0], i)

    def work(self, i: int, j: int, fold: int, step: int) -> None:
        row, col = self.given[fold]
        values = self.lanes_of(step)
        self.now.useful += values * (row + i < self.m and col + j < self.n)
        self.now.activation_reads += values * (j == 0 and row + i < self.m)
        self.now.weight_reads += values * (i == 0 and col + j < self.n)
