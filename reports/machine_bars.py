"""What a machine's area and energy go to, as one figure; changes when it should show more.

Reads the row that `simulator.evaluate` gives for a machine.
"""

from collections.abc import Mapping
from html import escape
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from densimeter.formats.display.palette import BLUE, ORANGE
from densimeter.reports.machine import description
from densimeter.reports.quantities import AREA, ENERGY, Quantity, component
from densimeter.reports.scatter import template
from densimeter.reports.theme import LIGHT, Theme

_WIDTH_PX, _BAR_PX, _MARGINS_PX = 900, 26, 150


def machine_figure(row: Mapping[str, Any], theme: Theme = LIGHT) -> go.Figure:
    """Bars of area and of energy by component, the largest on top, each with its figure."""
    parts = [(AREA, row["areas_mm2"], BLUE), (ENERGY, row["energies_j"], ORANGE)]
    figure = make_subplots(rows=1, cols=2, subplot_titles=("area", "energy of the workload"), horizontal_spacing=0.24)
    for column, (what, values, color) in enumerate(parts, 1):
        factor, unit = what.on_axis(values.values())
        figure.add_trace(_bars(what, values, factor, color), row=1, col=column)
        figure.update_xaxes(title=unit, row=1, col=column)
    figure.update_yaxes(automargin=True)
    most = max(len(values) for _, values, _ in parts)
    figure.update_layout(
        template=template(theme),
        title={"text": escape(description(row)[0])},
        width=_WIDTH_PX,
        height=_MARGINS_PX + _BAR_PX * most,
        showlegend=False,
        margin={"t": 90},
    )
    return figure


def _bars(what: Quantity, values: Mapping[str, float], factor: float, color: str) -> go.Bar:
    ordered = sorted(values.items(), key=lambda part: part[1])
    return go.Bar(
        x=[value * factor for _, value in ordered],
        y=[component(name) for name, _ in ordered],
        text=[what.text(value) for _, value in ordered],
        orientation="h",
        marker={"color": color},
        textposition="auto",
    )
