"""One figure as a file for a paper: SVG, PNG or PDF; changes when such files should be made another way."""

from pathlib import Path
from typing import Any

from densimeter.formats.display import standalone
from densimeter.formats.errors import ConfigError
from densimeter.formats.files import write_bytes
from densimeter.reports import browser

KINDS = (".svg", ".png", ".pdf")


def check_name(path: Path) -> None:
    """ConfigError unless the name ends as an image's does; asked before a long computation, not after it."""
    if path.suffix not in KINDS:
        raise ConfigError(f"figure is {path}, expected a name ending in {', '.join(KINDS)}")


def write_figure(figure: Any, path: Path) -> None:
    """Write a Plotly figure, or a drawing of `formats.display` (SVG text), in the form that the name ends in.

    ToolError where the form needs a browser and none is found: all but a drawing as SVG.
    """
    check_name(path)
    svg = standalone(figure) if isinstance(figure, str) else browser.plotly_svg(figure.to_html(include_plotlyjs=True))
    write_bytes(path, svg.encode("utf-8") if path.suffix == ".svg" else browser.rendered(svg, path.suffix))
