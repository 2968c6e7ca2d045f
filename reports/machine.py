"""One machine with its workload as text: terminal, CSV, Markdown, HTML; changes when a reader should see another fact.

Reads the row that `simulator.evaluate` gives for a machine.
"""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from densimeter.reports import table as tables
from densimeter.reports.quantities import (
    ACCURACY,
    AREA,
    ENERGY,
    INTENSITY,
    LATENCY,
    MACS,
    SHARE,
    TOTALS,
    Quantity,
    component,
)
from densimeter.reports.table import Cell, Heading, Table, count, figure, markdown_text, word

Row = Mapping[str, Any]

_KIBIBYTE = 1024
_BUFFERS = ("activation", "weight", "sum")
_SPLIT = ("utilisation", "edge_share", "fill_share", "stall_share")
_NOTHING = Cell(None, "")


def to_terminal(row: Row, width: int) -> RenderableType:
    """Totals, components, products, and what no figure covers."""
    lines = [Text(line) for line in description(row)]
    shown = [part for table in machine_tables(row) for part in (tables.to_terminal(table, width), "")]
    return Group(*lines, "", *shown, *(Text(line) for line in remarks(row)))


def to_markdown(row: Row) -> str:
    """The same as a document."""
    title, *lines = map(markdown_text, description(row))
    parts = [
        f"# {title}\n",
        "".join(f"- {line}\n" for line in lines),
        *map(tables.to_markdown, machine_tables(row)),
        "".join(f"- {markdown_text(line)}\n" for line in remarks(row)),
    ]
    return "\n".join(parts)


def to_html(row: Row) -> str:
    """The same as a notebook shows it."""
    title, *lines = map(escape, description(row))
    heads = "".join(f"<li>{line}</li>" for line in lines)
    told = "".join(f"<li>{escape(line)}</li>" for line in remarks(row))
    shown = "".join(map(tables.to_html, machine_tables(row)))
    return f"<div><strong>{title}</strong></div><ul>{heads}</ul>{shown}<ul>{told}</ul>"


def to_csv(row: Row) -> dict[str, str]:
    """The text of a CSV file for each table, by the table's name: totals, components, layers."""
    return {table.name: tables.to_csv(table) for table in machine_tables(row)}


def description(row: Row) -> list[str]:
    """What was evaluated, a line each: workload and array, arithmetic, what is stored, memories."""
    stored = ", ".join(f"{name} {fmt}" for name, fmt in row["stored"].items())
    buffers = ", ".join(f"{name} {row[f'{name}_buffer_bytes'] / _KIBIBYTE:g} KiB" for name in _BUFFERS)
    overlapping = "double-buffered" if row["double_buffered"] else "single-buffered"
    return [
        f"{row['workload']} on {row['rows']} x {row['cols']} units of {row['lanes']} lanes",
        f"{row['dataflow'].replace('_', ' ')}, {overlapping}, {row['node_nm']:g} nm",
        f"computes in {row['activation']} x {row['format']}, accumulator {row['accumulator']}",
        f"stores {stored}",
        f"buffers: {buffers}; DRAM: {row['dram']}, {row['dram_bandwidth_gb_s']:g} GB/s x {row['dram_efficiency']:g}",
    ]


def machine_tables(row: Row) -> tuple[Table, ...]:
    """Totals, components, layers."""
    return _totals(row), _components(row), layers(row)


def layers(row: Row, title: str = "Layers") -> Table:
    """A line a product, in the workload's order, then a line a kind of vector work, which no array does."""
    headings = (
        Heading("name", "layer", right=False),
        *(Heading(key, key, rank=2) for key in ("m", "n", "k", "count")),
        Heading("macs", "MACs", rank=4),
        Heading("latency_s", "latency"),
        Heading("latency_share", "of all", rank=1),
        Heading("bound", "bound by", right=False),
        Heading("utilisation", "utilised"),
        *(Heading(key, key.removesuffix("_share"), rank=3) for key in _SPLIT[1:]),
        Heading("dram_bytes", "DRAM", rank=1),
        Heading("operations_per_dram_byte", "OP/B", rank=4),
        Heading("energy_j", "energy"),
        Heading("energy_share", "of all", rank=1),
    )
    products = (_product(product, row) for product in row["products"])
    vector = (_vector_work(work, row) for work in row["vector_work"])
    return Table("layers", title, headings, (*products, *vector))


def remarks(row: Row) -> Iterator[str]:
    """What a reader must know besides the tables."""
    if not row["feasible"]:
        yield "Not feasible: DRAM does not hold weights and KV cache."
    yield f"Most of the time goes to: {row['bound']}."
    yield "Utilisation, edge, fill and stall are shares of all multiplier slots; they add up to 1."
    yield "Energies of layers do not hold vector work and the leakage meanwhile; the totals do."
    yield from (f"Not priced: {sentence}" for sentence in row["unpriced"])


def _totals(row: Row) -> Table:
    headings = (
        Heading("quantity", "", right=False),
        *(Heading(key, key) for key in ("value", "least", "most")),
    )
    rows = []
    judged = {name: quantity for name, quantity in ACCURACY.items() if name in row}
    for name, quantity in {**TOTALS, **judged}.items():
        bounds = [row.get(f"{name}_{end}") for end in ("low", "high")]
        known = bounds != [row[name], row[name]]
        cells = [figure(bound, quantity) if bound is not None and known else _NOTHING for bound in bounds]
        rows.append((Cell(name, quantity.title), figure(row[name], quantity), *cells))
    return Table("totals", "Totals", headings, tuple(rows))


def _components(row: Row) -> Table:
    areas, energies = row["areas_mm2"], row["energies_j"]
    headings = (
        Heading("component", "component", right=False),
        Heading("area_mm2", "area"),
        Heading("area_share", "of all"),
        Heading("energy_j", "energy"),
        Heading("energy_share", "of all"),
    )
    rows = tuple(
        (
            Cell(name, component(name)),
            *_part(areas.get(name), sum(areas.values()), AREA),
            *_part(energies.get(name), sum(energies.values()), ENERGY),
        )
        for name in dict.fromkeys((*areas, *energies))
    )
    return Table("components", "Area and energy by component", headings, rows)


def _part(value: float | None, total: float, quantity: Quantity) -> tuple[Cell, Cell]:
    """A component's figure and its share; nothing where it has none, as DRAM has no area on the chip."""
    return (_NOTHING, _NOTHING) if value is None else (figure(value, quantity), figure(value / total, SHARE))


def _product(product: Row, row: Row) -> tuple[Cell, ...]:
    return (
        word(product["name"]),
        *(count(product[key]) for key in ("m", "n", "k", "count")),
        figure(product["macs"], MACS),
        figure(product["latency_s"], LATENCY),
        figure(product["latency_s"] / row["latency_s"], SHARE),
        word(product["bound"]),
        *(figure(product[key], TOTALS[key]) for key in _SPLIT),
        figure(product["dram_bytes"], TOTALS["dram_bytes"]),
        figure(product["operations_per_dram_byte"], INTENSITY),
        figure(product["energy_j"], ENERGY),
        figure(product["energy_j"] / row["energy_j"], SHARE),
    )


def _vector_work(work: Row, row: Row) -> tuple[Cell, ...]:
    time = figure(work["latency_s"], LATENCY), figure(work["latency_s"] / row["latency_s"], SHARE)
    return (word(work["name"]), *[_NOTHING] * 5, *time, word("vector"), *[_NOTHING] * 8)
