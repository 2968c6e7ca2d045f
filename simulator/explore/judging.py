"""Accuracies of a sweep's designs: each distinct set of formats is tried on the model once, and kept in the run.

Hardware has no part in a trial, so few of them serve many designs. They are carried out before the designs are
evaluated, one after another or by the workers of the run, and every finished one is a file: whatever ends a run, the
same command finds it again.
"""

import multiprocessing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from densimeter.formats.errors import ConfigError, FormatError
from densimeter.simulator.design_accuracy import SectionError, Trial, Trials, as_column, figures, located
from densimeter.simulator.explore.executors import MakeExecutor, as_finished
from densimeter.simulator.schema.document import Document

Figures = tuple[float, ...] | str
"""The figures of `design_accuracy.FIGURES` in their order, or why these formats have none."""

Told = Callable[[int, int], None]


def accuracy_folder(run: Path) -> Path:
    """Where a run keeps its trials."""
    return run / "accuracy"


def judge(
    trials: Iterable[Trial], document: Document, run: Path, *, executor: MakeExecutor | None = None, told: Told
) -> dict[str, Figures]:
    """The figures of each trial by its key: found in the run's folder, else measured and kept there.

    document: the sweep, at whose section `accuracy` errors point. told: how many are done, of how many. Raises
    ConfigError where the section asks for what is not there, ToolError where torch or transformers is missing.
    """
    folder = accuracy_folder(run)
    here = Trials(folder, located(document, ("design", "accuracy")))
    wanted = {trial.key: trial for trial in trials}
    found = {key: _figures(row) for key, trial in wanted.items() if (row := here.find(trial)) is not None}
    missing = {key: trial for key, trial in wanted.items() if key not in found}
    if missing:
        told(len(found), len(wanted))
    for key, figures_or_reason in _measured(missing, here, folder, executor):
        found[key] = figures_or_reason
        told(len(found), len(wanted))
    return found


def _measured(
    missing: Mapping[str, Trial], here: Trials, folder: Path, executor: MakeExecutor | None
) -> Iterable[tuple[str, Figures]]:
    if executor is None:
        yield from ((key, _outcome(here, trial)[0]) for key, trial in missing.items())
        return
    keys = list(missing)
    for number, (outcome, row) in as_finished(executor, _Try(tuple(missing.values()), folder), range(len(keys))):
        if row is not None:
            here.keep(missing[keys[number]], row)
        yield keys[number], outcome


@dataclass(frozen=True)
class _Try:
    """Carries trials out by number, in whatever process it is called."""

    trials: tuple[Trial, ...]
    folder: Path

    def __call__(self, number: int) -> tuple[int, tuple[Figures, Mapping[str, Any] | None]]:
        return number, _outcome(_trials_of_worker(self.folder), self.trials[number])


@lru_cache(maxsize=1)
def _trials_of_worker(folder: Path) -> Trials:
    if multiprocessing.parent_process() is not None:
        import numba
        import torch

        torch.set_num_threads(numba.get_num_threads())  # its share of the processors
    return Trials(folder, located(Document("sweep", {}, {}), ("design", "accuracy")))


def _outcome(trials: Trials, trial: Trial) -> tuple[Figures, Mapping[str, Any] | None]:
    """The figures and the row behind them; a reason and none for formats that do not fit the model."""
    try:
        row = trials.row(trial)
    except SectionError:
        raise
    except (ConfigError, FormatError) as error:
        return str(error), None
    return _figures(row), row


def _figures(row: Mapping[str, Any]) -> Figures:
    return tuple(map(as_column, figures(row).values()))
