"""A Plotly scatter plot as static SVG, for pages that load no script; changes when a plot uses another feature.

Knows what `reports.density_figure` uses: markers with text and hover text, dotted links, a logarithmic y axis with
given ticks, a linear x axis, a legend of symbols, one colour scale. Ink is `currentColor`, light on a dark page.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

from plotly.colors import sample_colorscale

_GAP = 3
_SWATCHES = 32


@dataclass(frozen=True)
class _Plot:
    """The area between the axes in pixels, and the ranges: x linear, y in powers of ten."""

    left: float
    top: float
    width: float
    height: float
    x_range: tuple[float, float]
    y_range: tuple[float, float]

    def x(self, value: float) -> float:
        low, high = self.x_range
        return self.left + (value - low) / (high - low) * self.width

    def y(self, value: float) -> float:
        low, high = self.y_range
        return self.top + self.height * (1 - (math.log10(value) - low) / (high - low))


def scatter_svg(figure: Any, width_px: int) -> str:
    """An SVG element of that width. Every marker has its hover text as a title."""
    drawn = figure.to_plotly_json()
    layout, traces = drawn["layout"], drawn["data"]
    margin, height, font = layout["margin"], layout["height"], layout["font"]["size"]
    plot = _Plot(
        margin["l"],
        margin["t"],
        width_px - margin["l"] - margin["r"],
        height - margin["t"] - margin["b"],
        tuple(layout["xaxis"]["range"]),
        tuple(layout["yaxis"]["range"]),
    )
    title = f"{layout['yaxis']['title']['text']} over {layout['xaxis']['title']['text']}"
    parts = [
        *_axes(layout, plot, font),
        *_legend(traces, plot, font),
        *_color_bar(layout["coloraxis"], plot, font, width_px),
    ]
    for trace in traces:
        parts += _links(trace, plot) if trace["mode"] == "lines" else _markers(trace, layout, plot, font)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width_px} {height}" width="{width_px}" '
        f'height="{height}" role="img" aria-label="{escape(title)}" font-size="{font}" fill="currentColor">'
        f"{''.join(parts)}</svg>"
    )


def _axes(layout: dict[str, Any], plot: _Plot, font: float) -> Iterator[str]:
    right, bottom = plot.left + plot.width, plot.top + plot.height
    low, high = plot.x_range
    for tick in range(math.ceil(low), math.floor(high) + 1, layout["xaxis"]["dtick"]):
        x = plot.x(tick)
        yield _line(x, plot.top, x, bottom, faint=True) + _text(x, bottom + font + 4, str(tick), "middle")
    for tick in layout["yaxis"]["tickvals"]:
        if plot.y_range[0] <= math.log10(tick) <= plot.y_range[1]:
            y = plot.y(tick)
            yield _line(plot.left, y, right, y, faint=True) + _text(plot.left - 6, y + font / 3, f"{tick:g}", "end")
    yield _text((plot.left + right) / 2, bottom + 2 * font + 12, layout["xaxis"]["title"]["text"], "middle")
    middle = (plot.top + bottom) / 2
    words = layout["yaxis"]["title"]["text"]
    yield f'<g transform="rotate(-90 {font} {middle:.1f})">{_text(font, middle, words, "middle")}</g>'


def _legend(traces: list[dict[str, Any]], plot: _Plot, font: float) -> Iterator[str]:
    """Names beside their symbols, from the left, in as many lines as they need, the last just above the plot."""
    lines: list[list[tuple[float, dict[str, Any]]]] = [[]]
    x = 0.0
    for trace in traces:
        if "name" not in trace:
            continue
        wide = len(trace["name"]) * font * 0.58 + 30
        if x + wide > plot.width and x:
            lines.append([])
            x = 0.0
        lines[-1].append((x, trace))
        x += wide
    for number, line in enumerate(reversed(lines)):
        y = plot.top - 14 - number * (font + 8)
        for x, trace in line:
            symbol = trace["marker"]["symbol"]
            yield _symbol(symbol, plot.left + x + 6, y - font / 3, 10, "currentColor") + _text(
                plot.left + x + 16, y, trace["name"]
            )


def _color_bar(axis: dict[str, Any], plot: _Plot, font: float, width_px: int) -> Iterator[str]:
    """Beside the plot, or below it where the figure says so."""
    colors = _colors_at(axis, [i / (_SWATCHES - 1) for i in range(_SWATCHES)])
    lowest, highest, words = axis["cmin"], axis["cmax"], axis["colorbar"]["title"]["text"]
    ticks = [lowest + (highest - lowest) * i / 4 for i in range(5)]
    if axis["colorbar"].get("orientation") == "h":
        top, step = plot.top + plot.height + 3 * font + 24, plot.width / len(colors)
        for i, color in enumerate(colors):
            yield _swatch(plot.left + i * step, top, step + 0.5, 12, color)
        for i, tick in enumerate(ticks):
            yield _text(plot.left + plot.width * i / 4, top + 12 + font + 2, f"{tick:g}", "middle")
        yield _text(plot.left + plot.width / 2, top + 12 + 2 * font + 6, words, "middle")
        return
    left, step = plot.left + plot.width + 24, plot.height / len(colors)
    for i, color in enumerate(reversed(colors)):
        yield _swatch(left, plot.top + i * step, 12, step + 0.5, color)
    for i, tick in enumerate(ticks):
        yield _text(left + 17, plot.top + plot.height * (1 - i / 4) + font / 3, f"{tick:g}")
    x, middle = width_px - font / 2, plot.top + plot.height / 2
    yield f'<g transform="rotate(90 {x:.1f} {middle:.1f})">{_text(x, middle + font / 2, words, "middle")}</g>'


def _swatch(x: float, y: float, width: float, height: float, color: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{color}"/>'


def _colors_at(axis: dict[str, Any], shares: list[float]) -> list[str]:
    """Colours of the scale at shares of its length, 0 to 1."""
    scale = axis["colorscale"] if isinstance(axis["colorscale"], str) else [list(pair) for pair in axis["colorscale"]]
    colors: list[str] = sample_colorscale(scale, shares)
    return colors


def _links(trace: dict[str, Any], plot: _Plot) -> Iterator[str]:
    """The points come in threes: from, to, nothing."""
    xs, ys = trace["x"], trace["y"]
    for i in range(0, len(xs), 3):
        yield _line(plot.x(xs[i]), plot.y(ys[i]), plot.x(xs[i + 1]), plot.y(ys[i + 1]), dotted=True)


def _markers(trace: dict[str, Any], layout: dict[str, Any], plot: _Plot, font: float) -> Iterator[str]:
    if "text" not in trace:
        return
    marker, axis = trace["marker"], layout["coloraxis"]
    colors = marker.get("color", ["currentColor"] * len(trace["x"]))
    for i, (x, y, words, place, details) in enumerate(
        zip(trace["x"], trace["y"], trace["text"], trace["textposition"], trace["hovertext"], strict=True)
    ):
        at, size = (plot.x(x), plot.y(y)), marker["size"]
        title = escape(re.sub("<[^>]*>", "", details.replace("<br>", "\n")), quote=False)
        symbol = _symbol(marker["symbol"][i], *at, size, _color(colors[i], axis))
        yield f"<g><title>{title}</title>{symbol}</g>"
        if words:
            yield _label(at, words, place, size, font)


def _color(value: float | str, axis: dict[str, Any]) -> str:
    if isinstance(value, str):
        return value
    share = min(max((value - axis["cmin"]) / (axis["cmax"] - axis["cmin"]), 0), 1)
    return _colors_at(axis, [share])[0]


def _label(at: tuple[float, float], words: str, place: str, size: float, font: float) -> str:
    """`place` is Plotly's: which side of the marker, as in "top right"."""
    vertical, horizontal = place.split()
    dx = {"left": -1, "center": 0, "right": 1}[horizontal] * (size / 2 + _GAP)
    up, down = -(size / 2 + _GAP), size / 2 + _GAP + font * 0.75
    dy = {"top": up, "middle": font * 0.35, "bottom": down}[vertical]
    anchor = {"left": "end", "center": "middle", "right": "start"}[horizontal]
    return _text(at[0] + dx, at[1] + dy, words, anchor)


def _symbol(name: str, x: float, y: float, size: float, color: str) -> str:
    hollow = name.endswith("-open")
    paint = f'fill="{"none" if hollow else color}" stroke="currentColor" stroke-width="1"'
    r = size / 2
    match name.removesuffix("-open"):
        case "circle":
            return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{r:.1f}" {paint}/>'
        case "square":
            corners, turn = 4, 45.0
        case "diamond":
            corners, turn = 4, 0.0
        case "triangle-up":
            corners, turn = 3, 0.0
        case "pentagon":
            corners, turn = 5, 0.0
        case "hexagon":
            corners, turn = 6, 0.0
        case other:
            raise ValueError(f"symbol is {other!r}, expected one that this module draws")
    angles = [math.radians(turn + 360 * i / corners) for i in range(corners)]
    points = " ".join(f"{x + 1.15 * r * math.sin(a):.1f},{y - 1.15 * r * math.cos(a):.1f}" for a in angles)
    return f'<polygon points="{points}" {paint}/>'


def _line(x1: float, y1: float, x2: float, y2: float, *, faint: bool = False, dotted: bool = False) -> str:
    look = ' stroke-opacity=".15"' if faint else ' stroke-opacity=".6" stroke-dasharray="2 3"' if dotted else ""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="currentColor"{look}/>'


def _text(x: float, y: float, words: str, anchor: str = "start") -> str:
    """`words` may hold entities but no markup."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{words}</text>'
