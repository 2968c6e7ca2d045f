"""Tables, figures and pages (floor 3), drawn from finished result rows.

Imports only `densimeter.formats` and never calls a model: what a page shows is what a row already says. Names are
imported when first used: Plotly and Parquet take a second that a table in a terminal need not wait for.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from densimeter.reports.density import to_csv, to_markdown, to_terminal
    from densimeter.reports.front import front_figure
    from densimeter.reports.image import write_figure
    from densimeter.reports.machine_bars import machine_figure
    from densimeter.reports.page import density_page
    from densimeter.reports.row import QUANTITIES, TRUST, Cost, DensityRow, DensityTable, Published
    from densimeter.reports.run_folder import Run, read_run
    from densimeter.reports.scatter import density_figure

__all__ = [
    "QUANTITIES",
    "TRUST",
    "Cost",
    "DensityRow",
    "DensityTable",
    "Published",
    "Run",
    "density_figure",
    "density_page",
    "front_figure",
    "machine_figure",
    "read_run",
    "to_csv",
    "to_markdown",
    "to_terminal",
    "write_figure",
]

_HOMES = {
    "density": ("to_csv", "to_markdown", "to_terminal"),
    "front": ("front_figure",),
    "image": ("write_figure",),
    "machine_bars": ("machine_figure",),
    "page": ("density_page",),
    "row": ("QUANTITIES", "TRUST", "Cost", "DensityRow", "DensityTable", "Published"),
    "run_folder": ("Run", "read_run"),
    "scatter": ("density_figure",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
