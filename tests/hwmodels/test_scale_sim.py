"""SCALE-Sim's report: every column of its own runs, and where its conventions show."""

import csv
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest

from densimeter.formats import ConfigError
from densimeter.hwmodels.scale_sim import ScaleSimReport, scale_sim_report
from densimeter.hwmodels.systolic import Dataflow

_SHORT: dict[str, Dataflow] = {"ws": "weight_stationary", "os": "output_stationary", "is": "input_stationary"}
_SIZES = "M", "N", "K", "rows", "cols"
_RUNS = Path(__file__).parents[1] / "golden" / "scalesim_gemm.csv"


def _report(buffer_kib: int, **shape: Any) -> ScaleSimReport:
    return scale_sim_report(
        **shape, ifmap_buffer_kib=buffer_kib, filter_buffer_kib=buffer_kib, ofmap_buffer_kib=buffer_kib
    )


def test_every_column_of_scale_sims_own_runs() -> None:
    with _RUNS.open() as file:
        runs = list(csv.DictReader(file))
    assert len(runs) == 75
    for run in runs:
        sizes = {name.lower(): int(run[name]) for name in _SIZES}
        reported = [float(value) for name, value in run.items() if name not in (*_SIZES, "df")]
        assert list(astuple(_report(512, **sizes, dataflow=_SHORT[run["df"]]))) == reported, run


def test_an_operand_that_fits_half_its_buffer_is_read_once() -> None:
    # Weights in 25 column folds need the activations 25 times; half a KiB in hundredths holds 500 values.
    shape: dict[str, Any] = {"n": 100, "k": 50, "rows": 4, "cols": 4, "dataflow": "weight_stationary"}
    assert _report(1, m=9, **shape).dram_ifmap_reads == 9 * 50
    assert _report(1, m=11, **shape).dram_ifmap_reads == 11 * 50 * 25 == _report(1, m=11, **shape).sram_ifmap_reads


def test_partial_sums_go_to_dram() -> None:
    report = _report(512, m=10, n=20, k=64, rows=8, cols=8, dataflow="weight_stationary")
    assert report.dram_ofmap_writes == report.sram_ofmap_writes == 10 * 20 * (64 // 8)


@pytest.mark.parametrize(("k", "padding"), [(32, 0), (33, 8 - 1)])
def test_the_line_that_a_full_write_buffer_cuts_counts_whole(k: int, padding: int) -> None:
    # 16 x 32 sums fill half of a KiB; with k of 33 they come twice.
    folds = -(-k // 32)
    report = _report(1, m=16, n=32, k=k, rows=32, cols=8, dataflow="weight_stationary")
    assert report.dram_ofmap_writes == 16 * 32 * folds + padding


def test_a_buffer_needs_a_size() -> None:
    with pytest.raises(ConfigError, match="ifmap_buffer_kib is 0, expected 1 or more"):
        _report(0, m=1, n=1, k=1, rows=1, cols=1, dataflow="weight_stationary")
