"""Where the labels of a scatter plot go so that none covers another; changes when a better place can be found."""

from collections.abc import Sequence
from dataclasses import dataclass

_GLYPH_WIDTH = 0.62
"""Mean width of a character, in font sizes, of the widest sans-serif font that is likely (DejaVu Sans)."""
_LINE_HEIGHT = 1.15
_GAP_PX = 1.0
"""Between a marker and its label."""
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
    """Each label's Plotly text position, or None where no place is free; earlier points choose first."""
    taken = [_marker(point, marker_px) for point in points]
    places: list[str | None] = []
    for point in points:
        boxes = {name: _label(point, *side, font_px, marker_px / 2 + _GAP_PX) for name, side in _POSITIONS.items()}
        free = (
            name
            for name, box in boxes.items()
            if point.label and box.inside(width_px, height_px) and not any(map(box.overlaps, taken))
        )
        chosen = next(free, None)
        if chosen:
            taken.append(boxes[chosen])
        places.append(chosen)
    return places


def _marker(point: Point, size: float) -> _Box:
    return _Box(point.x - size / 2, point.y - size / 2, point.x + size / 2, point.y + size / 2)


def _label(point: Point, right: int, up: int, font_px: float, distance: float) -> _Box:
    """The label's box on that side: `right` and `up` are -1, 0 or 1, `distance` from the marker's centre."""
    width = len(point.label) * font_px * _GLYPH_WIDTH
    height = font_px * _LINE_HEIGHT
    left = point.x - width / 2 + right * (distance + width / 2)
    bottom = point.y - height / 2 + up * (distance + height / 2)
    return _Box(left, bottom, left + width, bottom + height)
