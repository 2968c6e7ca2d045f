"""What matrix products take on a machine: cycles, and bits at every level of memory, compiled by Numba.

One function, `add_product_cost`, answers for a single product and, in a loop, for a million designs. Machines and
products come as rows of structured arrays, so that whatever is not arithmetic (formats, tables of memories) is resolved
to numbers before, once for each distinct value. The rules:

- The array's cycles and its accesses to the buffers are those of `systolic`, its reads of DRAM those of `tiling`. A
  stationary operand is loaded again for each of a tiling's passes over the streamed one.
- An activation tensor of a layer that takes at most half the activation buffer stays on the chip; a larger one is
  written to DRAM by the product that makes it and read from there by the next. Keys and values are always written.
- Buffers hold operands as they are stored; converters at the array's edge make what its elements take.
- Every sum that is written to the output buffer is read from it once: by the next fold along k, or to become a result.
- Elements without work are clock-gated: they use no energy but leakage. An element with some of its lanes idle is not.
- A stationary value for row r passes r + 1 registers on its way in; a streamed one passes those of its row or column.
- Transfers, and conversions where their rate is limited, overlap with computing or follow it, as the machine says.
"""

from typing import Any, NamedTuple

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from densimeter.hwmodels.accelerator.tiling import Operand, Sums, Tiling, tile
from densimeter.hwmodels.compiled import jitable
from densimeter.hwmodels.systolic import (
    OUTPUT_STATIONARY,
    WEIGHT_STATIONARY,
    accesses_of_folds,
    ceiling,
    folding,
    load_cycles,
)

_INTEGERS = ("rows", "cols", "lanes", "dataflow")
_FLAGS = ("double_buffered", "transfer_overlaps", "conversion_overlaps")
_FLOATS = (
    # Half of each buffer: the other half is being filled or emptied.
    "activation_capacity_bits",
    "weight_capacity_bits",
    "sum_capacity_bits",
    # Of one value inside the array.
    "activation_bits",
    "weight_bits",
    "sum_bits",
    "dram_bits_per_cycle",
    "conversions_per_cycle",
)
MACHINE = np.dtype([(name, np.int64) for name in (*_INTEGERS, *_FLAGS)] + [(name, np.float64) for name in _FLOATS])
"""A machine a row. `dataflow` counts `systolic.DATAFLOWS`; an infinite `conversions_per_cycle` never limits. Every
field has eight bytes, so that rows are put together word by word."""

PRODUCT = np.dtype(
    [(name, np.int64) for name in ("m", "n", "k", "count", "parts")]
    + [(name, np.float64) for name in ("first_bits", "second_bits", "result_bits")]
    # All of a layer's tensor, of which an operand may be one head's part; and whether the KV cache takes the result.
    + [(name, np.float64) for name in ("first_tensor_bits", "result_tensor_bits")]
    + [(name, np.bool_) for name in ("result_cached", "first_converts", "second_converts", "result_converts")],
    align=True,
)
"""A product ``[m, k] x [n, k].T`` a row, executed `count` times, of which `parts` follow each other without waiting for
anything; bits are stored bits of one execution's operand."""


COST = np.dtype(
    [
        (name, np.float64)
        for name in (
            "infeasible_products",
            "macs",
            "compute_cycles",
            "transfer_cycles",
            "conversion_cycles",
            "latency_cycles",
            "useful_slots",
            "edge_slots",
            "fill_slots",
            "stall_slots",
            "dram_first_bits",
            "dram_second_bits",
            "dram_sum_bits",
            "dram_result_bits",
            "activation_read_bits",
            "activation_write_bits",
            "weight_read_bits",
            "weight_write_bits",
            "sum_read_bits",
            "sum_write_bits",
            "element_cycles",
            "register_bits",
            "network_bits",
            "activation_conversions",
            "weight_conversions",
            "result_conversions",
        )
    ]
)
"""All executions of a product, or of all products of a workload, a row each.

A product is infeasible where the buffers do not hold one fold of it; nothing of it is counted then. Slots are cycles of
one lane of one element: useful, edge, fill and stall slots add up to all that the array has in `latency_cycles`. DRAM
bits cross the interface, either way; SRAM bits are each buffer's reads and writes; network bits go between buffers and
array; register bits are written in the array besides the units' own. An element cycle is one unit working for a cycle.
Conversions are values between formats. Energies are these counts times what each costs: see `machine_energy`.
"""


class Folds(NamedTuple):
    """A product cut to the array: folds along k or m, folds along n, and steps of each; see `systolic.Folding`."""

    row_folds: int
    col_folds: int
    steps: int


def product_costs(machine: np.void, products: NDArray[np.void]) -> NDArray[np.void]:
    """A row of COST for each of a workload's products on one machine."""
    costs = np.zeros(len(products), COST)
    _each(machine, products, costs)
    return costs


def total_costs(
    machines: NDArray[np.void], products: NDArray[np.void], first: NDArray[np.int64], count: NDArray[np.int64]
) -> NDArray[np.void]:
    """A row of COST for each machine: the sums over its products.

    products: workloads one after another; machine i executes the `count[i]` products from number `first[i]` on. Threads
    share the machines out; each row depends on its own machine alone, so the result does not depend on their number.
    """
    costs = np.zeros(len(machines), COST)
    _totals(machines, products, first, count, costs)
    return costs


@njit(cache=True, error_model="numpy")
def _each(machine, products, costs):  # type: ignore[no-untyped-def]
    for i in range(len(products)):
        add_product_cost(machine, products[i], costs[i])


@njit(cache=True, parallel=True, error_model="numpy")
def _totals(machines, products, first, count, costs):  # type: ignore[no-untyped-def]
    for i in prange(len(machines)):
        for j in range(first[i], first[i] + count[i]):
            add_product_cost(machines[i], products[j], costs[i])


@jitable
def add_product_cost(machine: Any, product: Any, cost: Any) -> None:
    """Add what a row of PRODUCT takes on a row of MACHINE to a row of COST."""
    m, n, k = product.m, product.n, product.k
    tiling = _tiling(machine, product)
    if tiling.steps == 0:
        cost.infeasible_products += 1
        return
    groups = ceiling(k, machine.lanes)
    folds = Folds(*folding(m, n, groups, machine.rows, machine.cols, machine.dataflow))
    activation_values, weight_values, sums = _array_accesses(machine, product, folds, tiling)

    dram_first_bits = tiling.first_reads * product.first_bits
    dram_second_bits = tiling.second_reads * product.second_bits
    dram_sum_bits = tiling.spills * float(m) * n * machine.sum_bits
    leaves = product.result_cached or product.result_tensor_bits > machine.activation_capacity_bits
    dram_result_bits = product.result_bits if leaves else 0.0
    dram_bits = dram_first_bits + dram_second_bits + dram_sum_bits + dram_result_bits

    activation_array_bits = activation_values * (product.first_bits / (float(m) * k))
    weight_array_bits = weight_values * (product.second_bits / (float(n) * k))
    sum_array_bits = sums * machine.sum_bits
    activation_read_bits = activation_array_bits + dram_result_bits
    activation_write_bits = dram_first_bits + product.result_bits
    sum_buffer_bits = sum_array_bits + dram_sum_bits / 2

    activation_conversions = activation_values * product.first_converts
    weight_conversions = weight_values * product.second_converts
    compute_cycles = _compute_cycles(machine, product, folds, tiling)
    transfer_cycles = dram_bits / machine.dram_bits_per_cycle
    conversion_cycles = (activation_conversions + weight_conversions) / machine.conversions_per_cycle
    latency_cycles = _together(compute_cycles, transfer_cycles, machine.transfer_overlaps)
    latency_cycles = _together(latency_cycles, conversion_cycles, machine.conversion_overlaps)

    slots = float(machine.rows * machine.cols * machine.lanes)
    macs = float(m) * n * k
    element_cycles = float(m) * n * groups
    streaming = slots * folds.row_folds * folds.col_folds * folds.steps

    times = float(product.count)
    cost.macs += times * macs
    cost.compute_cycles += times * compute_cycles
    cost.transfer_cycles += times * transfer_cycles
    cost.conversion_cycles += times * conversion_cycles
    cost.latency_cycles += times * latency_cycles
    cost.useful_slots += times * macs
    cost.edge_slots += times * (streaming - macs)
    cost.fill_slots += times * (slots * compute_cycles - streaming)
    cost.stall_slots += times * slots * (latency_cycles - compute_cycles)
    cost.dram_first_bits += times * dram_first_bits
    cost.dram_second_bits += times * dram_second_bits
    cost.dram_sum_bits += times * dram_sum_bits
    cost.dram_result_bits += times * dram_result_bits
    cost.activation_read_bits += times * activation_read_bits
    cost.activation_write_bits += times * activation_write_bits
    cost.weight_read_bits += times * weight_array_bits
    cost.weight_write_bits += times * dram_second_bits
    cost.sum_read_bits += times * sum_buffer_bits
    cost.sum_write_bits += times * sum_buffer_bits
    cost.element_cycles += times * element_cycles
    cost.register_bits += times * _register_bits(machine, product, element_cycles, activation_values, weight_values)
    cost.network_bits += times * (activation_array_bits + weight_array_bits + 2 * sum_array_bits)
    cost.activation_conversions += times * activation_conversions
    cost.weight_conversions += times * weight_conversions
    cost.result_conversions += times * float(m) * n * product.result_converts


@jitable
def _tiling(machine: Any, product: Any) -> Tiling:
    rows, cols, lanes, dataflow = machine.rows, machine.cols, machine.lanes, machine.dataflow
    first_fold, second_fold, k_fold = 1, cols, rows * lanes
    if dataflow == OUTPUT_STATIONARY:
        first_fold, second_fold, k_fold = rows, cols, lanes
    elif dataflow != WEIGHT_STATIONARY:
        first_fold, second_fold = cols, 1
    capacity = machine.activation_capacity_bits
    return tile(
        Operand(product.m, product.first_bits, first_fold, capacity, product.first_tensor_bits <= capacity),
        Operand(product.n, product.second_bits, second_fold, machine.weight_capacity_bits, False),
        Sums(machine.sum_bits, machine.sum_capacity_bits),
        product.k,
        k_fold,
        dataflow,
    )


@jitable
def _array_accesses(machine: Any, product: Any, folds: Folds, tiling: Tiling) -> tuple[float, float, float]:
    """Values of both operands that the array reads, and sums that it writes, of one execution."""
    activations, weights, sums, _ = accesses_of_folds(
        float(product.m), float(product.n), float(product.k), folds.row_folds, folds.col_folds, machine.dataflow
    )
    if machine.dataflow == WEIGHT_STATIONARY:
        weights *= ceiling(folds.steps, tiling.steps)
    elif machine.dataflow != OUTPUT_STATIONARY:
        activations *= ceiling(folds.steps, tiling.steps)
    return float(activations), float(weights), float(sums)


@jitable
def _compute_cycles(machine: Any, product: Any, folds: Folds, tiling: Tiling) -> float:
    """Of one execution, the mean over its parts."""
    steps = folds.steps if machine.dataflow == OUTPUT_STATIONARY else tiling.steps
    cycles: float = tiled_cycles(
        folds, machine.rows, machine.cols, machine.dataflow, machine.double_buffered, steps, product.parts
    )
    return cycles / float(product.parts)


@jitable
def tiled_cycles(
    folds: Folds, rows: int, cols: int, dataflow: int, double_buffered: bool, steps: int, parts: int
) -> float:
    """`systolic.array_cycles` of `parts` equal products one after another, where a fold takes at most `steps` steps and
    so comes again until all have passed. Folds of a double-buffered array follow each other across products too.

    A float64, exact below 2**53, because the cycles of large products in small tiles exceed 64-bit integers."""
    count = float(parts) * folds.row_folds * folds.col_folds
    around = load_cycles(rows, dataflow) + rows + cols - 2
    full_passes = float(int(folds.steps / steps))  # exact, and faster than of integers: see `systolic.ceiling`
    rest = folds.steps - full_passes * steps
    if not double_buffered:
        return count * ((full_passes + (1 if rest else 0)) * around + folds.steps)
    last = rest if rest else steps
    paced = full_passes * max(steps, rows) + (max(rest, rows) if rest else 0)
    return count * paced - max(last, rows) + last + around


@jitable
def _register_bits(machine: Any, product: Any, element_cycles: float, activations: float, weights: float) -> Any:
    """Register bits written in one execution: operands passed on, skewed and loaded, results shifted out."""
    rows, cols = machine.rows, machine.cols
    passed = element_cycles * machine.lanes
    row_skew, col_skew, column_of_loads = (rows - 1) / 2, (cols - 1) / 2, (rows + 1) / 2
    if machine.dataflow == WEIGHT_STATIONARY:
        return machine.activation_bits * (passed + activations * row_skew) + (
            machine.weight_bits * weights * column_of_loads
        )
    if machine.dataflow == OUTPUT_STATIONARY:
        return (
            machine.activation_bits * (passed + activations * row_skew)
            + machine.weight_bits * (passed + weights * col_skew)
            + machine.sum_bits * float(product.m) * product.n * column_of_loads
        )
    return machine.weight_bits * (passed + weights * row_skew) + (
        machine.activation_bits * activations * column_of_loads
    )


@jitable
def _together(one: float, other: float, overlap: bool) -> float:
    return max(one, other) if overlap else one + other
