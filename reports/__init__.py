"""Tables, figures and pages (floor 3), drawn from finished result rows.

Imports only `densimeter.formats` and never calls a model: what a page shows is what a row already says.
"""

from densimeter.reports.density import to_csv, to_markdown, to_terminal
from densimeter.reports.page import density_page
from densimeter.reports.row import QUANTITIES, TRUST, Cost, DensityRow, DensityTable, Published
from densimeter.reports.scatter import density_figure

__all__ = [
    "QUANTITIES",
    "TRUST",
    "Cost",
    "DensityRow",
    "DensityTable",
    "Published",
    "density_figure",
    "density_page",
    "to_csv",
    "to_markdown",
    "to_terminal",
]
