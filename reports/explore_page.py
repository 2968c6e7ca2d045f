"""An exploration as one HTML page that needs no network; changes when the page should hold other data.

What the page draws and how its views follow each other is in templates/explore_script.html.
"""

import base64
import json
from dataclasses import asdict
from typing import Any

import numpy as np
import pyarrow as pa

from densimeter.formats.display.palette import CATEGORIES_DARK, CATEGORIES_LIGHT
from densimeter.reports.explore_tables import density_table, layer_tables, main_columns
from densimeter.reports.quantities import quantity
from densimeter.reports.rendering import render
from densimeter.reports.run_folder import Run
from densimeter.reports.scatter import template
from densimeter.reports.theme import DARK, LIGHT


def explore_page(run: Run) -> str:
    """The whole page: styles, scripts, plotly.js and rows inside, nothing outside. 5 MB and some 200 bytes a row."""
    return render(
        "explore.html",
        run=run,
        objectives=[(quantity(name).title, way) for name, way in run.objectives.items()],
        scenarios=[quantity(name).title for name in run.scenarios],
        counts=_counts(run),
        layers=layer_tables(run),
        density=density_table(run),
        facts=json.dumps(run.facts, indent=2, ensure_ascii=False),
        data=_data(run),
    )


def _counts(run: Run) -> list[tuple[str, str]]:
    """How far the run got; its front is counted on the page itself."""
    counts = {name: value for name, value in run.facts["counts"].items() if name not in ("front", "outcomes")}
    return [(name, f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")) for name, value in counts.items()]


def _data(run: Run) -> dict[str, Any]:
    """What the page's script reads: columns with their meaning, rows, and colours of either theme."""
    axes = set(run.axes)
    meanings = run.facts.get("columns", {})
    names = [*run.axes, *(name for name in run.rows.column_names if name not in axes and name != "index")]
    columns = [
        {
            "key": name,
            **asdict(quantity(name)),
            "kind": _kind(name, axes),
            "meaning": str(meanings.get(name, {}).get("meaning", "")),
            **_encoded(run.rows[name], name in axes),
        }
        for name in names
    ]
    return {
        "name": run.name,
        "columns": columns,
        "main": main_columns(run),
        "objectives": run.objectives,
        "indices": run.rows["index"].to_pylist(),
        "front": run.front_count,
        "detailed": sorted(run.details),
        "details": {str(index): _layer_points(row) for index, row in run.details.items()},
        "themes": {
            "light": {"template": template(LIGHT).to_plotly_json(), "categories": CATEGORIES_LIGHT, **asdict(LIGHT)},
            "dark": {"template": template(DARK).to_plotly_json(), "categories": CATEGORIES_DARK, **asdict(DARK)},
        },
    }


def _kind(name: str, axes: set[str]) -> str:
    if name in axes:
        return "axis"
    return name.partition(".")[0] if "." in name else "figure"


def _encoded(column: pa.ChunkedArray, is_axis: bool) -> dict[str, Any]:
    """Figures as float32, which shows seven digits; values of axes and words as numbers of a list."""
    if not is_axis and pa.types.is_floating(column.type):
        return {"float32": _base64(column.to_numpy().astype("<f4"))}
    distinct = _sorted(column.unique().to_pylist())
    places = {value: place for place, value in enumerate(distinct)}
    codes = np.array([places[value] for value in column.to_pylist()], "<u4")
    return {"codes": _base64(codes), "values": distinct}


def _sorted(values: list[Any]) -> list[Any]:
    """Numbers by size, words as the alphabet has them, nothing last."""
    return sorted(values, key=lambda value: (value is None, isinstance(value, str), value if value is not None else 0))


def _base64(values: np.ndarray[Any, Any]) -> str:
    return base64.b64encode(values.tobytes()).decode("ascii")


def _layer_points(row: Any) -> list[dict[str, Any]]:
    """A design's layers on the roofline: those that cross the DRAM interface."""
    return [
        {
            "name": product["name"],
            "intensity": product["operations_per_dram_byte"],
            "achieved_ops": 2 * product["macs"] / product["latency_s"],
        }
        for product in row["products"]
        if product["operations_per_dram_byte"] is not None
    ]
