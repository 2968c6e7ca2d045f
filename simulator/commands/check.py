"""`densimeter check SWEEP.yaml`: what is wrong with a sweep, or how many designs it means and how long they take."""

from dataclasses import asdict
from decimal import Decimal
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from densimeter.simulator.commands.output import JsonOption, console, errors, plain_table, print_json

if TYPE_CHECKING:
    from densimeter.simulator.explore.estimate import Estimate
    from densimeter.simulator.explore.load import Exploration

_MOST_READ = 10**15
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def check(
    sweep_path: Annotated[Path, typer.Argument(metavar="SWEEP.yaml", help="A sweep: `densimeter init` writes one.")],
    as_json: JsonOption = False,
) -> None:
    """Validate a sweep without running it; say how many designs it means and roughly how long they take."""
    from densimeter.simulator.explore.estimate import estimate
    from densimeter.simulator.explore.load import load

    exploration = load(sweep_path)
    with errors.status("evaluating a sample"):
        found = estimate(exploration)
    if as_json:
        counts = {axis: len(exploration.space.values[axis]) for axis in exploration.space.axes}
        print_json({"name": exploration.sweep.name, "axes": counts, **asdict(found), "seconds": found.seconds})
        return
    _print(exploration, found)


def _print(exploration: "Exploration", found: "Estimate") -> None:
    sweep, space = exploration.sweep, exploration.space
    table = plain_table(escape(sweep.name), "axis", ">values", "from", "to")
    for labels, alike in groupby(space.axes, lambda axis: space.labels[axis].tolist()):
        first, *others = alike
        more = f" and {len(others)} more like it" if others else ""
        table.add_row(escape(first) + more, f"{len(labels)}", escape(_text(labels[0])), escape(_text(labels[-1])))
    console.print(table)
    about = "" if found.exact else "about "
    lines = [f"{_count(space.size)} designs, {about}{_count(found.allowed)} of them meet the constraints on settings"]
    if found.allowed and found.built < 1:
        lines.append(f"{found.built:.0%} of these can be built; of the others, the first by kind:")
        lines += [f"  {kind}: {reason}" for kind, reason in found.refusals.items()]
    if found.designs_per_s:
        rate = f"{found.designs_per_s:,.0f} designs/s here, one process, after {found.preparation_s:.1f} s"
        lines.append(f"{sweep.search.method} takes {found.planned:,}: about {duration(found.seconds)} ({rate})")
    if found.trials:
        lines.append(f"besides, about {found.trials:,} sets of formats are tried on the model, seconds to minutes each")
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)


def duration(seconds: float) -> str:
    """A time for people: ``0.4 s``, ``12 min``, ``3.5 h``, ``9 days``."""
    if seconds < _MINUTE:
        return f"{seconds:.2g} s"
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.2g} min"
    return f"{seconds / _HOUR:.2g} h" if seconds < 2 * _DAY else f"{seconds / _DAY:,.0f} days"


def _count(number: int) -> str:
    """Exact where its digits can be read, else by its order of magnitude."""
    return f"{number:,}" if number < _MOST_READ else f"{Decimal(number):.1e}"


def _text(label: object) -> str:
    return f"{label:g}" if isinstance(label, float) else str(label)
