"""A systolic array's closed forms: shapes small enough to count by hand, and every shape moved on cycle by cycle."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numba
import pytest
from hypothesis import given
from hypothesis import strategies as st

from densimeter.formats import ConfigError
from densimeter.hwmodels.systolic import (
    DATAFLOWS,
    Dataflow,
    SramAccesses,
    Utilisation,
    accesses,
    array_cycles,
    array_slots,
    dataflow_index,
    drain_cycles,
    fold,
    fold_cycles,
    gemm_cycles,
    sram_accesses,
    utilisation,
)
from support.array_by_cycle import count_by_cycle

SHAPES = st.fixed_dictionaries(
    {
        "m": st.integers(1, 9),
        "n": st.integers(1, 9),
        "k": st.integers(1, 14),
        "rows": st.integers(1, 5),
        "cols": st.integers(1, 4),
        "lanes": st.integers(1, 3),
        "dataflow": st.sampled_from(DATAFLOWS),
    }
)
LARGE_SHAPES = st.fixed_dictionaries(
    {
        **{size: st.integers(1, 300) for size in ("m", "n", "k")},
        **{side: st.integers(1, 64) for side in ("rows", "cols")},
        "lanes": st.sampled_from((1, 4, 16)),
        "dataflow": st.sampled_from(DATAFLOWS),
    }
)


@given(SHAPES, st.booleans())
def test_cycles_are_those_of_an_array_moved_on_cycle_by_cycle(shape: dict[str, Any], double_buffered: bool) -> None:
    counted = count_by_cycle(**shape, double_buffered=double_buffered)
    assert gemm_cycles(**shape, double_buffered=double_buffered) == counted.cycles


@given(SHAPES, st.booleans())
def test_every_slot_of_every_cycle_is_accounted_for(shape: dict[str, Any], double_buffered: bool) -> None:
    counted = count_by_cycle(**shape, double_buffered=double_buffered)
    slots = counted.cycles * shape["rows"] * shape["cols"] * shape["lanes"]
    found = utilisation(**shape, double_buffered=double_buffered)
    assert found == Utilisation(*(Fraction(part, slots) for part in (counted.useful, counted.edge, counted.fill)))
    assert found.useful + found.edge + found.fill == 1


@given(SHAPES)
def test_accesses_are_the_values_that_cross_the_arrays_edges(shape: dict[str, Any]) -> None:
    counted = count_by_cycle(**shape, double_buffered=False)
    assert accesses(**shape) == SramAccesses(
        counted.activation_reads, counted.weight_reads, counted.result_writes, counted.partial_sum_reads
    )


@given(SHAPES)
def test_the_last_results_leave_behind_the_last_fold(shape: dict[str, Any]) -> None:
    counted = count_by_cycle(**shape, double_buffered=True)
    assert counted.drained - counted.cycles == drain_cycles(rows=shape["rows"], dataflow=shape["dataflow"])


@pytest.mark.parametrize(
    ("dataflow", "cycles"),
    [
        # 8 x 6 by 6 x 5 on 4 x 4: two row folds of 8 or 6 on 4, two column folds of 5 or 8 on 4.
        ("weight_stationary", 2 * 2 * (4 + 8 + 4 + 4 - 2)),
        ("output_stationary", 2 * 2 * (6 + 4 + 4 - 2)),
        ("input_stationary", 2 * 2 * (4 + 5 + 4 + 4 - 2)),
    ],
)
def test_shapes_that_can_be_counted(dataflow: Dataflow, cycles: int) -> None:
    assert gemm_cycles(m=8, n=5, k=6, rows=4, cols=4, dataflow=dataflow) == cycles


@pytest.mark.parametrize(
    ("dataflow", "cycles"),
    [
        # The same folds: the first load, three times the longer of steps and rows, the last steps and the skew.
        ("weight_stationary", 4 + 3 * 8 + 8 + (4 + 4 - 2)),
        ("output_stationary", 3 * 6 + 6 + (4 + 4 - 2)),
        ("input_stationary", 4 + 3 * 5 + 5 + (4 + 4 - 2)),
    ],
)
def test_double_buffered_folds_follow_without_a_gap(dataflow: Dataflow, cycles: int) -> None:
    assert gemm_cycles(m=8, n=5, k=6, rows=4, cols=4, dataflow=dataflow, double_buffered=True) == cycles


def test_a_double_buffered_array_waits_for_its_weights_where_data_are_few() -> None:
    # One token: 768 x 768 weights in 24 * 24 folds, each loaded in 32 cycles for a single step.
    shape: dict[str, Any] = {"m": 1, "n": 768, "k": 768, "rows": 32, "cols": 32, "dataflow": "weight_stationary"}
    assert gemm_cycles(**shape) == 24 * 24 * (32 + 1 + 32 + 32 - 2)
    assert gemm_cycles(**shape, double_buffered=True) == 32 + (24 * 24 - 1) * 32 + 1 + 32 + 32 - 2
    assert utilisation(**shape, double_buffered=True).edge == 0


@given(LARGE_SHAPES)
def test_double_buffering_saves_cycles_where_there_is_more_than_one_fold(shape: dict[str, Any]) -> None:
    plain, double = gemm_cycles(**shape), gemm_cycles(**shape, double_buffered=True)
    assert double <= plain
    assert fold(**shape).folds > 1 or double == plain


def test_a_single_token_leaves_the_rows_of_an_output_stationary_array_idle() -> None:
    # GEMV, 1 x 64 by 64 x 128 on 32 x 32 in 4 folds of 64 steps: one row of 32 works.
    shape: dict[str, Any] = {"m": 1, "n": 128, "k": 64, "rows": 32, "cols": 32, "dataflow": "output_stationary"}
    cycles = 4 * (64 + 32 + 32 - 2)
    assert gemm_cycles(**shape) == cycles
    assert utilisation(**shape) == Utilisation(
        useful=Fraction(4 * 64, cycles * 32),
        edge=Fraction(4 * 64 * 31, cycles * 32),
        fill=Fraction(4 * (32 + 32 - 2), cycles),
    )
    assert accesses(**shape) == SramAccesses(1 * 64 * 4, 64 * 128, 1 * 128, 0)


def test_edges_of_rows_columns_and_lanes_are_idle() -> None:
    # 5 x 10 by 10 x 3 on 2 x 2 elements of 4 lanes: groups of 4, 4 and 2 in two row folds, columns of 2 and 1.
    shape: dict[str, Any] = {"m": 5, "n": 3, "k": 10, "rows": 2, "cols": 2, "lanes": 4, "dataflow": "weight_stationary"}
    cycles = 2 * 2 * (2 + 5 + 2 + 2 - 2)
    slots, streaming = cycles * 2 * 2 * 4, 2 * 2 * 5 * (2 * 2 * 4)
    assert utilisation(**shape) == Utilisation(
        Fraction(5 * 3 * 10, slots), Fraction(streaming - 5 * 3 * 10, slots), Fraction(slots - streaming, slots)
    )
    # Activations once for each column fold, weights once, sums at the end of both row folds, the first read back.
    assert accesses(**shape) == SramAccesses(5 * 10 * 2, 10 * 3, 5 * 3 * 2, 5 * 3)


def test_compiled_loops_call_the_same_functions() -> None:
    def plain(dataflow: int, double: bool) -> tuple[int, tuple[int, int, int], tuple[int, int, int, int]]:
        return (
            array_cycles(7, 5, 9, 3, 2, dataflow, double),
            array_slots(7, 5, 70, 3, 2, 8, dataflow, double),
            sram_accesses(7, 5, 70, 3, 2, 8, dataflow),
        )

    compiled: Callable[..., Any] = numba.njit(plain)
    for dataflow in DATAFLOWS:
        shape: dict[str, Any] = {"m": 7, "n": 5, "k": 70, "rows": 3, "cols": 2, "lanes": 8, "dataflow": dataflow}
        for double in (False, True):
            cycles, slots, values = compiled(dataflow_index(dataflow), double)
            assert cycles == gemm_cycles(**shape, double_buffered=double)
            assert Utilisation(*(Fraction(part, sum(slots)) for part in slots)) == utilisation(
                **shape, double_buffered=double
            )
            assert values == accesses(**shape)


def test_scale_sim_counts_to_the_last_cycles_index() -> None:
    shape: dict[str, Any] = {"m": 8, "n": 5, "k": 6, "rows": 4, "cols": 4, "dataflow": "weight_stationary"}
    assert gemm_cycles(**shape, convention="scale_sim") == gemm_cycles(**shape) - 1


def test_lanes_take_a_group_of_k_a_cycle() -> None:
    shape: dict[str, Any] = {"m": 10, "n": 4, "rows": 2, "cols": 2}
    assert gemm_cycles(**shape, k=70, lanes=16, dataflow="output_stationary") == 5 * 2 * (5 + 2 + 2 - 2)
    assert fold(**shape, k=70, lanes=16, dataflow="weight_stationary").row_folds == 3


def test_only_an_output_stationary_array_drains() -> None:
    assert [drain_cycles(rows=7, dataflow=dataflow) for dataflow in DATAFLOWS] == [0, 7, 0]


@given(LARGE_SHAPES, st.booleans())
def test_never_faster_than_all_elements_busy(shape: dict[str, Any], double_buffered: bool) -> None:
    assert 0 < utilisation(**shape, double_buffered=double_buffered).useful <= 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataflow": "weight-stationary"}, "did you mean 'weight_stationary'"),
        ({"k": 0}, "k is 0, expected 1 or more"),
        ({"rows": -4}, "rows is -4, expected 1 or more"),
        ({"convention": "scalesim"}, "did you mean 'scale_sim'"),
    ],
)
def test_what_no_array_can_do_is_refused(change: dict[str, object], message: str) -> None:
    shape: dict[str, object] = {"m": 1, "n": 1, "k": 1, "rows": 1, "cols": 1, "dataflow": "weight_stationary"}
    with pytest.raises(ConfigError, match=message):
        gemm_cycles(**(shape | change))  # type: ignore[arg-type]


def test_a_fold_needs_steps_and_a_dataflow() -> None:
    with pytest.raises(ConfigError, match="steps is 0, expected 1 or more"):
        fold_cycles(steps=0, rows=1, cols=1, dataflow="weight_stationary")
    with pytest.raises(ConfigError, match="expected weight_stationary, output_stationary, input_stationary"):
        drain_cycles(rows=1, dataflow="row_stationary")  # type: ignore[arg-type]
