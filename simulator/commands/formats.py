"""`densimeter formats [NAME]`: the catalog, or one format with its declaration and table of values."""

from typing import Annotated, Any

import typer
import yaml
from rich.table import Table

from densimeter.formats import BlockFormat, ConfigError, declaration, get, names, resolve
from densimeter.formats.display import anatomy
from densimeter.formats.variants import SUFFIXES
from densimeter.simulator.commands.completion import format_names
from densimeter.simulator.commands.output import (
    FigureOption,
    JsonOption,
    check_figure,
    console,
    plain_table,
    print_json,
    save_figure,
)

_LARGEST_TABLE_BITS = 8
_COLUMNS = 8


def formats(
    name: Annotated[
        str | None,
        typer.Argument(
            help="A catalog name, or a declaration such as '{element: e3m2, block: 24, scale: e8m0}'.",
            autocompletion=format_names,
        ),
    ] = None,
    figure: FigureOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the number formats, or show one: its declaration, its facts and every value it can hold."""
    check_figure(figure)
    if name is None:
        if figure is not None:
            raise ConfigError("--figure draws one format; name it: `densimeter formats mxfp4 --figure FILE`")
        found = [get(known) for known in names()]
        if as_json:
            print_json({"formats": [_facts(fmt) for fmt in found]})
        else:
            console.print(_catalog_table(found))
            console.print(f"Variants by suffix: {' '.join(f'_{suffix}' for suffix in SUFFIXES)}")
            console.print("  as in int4_g128_affine, mxfp4_rceil, nf4_dq_b32; groups and blocks take any number")
            console.print(
                "Or compose one: '{base: mxfp4, rounding: stochastic}', '{element: e3m2, block: 24, scale: e8m0}'"
            )
        return
    fmt = resolve(name)
    if figure is not None:
        save_figure(anatomy(fmt), figure)
    if as_json:
        print_json(_facts(fmt) | {"values": _values(fmt)})
    else:
        _show(fmt)


def _facts(fmt: BlockFormat) -> dict[str, Any]:
    return {
        "format": fmt.name,
        "title": fmt.title,
        "bits_per_value": float(fmt.bits_per_value),
        "memory_density": float(fmt.memory_density),
        "element": fmt.element.notation,
        "block": fmt.block,
        "scale": fmt.scale.notation if fmt.scale else None,
        "rounding": fmt.rounding,
        "specials": _specials(fmt),
        "layout": fmt.layout,
        "declaration": declaration(fmt),
        "source": fmt.source,
    }


def _specials(fmt: BlockFormat) -> str:
    """What NaN, Inf and overflow become, in words."""
    beyond = "Inf" if fmt.element.has_infinity else "NaN"
    overflow = f"overflow to {beyond}" if fmt.overflows_to_special else "overflow saturates"
    if fmt.nan_block:
        return f"NaN or Inf makes its block NaN, {overflow}"
    nan = "NaN kept" if fmt.keeps_nan else "NaN refused" if fmt.refuses_nan else "NaN to zero"
    return f"{nan}, {overflow}"


def _values(fmt: BlockFormat) -> list[dict[str, Any]] | None:
    """Every code of an element of at most 8 bits with its value (a scale of one); specials as text."""
    if fmt.element.bits > _LARGEST_TABLE_BITS:
        return None
    codes = range(1 << fmt.element.bits)
    decoded = ((code, float(fmt.element.decode(code))) for code in codes)
    return [{"code": code, "value": value if abs(value) < float("inf") else str(value)} for code, value in decoded]


def _catalog_table(found: list[BlockFormat]) -> Table:
    table = plain_table(
        "Number formats", "format", ">bits/value", ">memory density", "element", "block", "scale", "title"
    )
    for fmt in found:
        scale = fmt.scale.notation if fmt.scale else "-"
        bits, density = f"{float(fmt.bits_per_value):g}", f"{float(fmt.memory_density):.3f}"
        table.add_row(fmt.name, bits, density, fmt.element.notation, str(fmt.block), scale, fmt.title)
    return table


def _show(fmt: BlockFormat) -> None:
    facts = _facts(fmt)
    console.print(f"[bold]{fmt.name}[/bold]  {fmt.title}")
    for label in ("bits_per_value", "memory_density", "element", "block", "scale", "rounding", "specials", "source"):
        fact = facts[label]
        console.print(f"  {label + ':':<16} {f'{fact:.6g}' if isinstance(fact, float) else fact}", highlight=False)
    console.print(f"  {'largest value:':<16} {float(fmt.element.largest):g} x scale", highlight=False)
    written = yaml.safe_dump(facts["declaration"], default_flow_style=True, sort_keys=False, width=10_000).strip()
    console.print(f"  {'declaration:':<16} {written}", highlight=False, markup=False)
    values = _values(fmt)
    if values is None:
        console.print(f"  ({1 << fmt.element.bits} codes: too many for a table)")
        return
    table = Table(title="code = value, for a scale of one", title_justify="left", box=None)
    for _ in range(_COLUMNS):
        table.add_column(no_wrap=True)
    cells = [f"[dim]{entry['code']:02x}[/dim] = {_number(entry['value'])}" for entry in values]
    for start in range(0, len(cells), _COLUMNS):
        table.add_row(*cells[start : start + _COLUMNS])
    console.print(table)


def _number(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"
