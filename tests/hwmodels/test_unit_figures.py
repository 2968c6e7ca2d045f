"""The cost of any unit: records first and without a band, else the model with its own, and never a guess beyond it."""

from pathlib import Path

import pytest

import densimeter.formats as F
from densimeter.formats.errors import ConfigError, ModelRangeError
from densimeter.hwmodels.characterization.store import Store
from densimeter.hwmodels.energy import recorded_energy
from densimeter.hwmodels.fitted_model import fitted_models
from densimeter.hwmodels.mac import jobs
from densimeter.hwmodels.unit_figures import unit_figures
from densimeter.rtl import yosys
from densimeter.rtl.cells import liberty
from densimeter.rtl.cells.liberty import find_library
from densimeter.rtl.synthesize import CellResult


@pytest.fixture(autouse=True)
def _empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def _unit(name: str, lanes: int, accumulator: str) -> F.Datapath:
    return F.derive(F.get(name), F.get(name), lanes, accumulator)


# In the table, and between the grid's units of 2 and 16 lanes.
RECORDED, UNRECORDED = _unit("bfp6", 16, "aligned24"), _unit("bfp6", 8, "aligned24")


def test_a_recorded_unit_has_its_records_figures() -> None:
    library = find_library("nangate45")
    (job,) = jobs(RECORDED, (), [library])
    synthesis, power = Store().lookup(job.key), recorded_energy(RECORDED, library)
    assert synthesis is not None
    assert power is not None
    assert isinstance(synthesis.result, CellResult)
    found = unit_figures(RECORDED)
    assert found.area_um2.value == synthesis.result.area_um2
    assert found.min_period_ns.value == synthesis.result.min_period_ns
    assert found.energy_fj.value == power.result.energy_fj
    assert found.leakage_nw.value == power.result.leakage_nw
    assert found.flip_flops == synthesis.result.flip_flops == 24 + 10  # significand and exponent
    assert {found.area_um2.source, found.min_period_ns.source} == {"synthesis"}
    assert {found.energy_fj.source, found.leakage_nw.source} == {"simulation"}
    assert {figure.relative_band for figure in (found.area_um2, found.energy_fj, found.leakage_nw)} == {0}
    assert found.area_um2.low == found.area_um2.value == found.area_um2.high


def test_an_unrecorded_unit_is_estimated_with_the_error_of_held_out_units() -> None:
    found, models = unit_figures(UNRECORDED), fitted_models()
    for quantity, figure in (
        ("size", found.area_um2),
        ("min_period_ns", found.min_period_ns),
        ("energy_fj", found.energy_fj),
        ("leakage_nw", found.leakage_nw),
    ):
        assert figure.source == "model"
        assert figure.relative_band == models[quantity, "nangate45", "star"].held_out.percentile_95  # type: ignore[index]
        assert 0 < figure.low < figure.value < figure.high
    assert found.area_um2.high < unit_figures(RECORDED).area_um2.value


def test_records_answer_without_tool_and_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yosys, "installed_version", lambda: None)
    monkeypatch.setattr(liberty, "_nangate45_file", lambda: None)
    assert unit_figures(RECORDED).area_um2.source == "synthesis"
    assert unit_figures(UNRECORDED, synthesize=True).area_um2.source == "model"


@pytest.mark.rtl
def test_a_synthesis_is_made_on_demand_and_answers_from_then_on() -> None:
    unit = _unit("int3", 2, "int32")
    before, found = unit_figures(unit), unit_figures(unit, synthesize=True)
    assert (before.area_um2.source, found.area_um2.source) == ("model", "synthesis")
    assert found.energy_fj == before.energy_fj
    assert found.min_period_ns.relative_band == 0
    assert before.flip_flops == found.flip_flops == 32
    assert abs(before.area_um2.value / found.area_um2.value - 1) < 0.25


@pytest.mark.parametrize(
    ("unit", "library", "error", "message"),
    [
        (_unit("int8", 128, "int32"), "nangate45", ModelRangeError, "int8 x int8, 128 lanes, int32: its count of"),
        (UNRECORDED, "osu018", ConfigError, "no model of energy_fj for 'osu018', expected nangate45"),
        (UNRECORDED, "nangate54", ConfigError, "did you mean 'nangate45'"),
    ],
)
def test_beyond_records_and_model_there_is_no_figure(
    unit: F.Datapath, library: str, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        unit_figures(unit, library)
