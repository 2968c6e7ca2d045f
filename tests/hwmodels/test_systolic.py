"""Cycles of a systolic array: SCALE-Sim's own runs, shapes small enough to count, and what every shape must keep."""

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from densimeter.formats import ConfigError
from densimeter.hwmodels.systolic import DATAFLOWS, Dataflow, drain_cycles, fold, gemm_cycles

_SHORT: dict[str, Dataflow] = {"ws": "weight_stationary", "os": "output_stationary", "is": "input_stationary"}
# 75 runs of SCALE-Sim 3.0.0: a GEMM, a dataflow and an array a row, with the counts it reported.
_RUNS = Path(__file__).parents[1] / "golden" / "scalesim_gemm.csv"


def test_equals_scale_sim_which_reports_the_last_cycles_index() -> None:
    with _RUNS.open() as file:
        runs = list(csv.DictReader(file))
    assert len(runs) == 75
    for run in runs:
        sizes = {name.lower(): int(run[name]) for name in ("M", "N", "K", "rows", "cols")}
        assert gemm_cycles(**sizes, dataflow=_SHORT[run["df"]]) - 1 == int(run["total_cycles"]), run


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


def test_lanes_take_a_group_of_k_a_cycle() -> None:
    shape = {"m": 10, "n": 4, "rows": 2, "cols": 2}
    assert gemm_cycles(**shape, k=70, lanes=16, dataflow="output_stationary") == 5 * 2 * (5 + 2 + 2 - 2)
    assert fold(**shape, k=70, lanes=16, dataflow="weight_stationary").row_folds == 3


def test_only_an_output_stationary_array_drains() -> None:
    assert [drain_cycles(rows=7, dataflow=dataflow) for dataflow in DATAFLOWS] == [0, 7, 0]


@given(*[st.integers(1, 300)] * 3, st.integers(1, 64), st.integers(1, 64), st.sampled_from(DATAFLOWS))
def test_never_faster_than_all_elements_busy(m: int, n: int, k: int, rows: int, cols: int, dataflow: Dataflow) -> None:
    assert gemm_cycles(m=m, n=n, k=k, rows=rows, cols=cols, dataflow=dataflow) * rows * cols >= m * n * k


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataflow": "weight-stationary"}, "did you mean 'weight_stationary'"),
        ({"k": 0}, "k is 0, expected 1 or more"),
        ({"rows": -4}, "rows is -4, expected 1 or more"),
    ],
)
def test_what_no_array_can_do_is_refused(change: dict[str, object], message: str) -> None:
    shape: dict[str, object] = {"m": 1, "n": 1, "k": 1, "rows": 1, "cols": 1, "dataflow": "weight_stationary"}
    with pytest.raises(ConfigError, match=message):
        gemm_cycles(**(shape | change))  # type: ignore[arg-type]
