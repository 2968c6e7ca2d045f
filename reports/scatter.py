"""The density table as one figure: arithmetic density against memory density; changes when it should show more."""

import math
from collections.abc import Mapping, Sequence
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
_QSNR_SCALE_DB = (10.0, 50.0)
"""Ends of the colour scale. Better is as good as exact: a scale up to float16 would leave all others one colour."""
_KEY = "arithmetic_density_lut"


@dataclass(frozen=True)
class _Mark:
    """A row and its marker, or the hollow marker of what was published for that row."""

    row: DensityRow
    x: float
    y: float
    label: str
    details: str


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

    def places(self, marks: Sequence[_Mark]) -> list[str | None]:
        """The text position of each mark's label."""
        width, height = self.width - self.left - self.right, self.height - self.top - self.bottom
        (x0, x1), (y0, y1) = self.x_range, self.y_range
        points = [
            labels.Point((mark.x - x0) / (x1 - x0) * width, (math.log10(mark.y) - y0) / (y1 - y0) * height, mark.label)
            for mark in marks
        ]
        return labels.place(points, width_px=width, height_px=height, font_px=self.font, marker_px=self.marker)


def density_figure(table: DensityTable, width_px: int = 1000, theme: Theme = LIGHT) -> go.Figure:
    """LUT density in the default flow against memory density. Labels are placed for that width and stay so at others.

    Colour is the QSNR on weights, the symbol the family; a hollow marker, tied to its row, is what was published.
    """
    rows = _row_marks(table)
    pairs = [(row, hollow) for row in rows if (hollow := _published_mark(row))]
    hollows = [hollow for _, hollow in pairs]
    frame = _frame([*rows, *hollows], width_px)
    places = frame.places([*rows, *hollows])
    symbols = dict(zip(table.families(), _SYMBOLS, strict=False))
    figure = go.Figure(layout=_layout(table, frame))
    figure.update_layout(coloraxis=_color_axis(frame), template=template(theme))
    figure.add_trace(_links(pairs))
    figure.add_trace(_hollow_trace(hollows, places[len(rows) :], symbols, frame))
    figure.add_trace(_row_trace(rows, places[: len(rows)], symbols, frame))
    keys = {**symbols, **({"published": "circle-open"} if pairs else {})}
    figure.add_traces([_legend_key(name, symbol) for name, symbol in keys.items()])
    return figure


def template(theme: Theme) -> go.layout.Template:
    """Every colour that follows the theme; exchanging the template repaints a finished figure."""
    axis = {"gridcolor": theme.grid, "linecolor": theme.grid, "zeroline": False}
    marker = {"color": theme.muted, "line": {"color": theme.ink, "width": 1}}
    return go.layout.Template(
        layout={
            "font": {"color": theme.ink, "family": "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"},
            "paper_bgcolor": theme.surface,
            "plot_bgcolor": theme.surface,
            "xaxis": axis,
            "yaxis": axis,
            "hoverlabel": {"bgcolor": theme.raised, "bordercolor": theme.muted, "font": {"color": theme.ink}},
        },
        data={"scatter": [{"marker": marker, "line": {"color": theme.muted}}]},
    )


def _row_marks(table: DensityTable) -> list[_Mark]:
    """The rows that have a density in the default flow; first those with a published one: their labels find room."""
    marks = [
        _Mark(row, float(row.format.memory_density), cost.vs_float32, name, _details(table, row))
        for row, name in zip(table.rows, _names(table.rows), strict=True)
        if (cost := row.lut.get(table.default_flow)) and cost.vs_float32
    ]
    return sorted(marks, key=lambda mark: mark.row.published_as(_KEY) is None)


def _published_mark(mark: _Mark) -> _Mark | None:
    """Where the published densities of a row would put it."""
    figure, memory = mark.row.published_as(_KEY), mark.row.published_as("memory_density")
    if figure is None:
        return None
    x = memory.value if memory else mark.x
    return _Mark(mark.row, x, figure.value, text(figure), _published_details(mark.row, figure))


def _names(rows: Sequence[DensityRow]) -> list[str]:
    """A short label for each row: its format, its kind of unit and its accumulator where these tell rows apart."""
    names = []
    for row in rows:
        same = [other for other in rows if other.format.name == row.format.name]
        unit = ["MAC" if row.lanes == 1 else "dot"] if len({other.lanes for other in same}) > 1 else []
        alike = [other for other in same if other.lanes == row.lanes]
        accumulator = [row.accumulator.partition(":")[0]] if len(alike) > 1 else []
        names.append(" ".join([row.format.name, *unit, *accumulator]))
    return names


def _frame(marks: Sequence[_Mark], width_px: int) -> _Frame:
    low = math.log10(min((mark.y for mark in marks), default=1)) - 0.08
    high = math.log10(max((mark.y for mark in marks), default=10)) + 0.1
    ranges = {"x_range": (0.7, max((mark.x for mark in marks), default=8) + 0.6), "y_range": (low, high)}
    if width_px < _NARROW_PX:
        return _Frame(width_px, 560, left=44, right=8, top=76, bottom=116, font=10, marker=9, **ranges)
    return _Frame(width_px, 640, left=64, right=96, top=60, bottom=56, font=12, marker=12, **ranges)


def _layout(table: DensityTable, frame: _Frame) -> dict[str, object]:
    return {
        "height": frame.height,
        "margin": {"l": frame.left, "r": frame.right, "t": frame.top, "b": frame.bottom, "autoexpand": False},
        "font": {"size": frame.font},
        "hovermode": "closest",
        "dragmode": False,
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1.01,
            "yanchor": "bottom",
            "itemclick": False,
            "itemdoubleclick": False,
        },
        "xaxis": {"title": {"text": f"memory density, {TIMES} float32"}, "range": frame.x_range, "dtick": 1},
        "yaxis": {
            "title": {"text": f"{QUANTITIES[_KEY]} ({escape(table.default_flow)} flow)"},
            "type": "log",
            "range": frame.y_range,
            "tickvals": [0.1, 0.2, 0.5, 1, 2, 3, 5, 10, 20, 30, 50, 100],
        },
    }


def _color_axis(frame: _Frame) -> dict[str, object]:
    title = "QSNR on weights, dB"
    bar: dict[str, object] = {"title": {"text": title, "side": "right"}, "outlinewidth": 0, "thickness": 12}
    if frame.width < _NARROW_PX:
        bar |= {"orientation": "h", "y": -0.14, "yanchor": "top", "title": {"text": title, "side": "bottom"}}
    lowest, highest = _QSNR_SCALE_DB
    return {"colorscale": "Viridis", "colorbar": bar, "cmin": lowest, "cmax": highest}


def _links(pairs: Sequence[tuple[_Mark, _Mark]]) -> go.Scatter:
    """A thin line from each row's marker to the hollow one."""
    return go.Scatter(
        x=[x for row, hollow in pairs for x in (row.x, hollow.x, None)],
        y=[y for row, hollow in pairs for y in (row.y, hollow.y, None)],
        mode="lines",
        line={"width": 1, "dash": "dot"},
        hoverinfo="skip",
        showlegend=False,
    )


def _row_trace(
    marks: Sequence[_Mark], places: Sequence[str | None], symbols: Mapping[str, str], frame: _Frame
) -> go.Scatter:
    kinds = [symbols[mark.row.family] for mark in marks]
    colors = [_color(mark.row) for mark in marks]
    return _markers(marks, places, symbol=kinds, size=frame.marker, color=colors, coloraxis="coloraxis")


def _hollow_trace(
    marks: Sequence[_Mark], places: Sequence[str | None], symbols: Mapping[str, str], frame: _Frame
) -> go.Scatter:
    return _markers(marks, places, symbol=[f"{symbols[mark.row.family]}-open" for mark in marks], size=frame.marker)


def _markers(marks: Sequence[_Mark], places: Sequence[str | None], **marker: object) -> go.Scatter:
    """Markers, each with its label where there is room for it."""
    return go.Scatter(
        x=[mark.x for mark in marks],
        y=[mark.y for mark in marks],
        mode="markers+text",
        marker=marker,
        text=[escape(mark.label) if place else "" for mark, place in zip(marks, places, strict=True)],
        textposition=[place or "middle right" for place in places],
        hovertext=[mark.details for mark in marks],
        hoverinfo="text",
        cliponaxis=False,
        showlegend=False,
    )


def _legend_key(name: str, symbol: str) -> go.Scatter:
    """A legend entry of the theme's own colour: the markers' colours say something else."""
    return go.Scatter(x=[None], y=[None], mode="markers", name=name, marker={"symbol": symbol, "size": 10})


def _color(row: DensityRow) -> float | str:
    return _NOT_MEASURED if row.qsnr_weights_db is None else min(row.qsnr_weights_db, _QSNR_SCALE_DB[1])


def _details(table: DensityTable, row: DensityRow) -> str:
    """Every fact of a row, one a line, as Plotly's markup."""
    facts = [
        f"{escape(f'{column.group} {column.heading}'.strip())}: {escape(text(value))}"
        for column in columns(table)[1:]
        if (value := column.value(row)) is not None
    ]
    return "<br>".join([f"<b>{escape(row.format.name)}</b> {escape(row.format.title)}", *facts])


def _published_details(row: DensityRow, figure: Published) -> str:
    lines = [
        f"<b>{escape(row.format.name)}</b>, published",
        f"{QUANTITIES[figure.quantity]}: {text(figure.value)}",
        escape(f"{figure.source}, {TRUST[figure.trust]}"),
        escape(figure.note),
    ]
    return "<br>".join(filter(None, lines))
