"""The density table as text: terminal, CSV, Markdown, HTML; changes when one of these should look different."""

import csv
import io
import re
from collections.abc import Iterator
from html import escape

from rich import box
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from densimeter.formats.display import html_table
from densimeter.reports.columns import Column, columns, text
from densimeter.reports.row import ESTIMATES, QUANTITIES, TRUST, DensityRow, DensityTable
from densimeter.reports.table import markdown_text

_BY_NAME = re.compile(r"_by_(flow|library)$")
_GROUP_GAP = 2
_MARKDOWN_RANK = 3


def to_terminal(table: DensityTable, width: int) -> RenderableType:
    """The table for a terminal of that many characters: whole columns go where they do not fit, and are named."""
    wanted = columns(table)
    kept = _fitting(wanted, table, width)
    grid = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False, show_edge=False)
    for column, wide in zip(kept, _widths(kept, table), strict=True):
        heading = Text(column.brief.replace(" ", "\n"))
        grid.add_column(heading, justify=column.align, vertical="bottom", no_wrap=True, min_width=wide)
    for rows in table.families().values():
        for row in rows:
            grid.add_row(*(Text(text(column.value(row))) for column in kept))
        grid.add_section()
    hidden = [column.brief for column in wanted if column not in kept]
    lines = [
        *_explanation(table),
        *([f"Not shown at this width: {', '.join(hidden)}. --json has all."] if hidden else []),
    ]
    return Group(grid, "", *(Padding(Text(line), (0, 0, 0, 2)) for line in lines))


def to_csv(table: DensityTable) -> str:
    """One line a row, one column a fact; every flow and library gets columns of its own, empty where not measured."""
    records = [_flat(row, table) for row in table.rows]
    out = io.StringIO()
    writer = csv.DictWriter(out, list(dict.fromkeys(key for record in records for key in record)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return out.getvalue()


def to_markdown(table: DensityTable) -> str:
    """The main columns as a table that GitHub renders, and under it what a reader must know."""
    kept = [column for column in columns(table) if column.rank <= _MARKDOWN_RANK]
    lines = [
        [markdown_text(column.brief) for column in kept],
        [":--" if column.align == "left" else "--:" for column in kept],
        *(
            [markdown_text(text(column.value(row))) for column in kept]
            for rows in table.families().values()
            for row in rows
        ),
    ]
    grid = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return grid + "\n" + "".join(f"- {markdown_text(line)}\n" for line in _explanation(table))


def to_html(table: DensityTable) -> str:
    """The main columns as a notebook shows them, and under them what a reader must know."""
    kept = [column for column in columns(table) if column.rank <= _MARKDOWN_RANK]
    rows = [[text(column.value(row)) for column in kept] for rows in table.families().values() for row in rows]
    grid = html_table([column.brief for column in kept], rows, right=[column.align == "right" for column in kept])
    return f"{grid}<ul>{''.join(f'<li>{escape(line)}</li>' for line in _explanation(table))}</ul>"


def _explanation(table: DensityTable) -> Iterator[str]:
    """The findings, then what every figure rests on; one line each."""
    yield from table.notes
    yield f"Baseline: {table.baseline}"
    yield f"LUT: {table.default_flow} flow, {table.flows[table.default_flow]}. No ratio mixes two flows."
    if table.default_library is not None:
        yield f"Area: {table.default_library}, {table.libraries[table.default_library]}."
    if any(row.energy_fj for row in table.rows):
        yield (
            "Energy: those cells simulated with their delays, glitches included, no wires, on MiniLM's weights and "
            "activations; only what `densimeter rtl power` has put on record."
        )
    if any(row.cost_source == "model" for row in table.rows):
        yield ESTIMATES
    yield f"Synthesis: {table.tool}. QSNR: {table.workload}."
    yield "Elements: smN sign-magnitude integer, intN two's complement, eXmY float, logN logarithm."
    if any(row.published for row in table.rows):
        yield "Paper: " + ", ".join(f"{letter} {meaning}" for letter, meaning in TRUST.items()) + "."


def _fitting(wanted: list[Column], table: DensityTable, width: int) -> list[Column]:
    """The columns that fit with one blank between them; as long as they do not, the last of the highest rank goes."""
    kept = list(wanted)
    while sum(_widths(kept, table)) + len(kept) - 1 > width and any(column.rank for column in kept):
        kept.remove(max(reversed(kept), key=lambda column: column.rank))
    return kept


def _widths(kept: list[Column], table: DensityTable) -> list[int]:
    """Characters of each column: its longest word or cell, and room on the left where a new group begins."""
    return [
        max(map(cell_len, (*column.brief.split(" "), *(text(column.value(row)) for row in table.rows))))
        + (_GROUP_GAP if column.group and column.group != before.group else 0)
        for before, column in zip(kept[:1] + kept, kept, strict=False)
    ]


def _flat(row: DensityRow, table: DensityTable) -> dict[str, object]:
    """A row's record without nesting: ``lut_per_mac_by_flow`` becomes ``lut_per_mac_star`` and its like.

    Of what was published, the most trusted figure of each quantity; JSON and the page have all.
    """
    record = table.record(row)
    del record["published"]
    flat: dict[str, object] = {}
    for key, value in record.items():
        flat |= (
            {f"{_BY_NAME.sub('', key)}_{name}": one for name, one in value.items()} if "_by_" in key else {key: value}
        )
    for figure in filter(None, map(row.published_as, QUANTITIES)):
        key = f"published_{figure.quantity}"
        flat |= {key: figure.value, f"{key}_trust": figure.trust, f"{key}_source": figure.source}
    return flat
