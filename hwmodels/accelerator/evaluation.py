"""A machine at work: what a workload takes on it, as a whole, by product and by component.

`results` computes columns, one row a design, for sweeps; `evaluate` asks it for a single one and adds the details.
"""

import math
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from densimeter.formats import get
from densimeter.formats.errors import ModelRangeError
from densimeter.hwmodels.accelerator import cost as costing
from densimeter.hwmodels.accelerator.cost import Column
from densimeter.hwmodels.accelerator.lookup import machine_row, parts_row, product_rows, unpriced_conversions
from densimeter.hwmodels.accelerator.machine import Machine, Storage
from densimeter.hwmodels.accelerator.performance import COST, product_costs
from densimeter.hwmodels.compiled import jitable
from densimeter.hwmodels.gemm import Gemm, Workload

DEMANDS = np.dtype(
    [
        (name, np.float64)
        for name in (
            "tokens",
            "sequences",
            "vector_operations",
            "memory_bytes",
            "memory_capacity_bytes",
            "bits_per_weight",
        )
    ]
)
"""What a workload asks for besides its products, a row a design.

tokens: processed or produced by one execution, of all sequences; vector_operations: float32 ones outside the array;
memory_bytes: of weights and KV cache; memory_capacity_bytes: of the machine's DRAM; bits_per_weight: stored ones, a
value of the matrices, scales included.
"""


_TOTALS = (
    "feasible",
    "clock_mhz",
    "area_mm2",
    "area_mm2_low",
    "area_mm2_high",
    "latency_s",
    "latency_per_token_s",
    "tokens_per_s",
    "energy_j",
    "energy_per_token_j",
    "energy_per_token_j_low",
    "energy_per_token_j_high",
    "power_w",
    "peak_tops",
    "achieved_tops",
    "peak_tops_per_mm2",
    "achieved_tops_per_mm2",
    "achieved_tops_per_w",
    "utilisation",
    "edge_share",
    "fill_share",
    "stall_share",
    "compute_s",
    "transfer_s",
    "conversion_s",
    "vector_s",
    "dram_bytes",
    "memory_bytes",
    "bits_per_weight",
    "memory_density",
)
TOTALS = np.dtype([(name, np.float64) for name in _TOTALS])
"""The figures of a design as a whole."""


@dataclass(frozen=True)
class Results:
    """Columns, a row a design: `totals` by name, area in mm2 and energy in pJ of one execution by component."""

    totals: dict[str, Column]
    areas_mm2: dict[str, Column]
    energies_pj: dict[str, Column]


@dataclass(frozen=True)
class ProductResult:
    """All executions of one product. bound: what takes longest, "compute", "transfer" or "conversion"."""

    gemm: Gemm
    latency_s: float
    compute_s: float
    transfer_s: float
    conversion_s: float
    utilisation: float
    edge_share: float
    fill_share: float
    stall_share: float
    dram_bytes: float
    energies_pj: dict[str, float]

    @property
    def bound(self) -> str:
        times = {"compute": self.compute_s, "transfer": self.transfer_s, "conversion": self.conversion_s}
        return max(times, key=lambda name: times[name])

    @property
    def operations_per_dram_byte(self) -> float:
        """Infinite where nothing crosses the DRAM interface."""
        return self.gemm.flops / self.dram_bytes if self.dram_bytes else math.inf


@dataclass(frozen=True)
class Evaluation:
    """One workload on one machine.

    totals: the figures of `results`. areas_mm2, energies_pj: by component. products: what each product of the workload
    takes, in its order; vector work, which is no product, is in the totals only. unpriced: what no figure covers, in
    sentences.
    """

    totals: dict[str, float]
    areas_mm2: dict[str, float]
    energies_pj: dict[str, float]
    products: tuple[ProductResult, ...]
    unpriced: tuple[str, ...]


def evaluate(machine: Machine, workload: Workload, storage: Storage) -> Evaluation:
    """Evaluate one design.

    Raises ModelRangeError where a part is outside what was measured or tabulated, or where the buffers do not hold one
    fold of a product; ConfigError where the unit does not reach the clock.
    """
    machines, parts = machine_row(machine), parts_row(machine, storage)
    products = product_costs(machines[0], product_rows(workload, storage, machine.datapath))
    lacking = np.flatnonzero(products["infeasible_products"])
    if len(lacking):
        gemm = workload.gemms[lacking[0]]
        raise ModelRangeError(
            f"product {gemm.name!r}, {gemm.m} x {gemm.k} by {gemm.k} x {gemm.n}: half a buffer does not hold one fold "
            f"of a {machine.rows} x {machine.cols} array of {machine.datapath.lanes} lanes; expected larger buffers"
        )
    costs = np.zeros(1, COST)
    for name in COST.names or ():
        costs[name] = np.add.accumulate(products[name])[-1]  # one after another, as `total_costs` adds
    found = results(machines, parts, costs, demand_row(machine, workload, storage))
    repeated, repeated_parts = np.repeat(machines, len(products)), np.repeat(parts, len(products))
    of_products = results(repeated, repeated_parts, products, _no_demands(products))
    return Evaluation(
        _at(found.totals, 0),
        _at(found.areas_mm2, 0),
        _at(found.energies_pj, 0),
        tuple(
            ProductResult(
                gemm,
                **{name: float(of_products.totals[name][i]) for name in _PRODUCT_FIGURES},
                energies_pj=_at(of_products.energies_pj, i),
            )
            for i, gemm in enumerate(workload.gemms)
        ),
        tuple(unpriced_conversions(machine, storage)),
    )


def demand_row(machine: Machine, workload: Workload, storage: Storage) -> NDArray[np.void]:
    """A row of DEMANDS, as an array of one. Parameters outside matrices (norms, biases) are stored in float32."""
    weights = storage.weight_bits(workload.weight_values)
    bits = weights + (workload.parameters - workload.weight_values) * get("float32").bits_per_value
    cached = storage.of("key").bits_per_value + storage.of("value").bits_per_value
    bits += workload.kv_cache_values * cached / 2
    row = np.zeros(1, DEMANDS)
    row["tokens"], row["sequences"] = workload.tokens, workload.batch
    row["vector_operations"] = workload.vector_operations
    row["memory_bytes"] = float(bits / 8)
    row["memory_capacity_bytes"] = machine.dram.capacity_gib * 2**30
    row["bits_per_weight"] = float(
        weights / workload.weight_values if workload.weight_values else storage.weight.bits_per_value
    )
    return row


def results(
    machines: NDArray[np.void], parts: NDArray[np.void], costs: NDArray[np.void], demands: NDArray[np.void]
) -> Results:
    """What each machine takes for its workload; all arguments have a row a design.

    `feasible` is 0 where the buffers do not hold one fold of some product, whose other figures then lack that product,
    or where DRAM does not hold weights and KV cache. Shares are of all slots in the latency: useful (the utilisation),
    edge, fill and stall add up to 1. A `_low` and a `_high` say how far the figure may be off.
    """
    totals, areas, energies = (np.zeros(len(machines), dtype) for dtype in (TOTALS, costing.AREAS, costing.ENERGIES))
    _fill(machines, parts, costs, demands, totals, areas, energies)
    return Results(_by_name(totals), _by_name(areas), _by_name(energies))


@njit(cache=True, parallel=True, error_model="numpy")
def _fill(machines, parts, costs, demands, totals, areas, energies):  # type: ignore[no-untyped-def]
    for i in prange(len(machines)):
        set_results(machines[i], parts[i], costs[i], demands[i], totals[i], areas[i], energies[i])


@jitable
def set_results(machine: Any, part: Any, cost: Any, demand: Any, totals: Any, areas: Any, energies: Any) -> None:
    """Fill a design's rows of TOTALS, AREAS and ENERGIES."""
    cycle_s = 1e-6 / part.clock_mhz
    vector_cycles = demand.vector_operations / part.vector_lanes
    latency_s = (cost.latency_cycles + vector_cycles) * cycle_s
    costing.set_areas(machine, part, areas)
    area_mm2 = costing.components_total(areas)
    leakage_mw = costing.leakage_mw(machine, part)
    costing.set_energies(part, cost, energies, demand.vector_operations, area_mm2, leakage_mw, latency_s)
    energy_j = costing.total_energy_pj(energies) * 1e-12
    area_low, area_high = costing.area_bounds(part, areas)
    energy_low, energy_high = costing.energy_bounds(part, energies)
    slots_per_cycle = float(machine.rows * machine.cols * machine.lanes)
    slots = slots_per_cycle * (cost.latency_cycles + vector_cycles)
    operations = 2 * cost.macs
    peak_tops = 2e-6 * slots_per_cycle * part.clock_mhz

    totals.feasible = cost.infeasible_products == 0 and demand.memory_bytes <= demand.memory_capacity_bytes
    totals.clock_mhz = part.clock_mhz
    totals.area_mm2 = area_mm2
    totals.area_mm2_low = area_low
    totals.area_mm2_high = area_high
    totals.latency_s = latency_s
    totals.latency_per_token_s = latency_s * demand.sequences / demand.tokens
    totals.tokens_per_s = demand.tokens / latency_s
    totals.energy_j = energy_j
    totals.energy_per_token_j = energy_j / demand.tokens
    totals.energy_per_token_j_low = energy_low * 1e-12 / demand.tokens
    totals.energy_per_token_j_high = energy_high * 1e-12 / demand.tokens
    totals.power_w = energy_j / latency_s
    totals.peak_tops = peak_tops
    totals.achieved_tops = operations / latency_s * 1e-12
    totals.peak_tops_per_mm2 = peak_tops / area_mm2
    totals.achieved_tops_per_mm2 = operations / latency_s * 1e-12 / area_mm2
    totals.achieved_tops_per_w = operations / energy_j * 1e-12
    totals.utilisation = cost.useful_slots / slots
    totals.edge_share = cost.edge_slots / slots
    totals.fill_share = cost.fill_slots / slots
    totals.stall_share = (cost.stall_slots + vector_cycles * slots_per_cycle) / slots
    totals.compute_s = cost.compute_cycles * cycle_s
    totals.transfer_s = cost.transfer_cycles * cycle_s
    totals.conversion_s = cost.conversion_cycles * cycle_s
    totals.vector_s = vector_cycles * cycle_s
    totals.dram_bytes = costing.dram_bits(cost) / 8
    totals.memory_bytes = demand.memory_bytes
    totals.bits_per_weight = demand.bits_per_weight
    totals.memory_density = 32 / demand.bits_per_weight


_PRODUCT_FIGURES = [field.name for field in fields(ProductResult) if field.name not in ("gemm", "energies_pj")]


def _by_name(rows: NDArray[np.void]) -> dict[str, Column]:
    return {name: rows[name] for name in rows.dtype.names or ()}


def _at(columns: dict[str, Column], row: int) -> dict[str, float]:
    return {name: float(column[row]) for name, column in columns.items()}


def _no_demands(products: NDArray[np.void]) -> NDArray[np.void]:
    """Of single products: no vector work, and one token, since they have none of their own."""
    demands = np.zeros(len(products), DEMANDS)
    demands["tokens"] = demands["sequences"] = 1
    return demands
