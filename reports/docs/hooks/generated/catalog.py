"""The catalog as pages, one a format; changes when a reader should see another fact of a format."""

from collections.abc import Iterator
from fractions import Fraction
from html import escape

import yaml

from densimeter.formats import BlockFormat, declaration, get, names
from densimeter.formats.display import bit_layout, number_line
from densimeter.formats.number import Kind, Number
from densimeter.reports.row import TIMES
from generated.error_curve import error_curve
from generated.tables import table

_LARGEST_TABLE_BITS = 8


def index() -> str:
    """A table of all formats that have a name, each with a link to its page."""
    rows = (
        (
            f"[`{fmt.name}`]({fmt.name}.md)",
            f"{float(fmt.bits_per_value):.4g}",
            f"{float(fmt.memory_density):.3g}",
            f"{fmt.element.notation}",
            str(fmt.block),
            fmt.scale.notation if fmt.scale else "none",
        )
        for fmt in map(get, names())
    )
    listed = table(
        ("format", ">bits per value", f">memory density, {TIMES} float32", "element", "block", "scale"), rows
    )
    return f'<div class="dm-wide" markdown>\n\n{listed}\n</div>\n'


def pages() -> Iterator[tuple[str, str]]:
    """Name and Markdown of every format's page."""
    for name in names():
        yield name, page(get(name))


def page(fmt: BlockFormat) -> str:
    """Everything about one format, drawn and listed."""
    parts = [
        f"# {fmt.name}",
        f"{fmt.title}. One of [all formats](index.md).",
        table(("property", "value"), _facts(fmt)),
        "## Bits",
        _figure(bit_layout(fmt)),
        "## Values",
        "For a scale of one." if fmt.scale is not None else "",
        _figure(number_line(fmt)),
        "## Error",
        _figure(error_curve(fmt)),
        "How far a value comes back from the value that went in, as a share of it: the largest and the mean share in "
        "each eighth of an octave. A share of 1 means that the value became zero, infinity or NaN.",
        "## Declaration",
        f"```yaml\n{yaml.safe_dump(declaration(fmt), sort_keys=False, width=100)}```",
        "## Codes",
        _codes(fmt),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _facts(fmt: BlockFormat) -> list[tuple[str, str]]:
    return [
        ("bits per value", f"{float(fmt.bits_per_value):.5g}"),
        ("memory density", f"{float(fmt.memory_density):.4g} {TIMES} float32"),
        ("element", fmt.element.notation),
        ("largest value", f"{float(fmt.element.largest):g}{f' {TIMES} scale' if fmt.scale else ''}"),
        ("block", str(fmt.block)),
        ("scale", fmt.scale.notation if fmt.scale else "none"),
        ("rounding", fmt.rounding.replace("_", " ")),
        ("NaN", "makes its block NaN" if fmt.nan_block else "kept" if fmt.keeps_nan else _lost_nan(fmt)),
        ("source", fmt.source),
    ]


def _lost_nan(fmt: BlockFormat) -> str:
    return "refused" if fmt.refuses_nan else "becomes zero"


def _figure(svg: str) -> str:
    return f'<div class="dm-drawing">{svg}</div>'


def _codes(fmt: BlockFormat) -> str:
    """Every code with its value."""
    bits = fmt.element.bits
    if bits > _LARGEST_TABLE_BITS:
        return f"{1 << bits} codes: too many for a table."
    digits = (bits + 3) // 4
    cells = "".join(
        f"<li><code>{code:0{digits}x}</code> {escape(_written(fmt.element.decode(code)))}</li>"
        for code in range(1 << bits)
    )
    return f'<ul class="dm-codes">{cells}</ul>'


def _written(number: Number) -> str:
    """A value; with a sign of about where six digits do not hold it."""
    value = float(number)
    if number.kind is not Kind.FINITE or not value:
        return f"{value:g}"
    rounded = f"{value:.6g}"
    return rounded if Fraction(rounded) == number.value else f"≈ {rounded}"
