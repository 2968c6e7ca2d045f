"""The colours of pages, light and dark; changes when they should look different (data: `formats.display.palette`)."""

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
