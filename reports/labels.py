"""Where the labels of a scatter plot go so that none covers another; changes when a better place can be found."""

from collections.abc import Sequence
from dataclasses import dataclass

_GLYPH_WIDTH = 0.56
"""Mean width of a character of a sans-serif font, in font sizes."""
_LINE_HEIGHT = 1.15
_POSITIONS = {
    "middle right": (1, 0),
    "middle left": (-1, 0),
    "top center": (0, 1),
    "bottom center": (0, -1),
    "top right": (1, 1),
    "bottom right": (1, -1),
    "top left": (-1, 1),
    "bottom left": (-1, -1),
}
"""Plotly's names of the places around a marker, the best first, and on which side of it each lies."""


@dataclass(frozen=True)
class Point:
    """A marker at x, y pixels from the lower left corner of the plot, and what to write beside it."""

    x: float
    y: float
    label: str = ""


@dataclass(frozen=True)
class _Box:
    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: "_Box") -> bool:
        beside = self.right <= other.left or other.right <= self.left
        return not (beside or self.top <= other.bottom or other.top <= self.bottom)

    def inside(self, width: float, height: float) -> bool:
        return self.left >= 0 and self.bottom >= 0 and self.right <= width and self.top <= height


def place(
    points: Sequence[Point], *, width_px: float, height_px: float, font_px: float, marker_px: float
) -> list[str | None]:
    """For each point the Plotly text position of its label, or None where no place is free; earlier points choose first."""
    taken = [_marker(point, marker_px) for point in points]
    places: list[str | None] = []
    for point in points:
        found = None
        for name, (right, up) in _POSITIONS.items() if point.label else ():
            box = _label(point, right, up, font_px, marker_px / 2)
            if box.inside(width_px, height_px) and not any(map(box.overlaps, taken)):
                found = name
                taken.append(box)
                break
        places.append(found)
    return places


def _marker(point: Point, size: float) -> _Box:
    return _Box(point.x - size / 2, point.y - size / 2, point.x + size / 2, point.y + size / 2)


def _label(point: Point, right: int, up: int, font_px: float, radius: float) -> _Box:
    """The label's box on that side: `right` and `up` are -1, 0 or 1."""
    width = len(point.label) * font_px * _GLYPH_WIDTH
    height = font_px * _LINE_HEIGHT
    left = point.x - width / 2 + right * (radius + width / 2)
    bottom = point.y - height / 2 + up * (radius + height / 2)
    return _Box(left, bottom, left + width, bottom + height)
