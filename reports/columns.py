"""The columns of the density table, for terminal, Markdown and page; changes when a reader should see another fact."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from densimeter.reports.row import TIMES, Cost, DensityRow, DensityTable, Published


@dataclass(frozen=True)
class Estimate:
    """A modelled figure and the share of it by which it may be off."""

    value: float
    relative_band: float


Value = str | float | Estimate | Published | None


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
    flow, library = table.default_flow, table.default_library
    possible = [
        Column("", "format", "format", 0, lambda row: row.format.name, "left"),
        Column("", "unit", "unit", 0, lambda row: row.unit, "left"),
        Column("", "accumulator", "accumulator", 1, lambda row: row.accumulator, "left"),
        Column("", "element", "element", 3, lambda row: row.format.element.symbol, "left"),
        Column("", "block", "block", 6, lambda row: str(row.format.block), "left"),
        Column("memory", "bits per value", "bits /value", 3, lambda row: float(row.format.bits_per_value)),
        Column("memory", f"{TIMES}float32", f"memory {TIMES}fp32", 0, lambda row: float(row.format.memory_density)),
        _paper("memory", "memory", 5, "memory_density"),
        *_luts(flow, "LUT", (0, 0, 0, 1), _paper(_flow_group(flow), "LUT", 1, "arithmetic_density_lut")),
    ]
    if library is not None:
        paper = _paper(_library_group(library), "area", 3, "arithmetic_density_area")
        possible += [*_areas(library, "area", (2, 1, 2, 2), paper), _clock(library, "min. ns", 4)]
        possible += _energies(library, (3, 2))
    possible += [
        Column("QSNR, dB", "weights", "QSNR weights dB", 1, lambda row: row.qsnr_weights_db),
        Column("QSNR, dB", "activations", "QSNR activ. dB", 1, lambda row: row.qsnr_activations_db),
    ]
    for other in table.other_flows:
        possible += _luts(other, other, (4, 3))
    for other in table.other_libraries:
        possible += [*_areas(other, other, (5, 5)), _clock(other, f"{other} ns", 6)]
    possible += [
        Column("", "flip-flops per MAC", "FF /MAC", 6, lambda row: row.flip_flops_per_mac),
        Column("", "estimated by", "estimated by", 1, _estimate, "left"),
    ]
    return [column for column in possible if any(column.value(row) is not None for row in table.rows)]


def text(value: Value) -> str:
    """A value as a reader sees it: three significant digits, but at most two decimals and never an exponent."""
    match value:
        case None:
            return "\N{EN DASH}"
        case str():
            return value
        case Estimate():
            return f"{text(value.value)} \N{PLUS-MINUS SIGN}{value.relative_band:.0%}"
        case Published():
            return f"{text(value.value)} {value.trust}"
        case math.inf:
            return "exact"
        case _:
            rounded_exponent = int(f"{value:.2e}".partition("e")[2])
            return f"{value:.{min(2, max(0, 2 - rounded_exponent))}f}"


def _estimate(row: DensityRow) -> str | None:
    """Where the cost comes from when it was not measured."""
    return None if row.cost_source == "synthesis" else row.cost_source


def _flow_group(flow: str) -> str:
    return f"LUTs, {flow} flow"


def _library_group(library: str) -> str:
    return f"cell area, {library}"


def _paper(group: str, brief: str, rank: int, quantity: str) -> Column:
    return Column(group, "paper", f"{brief} paper", rank, lambda row: row.published_as(quantity))


def _clock(library: str, brief: str, rank: int) -> Column:
    return Column(_library_group(library), "min. period, ns", brief, rank, lambda row: _period(row, library))


def _period(row: DensityRow, library: str) -> Value:
    value, band = row.min_period_ns.get(library), row.min_period_bands.get(library)
    return Estimate(value, band) if value and band else value


def _per_mac(cost: Cost) -> Value:
    return Estimate(cost.per_mac, cost.relative_band) if cost.relative_band else cost.per_mac


def _luts(flow: str, brief: str, ranks: tuple[int, ...], *paper: Column) -> list[Column]:
    per_mac = ("per MAC", f"{brief} /MAC")
    return _costs(_flow_group(flow), per_mac, brief, ranks, lambda row: row.lut.get(flow), paper)


def _areas(library: str, brief: str, ranks: tuple[int, ...], *paper: Column) -> list[Column]:
    per_mac = ("µm² per MAC", f"{brief} µm²")
    return _costs(_library_group(library), per_mac, brief, ranks, lambda row: row.area_um2.get(library), paper)


def _energies(library: str, ranks: tuple[int, ...]) -> list[Column]:
    group, per_mac = f"energy, {library}", ("fJ per MAC", "energy fJ")
    return _costs(group, per_mac, "energy", ranks, lambda row: row.energy_fj.get(library), ())


def _costs(
    group: str,
    per_mac: tuple[str, str],
    brief: str,
    ranks: tuple[int, ...],
    cost: Callable[[DensityRow], Cost | None],
    paper: tuple[Column, ...],
) -> list[Column]:
    """Cost per MAC, ratio to float32, what was published about that, ratios to int8: as many as there are ranks."""
    facts: list[tuple[str, str, Callable[[Cost], Value]]] = [
        (*per_mac, _per_mac),
        (f"{TIMES}float32", f"{brief} {TIMES}fp32", lambda cost: cost.vs_float32),
        (f"{TIMES}int8 MAC", f"{brief} {TIMES}int8 MAC", lambda cost: cost.vs_int8_mac),
        (f"{TIMES}int8 lane", f"{brief} {TIMES}int8 lane", lambda cost: cost.vs_int8_dot),
    ]
    found = [
        Column(group, heading, brief, rank, _of(cost, fact))
        for (heading, brief, fact), rank in zip(facts, ranks, strict=False)
    ]
    return [*found[:2], *paper, *found[2:]]


def _of(cost: Callable[[DensityRow], Cost | None], fact: Callable[[Cost], Value]) -> Callable[[DensityRow], Value]:
    return lambda row: None if (found := cost(row)) is None else fact(found)
