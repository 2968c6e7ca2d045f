"""The density table as data: what a row states and under which keys; changes when a row gains or loses a fact.

A row is one arithmetic unit fed with one number format. Its figures are finished: the floor above measured them
and divided them by the baselines, one flow or library at a time, so that no ratio here can mix two.
"""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from densimeter.formats import BlockFormat, CodebookElement, ConfigError, FloatElement, IntElement, LogElement

Trust = Literal["V", "S", "D", "M"]

TRUST: Mapping[Trust, str] = {
    "V": "read at its source",
    "S": "read in a secondary source",
    "D": "derived by calculation",
    "M": "literature, unverified",
}
"""What the trust letter of a published figure means, the most trusted first."""

ESTIMATES = (
    "Rows marked model could not be synthesised and are not on record: a model fitted to other units estimates their "
    "costs. Of units held out of the fit, 19 of 20 came within the \N{PLUS-MINUS SIGN} share; it holds for ratios too."
)
"""What a table with modelled costs tells its reader."""

TIMES = "\N{MULTIPLICATION SIGN}"

QUANTITIES: Mapping[str, str] = {
    "memory_density": f"memory density, {TIMES} float32",
    "lut_per_mac": "LUT per MAC",
    "arithmetic_density_lut": f"LUT density, {TIMES} float32",
    "arithmetic_density_lut_vs_int8_mac": f"LUT density, {TIMES} int8 MAC",
    "arithmetic_density_lut_vs_int8_dot": f"LUT density, {TIMES} int8 dot lane",
    "area_um2_per_mac": "cell area per MAC, µm²",
    "arithmetic_density_area": f"area density, {TIMES} float32",
    "arithmetic_density_area_vs_int8_mac": f"area density, {TIMES} int8 MAC",
    "arithmetic_density_area_vs_int8_dot": f"area density, {TIMES} int8 dot lane",
}
"""The keys of a row that published figures may be compared with, and what a reader calls them."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """A unit in one synthesis flow (LUTs) or cell library (um2, fJ): its cost per MAC, and how many times denser
    it is than each baseline *in the same flow or library*: a float32 MAC, an int8 MAC, a lane of an int8 dot.

    relative_band: the share of it by which an estimated cost, and so its ratios, may be off; 0 where measured.
    """

    per_mac: float
    relative_band: float = 0.0
    vs_float32: float | None = None
    vs_int8_mac: float | None = None
    vs_int8_dot: float | None = None

    @property
    def low(self) -> float:
        return self.per_mac * (1 - self.relative_band)

    @property
    def high(self) -> float:
        return self.per_mac * (1 + self.relative_band)


@dataclass(frozen=True, kw_only=True)
class Published:
    """A figure somebody published for this format and unit; `quantity` is a key of QUANTITIES."""

    quantity: str
    value: float
    trust: Trust
    source: str
    note: str = ""

    def __post_init__(self) -> None:
        if self.quantity not in QUANTITIES:
            raise ConfigError(f"published quantity is {self.quantity!r}, expected one of {', '.join(QUANTITIES)}")
        if self.trust not in get_args(Trust):
            raise ConfigError(f"trust of {self.source!r} is {self.trust!r}, expected one of {', '.join(TRUST)}")


@dataclass(frozen=True, kw_only=True)
class DensityRow:
    """One (format, unit). `lut` is keyed by synthesis flow; areas, energies and periods by cell library.

    cost_source is "model" where any of them is an estimate; `min_period_bands` are the relative bands of periods.
    QSNR is in dB of power on the table's workload: None where not measured, infinity where the format keeps it exactly.
    """

    format: BlockFormat
    lanes: int
    accumulator: str
    lut: Mapping[str, Cost]
    area_um2: Mapping[str, Cost] = field(default_factory=dict)
    energy_fj: Mapping[str, Cost] = field(default_factory=dict)
    min_period_ns: Mapping[str, float] = field(default_factory=dict)
    min_period_bands: Mapping[str, float] = field(default_factory=dict)
    flip_flops_per_mac: float | None = None
    qsnr_weights_db: float | None = None
    qsnr_activations_db: float | None = None
    published: tuple[Published, ...] = ()
    cost_source: Literal["synthesis", "model"] = "synthesis"

    @property
    def unit(self) -> str:
        return "MAC" if self.lanes == 1 else f"{self.lanes}-lane dot"

    @property
    def family(self) -> str:
        """The kind of format, as the table groups and the figure marks it."""
        shared = "block " if self.format.has_unit_scale else ""
        match self.format.element:
            case IntElement():
                return f"{shared}integer"
            case FloatElement():
                return f"{shared}float"
            case CodebookElement():
                return f"{shared}codebook"
            case LogElement():
                return f"{shared}logarithm"

    def published_as(self, quantity: str) -> Published | None:
        """The most trusted published figure of that quantity."""
        found = [figure for figure in self.published if figure.quantity == quantity]
        return min(found, key=lambda figure: list(TRUST).index(figure.trust), default=None)

    def record(self, flow: str, library: str | None) -> dict[str, Any]:
        """The row as JSON; the keys without a flow or library in their name give this one.

        JSON has no infinity: an exact format has a null QSNR and `qsnr_..._exact` true.
        """
        return {
            "format": self.format.name,
            "title": self.format.title,
            "family": self.family,
            "unit": self.unit,
            "lanes": self.lanes,
            "accumulator": self.accumulator,
            "encoding": self.format.element.notation,
            "block": str(self.format.block),
            "bits_per_value": float(self.format.bits_per_value),
            "memory_density": float(self.format.memory_density),
            "flow": flow,
            **_cost_record(self.lut, flow, "lut_per_mac", "arithmetic_density_lut", "by_flow"),
            "library": library,
            **_cost_record(self.area_um2, library, "area_um2_per_mac", "arithmetic_density_area", "by_library"),
            **_cost_record(self.energy_fj, library, "energy_fj_per_mac", "energy_density", "by_library"),
            "min_period_ns_by_library": dict(self.min_period_ns),
            "min_period_ns_relative_band_by_library": dict(self.min_period_bands),
            "flip_flops_per_mac": self.flip_flops_per_mac,
            **_quality_record("qsnr_weights", self.qsnr_weights_db),
            **_quality_record("qsnr_activations", self.qsnr_activations_db),
            "published": [dataclasses.asdict(figure) for figure in self.published],
            "cost_source": self.cost_source,
        }


@dataclass(frozen=True, kw_only=True)
class DensityTable:
    """Rows and what a reader must know to trust them.

    Sentences: `baseline` says what the float32 and the two int8 units are; `notes` are the findings, one each. Phrases
    without a full stop: each value of `flows` and `libraries`, `tool` (what synthesised) and `workload` (where the
    weights and activations behind QSNR come from).
    """

    rows: tuple[DensityRow, ...]
    baseline: str
    flows: Mapping[str, str]
    default_flow: str
    libraries: Mapping[str, str]
    default_library: str | None
    tool: str
    workload: str
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.default_flow not in self.flows:
            raise ConfigError(f"flow is {self.default_flow!r}, expected one of {', '.join(self.flows)}")
        if self.default_library is not None and self.default_library not in self.libraries:
            known = ", ".join(self.libraries) or "none: no cell library was found"
            raise ConfigError(f"library is {self.default_library!r}, expected one of {known}")

    @property
    def other_flows(self) -> list[str]:
        return [name for name in self.flows if name != self.default_flow]

    @property
    def other_libraries(self) -> list[str]:
        return [name for name in self.libraries if name != self.default_library]

    def record(self, row: DensityRow) -> dict[str, Any]:
        """One of the rows as JSON, seen through the default flow and library."""
        return row.record(self.default_flow, self.default_library)

    def families(self) -> dict[str, list[DensityRow]]:
        """The rows grouped by family, families and rows in the order in which they come."""
        grouped: dict[str, list[DensityRow]] = {}
        for row in self.rows:
            grouped.setdefault(row.family, []).append(row)
        return grouped

    def _repr_html_(self) -> str:
        """What a notebook shows; `density_figure` draws it."""
        from densimeter.reports.density import to_html  # which reads rows, this module

        return to_html(self)

    def to_json(self) -> dict[str, Any]:
        return {
            "rows": [self.record(row) for row in self.rows],
            "baseline": self.baseline,
            "default_flow": self.default_flow,
            "flows": dict(self.flows),
            "default_library": self.default_library,
            "libraries": dict(self.libraries),
            "tool": self.tool,
            "workload": self.workload,
            "notes": list(self.notes),
            "trust": dict(TRUST),
        }


def _cost_record(costs: Mapping[str, Cost], default: str | None, cost: str, density: str, by: str) -> dict[str, Any]:
    chosen = costs.get(default) if default is not None else None
    return {
        cost: chosen and chosen.per_mac,
        f"{cost}_low": chosen and chosen.low,
        f"{cost}_high": chosen and chosen.high,
        density: chosen and chosen.vs_float32,
        f"{density}_vs_int8_mac": chosen and chosen.vs_int8_mac,
        f"{density}_vs_int8_dot": chosen and chosen.vs_int8_dot,
        f"{cost}_{by}": {name: one.per_mac for name, one in costs.items()},
        f"{cost}_relative_band_{by}": {name: one.relative_band for name, one in costs.items()},
        f"{density}_{by}": {name: one.vs_float32 for name, one in costs.items()},
    }


def _quality_record(name: str, decibels: float | None) -> dict[str, Any]:
    exact = decibels == math.inf
    return {f"{name}_db": None if exact else decibels, f"{name}_exact": exact}
