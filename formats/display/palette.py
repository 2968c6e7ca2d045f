"""The colours of every drawing and figure; changes when they should look different.

OKABE_ITO: Okabe and Ito, "Color Universal Design", 2008 (jfly.uni-koeln.de/color), told apart by colour-blind readers.
The categories: Paul Tol's schemes `muted` and `light` (SRON/EPS/TN/09-002, issue 3.2), completed by a grey and, in the
second, a violet; ten colours that such readers can tell apart on a light and on a dark surface.
"""

from typing import Final

ORANGE: Final = "#E69F00"
SKY_BLUE: Final = "#56B4E9"
GREEN: Final = "#009E73"
BLUE: Final = "#0072B2"
VERMILLION: Final = "#D55E00"
PURPLE: Final = "#CC79A7"
OKABE_ITO: Final = (ORANGE, SKY_BLUE, GREEN, BLUE, VERMILLION, PURPLE)
"""Less its yellow, which is lost on white, and its black, which is lost on a dark surface."""

ON_COLOR: Final = "#101418"
"""Text on any colour of OKABE_ITO but BLUE: a contrast above 4.5."""

CATEGORIES_LIGHT: Final = (
    "#332288", "#cc6677", "#117733", "#ddcc77", "#88ccee", "#882255", "#44aa99", "#aa4499", "#999933", "#8a8a8a",
)  # fmt: skip
CATEGORIES_DARK: Final = (
    "#77aadd", "#ee8866", "#44bb99", "#eedd88", "#99ddff", "#ffaabb", "#bbcc33", "#aa8fd8", "#aaaa00", "#9a9a9a",
)  # fmt: skip
