"""A table as terminal, CSV, Markdown, LaTeX and HTML show it; changes when one of these should look different."""

import csv
import io
import re
from dataclasses import dataclass
from html import escape
from typing import Literal

from rich import box
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from densimeter.formats.display import html_table
from densimeter.reports.quantities import Quantity

_GAP = 1
_MARKDOWN_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#])")
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "µ": r"\textmu{}",
    "²": r"\textsuperscript{2}",
    "∞": r"$\infty$",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
    "\N{EN DASH}": "--",
    "\N{NARROW NO-BREAK SPACE}": r"\,",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


@dataclass(frozen=True)
class Cell:
    """`raw` for programs, None where nothing is known; `text` for people."""

    raw: str | float | None
    text: str


@dataclass(frozen=True)
class Heading:
    """`key` names the column for programs, with its unit; figures stand on the right.

    rank: how soon it may go where a terminal is narrow, the highest first and 0 never.
    """

    key: str
    text: str
    right: bool = True
    rank: int = 0


@dataclass(frozen=True)
class Table:
    """name: of its file. Every row has a cell a heading."""

    name: str
    title: str
    headings: tuple[Heading, ...]
    rows: tuple[tuple[Cell, ...], ...]

    def _repr_html_(self) -> str:
        return to_html(self)


def word(text: str) -> Cell:
    return Cell(text, text)


def count(value: int) -> Cell:
    """A whole number, shown in full."""
    return Cell(value, str(value))


def figure(value: float | None, quantity: Quantity) -> Cell:
    return Cell(value, quantity.text(value))


def to_terminal(table: Table, width: int) -> RenderableType:
    """The table for a terminal of that many characters: whole columns go where they do not fit, and are named."""
    kept = _fitting(table, width)
    grid = Grid(box=box.SIMPLE_HEAD, padding=(0, _GAP, 0, 0), pad_edge=False, show_edge=False)
    for heading in (table.headings[i] for i in kept):
        justify: Literal["left", "right"] = "right" if heading.right else "left"
        grid.add_column(Text(heading.text), justify=justify, vertical="bottom", no_wrap=True)
    for row in table.rows:
        grid.add_row(*(Text(row[i].text) for i in kept))
    hidden = [heading.text for i, heading in enumerate(table.headings) if i not in kept]
    note = [Text(f"not shown at this width: {', '.join(hidden)}")] if hidden else []
    return Group(Text(table.title, style="bold"), grid, *note)


def to_csv(table: Table) -> str:
    """The figures as stored, in the unit that their key names; empty where nothing is known."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(heading.key for heading in table.headings)
    writer.writerows([cell.raw for cell in row] for row in table.rows)
    return out.getvalue()


def to_markdown(table: Table) -> str:
    lines = [
        [markdown_text(heading.text) for heading in table.headings],
        ["--:" if heading.right else ":--" for heading in table.headings],
        *([markdown_text(cell.text) for cell in row] for row in table.rows),
    ]
    return f"## {markdown_text(table.title)}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def to_latex(table: Table) -> str:
    """A table with the rules of the booktabs package, to be read with `\\input`."""
    heading = _latex_line([heading.text for heading in table.headings])
    lines = "".join(_latex_line([cell.text for cell in row]) for row in table.rows)
    alignment = "".join("r" if heading.right else "l" for heading in table.headings)
    return (
        "% needs \\usepackage{booktabs}\n"
        f"\\begin{{table}}\n\\caption{{{latex_text(table.title)}}}\n\\begin{{tabular}}{{{alignment}}}\n"
        f"\\toprule\n{heading}\\midrule\n{lines}\\bottomrule\n\\end{{tabular}}\n\\end{{table}}\n"
    )


def markdown_text(text: str) -> str:
    """Text that Markdown takes literally, on one line."""
    return _MARKDOWN_SPECIAL.sub(r"\\\1", " ".join(text.split()))


def to_html(table: Table) -> str:
    """The table as a notebook shows it."""
    grid = html_table(
        [heading.text for heading in table.headings],
        [[cell.text for cell in row] for row in table.rows],
        right=[heading.right for heading in table.headings],
    )
    return f'<div style="margin-top:.8rem"><strong>{escape(table.title)}</strong></div>{grid}'


def latex_text(text: str) -> str:
    """Text that LaTeX takes literally."""
    return "".join(_LATEX.get(character, character) for character in text)


def _fitting(table: Table, width: int) -> list[int]:
    """Which columns fit; as long as they do not, the last of the highest rank goes."""
    ranks = [heading.rank for heading in table.headings]
    wide = [
        max(cell_len(text) for text in (heading.text, *(row[i].text for row in table.rows))) + _GAP + 1
        for i, heading in enumerate(table.headings)
    ]
    kept = list(range(len(wide)))
    while sum(wide[i] for i in kept) > width and any(ranks[i] for i in kept):
        kept.remove(max(reversed(kept), key=ranks.__getitem__))
    return kept


def _latex_line(cells: list[str]) -> str:
    return " & ".join(map(latex_text, cells)) + " \\\\\n"
