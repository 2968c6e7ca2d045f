"""The density table's units at one clock: on record, met by as few stages as possible, ratios that follow."""

from pathlib import Path
from typing import Any

import pytest

from densimeter.hwmodels.equal_clock import DEFAULT_PERIOD_NS, EqualClockStore, at_period
from densimeter.rtl import yosys
from densimeter.rtl.cells.liberty import find_library
from densimeter.simulator import equal_clock
from densimeter.simulator.schema.density import DensityConfig, default_document
from densimeter.simulator.schema.document import validate
from support.command import Densimeter

Row = dict[str, Any]


@pytest.fixture
def no_synthesis(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Records are all there is: no Yosys, and an empty cache."""
    monkeypatch.setattr(yosys, "installed_version", lambda: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def rows(densimeter: Densimeter, no_synthesis: None) -> list[Row]:
    found: list[Row] = densimeter("rtl", "equal-clock", "--json").json["rows"]
    return found


def row(rows: list[Row], name: str, lanes: int, accumulator: str) -> Row:
    (found,) = (r for r in rows if (r["weight"], r["lanes"], r["accumulator"]) == (name, lanes, accumulator))
    return found


def test_the_shipped_records_are_those_of_the_default_table(no_synthesis: None) -> None:
    config = validate(default_document(), DensityConfig)
    library = find_library("nangate45")
    found = [at_period(unit, DEFAULT_PERIOD_NS, library) for unit in equal_clock.units_of(config)]
    assert {r.key for unit in found for r in unit.records} == {r.key for r in EqualClockStore().committed()}


def test_every_unit_meets_the_period_or_says_why_not(rows: list[Row]) -> None:
    assert len(rows) == len(validate(default_document(), DensityConfig).units)
    for unit in rows:
        if unit["pipeline"] is None:
            assert unit["fastest_min_period_ns"] > DEFAULT_PERIOD_NS
        else:
            assert unit["min_period_ns"] <= DEFAULT_PERIOD_NS
            assert unit["latency_cycles"] == unit["pipeline"] + 1


def test_ratios_follow_from_areas(rows: list[Row]) -> None:
    float32, int8 = row(rows, "float32_ftz", 1, "fp32_ftz"), row(rows, "int8", 1, "int32")
    bfp6 = row(rows, "bfp6", 16, "fp32")
    area, ratios = bfp6["area_um2_per_mac"], bfp6["density_at_period"]
    assert ratios["float32"] == pytest.approx(float32["area_um2_per_mac"] / area)
    assert ratios["int8_mac"] == pytest.approx(int8["area_um2_per_mac"] / area)
    assert bfp6["plain_density"]["float32"] == pytest.approx(
        float32["plain_area_um2_per_mac"] / bfp6["plain_area_um2_per_mac"]
    )
    assert bfp6["peak_density"]["float32"] == pytest.approx(
        bfp6["peak_gmac_per_s_mm2"] / float32["peak_gmac_per_s_mm2"]
    )


def test_a_float32_accumulator_is_the_slowest_part(rows: list[Row]) -> None:
    floors = {(r["weight"], r["accumulator"]): r["floor_ns"] for r in rows}
    assert floors["bfp6", "fp32"] > floors["bfp6", "fixed48:-24"]
    assert floors["bfp6", "fp32"] > floors["bfp6", "aligned24"]
    # So long single cycles are not the accumulator's alone: registers take their other half away.
    assert row(rows, "bfp6", 16, "fp32")["plain_min_period_ns"] > 2 * floors["bfp6", "fp32"]


def test_the_table_is_printed(densimeter: Densimeter, no_synthesis: None) -> None:
    shown = densimeter("rtl", "equal-clock")
    assert shown.code == 0
    assert "at 4 ns in nangate45" in shown.out
    assert "bfp6 x16 aligned24" in shown.out


def test_a_period_that_is_none_is_refused(densimeter: Densimeter) -> None:
    refused = densimeter("rtl", "equal-clock", "--period-ns", "0")
    assert refused.code == 2
    assert "--period-ns is 0, expected more than 0" in refused.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rtl", "emit", "-a", "int8", "-c", "int32", "--pipeline", "5"], "pipeline is 5, expected 0 to 2"),
        (
            ["rtl", "emit", "-a", "int8", "-c", "int32", "--part", "output_converter", "--pipeline", "1"],
            "--pipeline goes with --part unit",
        ),
        (["rtl", "synth", "-a", "int8", "-c", "int32", "--pipeline", "1", "--breakdown"], "leave out --pipeline"),
        (
            ["rtl", "test", "-a", "int8", "-c", "int32", "--pipeline", "1", "--dut", "x.v", "--top", "x"],
            "the port map says its latency",
        ),
    ],
)
def test_stages_that_make_no_sense_are_refused(densimeter: Densimeter, arguments: list[str], message: str) -> None:
    refused = densimeter(*arguments)
    assert refused.code == 2
    assert message in refused.err


def test_a_pipelined_unit_is_emitted(densimeter: Densimeter, tmp_path: Path) -> None:
    unit = "rtl", "emit", "-a", "bfp6", "-l", "16", "-c", "aligned24", "--pipeline", "2"
    assert densimeter(*unit, "-o", tmp_path).code == 0
    (file,) = tmp_path.iterdir()
    assert file.name == "densimeter_bfp6_bfp6_x16_aligned24_p2.v"
    assert "latency:     3 cycles" in file.read_text()
