"""Figures of a page as image files, drawn by a browser without a window; changes when images are made another way.

Plotly draws in a browser only, so an image needs one: Chromium or Chrome on the PATH. Nothing is fetched.
"""

import base64
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


def find_browser() -> str | None:
    """The path of a browser that can draw without a window."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def images(page: str) -> dict[str, bytes]:
    """Every figure of a page by file name: Plotly's as SVG and PNG, canvases as PNG.

    Raises ToolError where no browser is found, or where it fails.
    """
    browser = find_browser()
    if browser is None:
        raise ToolError(f"no browser to draw figures with; expected one of {', '.join(BROWSERS)} on the PATH")
    with tempfile.TemporaryDirectory(prefix="densimeter-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "page.html"
        path.write_text(page.replace("</body>", _EXPORT % _PIXEL_RATIO), encoding="utf-8")
        size = (f"--window-size={_WIDTH_PX},{_HEIGHT_PX}", f"--force-device-scale-factor={_PIXEL_RATIO}")
        command = [browser, *_QUIET, *size, f"--user-data-dir={folder}/profile", "--dump-dom", path.as_uri()]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)
        except (OSError, subprocess.SubprocessError) as error:
            raise ToolError(f"{browser} did not draw the page's figures: {error}") from error
    found = {
        name: _decoded(url)
        for name, url in re.findall(r'<data class="exported" title="([\w.-]+)" value="([^"]*)"', done.stdout)
    }
    if not found:
        raise ToolError(f"{browser} drew no figure of the page; expected a browser of this decade")
    return found


def _decoded(url: str) -> bytes:
    """The bytes of a data URL."""
    head, _, body = url.partition(",")
    return base64.b64decode(body) if head.endswith("base64") else urllib.parse.unquote_to_bytes(unescape(body))
