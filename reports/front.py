"""The designs of a run as one figure, its Pareto front before the others; changes when it should show more.

The page of a run (`explore_page`) draws linked views of its own; this figure is for papers and notebooks.
"""

from html import escape
from typing import Any

import plotly.graph_objects as go

from densimeter.formats.display.palette import CATEGORIES_DARK, CATEGORIES_LIGHT
from densimeter.formats.errors import ConfigError, nearest
from densimeter.reports.explore_tables import main_columns
from densimeter.reports.quantities import quantity
from densimeter.reports.run_folder import Run
from densimeter.reports.scatter import template
from densimeter.reports.theme import DARK, LIGHT, Theme

_WIDTH_PX, _HEIGHT_PX = 900, 600
_WIDE = 20
_LOG_TICKS = [step * 10.0**power for power in range(-9, 13) for step in (1, 2, 5)]


def front_figure(
    run: Run, x: str | None = None, y: str | None = None, color: str | None = None, theme: Theme = LIGHT
) -> go.Figure:
    """Every design of the run at its `x` and `y`; those of the front large, a colour a value of `color`.

    x and y are columns of figures, by default the first two objectives; `color` an axis, by default the first scenario,
    else the first axis that has more than one value on the front and no more than there are colours. ConfigError for
    a column that the run lacks, or that holds words where figures are drawn.
    """
    objectives = [*run.objectives, *run.objectives]
    across, up = (_checked(run, name) for name in (x or objectives[0], y or objectives[1]))
    kind = _checked(run, color) if color else _default_color(run)
    colors = CATEGORIES_DARK if theme is DARK else CATEGORIES_LIGHT
    axes = [_Axis(run, across), _Axis(run, up)]
    figure = go.Figure(layout=_layout(run, axes))
    figure.update_layout(template=template(theme))
    faint = {"size": 5, "color": theme.muted, "opacity": 0.5, "line": {"width": 0}}
    figure.add_trace(_markers(run, run.rows.slice(run.front_count).to_pylist(), axes, "other designs", faint))
    front = run.front.to_pylist()
    for i, value in enumerate(dict.fromkeys(row[kind] if kind else "front" for row in front)):
        chosen = [row for row in front if not kind or row[kind] == value]
        mark = {"size": 10, "color": colors[i % len(colors)], "line": {"width": 1, "color": theme.ink}}
        figure.add_trace(_markers(run, chosen, axes, escape(_plain(value)), mark))
    if kind:
        figure.update_layout(legend={"title": {"text": escape(quantity(kind).title)}})
    return figure


def _checked(run: Run, name: str) -> str:
    if name not in run.rows.column_names:
        raise ConfigError(f"the run {run.name} has no column {name!r}{nearest(name, run.rows.column_names)}")
    return name


def _default_color(run: Run) -> str | None:
    """What tells the front's designs apart at a glance; None where no axis does."""
    counts = {axis: len(run.front[axis].unique()) for axis in [*run.scenarios, *run.axes]}
    return next((axis for axis, count in counts.items() if 1 < count <= len(CATEGORIES_LIGHT)), None)


class _Axis:
    """A column of figures in the unit that suits its largest; logarithmic where they span more than `_WIDE`."""

    def __init__(self, run: Run, column: str) -> None:
        what = quantity(column)
        self.column = column
        values = [value for value in run.rows[column].to_pylist() if value is not None]
        if any(isinstance(value, str) for value in values):
            raise ConfigError(f"column {column!r} of {run.name} holds words; x and y take figures, color takes words")
        self.factor, unit = what.on_axis(values)
        logarithmic = bool(values) and 0 < min(values) * _WIDE < max(values)
        self.kind: dict[str, Any] = {"type": "log", "tickvals": _LOG_TICKS} if logarithmic else {"type": "linear"}
        self.title = f"{what.title}, {unit}" if unit else what.title

    def __call__(self, row: dict[str, Any]) -> float | None:
        value = row[self.column]
        return None if value is None else value * self.factor


def _markers(run: Run, rows: list[dict[str, Any]], axes: list[_Axis], name: str, marker: dict[str, Any]) -> go.Scatter:
    x, y = ([axis(row) for row in rows] for axis in axes)
    details = [_details(row, run) for row in rows]
    return go.Scatter(x=x, y=y, mode="markers", name=name, marker=marker, hovertext=details, hoverinfo="text")


def _details(row: dict[str, Any], run: Run) -> str:
    """A line a column, as Plotly's markup."""

    def text(key: str) -> str:
        return escape(_plain(row[key])) if key in run.axes else quantity(key).text(row[key])

    return "<br>".join(f"{escape(quantity(key).title)}: {text(key)}" for key in main_columns(run))


def _plain(value: Any) -> str:
    """The value of an axis as it is written; Parquet may hold whole numbers as others."""
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _layout(run: Run, axes: list[_Axis]) -> dict[str, Any]:
    x, y = ({"title": {"text": escape(axis.title)}, "automargin": True, **axis.kind} for axis in axes)
    return {
        "width": _WIDTH_PX,
        "height": _HEIGHT_PX,
        "title": {"text": escape(f"{run.name}: Pareto front of {run.front_count} designs")},
        "margin": {"t": 60},
        "xaxis": x,
        "yaxis": y,
        "hovermode": "closest",
    }
