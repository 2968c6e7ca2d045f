"""Cycles and bits of products on machines: by hand, by conservation laws, and compiled against plain Python."""

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from densimeter.hwmodels.accelerator.performance import (
    COST,
    Folds,
    add_product_cost,
    product_costs,
    tiled_cycles,
    total_costs,
)
from densimeter.hwmodels.systolic import DATAFLOWS, array_cycles, ceiling, folding, sram_accesses
from support.machines import any_machine, any_product, machine_rows, product_rows

Rows = NDArray[np.void]
WEIGHT, OUTPUT, INPUT = (DATAFLOWS.index(f"{what}_stationary") for what in ("weight", "output", "input"))


def cost_of(machine: Rows, product: Rows) -> Any:
    return product_costs(machine[0], product)[0]


def feasible_cost(machine: Rows, product: Rows) -> Any:
    cost = cost_of(machine, product)
    assume(not cost["infeasible_products"])
    return cost


@given(any_machine(), any_product())
def test_every_slot_of_the_array_is_useful_edge_fill_or_stall(machine: Rows, product: Rows) -> None:
    cost = feasible_cost(machine, product)
    parts = [cost[f"{name}_slots"] for name in ("useful", "edge", "fill", "stall")]
    slots = cost["latency_cycles"] * machine["rows"][0] * machine["cols"][0] * machine["lanes"][0]
    assert min(parts) >= 0
    assert sum(parts) == pytest.approx(slots, rel=1e-12)
    assert cost["useful_slots"] == cost["macs"] == (product["m"] * product["n"] * product["k"] * product["count"])[0]


@given(any_machine(), any_product())
def test_what_enters_a_buffer_came_from_dram_or_the_array(machine: Rows, product: Rows) -> None:
    cost = feasible_cost(machine, product)
    results = product["result_bits"][0] * product["count"][0]
    assert cost["weight_write_bits"] == cost["dram_second_bits"]
    assert cost["activation_write_bits"] == cost["dram_first_bits"] + results
    assert cost["sum_write_bits"] == cost["sum_read_bits"]
    assert cost["dram_result_bits"] in (0, results)


@given(any_machine(), any_product())
def test_dram_delivers_every_operand_once_at_least(machine: Rows, product: Rows) -> None:
    cost = feasible_cost(machine, product)
    first, second = (product[name][0] * product["count"][0] for name in ("first_bits", "second_bits"))
    stays = product["first_tensor_bits"][0] <= machine["activation_capacity_bits"][0]
    assert cost["dram_first_bits"] == 0 if stays else cost["dram_first_bits"] >= first
    assert cost["dram_second_bits"] >= second
    assert cost["dram_first_bits"] % product["first_bits"][0] == 0


@given(any_machine(), any_product())
def test_latency_is_the_longest_of_what_overlaps_and_the_sum_of_what_does_not(machine: Rows, product: Rows) -> None:
    cost = feasible_cost(machine, product)
    together = max(cost["compute_cycles"], cost["transfer_cycles"])
    if not machine["transfer_overlaps"][0]:
        together = cost["compute_cycles"] + cost["transfer_cycles"]
    expected = max(together, cost["conversion_cycles"])
    if not machine["conversion_overlaps"][0]:
        expected = together + cost["conversion_cycles"]
    assert cost["latency_cycles"] == pytest.approx(expected, rel=1e-12)


@settings(max_examples=50)
@given(any_machine(), any_product())
def test_compiled_code_computes_what_plain_python_does(machine: Rows, product: Rows) -> None:
    plain = np.zeros(1, COST)
    add_product_cost(machine.view(np.recarray)[0], product.view(np.recarray)[0], plain.view(np.recarray)[0])
    assert cost_of(machine, product) == plain[0]


@given(
    sizes=st.tuples(*[st.integers(1, 2**29)] * 3),
    array=st.tuples(*[st.integers(1, 2**24)] * 2),
    dataflow=st.integers(0, 2),
    double_buffered=st.booleans(),
)
def test_nothing_overflows(
    sizes: tuple[int, int, int], array: tuple[int, int], dataflow: int, double_buffered: bool
) -> None:
    """Cycles and accesses of far more than 64 bits, against Python's integers, which have no largest."""
    (m, n, k), (rows, cols) = sizes, array
    in_one_tile = {f"{name}_capacity_bits": 2.0**62 for name in ("activation", "weight", "sum")}
    machine = machine_rows(rows=rows, cols=cols, dataflow=dataflow, double_buffered=double_buffered, **in_one_tile)
    cost = cost_of(machine, product_rows(m, n, k))
    cycles = array_cycles(m, n, k, rows, cols, dataflow, double_buffered)
    assert cost["compute_cycles"] == pytest.approx(cycles, rel=1e-12)
    activations, weights, sums, _ = sram_accesses(m, n, k, rows, cols, 1, dataflow)
    assert cost["activation_read_bits"] == pytest.approx(8 * (activations + m * n), rel=1e-12)
    assert cost["weight_read_bits"] == pytest.approx(8 * weights, rel=1e-12)
    assert cost["sum_write_bits"] == pytest.approx(32 * sums, rel=1e-12)


@given(st.lists(any_machine(), min_size=1, max_size=5), st.lists(any_product(), min_size=1, max_size=4), st.data())
def test_totals_are_the_sums_over_each_machines_products(
    machines: list[Rows], products: list[Rows], data: st.DataObject
) -> None:
    rows, listed = np.concatenate(machines), np.concatenate(products)
    first = np.array([data.draw(st.integers(0, len(listed) - 1)) for _ in rows])
    count = np.array([data.draw(st.integers(1, len(listed) - start)) for start in first])
    totals = total_costs(rows, listed, first, count)
    for row, start, length, total in zip(rows, first, count, totals, strict=True):
        single = product_costs(row, listed[start : start + length])
        for name in COST.names or ():
            assert total[name] == pytest.approx(single[name].sum(), rel=1e-12)


@given(
    sizes=st.tuples(*[st.integers(1, 60)] * 3),
    array=st.tuples(*[st.integers(1, 9)] * 2),
    dataflow=st.integers(0, 2),
    double_buffered=st.booleans(),
    steps=st.integers(1, 70),
)
def test_passes_over_a_tiled_operand(
    sizes: tuple[int, int, int], array: tuple[int, int], dataflow: int, double_buffered: bool, steps: int
) -> None:
    """In one pass they are the array's own cycles; each further pass of a plain array is an array at work again."""
    (m, n, groups), (rows, cols) = sizes, array
    tiled = tiled_cycles(
        Folds(*folding(m, n, groups, rows, cols, dataflow)), rows, cols, dataflow, double_buffered, steps, 1
    )
    all_steps = {WEIGHT: m, OUTPUT: groups, INPUT: n}[dataflow]
    whole = array_cycles(m, n, groups, rows, cols, dataflow, double_buffered)
    assert tiled >= whole
    if steps >= all_steps:
        assert tiled == whole
    elif not double_buffered and dataflow == WEIGHT:
        tiles = [min(steps, m - start) for start in range(0, m, steps)]
        assert tiled == sum(array_cycles(tile, n, groups, rows, cols, dataflow, False) for tile in tiles)


@given(
    sizes=st.tuples(*[st.integers(1, 40)] * 3), array=st.tuples(*[st.integers(1, 9)] * 2), dataflow=st.integers(0, 2)
)
def test_heads_follow_each_other_without_a_gap_in_a_double_buffered_array(
    sizes: tuple[int, int, int], array: tuple[int, int], dataflow: int
) -> None:
    """Three products take as long as one with three times the folds."""
    (m, n, groups), (rows, cols) = sizes, array
    folds = Folds(*folding(m, n, groups, rows, cols, dataflow))
    one, three = (tiled_cycles(folds, rows, cols, dataflow, True, folds.steps, parts) for parts in (1, 3))
    assert three - one == 2 * folds.row_folds * folds.col_folds * max(folds.steps, rows)
    plain = [tiled_cycles(folds, rows, cols, dataflow, False, folds.steps, parts) for parts in (1, 3)]
    assert plain[1] == 3 * plain[0]


@pytest.mark.parametrize("dataflow", [WEIGHT, OUTPUT, INPUT])
def test_buffers_are_read_as_the_closed_form_says(dataflow: int) -> None:
    cost = cost_of(machine_rows(dataflow=dataflow, lanes=2), product_rows(10, 9, 17))
    activations, weights, sums, _ = sram_accesses(10, 9, 17, 4, 4, 2, dataflow)
    assert cost["activation_read_bits"] == 8 * activations + 8 * 10 * 9  # and the result on its way to DRAM
    assert cost["weight_read_bits"] == 8 * weights
    assert cost["sum_write_bits"] == 32 * sums
    assert cost["element_cycles"] == 10 * 9 * ceiling(17, 2)


def test_partial_sums_stay_on_the_chip_where_they_fit() -> None:
    """A mistake seen elsewhere: every fold along k sends its sums to DRAM. Here 25 folds along k send none."""
    assert cost_of(machine_rows(), product_rows(64, 64, 100))["dram_sum_bits"] == 0


def test_partial_sums_leave_where_the_output_buffer_is_too_small_and_operands_are_dear() -> None:
    """A fold of weights fits, and a row of its sums: reading either operand again would cost more than the sums."""
    tight = machine_rows(sum_capacity_bits=4 * 32, weight_capacity_bits=4 * 4 * 16, activation_capacity_bits=64 * 4 * 8)
    cost = cost_of(tight, product_rows(64, 64, 8, second_bits=16 * 64 * 8))
    assert cost["dram_sum_bits"] == 2 * 64 * 64 * 32  # two cuts of k: written once, read once


def test_tensors_stay_on_the_chip_up_to_half_the_buffer() -> None:
    machine = machine_rows(activation_capacity_bits=8 * 64)
    inside = cost_of(machine, product_rows(8, 8, 8, first_tensor_bits=8 * 64, result_tensor_bits=8 * 64))
    outside = cost_of(machine, product_rows(8, 8, 8, first_tensor_bits=8 * 65, result_tensor_bits=8 * 65))
    assert (inside["dram_first_bits"], inside["dram_result_bits"]) == (0, 0)
    assert (outside["dram_first_bits"], outside["dram_result_bits"]) == (8 * 64, 8 * 64)


def test_keys_and_values_are_always_written() -> None:
    assert cost_of(machine_rows(), product_rows(2, 3, 4, result_tensor_bits=1, result_cached=True))[
        "dram_result_bits"
    ] == 8 * (2 * 3)


def test_buffers_below_one_fold_are_no_design() -> None:
    cost = cost_of(machine_rows(weight_capacity_bits=4 * 4 * 8 - 1), product_rows(8, 8, 8))
    assert cost["infeasible_products"] == 1
    assert cost["macs"] == 0


@pytest.mark.parametrize(
    ("dataflow", "expected"),
    [
        # 2 x 2 elements, 2 x 2 by 2 x 2: a value for row r passes r + 1 registers, a streamed one waits r cycles.
        (WEIGHT, 8 * 8 + 8 * 4 * 0.5 + 8 * 4 * 1.5),
        (OUTPUT, (8 + 8) * 8 + 8 * 4 * 0.5 + 8 * 4 * 0.5 + 32 * 4 * 1.5),
        (INPUT, 8 * 8 + 8 * 4 * 0.5 + 8 * 4 * 1.5),
    ],
)
def test_register_bits_by_hand(dataflow: int, expected: float) -> None:
    assert cost_of(machine_rows(rows=2, cols=2, dataflow=dataflow), product_rows(2, 2, 2))["register_bits"] == expected
