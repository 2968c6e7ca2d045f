"""A sweep from beginning to end: parts that are missing are evaluated, files written, the front kept as it goes."""

import math
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml

from densimeter.reports.quantities import quantity
from densimeter.simulator.design_accuracy import Trial
from densimeter.simulator.explore.executors import MakeExecutor, as_finished, in_order
from densimeter.simulator.explore.expressions import Values
from densimeter.simulator.explore.inputs import inputs
from densimeter.simulator.explore.judging import Figures, judge
from densimeter.simulator.explore.load import Exploration
from densimeter.simulator.explore.part import EvaluatePart, FinishedPart, PartMaker
from densimeter.simulator.explore.plan import Plan, Shard, plan_of
from densimeter.simulator.explore.rows import design_columns, no_rows, on_front, outcomes
from densimeter.simulator.explore.run_folder import RunFolder
from densimeter.simulator.explore.tally import Tally

_WHOLE = Shard()
_INFINITE = (math.inf, -math.inf)
_BETWEEN_CHECKPOINTS_S = 5.0


@dataclass(frozen=True)
class Run:
    """A run as it stands. planned: designs of this run, or of its shard; facts: what run.json says."""

    path: Path
    facts: dict[str, Any]
    front: pa.Table
    planned: int

    @property
    def is_done(self) -> bool:
        return bool(self.facts["state"] == "done")


def run(
    exploration: Exploration,
    path: Path,
    *,
    shard: Shard = _WHOLE,
    executor: MakeExecutor | None = None,
    advance: Callable[[int, int], None] = lambda done, planned: None,
    judging: Callable[[int, int], None] = lambda done, wanted: None,
) -> Run:
    """Evaluate what is missing of a grid or random search in the folder of a run, which is made if need be.

    executor: makes who evaluates (default: this process). advance: is told how many of the planned designs are done;
    judging: how many of the sets of formats whose accuracy is wanted.
    Whatever ends this early, finished parts stay, and the same call goes on. Raises ConfigError for a folder that holds
    another run or cannot be written, ToolError where workers cannot be had or keep dying.
    """
    plan, folder = plan_of(exploration), RunFolder(path)
    sweep = resolved_text(exploration)
    mine = plan.of_shard(shard)
    with folder.locked():
        files = inputs(exploration.space)
        folder.begin(sweep, versions(), files)
        progress = Progress(exploration, plan, folder, shard)
        missing = [number for number in mine if number not in progress.tallies]
        accuracies: dict[str, Figures] = {}
        if missing and exploration.space.judged:
            trials = _trials(exploration, plan, missing)
            accuracies = judge(trials, exploration.document, path, executor=executor, told=judging)
        work = EvaluatePart(sweep, tuple(accuracies.items()), tuple(files.items()))
        found = in_order(work, missing) if executor is None else as_finished(executor, work, missing)
        advance(progress.designs, progress.planned)
        try:
            for part in found:
                progress.finish(part)
                advance(progress.designs, progress.planned)
        finally:
            result = progress.checkpoint()
        return result


def _trials(exploration: Exploration, plan: Plan, numbers: Iterable[int]) -> Iterator[Trial]:
    """Those of these parts, some more than once."""
    maker = PartMaker(exploration, plan, "front")
    for number in numbers:
        for positions in plan.blocks(number):
            yield from maker.trials(plan.indices(positions))


def resolved_text(exploration: Exploration) -> str:
    """run.yaml."""
    return yaml.safe_dump(exploration.resolved(), sort_keys=False, allow_unicode=True)


def versions() -> dict[str, str]:
    """Of what decides the numbers and the bytes."""
    return {"python": platform.python_version()} | {
        name: version(name) for name in ("densimeter", "numpy", "numba", "pyarrow")
    }


class Progress:
    """What is finished of a run, and its front: read from its folder, kept up to date there."""

    def __init__(self, exploration: Exploration, plan: Plan, folder: RunFolder, shard: Shard = _WHOLE) -> None:
        self._exploration, self._plan, self._folder, self._shard = exploration, plan, folder, shard
        self._inputs = folder.facts()["inputs"]
        earlier = folder.facts().get("times", {"begun": _now(), "seconds": 0.0})
        self._begun, self._spent_s = earlier["begun"], earlier["seconds"]
        self._clock = self._last = time.monotonic()
        # One assignment changes both, so that an interruption finds the front of exactly these parts.
        self._finished = self._finished_in_folder()

    @property
    def tallies(self) -> Mapping[int, Tally]:
        """What became of the designs of each finished part, by its number."""
        return self._finished[0]

    @property
    def designs(self) -> int:
        """Finished designs."""
        return sum(tally.designs for tally in self.tallies.values())

    @property
    def planned(self) -> int:
        """Designs of the whole run, or of its shard."""
        return sum(len(self._plan.span(number)) for number in self._plan.of_shard(self._shard))

    def finish(self, part: FinishedPart) -> None:
        """Keep a part; the front and run.json follow every few seconds."""
        self._folder.write_part(self._plan, part.number, part.parquet)
        tallies, front = self._finished
        self._finished = ({**tallies, part.number: part.tally}, self._joined(front, part.front))
        if time.monotonic() - self._last > _BETWEEN_CHECKPOINTS_S:
            self.checkpoint()

    def checkpoint(self, *, done: bool | None = None) -> Run:
        """Write the front and run.json. done: whether nothing is missing (default: whether no part is)."""
        tallies, front = self._finished
        self._folder.write_front(front, tallies)
        facts = self._facts(set(self._plan.of_shard(self._shard)) <= self.tallies.keys() if done is None else done)
        self._folder.write_facts(facts)
        self._last = time.monotonic()
        return Run(self._folder.path, facts, front, self.planned)

    def _finished_in_folder(self) -> tuple[dict[int, Tally], pa.Table]:
        """All finished parts and their front: as it was written last, and with the parts that it does not know."""
        tallies = self._folder.finished(self._plan)
        front, behind = self._folder.front()
        if front is None or not behind <= tallies.keys():
            front, behind = no_rows(self._exploration.space), set()
        for number in sorted(tallies.keys() - behind):
            front = self._joined(front, self._folder.rows(self._plan, number))
        return tallies, front

    def _joined(self, front: pa.Table, rows: pa.Table) -> pa.Table:
        both = pa.concat_tables([front, rows])
        return both.filter(pa.array(on_front(both, self._exploration.sweep))).sort_by("index")

    def _facts(self, done: bool) -> dict[str, Any]:
        sweep, space = self._exploration.sweep, self._exploration.space
        tallies, front = self._finished
        tally = sum(tallies.values(), Tally())
        refused = {
            kind: {
                "count": refusal.count,
                "index": refusal.row,
                "reason": refusal.reason,
            }
            for kind, refusal in sorted(tally.refusals.items())
        }
        return {
            "name": sweep.name,
            "state": "done" if done else "running",
            "method": sweep.search.method,
            "seed": sweep.search.seed,
            "shard": None if self._shard == _WHOLE else str(self._shard),
            "objectives": dict(sweep.objectives),
            "scenarios": list(sweep.scenarios),
            "axes": {name: _plain(space.labels[name]) for name in design_columns(space)},
            "columns": {name: {"meaning": sweep.measures.get(name, quantity(name).title)} for name in space.results},
            "counts": {**tally.counts(), "front": front.num_rows, "outcomes": len(np.unique(outcomes(front, sweep)))},
            "infeasible": refused,
            "versions": versions(),
            "inputs": self._inputs,
            "times": {
                "begun": self._begun,
                "written": _now(),
                "seconds": round(self._spent_s + time.monotonic() - self._clock, 3),
            },
        }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _plain(labels: Values) -> list[Any]:
    """Labels as JSON has them; a number that is not given is null."""
    return [
        None if isinstance(x, float) and math.isnan(x) else str(x) if x in _INFINITE else x for x in labels.tolist()
    ]
