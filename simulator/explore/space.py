"""A finite space of design points: it can be counted, numbered and drawn from without being written out."""

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from densimeter.simulator.explore.expressions import Expression, Kind, Values
from densimeter.simulator.explore.numbering import (
    MOST_COMBINATIONS,
    Codes,
    Indices,
    Numbering,
    as_indices,
    combinations,
    ravel,
)
from densimeter.simulator.explore.paths import get, put, steps
from densimeter.simulator.explore.permutation import order
from densimeter.simulator.explore.result_names import result_kinds

_CHUNK = 2**18


@dataclass(frozen=True)
class Column:
    """What one axis, or one setting that follows from axes, takes in designs.

    values: as the YAML writes them; labels: the same as numbers, texts or truths, for expressions and result rows.
    sources: the axes that decide, with the number of their codes; table: the code of the value for each combination of
    theirs, None where the one source is the axis itself. is_setting: `name` is a path into the design point, not just
    the name of an axis of choices.
    """

    name: str
    values: tuple[Any, ...]
    labels: Values
    sources: Mapping[str, int]
    table: NDArray[np.int32] | None = None
    is_setting: bool = True

    def codes(self, axes: Codes) -> NDArray[np.integer]:
        """The code of its value in each design."""
        if self.table is None:
            return axes[self.name]
        return self.table[ravel([axes[name] for name in self.sources], tuple(self.sources.values()))]


@dataclass(frozen=True)
class Condition:
    """A condition on settings. columns: those that it names; constants: the labels of settings that do not vary."""

    expression: Expression
    columns: Mapping[str, Column]
    constants: Mapping[str, Values]

    @cached_property
    def sources(self) -> dict[str, int]:
        """The axes that it depends on, with the number of their codes."""
        return {name: count for column in self.columns.values() for name, count in column.sources.items()}

    @cached_property
    def table(self) -> NDArray[np.bool_] | None:
        """Where it holds, for all combinations of its axes; None where they are too many to be written out."""
        if math.prod(self.sources.values()) > MOST_COMBINATIONS:
            return None
        found = combinations(self.sources)
        return np.broadcast_to(self._evaluated(found), math.prod(self.sources.values())).astype(np.bool_)

    def __call__(self, axes: Codes) -> NDArray[np.bool_]:
        """Whether it holds, for each design."""
        if self.table is None:
            return self._evaluated(axes)
        return self.table[ravel([axes[name] for name in self.sources], tuple(self.sources.values()))]

    def _evaluated(self, axes: Codes) -> Values:
        return self.expression({**self.constants, **named(self.columns, axes)})


@dataclass(frozen=True)
class Space:
    """The product of the axes. An index below `size` names each distinct design, whatever the constraints say.

    base: the design point without its axes. constraints: on settings alone. measures: names of result columns that are
    made of others. Indices are in the order of
    `itertools.product`, the last axis varying fastest; where axes have conditions, see `numbering`.
    """

    base: Mapping[str, Any]
    numbering: Numbering
    columns: Mapping[str, Column]
    constraints: tuple[Condition, ...] = ()
    measures: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Distinct designs before constraints, exactly."""
        return self.numbering.size

    @property
    def is_vast(self) -> bool:
        """Whether there are too many designs for int64 to number them: their indices are Python's integers."""
        return self.numbering.is_vast

    @cached_property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes: paths into the design point, or names given to choices."""
        return tuple(axis.name for axis in self.numbering.axes)

    @cached_property
    def settings(self) -> tuple[str, ...]:
        """Paths into the design point that vary, those that follow from axes included."""
        return tuple(name for name, column in self.columns.items() if column.is_setting)

    @cached_property
    def judged(self) -> bool:
        """Whether designs have the section `accuracy`, and results the columns that come with it."""
        return self.base.get("accuracy") is not None or any(steps(path)[0] == "accuracy" for path in self.settings)

    @cached_property
    def results(self) -> dict[str, Kind]:
        """Names of the result columns with the kind of their values, measures last."""
        return {**result_kinds(judged=self.judged), **dict.fromkeys(self.measures, "number")}

    @cached_property
    def layered(self) -> bool:
        """Whether some layers of the model have formats of their own."""
        varies = any(steps(path)[:2] in {("storage",), ("storage", "layers")} for path in self.settings)
        return varies or bool(get(self.base, "storage.layers", None))

    @cached_property
    def values(self) -> dict[str, tuple[Any, ...]]:
        """The values of each axis and each varying setting, which its codes count; as written in YAML."""
        return {name: column.values for name, column in self.columns.items()}

    @cached_property
    def labels(self) -> dict[str, Values]:
        """The same as numbers, texts or truths: a composed format by its name, a number that is not given as NaN."""
        return {name: column.labels for name, column in self.columns.items()}

    def codes(self, indices: Indices) -> dict[str, NDArray[np.int32]]:
        """Codes of these designs, for every name in `values`."""
        return self._all(self.numbering.codes(np.asarray(indices)))

    def canonical(self, codes: Codes) -> dict[str, NDArray[np.int32]]:
        """Codes for every name in `values` from any codes of the axes: what is switched off takes its own value."""
        return self._all(self.numbering.canonical(codes))

    def indices(self, codes: Codes) -> Indices:
        """The index of each design, from the codes of the axes; the inverse of `codes`."""
        return self.numbering.indices(codes)

    def mask(self, codes: Codes) -> NDArray[np.bool_]:
        """Which of these designs meet the constraints on settings."""
        rows = len(next(iter(codes.values()))) if codes else 1
        holds = np.ones(rows, np.bool_)
        for constraint in self.constraints:
            holds &= constraint(codes)
        return holds

    def design(self, index: int) -> dict[str, Any]:
        """The design point of an index, as `simulator.evaluate` takes it."""
        codes = self.codes(as_indices([index]))
        return self.design_of({name: int(column[0]) for name, column in codes.items()})

    def design_of(self, codes: Mapping[str, int]) -> dict[str, Any]:
        """The design point with these codes of the axes."""
        found = self.canonical({axis: np.array([codes[axis]]) for axis in self.axes})
        design = copy.deepcopy(dict(self.base))
        for name in self.settings:
            put(design, name, self.values[name][int(found[name][0])])
        return design

    def draw(self, count: int, seed: int) -> Indices:
        """Distinct indices, uniformly at random and in random order: `count` of them, or all where there are fewer."""
        return order(self.size, seed)(np.arange(min(count, self.size)))

    def allowed(self) -> int:
        """Designs that meet the constraints on settings, counted one by one."""
        if not self.constraints:
            return self.size
        starts = range(0, self.size, _CHUNK)
        chunks = (np.arange(start, min(start + _CHUNK, self.size)) for start in starts)
        return sum(int(np.count_nonzero(self.mask(self.codes(chunk)))) for chunk in chunks)

    def _all(self, axes: Codes) -> dict[str, NDArray[np.int32]]:
        return {name: column.codes(axes).astype(np.int32, copy=False) for name, column in self.columns.items()}


def named(columns: Mapping[str, Column], axes: Codes) -> dict[str, Values]:
    """The labels of columns in each design, for an expression."""
    return {name: column.labels[column.codes(axes)] for name, column in columns.items()}
