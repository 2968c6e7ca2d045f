"""The cost model: its constants follow from the records, its errors are small, and it keeps to its range."""

from pathlib import Path

import pytest

import densimeter.formats as F
from densimeter.formats.errors import ConfigError, ModelRangeError
from densimeter.hwmodels.characterization.grid import grid
from densimeter.hwmodels.characterization.store import Store
from densimeter.hwmodels.fitted_model import estimate, fit, fitted_models, is_held_out
from densimeter.hwmodels.gate_counts import gate_counts
from densimeter.simulator.characterization import fit_models, grid_jobs

TARGETS = ("xc7", "nangate45")


def _unit(name: str, lanes: int, accumulator: str) -> F.Datapath:
    return F.derive(F.get(name), F.get(name), lanes, accumulator)


def test_the_model_is_the_fit_of_the_records() -> None:
    planned = grid_jobs(grid())
    store = Store()
    records = {job: store.lookup(job.key) for job in planned}
    assert all(records.values()), "the grid has units without a record"
    fresh = {model.target: model for model in fit_models(records)}
    shipped = fitted_models()
    assert fresh.keys() == shipped.keys() == set(TARGETS)
    for target, model in shipped.items():
        # Another BLAS may differ in the last digits.
        assert model.constants == pytest.approx(fresh[target].constants, rel=1e-3, abs=1e-3)
        assert model.ranges == fresh[target].ranges
        assert (model.flow, model.tool, model.fitted.units) == (
            "carry" if target == "xc7" else "star",
            "pyosys 0.70",
            192,
        )
        assert model.held_out.percentile_95 == pytest.approx(fresh[target].held_out.percentile_95, abs=1e-3)


def test_the_readme_tells_the_errors_of_today() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    luts, area = (fitted_models()[target].held_out for target in TARGETS)
    assert f"a grid of {len(grid().units)}\n" in readme
    assert f"median error is {luts.median:.1%} in LUTs and {area.median:.1%} in area".replace("%", " %") in readme
    assert f"within {luts.percentile_95:.1%} and {area.percentile_95:.1%} for 95".replace("%", " %") in readme


@pytest.mark.parametrize("target", TARGETS)
def test_errors_on_held_out_units(target: str) -> None:
    errors = fitted_models()[target].held_out
    assert errors.units >= 40
    assert errors.median < 0.05
    assert errors.percentile_95 < 0.15


@pytest.mark.parametrize("target", TARGETS)
def test_an_estimate_stands_in_its_band(target: str) -> None:
    unit = _unit("bfp6", 8, "fp32")
    model, constants = estimate(unit, target), fitted_models()[target].constants
    assert model.value == pytest.approx(sum(constants[kind] * count for kind, count in gate_counts(unit).items()))
    assert (model.low, model.high) == pytest.approx(
        (model.value * (1 - model.relative_band), model.value * (1 + model.relative_band))
    )
    assert model.relative_band == fitted_models()[target].held_out.percentile_95


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("accumulator", ["fp32", "fixed48:-24", "aligned24"])
def test_wider_elements_cost_more(target: str, accumulator: str) -> None:
    costs = [estimate(_unit(name, 16, accumulator), target).value for name in ("bfp4", "bfp5", "bfp6", "bfp7", "bfp8")]
    assert costs == sorted(costs)


@pytest.mark.parametrize(
    ("unit", "message"),
    [
        (("int8", 128, "int32"), "its count of .* is .*, outside the .* synthesise it instead"),
        (("bfp8", 16, "fixed60:-30"), "outside the 32 to 48"),
    ],
)
def test_it_refuses_to_extrapolate(unit: tuple[str, int, str], message: str) -> None:
    with pytest.raises(ModelRangeError, match=message):
        estimate(_unit(*unit), "xc7")


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(ConfigError, match="no cost model for 'xc6', expected xc7, nangate45; did you mean 'xc7'"):
        estimate(_unit("int8", 1, "int32"), "xc6")


def test_counts_of_a_unit_that_can_be_counted_by_hand() -> None:
    counts = gate_counts(_unit("int8", 4, "int32"))
    assert counts["multiply"] == 4 * 8 * 8
    # Products have 15 bits and a sign: two adders of 17 bits, then one of 18.
    assert counts["tree_signed"] == 2 * 17 + 18
    assert counts["add_int"] == counts["register"] == 32
    assert counts["align"] == counts["float_decode"] == counts["tree_sign_magnitude"] == 0


def test_a_fit_finds_the_constants_that_made_the_costs() -> None:
    units = [_unit("int8", lanes, "int32") for lanes in range(1, 65)]
    costs = [3.0 * gate_counts(unit)["multiply"] + 2.0 * gate_counts(unit)["register"] for unit in units]
    model = fit("made up", "none", "none", units, costs)
    assert model.held_out.largest < 1e-3
    assert model.held_out.units == sum(map(is_held_out, units)) > 5
