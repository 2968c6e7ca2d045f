"""The columns of the density table, for terminal, Markdown and page; changes when a reader should see another fact."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from densimeter.reports.row import TIMES, Cost, DensityRow, DensityTable, Published

Value = str | float | Published | None

MAIN_RANK = 2
"""Columns up to this rank stand in every compact view: Markdown, and the page until it is asked for more."""


@dataclass(frozen=True)
class Column:
    """One column. `rank` says how soon it may go where space is short: 0 never, the highest first.

    `heading` stands under `group`; `brief`, for a terminal, stands alone and breaks at its spaces.
    """

    group: str
    heading: str
    brief: str
    rank: int
    value: Callable[[DensityRow], Value]
    align: Literal["left", "right"] = "right"


def columns(table: DensityTable) -> list[Column]:
    """Every column of that table, less those in which no row has anything to say."""
    possible = [
        Column("", "format", "format", 0, lambda row: row.format.name, "left"),
        Column("", "unit", "unit", 0, lambda row: row.unit, "left"),
        Column("", "accumulator", "accumulator", 1, lambda row: row.accumulator, "left"),
        Column("", "element", "element", 3, lambda row: row.format.element.symbol, "left"),
        Column("", "block", "block", 6, lambda row: str(row.format.block), "left"),
        Column("memory", "bits per value", "bits /value", 2, lambda row: float(row.format.bits_per_value)),
        Column("memory", f"{TIMES} float32", f"memory {TIMES}fp32", 0, lambda row: float(row.format.memory_density)),
        _paper("memory", "memory", 5, "memory_density"),
        *_luts(table.default_flow, "LUT", (0, 0, 0, 1), _paper("", "LUT", 1, "arithmetic_density_lut")),
        *_areas(table.default_library, "area", (2, 1, 2, 2), _paper("", "area", 3, "arithmetic_density_area")),
        _clock(table.default_library, "min. ns", 4),
        Column("QSNR, dB", "weights", "QSNR weights dB", 1, lambda row: row.qsnr_weights_db),
        Column("QSNR, dB", "activations", "QSNR activ. dB", 2, lambda row: row.qsnr_activations_db),
    ]
    possible += [column for flow in table.other_flows for column in _luts(flow, flow, (4, 3))]
    for library in table.other_libraries:
        possible += [*_areas(library, library, (5, 5)), _clock(library, f"{library} ns", 6)]
    possible += [
        Column("", "flip-flops per MAC", "FF /MAC", 6, lambda row: row.flip_flops_per_mac),
        Column("", "cost from", "cost from", 3, lambda row: row.cost_source, "left"),
    ]
    return [column for column in possible if any(column.value(row) is not None for row in table.rows)]


def text(value: Value) -> str:
    """A value as a reader sees it: three significant digits at least, never an exponent."""
    match value:
        case None:
            return "\N{EN DASH}"
        case str():
            return value
        case Published():
            return f"{text(value.value)} {value.trust}"
        case math.inf:
            return "exact"
        case _:
            rounded_exponent = int(f"{value:.2e}".partition("e")[2])
            return f"{value:.{max(0, 2 - rounded_exponent)}f}"


def _paper(group: str, quantity: str, rank: int) -> Column:
    return Column(group, "published", "paper", rank, lambda row: row.published_as(quantity))


def _flow_group(flow: str) -> str:
    return f"LUTs, {flow} flow"


def _library_group(library: str) -> str:
    return f"cell area, {library}"


def _luts(flow: str, brief: str, ranks: tuple[int, ...]) -> list[Column]:
    return _costs(_flow_group(flow), "per MAC", f"{brief} /MAC", brief, ranks, lambda row: row.lut.get(flow))


def _default_areas(library: str | None) -> list[Column]:
    if library is None:
        return []
    paper = _paper(_library_group(library), "arithmetic_density_area", 3)
    return [*_areas(library, "area", (2, 1, 2, 2)), paper]


def _areas(library: str, brief: str, ranks: tuple[int, ...]) -> list[Column]:
    group = _library_group(library)
    clock = Column(group, "min. period, ns", f"{brief} min. ns", 5, lambda row: row.min_period_ns.get(library))
    areas = _costs(group, "µm² per MAC", f"{brief} µm²", brief, ranks, lambda row: row.area_um2.get(library))
    return [*areas, clock]


def _costs(
    group: str, heading: str, brief: str, prefix: str, ranks: tuple[int, ...], cost: Callable[[DensityRow], Cost | None]
) -> list[Column]:
    """The cost per MAC and then its ratios, as many columns as there are ranks."""
    facts: list[tuple[str, str, Callable[[Cost], float | None]]] = [
        (heading, brief, lambda cost: cost.per_mac),
        (f"{TIMES} float32", f"{prefix} {TIMES}fp32", lambda cost: cost.vs_float32),
        (f"{TIMES} int8 MAC", f"{prefix} {TIMES}int8 MAC", lambda cost: cost.vs_int8_mac),
        (f"{TIMES} int8 lane", f"{prefix} {TIMES}int8 lane", lambda cost: cost.vs_int8_dot),
    ]
    return [
        Column(group, heading, brief, rank, _of(cost, fact))
        for (heading, brief, fact), rank in zip(facts, ranks, strict=False)
    ]


def _of(
    cost: Callable[[DensityRow], Cost | None], fact: Callable[[Cost], float | None]
) -> Callable[[DensityRow], Value]:
    def value(row: DensityRow) -> Value:
        found = cost(row)
        return None if found is None else fact(found)

    return value
