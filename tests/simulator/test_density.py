"""The density table: its figures follow from its own parts, and the published ones are near."""

import csv
import io
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from densimeter.formats.errors import ModelRangeError
from densimeter.hwmodels.characterization.grid import grid
from densimeter.hwmodels.characterization.store import EnergyStore, Store
from densimeter.hwmodels.conversion import recorded_conversion_energy
from densimeter.hwmodels.energy import recorded_energy
from densimeter.hwmodels.fitted_model import fitted_models
from densimeter.rtl import yosys
from densimeter.rtl.cells.liberty import find_library
from densimeter.simulator import evaluate
from densimeter.simulator.characterization import shipped_keys
from densimeter.simulator.density import synthesis_jobs
from densimeter.simulator.schema.density import DensityConfig, default_document
from densimeter.simulator.schema.document import validate
from support.command import Densimeter, Outcome

KEYS = {
    "format", "unit", "lanes", "accumulator", "encoding", "bits_per_value", "memory_density",
    "lut_per_mac", "arithmetic_density_lut", "arithmetic_density_area", "published", "cost_source",
}  # fmt: skip


@pytest.fixture
def tensors(tmp_path: Path) -> Path:
    """A small file of weights, so that no model is needed."""
    np.save(tmp_path / "weights.npy", np.random.default_rng(0).standard_normal((32, 64)).astype(np.float32))
    return tmp_path / "weights.npy"


@pytest.fixture
def no_synthesis(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Records are all there is: no Yosys, and an empty cache."""
    monkeypatch.setattr(yosys, "installed_version", lambda: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def rows(densimeter: Densimeter, tensors: Path, no_synthesis: None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = densimeter("density", "--tensors", tensors, "--json").json["rows"]
    return found


def row(rows: list[dict[str, Any]], name: str, accumulator: str, lanes: int) -> dict[str, Any]:
    (found,) = (r for r in rows if (r["format"], r["accumulator"], r["lanes"]) == (name, accumulator, lanes))
    return found


def test_the_default_table_needs_no_synthesis(no_synthesis: None) -> None:
    config = validate(default_document(), DensityConfig)
    planned = synthesis_jobs(config, [find_library(name) for name in config.libraries])
    missing = [job for job in planned if Store().lookup(job.key) is None]
    assert planned
    assert not missing, f"not on record: {missing[0].module.name}; CONTRIBUTING.md says how to record it"


def test_no_record_is_kept_that_neither_table_nor_grid_uses() -> None:
    config = validate(default_document(), DensityConfig)
    assert {record.key for record in Store().committed()} == shipped_keys(config)


def test_energies_on_record_are_those_of_the_table_and_the_grid(no_synthesis: None) -> None:
    config = validate(default_document(), DensityConfig)
    library = find_library("nangate45")
    units = [*(unit.datapath() for unit in config.units), *grid().energy_units]
    records = [recorded_energy(unit, library) for unit in units]
    records += [recorded_conversion_energy(conversion, library) for conversion in grid().energy_conversions]
    assert None not in records
    assert {record.key for record in records if record} == {record.key for record in EnergyStore().committed()}


def test_every_row_has_the_public_keys(rows: list[dict[str, Any]]) -> None:
    assert all(set(r) >= KEYS for r in rows)
    assert all(r["cost_source"] == "synthesis" for r in rows)


def test_ratios_are_baseline_over_row_within_one_flow(rows: list[dict[str, Any]]) -> None:
    float32, bfp6 = row(rows, "float32_ftz", "fp32_ftz", 1), row(rows, "bfp6", "aligned24", 16)
    assert float32["arithmetic_density_lut"] == float32["arithmetic_density_area"] == 1
    for flow, luts in bfp6["lut_per_mac_by_flow"].items():
        assert bfp6["arithmetic_density_lut_by_flow"][flow] == float32["lut_per_mac_by_flow"][flow] / luts
    for library, area in bfp6["area_um2_per_mac_by_library"].items():
        ratio = float32["area_um2_per_mac_by_library"][library] / area
        assert bfp6["arithmetic_density_area_by_library"][library] == ratio
    int8 = row(rows, "int8", "int32", 1)
    assert bfp6["arithmetic_density_lut_vs_int8_mac"] == int8["lut_per_mac"] / bfp6["lut_per_mac"]


def test_the_headline_of_the_block_quantisation_paper(rows: list[dict[str, Any]]) -> None:
    """Published: 19x float32 in arithmetic density, 5x in memory density, 2.5x and 1.2x of int8 (arXiv 2310.05079)."""
    fixed, aligned = row(rows, "bfp6", "fixed48:-24", 16), row(rows, "bfp6", "aligned24", 16)
    assert fixed["arithmetic_density_lut"] == pytest.approx(19, rel=0.15)
    assert aligned["arithmetic_density_lut"] == pytest.approx(19, rel=0.15)
    assert fixed["memory_density"] == 32 / (6 + 8 / 16)
    assert fixed["memory_density"] / row(rows, "int8", "int32", 1)["memory_density"] == pytest.approx(1.2, abs=0.05)
    # 2.5x over int8 is reached in cell area against a stand-alone MAC, and in LUTs against neither baseline.
    assert aligned["arithmetic_density_area_vs_int8_mac"] > 2.5
    assert aligned["arithmetic_density_lut_vs_int8_mac"] < 2.5
    assert aligned["arithmetic_density_lut_vs_int8_dot"] < 2.5


def test_narrower_blocks_are_denser(rows: list[dict[str, Any]]) -> None:
    densities = [row(rows, f"bfp{width}", "aligned24", 16)["arithmetic_density_lut"] for width in (8, 7, 6, 5, 4)]
    assert densities == sorted(densities)


def test_files_and_findings(densimeter: Densimeter, tensors: Path, no_synthesis: None, tmp_path: Path) -> None:
    outcome = densimeter("density", "--tensors", tensors, "-o", tmp_path / "out")
    assert outcome.code == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"density.html", "density.csv", "density.md"}
    assert "against a lane of a 16-lane int8 dot product" in " ".join(outcome.out.split())
    assert "density.html" in outcome.out


@pytest.fixture
def with_unit(densimeter: Densimeter, tensors: Path, no_synthesis: None, tmp_path: Path) -> Callable[..., Outcome]:
    """``with_unit("{format: ...}", *options)``: the command on the default units and this one, without Yosys."""

    def run(unit: str, *options: object, **changes: str) -> Outcome:
        text = default_document_text() + f"  - {unit}\n"
        for old, new in changes.items():
            text = re.sub(f"(?m)^{old}:.*$|^  {old}:.*$", new, text, count=1)
        (tmp_path / "mine.yaml").write_text(text)
        return densimeter("density", tmp_path / "mine.yaml", "--tensors", tensors, "-o", tmp_path / "out", *options)

    return run


# Neither in the table nor in the grid, but between units that are.
UNRECORDED = "{format: bfp6, lanes: 8, accumulator: aligned24}"


def test_what_cannot_be_synthesised_is_estimated(with_unit: Callable[..., Outcome]) -> None:
    *recorded, modelled = with_unit(UNRECORDED, "--json").json["rows"]
    assert {r["cost_source"] for r in recorded} == {"synthesis"}
    assert modelled["cost_source"] == "model"
    band = fitted_models()["size", "xc7", "carry"].held_out.percentile_95
    luts = modelled["lut_per_mac"]
    assert (modelled["lut_per_mac_low"], modelled["lut_per_mac_high"]) == pytest.approx(
        (luts * (1 - band), luts * (1 + band))
    )
    assert set(modelled["lut_per_mac_by_flow"]) == {"carry", "star"}
    libraries = {"nangate45", "osu018"}
    assert set(modelled["area_um2_per_mac_by_library"]) == set(modelled["min_period_ns_by_library"]) == libraries
    assert modelled["energy_fj_per_mac_low"] < modelled["energy_fj_per_mac"] < modelled["energy_fj_per_mac_high"]
    float32 = row(recorded, "float32_ftz", "fp32_ftz", 1)
    assert modelled["arithmetic_density_lut"] == float32["lut_per_mac"] / luts
    between = [row(recorded, name, "aligned24", 16)["lut_per_mac"] for name in ("bfp5", "bfp8")]
    assert between[0] < luts < between[1]


def test_an_estimate_is_told_in_every_form(with_unit: Callable[..., Outcome], tmp_path: Path) -> None:
    outcome = with_unit(UNRECORDED)
    assert outcome.code == 0
    band = f"\N{PLUS-MINUS SIGN}{fitted_models()['size', 'xc7', 'carry'].held_out.percentile_95:.0%}"
    markdown = (tmp_path / "out" / "density.md").read_text()
    (line,) = [line for line in markdown.splitlines() if line.startswith("|") and band in line]
    assert line.endswith("| model |")
    page = (tmp_path / "out" / "density.html").read_text()
    for told in (outcome.out, markdown, page):
        assert band in told
        assert "a model fitted to other units" in " ".join(told.split())
    *_, modelled = csv.DictReader(io.StringIO((tmp_path / "out" / "density.csv").read_text()))
    assert modelled["cost_source"] == "model"
    assert float(modelled["lut_per_mac_low"]) < float(modelled["lut_per_mac"]) < float(modelled["lut_per_mac_high"])


def test_a_flow_that_is_not_on_record_is_left_out_of_a_recorded_row(with_unit: Callable[..., Outcome]) -> None:
    grid_unit = with_unit("{format: nvfp4, lanes: 4, accumulator: fp32}", "--json").json["rows"][-1]
    assert grid_unit["cost_source"] == "synthesis"
    assert set(grid_unit["lut_per_mac_by_flow"]) == {"carry"}
    assert grid_unit["lut_per_mac_low"] == grid_unit["lut_per_mac"]


def test_where_the_model_refuses_too_the_error_says_what_is_missing(with_unit: Callable[..., Outcome]) -> None:
    outcome = with_unit("{format: int8, lanes: 128, accumulator: int32}")
    assert outcome.code == 1
    assert "no record of densimeter_int8_int8_x128_int32, flow carry, target xc7" in outcome.err
    assert "without pyosys (`densimeter doctor` says how to get it); and no model answers" in outcome.err
    assert "outside the" in outcome.err


@pytest.mark.parametrize(
    "changes",
    [
        {"flows": "flows: [booth, carry]"},
        {"int8_dot": "  int8_dot: {format: int8, lanes: 12, accumulator: int32}"},
    ],
    ids=["the headline's flow has no model", "a baseline is not on record"],
)
def test_what_no_estimate_can_replace_is_an_error(with_unit: Callable[..., Outcome], changes: dict[str, str]) -> None:
    outcome = with_unit(UNRECORDED, **changes)
    assert outcome.code == 1
    assert "no record of densimeter_" in outcome.err
    assert "pip install 'densimeter[rtl]'" in outcome.err


def test_a_fresh_table_is_never_estimated(with_unit: Callable[..., Outcome]) -> None:
    assert "pip install 'densimeter[rtl]'" in with_unit(UNRECORDED, "--fresh").err


def default_document_text() -> str:
    path = Path(__file__).parents[2] / "simulator" / "configs" / "density.yaml"
    return path.read_text()


def test_evaluate_gives_one_unit(no_synthesis: None) -> None:
    result = evaluate({"format": "bfp6", "lanes": 16, "accumulator": "aligned24"})
    assert result["sum_bits"] == (16 * 31 * 31).bit_length() + 1
    assert result["memory_density"] == pytest.approx(32 / 6.5)
    assert math.isfinite(result["lut_per_mac_by_flow"]["carry"])
    assert (result["cost_source"], result["lut_per_mac_relative_band_by_flow"]["carry"]) == ("synthesis", 0)


def test_evaluate_estimates_what_it_cannot_have(no_synthesis: None) -> None:
    result = evaluate({"format": "bfp6", "lanes": 8, "accumulator": "aligned24"})
    assert result["cost_source"] == "model"
    assert result["lut_per_mac_by_flow"].keys() == result["lut_per_mac_relative_band_by_flow"].keys()
    assert result["lut_per_mac_by_flow"].keys() == {"carry", "star"}
    assert 0 < result["area_um2_per_mac_relative_band_by_library"]["nangate45"] < 1
    assert result["flip_flops_per_mac"] == (24 + 10) / 8  # significand and exponent
    with pytest.raises(ModelRangeError, match="no record of densimeter_int8_int8_x128_int32"):
        evaluate({"format": "int8", "lanes": 128, "accumulator": "int32"})
