"""One part of a sweep from its positions to the bytes of its file: all that a worker does.

A part's file is also the record that the part is finished: its tally stands in the file's metadata.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from numpy.typing import NDArray

from densimeter.formats.errors import ConfigError
from densimeter.simulator.design_accuracy import Trial
from densimeter.simulator.explore.columns import Evaluator
from densimeter.simulator.explore.inputs import differing, inputs
from densimeter.simulator.explore.judging import Figures
from densimeter.simulator.explore.load import Exploration, explore
from densimeter.simulator.explore.numbering import Indices
from densimeter.simulator.explore.pareto import as_costs, grouped, non_dominated_in_groups
from densimeter.simulator.explore.permutation import Permutation
from densimeter.simulator.explore.plan import Plan, plan_of
from densimeter.simulator.explore.rows import on_front, row_names, to_parquet, to_table
from densimeter.simulator.explore.tally import Tally

Columns = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class FinishedPart:
    """parquet: the part's file; front: the Pareto front of its rows."""

    number: int
    tally: Tally
    front: pa.Table
    parquet: bytes


@dataclass(frozen=True)
class EvaluatePart:
    """Evaluates parts of a sweep by number, in whatever process it is called; `sweep` is its YAML, resolved.

    accuracies: the figures of its trials by key, where designs are judged. files: what the sweep's inputs are; where
    they are others, a ConfigError is raised.
    """

    sweep: str
    accuracies: tuple[tuple[str, Figures], ...] = ()
    files: tuple[tuple[str, str], ...] = ()

    def __call__(self, number: int) -> FinishedPart:
        return _part_maker(self.sweep, self.accuracies, self.files).part(number)


class PartMaker:
    """Evaluates parts of one sweep, and keeps what it has looked up from one to the next."""

    def __init__(
        self,
        exploration: Exploration,
        plan: Plan,
        keep: str | int,
        accuracies: Mapping[str, Figures] | None = None,
    ) -> None:
        """keep: as in the sweep's `output`; accuracies: of trials by key, known when their designs are evaluated."""
        self._exploration, self._plan, self._keep = exploration, plan, keep
        self._evaluator = Evaluator(exploration.space, accuracies)
        self._lottery = Permutation(plan.positions, exploration.sweep.search.seed)

    def part(self, number: int) -> FinishedPart:
        """The part of that number; always the same bytes, whoever makes it and when."""
        tables, drawn, tally = [], [], Tally()
        for positions in self._plan.blocks(number):
            found, chosen, block = self.block(positions)
            tables.append(found)
            drawn.append(chosen)
            tally += block
        rows = pa.concat_tables(tables)
        best = on_front(rows, self._exploration.sweep)
        kept = rows.filter(pa.array(best | np.concatenate(drawn)))
        return FinishedPart(number, tally, rows.filter(pa.array(best)), to_parquet(kept, tally.to_json()))

    def block(
        self, positions: NDArray[np.int64], indices: Indices | None = None
    ) -> tuple[pa.Table, NDArray[np.bool_], Tally]:
        """Rows of a block that may be kept; which of them are, even off the front; and what became of all designs.

        indices: the designs at these positions, where it is not the plan that says it.
        """
        space = self._exploration.space
        indices = self._plan.indices(positions) if indices is None else indices
        names, codes = row_names(space, positions, indices), space.codes(indices)
        allowed = np.flatnonzero(space.mask(codes))
        found = self._evaluator.evaluate(_at(codes, allowed), len(allowed))
        built = allowed[found.rows]
        columns = self._exploration.measured(_at(codes, built), found.columns) if len(built) else found.columns
        accepted = self._accepted(codes, built, columns)
        rows = built[accepted]
        refusals = {
            kind: replace(refusal, row=int(names[allowed[refusal.row]])) for kind, refusal in found.refusals.items()
        }
        tally = Tally(len(positions) - len(allowed), len(built) - len(rows), len(rows), refusals)
        drawn = self._drawn(positions[rows])
        if not drawn.all():
            kept = np.flatnonzero(drawn | self._on_front(codes, rows, columns, accepted))
            rows, accepted, drawn = rows[kept], accepted[kept], drawn[kept]
        return to_table(space, names[rows], _at(codes, rows), _at(columns, accepted)), drawn, tally

    def trials(self, indices: Indices) -> list[Trial]:
        """What these designs have to be tried on, where they are judged; each once."""
        codes = self._exploration.space.codes(indices)
        allowed = np.flatnonzero(self._exploration.space.mask(codes))
        return self._evaluator.trials(_at(codes, allowed), len(allowed))

    def _accepted(self, codes: Columns, built: NDArray[np.intp], columns: Columns) -> NDArray[np.intp]:
        """Places in the columns of designs that meet the constraints on results."""
        if not len(built) or not self._exploration.result_constraints:
            return np.arange(len(built))
        return np.flatnonzero(self._exploration.accepts(_at(codes, built), columns))

    def _on_front(
        self, codes: Columns, rows: NDArray[np.intp], columns: Columns, places: NDArray[np.intp]
    ) -> NDArray[np.bool_]:
        """Which of these designs are on the front of their scenario, of this block."""
        sweep = self._exploration.sweep
        costs = as_costs({name: columns[name][places] for name in sweep.objectives}, sweep.objectives)
        return non_dominated_in_groups(costs, grouped([codes[name][rows] for name in sweep.scenarios], len(rows)))

    def _drawn(self, positions: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Designs kept whatever their results: all, none, or an even sample."""
        if isinstance(self._keep, str):
            return np.full(len(positions), self._keep == "all")
        drawn: NDArray[np.bool_] = self._lottery(positions) < self._keep
        return drawn


@lru_cache(maxsize=2)
def _part_maker(
    sweep: str, accuracies: tuple[tuple[str, Figures], ...], files: tuple[tuple[str, str], ...]
) -> PartMaker:
    exploration = explore(yaml.safe_load(sweep))
    if changed := differing(dict(files), inputs(exploration.space)):
        raise ConfigError(f"{', '.join(changed)}: not the file that the run was begun with, where a worker reads it")
    return PartMaker(exploration, plan_of(exploration), exploration.sweep.output.keep, dict(accuracies))


def _at(columns: Columns, rows: NDArray[Any]) -> dict[str, NDArray[Any]]:
    return {name: column[rows] for name, column in columns.items()}
