"""The colours of pages and figures, light and dark; changes when they should look different."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Theme:
    """CSS colours. On `surface` and `raised` the contrast of `ink` is above 12, of `muted` and `accent` above 4.5."""

    ink: str
    muted: str
    grid: str
    surface: str
    raised: str
    accent: str


LIGHT = Theme(ink="#1b1f24", muted="#57606a", grid="#dfe3e8", surface="#ffffff", raised="#f5f7f9", accent="#0b62b0")
DARK = Theme(ink="#e8ebef", muted="#a0a9b4", grid="#31373f", surface="#14171b", raised="#1d2126", accent="#6cb6ff")

CATEGORIES_LIGHT = (
    "#332288", "#cc6677", "#117733", "#ddcc77", "#88ccee", "#882255", "#44aa99", "#aa4499", "#999933", "#8a8a8a",
)  # fmt: skip
CATEGORIES_DARK = (
    "#77aadd", "#ee8866", "#44bb99", "#eedd88", "#99ddff", "#ffaabb", "#bbcc33", "#aa8fd8", "#aaaa00", "#9a9a9a",
)  # fmt: skip
"""Ten colours that colour-blind readers can tell apart, on either surface: Paul Tol's schemes `muted` and `light`
(SRON/EPS/TN/09-002, issue 3.2), completed by a grey and, in the second, a violet."""
