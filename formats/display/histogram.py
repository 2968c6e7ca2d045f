"""Counts as bars; changes when a histogram should look different."""

from collections.abc import Sequence

from densimeter.formats.display import palette
from densimeter.formats.display.svg import WIDTH, drawing, line, rectangle, text

_TOP, _HEIGHT = 24, 90


def histogram(counts: Sequence[int], edges: Sequence[float], title: str) -> str:
    """SVG of counts between edges, one more of them; the tallest bar is full and no other count than zero vanishes.

    `title` stands above; the first, middle and last edge below.
    """
    largest = max(counts, default=0) or 1
    wide = WIDTH / max(len(counts), 1)
    bottom = _TOP + _HEIGHT
    parts = [text(0, 14, title, muted=True)]
    for i, count in enumerate(counts):
        tall = max(count / largest * _HEIGHT, 1.0) if count else 0.0
        if tall:
            parts.append(rectangle(i * wide, bottom - tall, wide * 0.92, tall, palette.BLUE, outlined=False))
    parts.append(line(0, bottom, WIDTH, bottom))
    for place, anchor in ((0, "start"), (len(edges) // 2, "middle"), (len(edges) - 1, "end")):
        label = f"{edges[place] + 0.0:.4g}".replace("-", "\N{MINUS SIGN}")
        parts.append(text(place * wide, bottom + 15, label, anchor=anchor))
    return drawing(bottom + 20, title, parts)
