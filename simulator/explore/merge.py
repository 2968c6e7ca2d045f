"""Runs of shards made one run: what is finished in any of them is finished in it."""

import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import yaml

from densimeter.formats.errors import ConfigError
from densimeter.simulator.explore.engine import Progress, Run, versions
from densimeter.simulator.explore.judging import accuracy_folder
from densimeter.simulator.explore.load import explore
from densimeter.simulator.explore.plan import plan_of
from densimeter.simulator.explore.run_folder import RunFolder


def merge(paths: Sequence[Path], output: Path) -> Run:
    """Join runs of one sweep in the folder `output`, which is made if need be; the runs stay as they are.

    The result is that of one run of everything. Where parts are missing yet, its state is "running", and a run in
    `output` completes it. Raises ConfigError for folders that hold no run, or runs of different sweeps or versions.
    """
    sources, target = [RunFolder(path) for path in paths], RunFolder(output)
    sweep = _common([source.sweep() for source in sources], paths, "another sweep", "the folder of a run")
    _common([str(source.facts()["versions"]) for source in sources], paths, "another version of densimeter", "run.json")
    files = [source.facts()["inputs"] for source in sources]
    _common([str(found) for found in files], paths, "other files", "run.json")
    exploration = explore(yaml.safe_load(sweep))
    plan = plan_of(exploration)
    with ExitStack() as held:
        for folder in (target, *(source for source in sources if source.path.resolve() != output.resolve())):
            held.enter_context(folder.locked())
        target.begin(sweep, versions(), files[0])
        for source in sources:
            for number in source.finished(plan):
                _link(source.part_path(plan, number), target.part_path(plan, number))
            for trial in accuracy_folder(source.path).glob("rows/*.json"):
                _link(trial, accuracy_folder(target.path) / "rows" / trial.name)
        return Progress(exploration, plan, target).checkpoint()


def _common(texts: Sequence[str | None], paths: Sequence[Path], other: str, expected: str) -> str:
    """What all runs say."""
    for text, path in zip(texts, paths, strict=True):
        if text is None:
            raise ConfigError(f"{path}: holds no run, expected {expected}")
        if text != texts[0]:
            raise ConfigError(f"{path} holds the run of {other} than {paths[0]}, expected shards of one run")
    if not texts:
        raise ConfigError("no folder given, expected those of the shards")
    return str(texts[0])


def _link(source: Path, target: Path) -> None:
    """The file in both places; a copy where the file system has no links, or between two of them."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        partial = target.with_name(f".{target.name}")
        try:
            shutil.copyfile(source, partial)
            os.replace(partial, target)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise ConfigError(f"cannot write {target}: {error.strerror}; the same command goes on") from error
