"""Figures of a page as image files, drawn by a browser without a window; changes when images are made another way.

Plotly draws in a browser only, so an image needs one: Chromium or Chrome on the PATH. Nothing is fetched.
"""

import base64
import math
import re
import shutil
import subprocess
import tempfile
import urllib.parse
from html import unescape
from pathlib import Path

from densimeter.formats.errors import ToolError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")

_QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-quic",
    "--virtual-time-budget=20000", "--blink-settings=preferredColorScheme=1",
)  # fmt: skip
_WIDTH_PX, _HEIGHT_PX = 1100, 900
_PIXEL_RATIO = 2
_TIMEOUT_S = 180
# Each image becomes an element of the document, which the browser prints at the end.
_EXPORT = """<script>
(async () => {
  const keep = (name, url) => {
    const kept = { className: "exported", title: name, value: url };
    document.body.append(Object.assign(document.createElement("data"), kept));
  };
  for (const plot of document.querySelectorAll(".js-plotly-plot")) {
    for (const format of ["svg", "png"]) {
      const size = { width: plot.clientWidth, height: plot.clientHeight, scale: format === "png" ? %d : 1 };
      keep(`${plot.id}.${format}`, await Plotly.toImage(plot, { format, ...size }));
    }
  }
  for (const canvas of document.querySelectorAll("main canvas")) keep(`${canvas.id}.png`, canvas.toDataURL());
})();
</script></body>"""

_SHEET = """<!doctype html><meta charset="utf-8"><style>
@page {{ size: {width}px {height}px; margin: 0 }}
body {{ margin: 0 }} svg {{ display: block; width: {width}px !important; max-width: none !important }}
</style>{svg}"""


def find_browser() -> str | None:
    """The path of a browser that can draw without a window."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def images(page: str) -> dict[str, bytes]:
    """Every figure of a page by file name: Plotly's as SVG and PNG, canvases as PNG.

    Raises ToolError where no browser is found, or where it fails.
    """
    size = (f"--window-size={_WIDTH_PX},{_HEIGHT_PX}", f"--force-device-scale-factor={_PIXEL_RATIO}")
    document = _run(page.replace("</body>", _EXPORT % _PIXEL_RATIO), *size, "--dump-dom")
    found = {
        name: _decoded(url)
        for name, url in re.findall(r'<data class="exported" title="([\w.-]+)" value="([^"]*)"', document.decode())
    }
    if not found:
        raise ToolError(f"{find_browser()} drew no figure of the page; expected a browser of this decade")
    return found


def plotly_svg(page: str) -> str:
    """The one Plotly figure of a page, as SVG."""
    return next(data.decode() for name, data in images(page).items() if name.endswith(".svg"))


def rendered(svg: str, kind: str) -> bytes:
    """An SVG with its size in pixels as ".png", twice as fine, or as ".pdf", a page of that size."""
    width, height = (math.ceil(float(re.search(rf'{side}="([\d.]+)"', svg)[1])) for side in ("width", "height"))  # type: ignore[index]
    page = _SHEET.format(width=width, height=height, svg=svg)
    if kind == ".pdf":
        return _run(page, "--no-pdf-header-footer", output=("--print-to-pdf", "made.pdf"))
    size = (f"--window-size={width},{height}", f"--force-device-scale-factor={_PIXEL_RATIO}")
    return _run(page, *size, output=("--screenshot", "made.png"))


def _run(page: str, *options: str, output: tuple[str, str] | None = None) -> bytes:
    """What the browser makes of a page: on standard output, or, by an option, in a file of that name."""
    browser = find_browser()
    if browser is None:
        raise ToolError(
            f"no browser to draw figures with; expected one of {', '.join(BROWSERS)} on the PATH: "
            "install one, such as Debian's package chromium"
        )
    with tempfile.TemporaryDirectory(prefix="densimeter-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "page.html"
        path.write_text(page, encoding="utf-8")
        into = [f"{output[0]}={folder}/{output[1]}"] if output else []
        command = [browser, *_QUIET, f"--user-data-dir={folder}/profile", *options, *into, path.as_uri()]
        try:
            done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=True)
            return Path(folder, output[1]).read_bytes() if output else done.stdout
        except (OSError, subprocess.SubprocessError) as error:
            raise ToolError(
                f"{browser} did not draw the figures: {error}; expected a browser of this decade"
            ) from error


def _decoded(url: str) -> bytes:
    """The bytes of a data URL."""
    head, _, body = url.partition(",")
    return base64.b64decode(body) if head.endswith("base64") else urllib.parse.unquote_to_bytes(unescape(body))
