"""Elements of SVG as text, escaped; changes when the drawings need another element or another look.

Ink is `currentColor`, so that a drawing inside a page takes the page's, light or dark; fills come from the palette.
"""

from collections.abc import Iterable
from html import escape

WIDTH = 520
"""Width of every drawing in its own units, about pixels: on a wide page a little more, on a phone two thirds."""
FONT_SIZE = 12
_FONT = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"
_LIGHT_INK, _DARK_INK = "#1b1f24", "#e8ebef"
_CHARACTER_WIDTH = 0.62
"""Of the mean character, in font sizes: enough to set words beside each other."""


def drawing(height: float, title: str, parts: Iterable[str]) -> str:
    """An SVG element of the common width; `title` tells a reader without sight what it shows."""
    words = escape(title)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="densimeter" viewBox="0 0 {WIDTH} {_number(height)}" '
        f'role="img" aria-label="{words}" font-family="{_FONT}" font-size="{FONT_SIZE}" '
        f'style="width:100%;max-width:40rem;height:auto;display:block"><title>{words}</title>{"".join(parts)}</svg>'
    )


def stacked(title: str, *svgs: str) -> str:
    """Drawings under each other as one."""
    parts, y = [], 0.0
    for svg in svgs:
        height = _height(svg)
        size = f' y="{_number(y)}" width="{WIDTH}" height="{_number(height)}" class'
        parts.append(svg.replace(" class", size, 1))
        y += height + 8
    return drawing(y, title, parts)


def standalone(svg: str) -> str:
    """A drawing as a file of its own: with its size, and with ink for a light or a dark surface."""
    style = f"svg{{color:{_LIGHT_INK}}}@media(prefers-color-scheme:dark){{svg{{color:{_DARK_INK}}}}}"
    head, _, body = svg.partition("><title>")
    return f'{head} width="{WIDTH}" height="{_number(_height(svg))}"><style>{style}</style><title>{body}\n'


def _height(svg: str) -> float:
    return float(svg.partition(f'viewBox="0 0 {WIDTH} ')[2].partition('"')[0])


def rectangle(x: float, y: float, width: float, height: float, fill: str, *, outlined: bool = True) -> str:
    outline = ' stroke="currentColor" stroke-opacity=".55" stroke-width=".8"' if outlined else ""
    place = f'x="{_number(x)}" y="{_number(y)}" width="{_number(width)}" height="{_number(height)}"'
    return f'<rect {place} fill="{fill}"{outline}/>'


def line(x1: float, y1: float, x2: float, y2: float, stroke: str = "currentColor", width: float = 1) -> str:
    ends = f'x1="{_number(x1)}" y1="{_number(y1)}" x2="{_number(x2)}" y2="{_number(y2)}"'
    return f'<line {ends} stroke="{stroke}" stroke-width="{_number(width)}"/>'


def ticks(xs: Iterable[float], top: float, bottom: float, stroke: str, width: float = 1.2) -> str:
    """Vertical strokes, all of them one path."""
    path = "".join(f"M{_number(x)} {_number(top)}V{_number(bottom)}" for x in xs)
    return f'<path d="{path}" stroke="{stroke}" stroke-width="{_number(width)}" fill="none"/>' if path else ""


def text(
    x: float, y: float, words: str, *, anchor: str = "start", muted: bool = False, fill: str = "currentColor"
) -> str:
    faint = ' fill-opacity=".72"' if muted else ""
    return f'<text x="{_number(x)}" y="{_number(y)}" text-anchor="{anchor}" fill="{fill}"{faint}>{escape(words)}</text>'


def legend(y: float, entries: Iterable[tuple[str, str]]) -> str:
    """(colour, words) beside each other, from the left."""
    parts, x = [], 0.0
    for color, words in entries:
        parts += [rectangle(x, y - 9, 10, 10, color), text(x + 15, y, words)]
        x += 15 + text_width(words) + 18
    return "".join(parts)


def text_width(words: str) -> float:
    """About how wide words are set."""
    return len(words) * FONT_SIZE * _CHARACTER_WIDTH


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
