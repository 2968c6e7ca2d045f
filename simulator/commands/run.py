"""`densimeter run SWEEP.yaml`: evaluate the designs of a sweep, and go on where an earlier run stopped."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from densimeter.formats.errors import ConfigError
from densimeter.simulator.commands.output import JsonOption, console, errors, plain_table, print_json, shown_path

if TYPE_CHECKING:
    from densimeter.simulator.explore.engine import Run
    from densimeter.simulator.explore.executors import MakeExecutor
    from densimeter.simulator.explore.plan import Shard

_MOST_ROWS, _MOST_AXES = 40, 12


def run(
    sweep_path: Annotated[Path, typer.Argument(metavar="SWEEP.yaml", help="A sweep: `densimeter init` writes one.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the run.", show_default="out/<name of the sweep>")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes on this machine.")] = 1,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Only the I-th of N shares, 1/N to N/N; `merge` joins them.")
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(metavar="URL", help="A Dask scheduler, tcp://host:8786, whose workers evaluate.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Run a sweep. However it ends, what is finished is kept, and the same command goes on."""
    from densimeter.simulator.explore.engine import run as run_sweep
    from densimeter.simulator.explore.load import load
    from densimeter.simulator.explore.plan import Shard
    from densimeter.simulator.explore.search import METHODS, search

    if workers > 1 and cluster is not None:
        raise ConfigError("--workers and --cluster given, expected one of them")
    exploration = load(sweep_path)
    share = _shard(shard)
    name = exploration.sweep.name
    path = output or Path("out", name if share is None else f"{name}-{share.number}-of-{share.count}")
    with _progress() as bar:
        advance, judging = bar(name, "designs/s"), bar("sets of formats judged", "sets/s")
        if exploration.sweep.search.method in METHODS:
            if share is not None or workers > 1 or cluster is not None:
                raise ConfigError(f"{exploration.sweep.search.method} learns from every design, expected one process")
            found = search(exploration, path, advance=advance, judging=judging)
        else:
            found = run_sweep(
                exploration,
                path,
                shard=share or Shard(),
                executor=_executor(workers, cluster),
                advance=advance,
                judging=judging,
            )
    report(found, as_json)


def report(found: "Run", as_json: bool) -> None:
    """What a run came to: its front and where it is; or run.json with both."""
    if as_json:
        front = [{name: _plain(value) for name, value in row.items()} for row in found.front.to_pylist()]
        print_json({"path": str(found.path), **found.facts, "front": front})
        return
    facts, counts = found.facts, found.facts["counts"]
    console.print(_table(found))
    told = [f"{counts[name]:,} {name}" for name in ("designs", "pruned", "infeasible", "rejected", "accepted")]
    lines = [", ".join(told)]
    for kind, refused in facts["infeasible"].items():
        lines.append(
            f"  infeasible for {kind}: {refused['count']:,}, such as design {refused['index']}: {refused['reason']}"
        )
    state = "done" if found.is_done else f"not finished, {counts['designs']:,} of {found.planned:,} designs"
    lines.append(f"run ({state}): {shown_path(found.path)}")
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


def _shard(written: str | None) -> "Shard | None":
    from densimeter.simulator.explore.plan import Shard

    if written is None:
        return None
    number, slash, count = written.partition("/")
    if not (slash and number.isdecimal() and count.isdecimal()):
        raise ConfigError(f"--shard {written}: expected a number of a share and how many there are, such as 1/4")
    return Shard(int(number), int(count))


def _executor(workers: int, cluster: str | None) -> "MakeExecutor | None":
    from densimeter.simulator.explore import executors

    if cluster is not None:
        return executors.cluster(cluster)
    return executors.processes(workers) if workers > 1 else None


class _Rate(ProgressColumn):
    """How many a second, lately."""

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.3g} {task.fields['unit']}")


@contextmanager
def _progress() -> Iterator[Callable[[str, str], Callable[[int, int], None]]]:
    """Bars on standard error with their rate and the time left; silent where that is not a terminal.

    The function that it gives makes a bar of a label and a unit, shown from when it is first told how many are done, of
    how many; the first time, what was done before.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:

        def bar(label: str, unit: str) -> Callable[[int, int], None]:
            shown: list[TaskID] = []

            def advance(done: int, planned: int) -> None:
                if not shown:
                    shown.append(progress.add_task(label, total=planned, completed=done, unit=unit))
                progress.update(shown[0], total=planned, completed=done)

            return advance

        yield bar


def _table(found: "Run") -> Any:
    """The front, a scenario after the other, the best of the first objective first; designs that come to the same in
    one line, with all their values."""
    objectives: dict[str, str] = found.facts["objectives"]
    scenarios: list[str] = found.facts["scenarios"]
    axes = [*scenarios, *(name for name in found.facts["axes"] if name not in scenarios)]
    axes, others = (axes, []) if len(axes) <= _MOST_AXES else (scenarios, axes[len(scenarios) :])
    table = plain_table(escape(_title(found)), *map(escape, axes))
    if others:
        table.add_column(f"{len(others)} axes")
    for name in objectives:
        table.add_column(name, justify="right")
    (first, direction), *_ = objectives.items()
    sign = -1 if direction == "max" else 1
    places = {name: {value: i for i, value in enumerate(found.facts["axes"][name])} for name in scenarios}

    def order(row: dict[str, Any]) -> tuple[list[int], float]:
        return [places[name].get(row[name], -1) for name in scenarios], sign * row[first]

    rows = sorted(found.front.to_pylist(), key=order)
    lines: dict[tuple[object, ...], list[dict[str, object]]] = {}
    for row in rows:
        lines.setdefault(tuple(row[name] for name in (*scenarios, *objectives)), []).append(row)
    for equal in list(lines.values())[:_MOST_ROWS]:
        values = [", ".join(dict.fromkeys(_cell(row[name]) for row in equal)) for name in axes]
        if others:
            values.append(_summary(equal[0], others))
        table.add_row(*map(escape, values), *(_cell(equal[0][name]) for name in objectives))
    if len(lines) > _MOST_ROWS:
        table.add_row("...")
    return table


def _title(found: "Run") -> str:
    counts, scenarios = found.facts["counts"], found.facts["scenarios"]
    title = f"{found.facts['name']}: Pareto front of {counts['front']}"
    if counts["outcomes"] < counts["front"]:
        title += f", {counts['outcomes']} of them different in what they come to"
    return f"{title}, for each {' and '.join(scenarios)}" if scenarios else title


def _summary(row: Mapping[str, object], axes: Sequence[str]) -> str:
    """How often each value stands in axes that are too many for a column each."""
    counts = Counter(_cell(row[name]) for name in axes)
    return ", ".join(f"{count} x {value}" for value, count in sorted(counts.items()))


def _cell(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    """As JSON has it: a number that is not given, or not finite, is null."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
