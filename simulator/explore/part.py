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

from densimeter.simulator.explore.columns import Evaluator
from densimeter.simulator.explore.load import Exploration, explore
from densimeter.simulator.explore.permutation import Permutation
from densimeter.simulator.explore.plan import Plan, plan_of
from densimeter.simulator.explore.rows import on_front, to_parquet, to_table
from densimeter.simulator.explore.tally import Tally


@dataclass(frozen=True)
class FinishedPart:
    """parquet: the part's file; front: the Pareto front of its rows."""

    number: int
    tally: Tally
    front: pa.Table
    parquet: bytes


@dataclass(frozen=True)
class EvaluatePart:
    """Evaluates parts of a sweep by number, in whatever process it is called; `sweep` is its YAML, resolved."""

    sweep: str

    def __call__(self, number: int) -> FinishedPart:
        return _part_maker(self.sweep).part(number)


class PartMaker:
    """Evaluates parts of one sweep, and keeps what it has looked up from one to the next."""

    def __init__(self, exploration: Exploration, plan: Plan, keep: str | int) -> None:
        """keep: as in the sweep's `output`."""
        self._exploration, self._plan, self._keep = exploration, plan, keep
        self._evaluator = Evaluator(exploration.space)
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
        best = on_front(rows, self._exploration.sweep.objectives)
        kept = rows.filter(pa.array(best | np.concatenate(drawn)))
        return FinishedPart(number, tally, rows.filter(pa.array(best)), to_parquet(kept, tally.to_json()))

    def block(self, positions: NDArray[np.int64]) -> tuple[pa.Table, NDArray[np.bool_], Tally]:
        """Rows of a block that may be kept; which of them are, even off the front; and what became of all designs."""
        space, indices = self._exploration.space, self._plan.indices(positions)
        codes = space.codes(indices)
        allowed = np.flatnonzero(space.mask(codes))
        found = self._evaluator.evaluate(_at(codes, allowed), len(allowed))
        built = allowed[found.rows]
        accepted = np.ones(len(built), np.bool_)
        if len(built):
            accepted = self._exploration.accepts(_at(codes, built), found.columns)
        rows = built[accepted]
        table = to_table(space, indices[rows], _at(codes, rows), _at(found.columns, accepted))
        refusals = {
            kind: replace(refusal, row=int(positions[allowed[refusal.row]])) for kind, refusal in found.refusals.items()
        }
        tally = Tally(len(positions) - len(allowed), len(built) - len(rows), len(rows), refusals)
        drawn = self._drawn(positions[rows])
        if not drawn.all():
            kept = drawn | on_front(table, self._exploration.sweep.objectives)
            table, drawn = table.filter(pa.array(kept)), drawn[kept]
        return table, drawn, tally

    def _drawn(self, positions: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Designs kept whatever their results: all, none, or an even sample."""
        if isinstance(self._keep, str):
            return np.full(len(positions), self._keep == "all")
        drawn: NDArray[np.bool_] = self._lottery(positions) < self._keep
        return drawn


@lru_cache(maxsize=2)
def _part_maker(sweep: str) -> PartMaker:
    exploration = explore(yaml.safe_load(sweep))
    return PartMaker(exploration, plan_of(exploration), exploration.sweep.output.keep)


def _at(columns: Mapping[str, NDArray[Any]], rows: NDArray[Any]) -> dict[str, NDArray[Any]]:
    return {name: column[rows] for name, column in columns.items()}
