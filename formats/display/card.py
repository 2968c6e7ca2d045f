"""A format on one card, as a notebook shows it; changes when a reader should see another fact of it."""

from html import escape

from densimeter.formats.block import BlockFormat
from densimeter.formats.display.bit_layout import bit_layout
from densimeter.formats.display.html_table import html_table
from densimeter.formats.display.number_line import number_line
from densimeter.formats.display.svg import stacked


def anatomy(fmt: BlockFormat) -> str:
    """SVG of the bits of code and block above the values: the picture of a format for a paper."""
    return stacked(f"{fmt.name}: bits and values", bit_layout(fmt), number_line(fmt))


def card(fmt: BlockFormat) -> str:
    """HTML: name and title, what a value takes, the bits of code and block, the values, the source."""
    facts = [
        ("element", fmt.element.notation),
        ("scale", fmt.scale.notation if fmt.scale is not None else "none"),
        ("block", str(fmt.block)),
        ("bits per value", f"{float(fmt.bits_per_value):.5g}"),
        ("memory density", f"{float(fmt.memory_density):.4g} x float32"),
        ("rounding", fmt.rounding.replace("_", " ")),
    ]
    title = f" {escape(fmt.title)}" if fmt.title else ""
    source = f'<div style="opacity:.72">source: {escape(fmt.source)}</div>' if fmt.source else ""
    return (
        f'<div class="densimeter"><div><strong>{escape(fmt.name)}</strong>{title}</div>{html_table((), facts)}'
        f"{bit_layout(fmt)}{number_line(fmt)}{source}</div>"
    )
