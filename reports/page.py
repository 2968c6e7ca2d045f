"""The density table as one HTML page that needs no network; changes when the page should show or do another thing."""

import math
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from densimeter.reports.columns import Column, Estimate, Value, columns, text
from densimeter.reports.rendering import render
from densimeter.reports.row import ESTIMATES, QUANTITIES, TIMES, TRUST, DensityRow, DensityTable, Published
from densimeter.reports.scatter import density_figure, template
from densimeter.reports.theme import DARK, LIGHT

_MAIN_RANK = 3
"""Columns up to this rank are seen before the reader asks for all; on a phone only those of rank 0."""
_FIGURE_WIDTHS_PX = (340, 640, 1000)
"""Labels are placed for each of these widths; the page shows the widest figure that fits."""


@dataclass(frozen=True)
class _Heading:
    """A column as the page shows it; `largest` only where its cells carry a bar."""

    column: Column
    opens_group: bool
    largest: float | None

    @property
    def classes(self) -> str:
        flags = {
            "first": self.opens_group,
            "detail": self.column.rank > 0,
            "secondary": self.column.rank > _MAIN_RANK,
            "density": self.largest is not None,
        }
        return " ".join([self.column.align, *(name for name, given in flags.items() if given)])

    def cell(self, row: DensityRow) -> "_Cell":
        value = self.column.value(row)
        figure = value.value if isinstance(value, Published | Estimate) else value
        sort = "" if figure is None else "Infinity" if figure == math.inf else str(figure)
        bar = 100 * _magnitude(value) / self.largest if self.largest else None
        return _Cell(text(value), sort, self.classes, bar)


@dataclass(frozen=True)
class _Cell:
    """`sort` is what the page orders by, empty where nothing is known; `bar` a percentage of the column's largest."""

    text: str
    sort: str
    classes: str
    bar: float | None


@dataclass(frozen=True)
class _Difference:
    """A published figure beside ours. Ours is None where the row was not measured for it."""

    row: DensityRow
    quantity: str
    published: Published
    ours: float | None

    @property
    def relative(self) -> str:
        return "" if self.ours is None else f"{self.ours / self.published.value - 1:+.1%}"


def density_page(table: DensityTable) -> str:
    """The whole page: styles, scripts, plotly.js and data inside, nothing outside. About 5 MB."""
    headings = _headings(table)
    return render(
        "density.html",
        table=table,
        groups=[list(run) for _, run in groupby(headings, key=lambda heading: heading.column.group)],
        families=[[(row, [h.cell(row) for h in headings]) for row in rows] for rows in table.families().values()],
        differences=_differences(table),
        formats=list({row.format.name: row.format for row in table.rows}.values()),
        trust=TRUST,
        estimates=ESTIMATES if any(row.cost_source == "model" for row in table.rows) else "",
        plot=_plot(table),
    )


def _headings(table: DensityTable) -> list[_Heading]:
    shown = columns(table)
    headings = []
    for before, column in zip([None, *shown], shown, strict=False):
        opens_group = before is not None and column.group != before.group
        barred = column.heading == f"{TIMES}float32"
        largest = max(_magnitude(column.value(row)) for row in table.rows) if barred else None
        headings.append(_Heading(column, opens_group, largest))
    return headings


def _magnitude(value: Value) -> float:
    return value if isinstance(value, float) else 0.0


def _differences(table: DensityTable) -> list[_Difference]:
    return [
        _Difference(row, QUANTITIES[figure.quantity], figure, table.record(row)[figure.quantity])
        for row in table.rows
        for figure in row.published
    ]


def _plot(table: DensityTable) -> dict[str, Any]:
    """What the page's script draws: the figure at each width, and the colours of either theme."""
    figures = [{"width": width, **density_figure(table, width).to_plotly_json()} for width in _FIGURE_WIDTHS_PX]
    return {
        "figures": figures,
        "templates": {"light": template(LIGHT).to_plotly_json(), "dark": template(DARK).to_plotly_json()},
    }
