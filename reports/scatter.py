"""The density table as one figure: arithmetic density against memory density; changes when it should show another thing."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go

from densimeter.reports import labels
from densimeter.reports.columns import columns, text
from densimeter.reports.row import QUANTITIES, TIMES, TRUST, DensityRow, DensityTable, Published
from densimeter.reports.theme import LIGHT, Theme

_SYMBOLS = ("circle", "diamond", "square", "triangle-up", "pentagon", "hexagon")
_NARROW_PX = 560
_NOT_MEASURED = "#888888"


@dataclass(frozen=True)
class _Mark:
    """Where a row stands in the figure, and where the published one does."""

    row: DensityRow
    x: float
    y: float
    label: str
    published: Published | None
    published_x: float


@dataclass(frozen=True)
class _Frame:
    """Sizes in pixels, and the ranges of the axes: x linear, y in powers of ten."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int
    font: int
    marker: int
    x_range: tuple[float, float]
    y_range: tuple[float, float]

    @property
    def narrow(self) -> bool:
        return self.width < _NARROW_PX

    def place(self, points: Sequence[tuple[float, float, str]]) -> list[str | None]:
        """The text position of each point's label."""
        width, height = self.width - self.left - self.right, self.height - self.top - self.bottom
        (x0, x1), (y0, y1) = self.x_range, self.y_range
        pixels = [
            labels.Point((x - x0) / (x1 - x0) * width, (math.log10(y) - y0) / (y1 - y0) * height, label)
            for x, y, label in points
        ]
        return labels.place(pixels, width_px=width, height_px=height, font_px=self.font, marker_px=self.marker)


def density_figure(table: DensityTable, width_px: int = 1000, theme: Theme = LIGHT) -> go.Figure:
    """LUT density in the default flow against memory density, for a place of that width; other widths still work.

    Colour is the QSNR on weights, the symbol the family; a hollow marker is what was published, tied to the row it is for.
    """
    marks = _marks(table)
    frame = _frame(marks, width_px)
    figure = go.Figure(layout=_layout(table, marks, frame))
    figure.update_layout(template=template(theme))
    _draw_published(figure, marks, frame)
    _draw_rows(figure, table, marks, frame)
    return figure


def template(theme: Theme) -> go.layout.Template:
    """All colours of the figure that follow the theme; exchanging it repaints a finished figure."""
    axis = {"gridcolor": theme.grid, "linecolor": theme.grid, "zeroline": False, "ticks": "outside", "tickcolor": theme.grid}
    return go.layout.Template(
        layout={
            "font": {"color": theme.ink, "family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"},
            "paper_bgcolor": theme.surface,
            "plot_bgcolor": theme.surface,
            "xaxis": axis,
            "yaxis": axis,
            "hoverlabel": {"bgcolor": theme.raised, "bordercolor": theme.muted, "font": {"color": theme.ink}},
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": theme.muted, "activecolor": theme.ink},
        },
        data={"scatter": [{"marker": {"color": theme.ink, "line": {"color": theme.ink}}, "line": {"color": theme.muted}}]},
    )


def _marks(table: DensityTable) -> list[_Mark]:
    """The rows that have a density in the default flow; those with a published one first, so that their labels find room."""
    names = _names(table.rows)
    marks = []
    for row, name in zip(table.rows, names, strict=True):
        cost = row.lut.get(table.default_flow)
        if cost is None or cost.vs_float32 is None:
            continue
        x = float(row.format.memory_density)
        memory = row.published_as("memory_density")
        published_x = memory.value if memory else x
        marks.append(_Mark(row, x, cost.vs_float32, name, row.published_as("arithmetic_density_lut"), published_x))
    return sorted(marks, key=lambda mark: mark.published is None)


def _names(rows: Sequence[DensityRow]) -> list[str]:
    """The shortest label that tells each row apart: its format, then its unit, then its accumulator."""
    names = []
    for row in rows:
        same = [other for other in rows if other.format.name == row.format.name]
        unit = ["MAC" if row.lanes == 1 else "dot"] if len({other.lanes for other in same}) > 1 else []
        shared = [other for other in same if other.lanes == row.lanes]
        accumulator = [row.accumulator.partition(":")[0]] if len(shared) > 1 else []
        names.append(" ".join([row.format.name, *unit, *accumulator]))
    return names


def _frame(marks: Sequence[_Mark], width_px: int) -> _Frame:
    densities = [mark.y for mark in marks] + [mark.published.value for mark in marks if mark.published]
    low, high = math.log10(min(densities, default=1)), math.log10(max(densities, default=10))
    widest = max((max(mark.x, mark.published_x) for mark in marks), default=8)
    ranges = {"x_range": (0.5, widest + 0.6), "y_range": (low - 0.08, high + 0.1)}
    if width_px < _NARROW_PX:
        return _Frame(width_px, 560, left=44, right=8, top=72, bottom=128, font=10, marker=9, **ranges)
    return _Frame(width_px, 620, left=64, right=104, top=48, bottom=56, font=12, marker=13, **ranges)


def _layout(table: DensityTable, marks: Sequence[_Mark], frame: _Frame) -> dict[str, object]:
    measured = [mark.row.qsnr_weights_db for mark in marks if _measured(mark.row)] or [0.0]
    bar = {"orientation": "h", "y": -0.16, "yanchor": "top", "thickness": 10} if frame.narrow else {"thickness": 14}
    return {
        "height": frame.height,
        "margin": {"l": frame.left, "r": frame.right, "t": frame.top, "b": frame.bottom},
        "font": {"size": frame.font},
        "hovermode": "closest",
        "dragmode": False,
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "itemsizing": "constant"},
        "coloraxis": {
            "colorscale": "Viridis",
            "cmin": math.floor(min(measured)),
            "cmax": math.ceil(max(measured)),
            "colorbar": {"title": {"text": "QSNR on weights, dB"}, "outlinewidth": 0, **bar},
        },
        "xaxis": {"title": {"text": f"memory density, {TIMES} float32"}, "range": frame.x_range, "dtick": 1},
        "yaxis": {
            "title": {"text": f"{QUANTITIES['arithmetic_density_lut']} ({table.default_flow} flow)"},
            "type": "log",
            "range": frame.y_range,
            "tickvals": [0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200],
        },
    }


def _draw_published(figure: go.Figure, marks: Sequence[_Mark], frame: _Frame) -> None:
    ...
