"""How formats show themselves: number line, bit layout and card as strings of SVG and HTML, without a library.

Stands on floor 0 because every floor shows formats in notebooks, and `_repr_html_` may not import upward.
"""

from densimeter.formats.display.bit_layout import bit_layout
from densimeter.formats.display.card import anatomy, card
from densimeter.formats.display.histogram import histogram
from densimeter.formats.display.html_table import html_table
from densimeter.formats.display.number_line import number_line
from densimeter.formats.display.svg import standalone

__all__ = ["anatomy", "bit_layout", "card", "histogram", "html_table", "number_line", "standalone"]
