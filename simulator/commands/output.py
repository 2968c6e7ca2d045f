"""How every command speaks: tables and progress for people, JSON for programs."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

T = TypeVar("T")

_WIDTH_WHEN_PIPED = 160
_BARS = " ▁▂▃▄▅▆▇█"

console = Console()
if not console.is_terminal:
    console = Console(width=_WIDTH_WHEN_PIPED)
errors = Console(stderr=True)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
FigureOption = Annotated[
    Path | None,
    typer.Option("--figure", metavar="FILE", help="A figure for a paper: FILE.pdf, .svg or .png, drawn by Chromium."),
]


def check_figure(path: Path | None) -> None:
    """Refuse the name of a figure that could not be written, before anything is computed."""
    if path is not None:
        from densimeter.reports.image import check_name

        check_name(path)


def save_figure(figure: Any, path: Path) -> None:
    """Write a Plotly figure or a drawing (SVG text) to the file of `--figure`, and say so."""
    from densimeter.reports.image import write_figure

    with errors.status("drawing"):
        write_figure(figure, path)
    errors.print(f"figure: {shown_path(path)}", markup=False, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """One JSON document on standard output; NaN and infinities, which JSON lacks, must be gone already."""
    json.dump(value, sys.stdout, indent=2, allow_nan=False)
    sys.stdout.write("\n")


def track(items: Iterable[T], label: str, total: int) -> Iterator[T]:
    """Iterate with a progress bar on standard error; silent where that is not a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        yield from progress.track(items, total=total, description=label)


@contextmanager
def byte_progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """A progress bar in bytes with their rate, on standard error; silent where that is not a terminal.

    The function that it gives is told how many bytes more are done.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task(label, total=total)
        yield lambda done: progress.advance(task, done)


def sparkline(counts: Sequence[int]) -> str:
    """Counts as a row of bars, the largest of them full; a count that is not zero always shows."""
    largest = max(counts, default=0)
    return "".join(_BARS[-(-count * (len(_BARS) - 1) // largest)] if count else " " for count in counts)


def plain_table(title: str, *headings: str) -> Table:
    """A table without rules between cells; a heading that starts with ">" is right-aligned."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading.removeprefix(">"), justify="right" if heading.startswith(">") else "left")
    return table


def shown_path(path: Path) -> str:
    """A path as the user would type it from here."""
    resolved = path.resolve()
    return str(resolved.relative_to(Path.cwd())) if resolved.is_relative_to(Path.cwd()) else str(resolved)
