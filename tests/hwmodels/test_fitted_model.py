"""The cost model: its constants follow from the records, its errors are small, and it keeps to its range."""

from pathlib import Path

import pytest

import densimeter.formats as F
from densimeter.formats.errors import ConfigError, ModelRangeError
from densimeter.hwmodels.characterization.grid import grid
from densimeter.hwmodels.characterization.store import Store
from densimeter.hwmodels.energy import recorded_energy
from densimeter.hwmodels.fitted_model import FittedModel, Quantity, estimate, fit, fitted_models, is_held_out
from densimeter.hwmodels.gate_counts import gate_counts
from densimeter.hwmodels.path_steps import path_steps
from densimeter.rtl.cells.liberty import find_library
from densimeter.simulator.characterization import fit_models, grid_jobs

TARGETS = ("xc7", "nangate45")
Which = tuple[Quantity, str, str]
LUTS: Which = ("size", "xc7", "carry")
AREA: Which = ("size", "nangate45", "star")
SIZES = [LUTS, AREA]
OTHER_SIZES: list[Which] = [("size", "xc7", "star"), ("size", "osu018", "star")]
PERIODS: list[Which] = [("min_period_ns", library, "star") for library in ("nangate45", "osu018")]
ENERGY: Which = ("energy_fj", "nangate45", "star")
LEAKAGE: Which = ("leakage_nw", "nangate45", "star")
MODELS = [*SIZES, *OTHER_SIZES, *PERIODS, ENERGY, LEAKAGE]


def _unit(name: str, lanes: int, accumulator: str) -> F.Datapath:
    return F.derive(F.get(name), F.get(name), lanes, accumulator)


@pytest.fixture(scope="module")
def refitted() -> dict[Which, FittedModel]:
    store, library = Store(), find_library("nangate45")
    records = {job: store.lookup(job.key) for job in grid_jobs(grid())}
    energies = [recorded_energy(unit, library) for unit in grid().energy_units]
    assert all(records.values()), "the grid has units without a record"
    assert all(energies), "the grid has units without a recorded energy"
    models = fit_models(records, [energy for energy in energies if energy])
    return {(model.quantity, model.target, model.flow): model for model in models}


@pytest.mark.parametrize("which", MODELS)
def test_the_model_is_the_fit_of_the_records(which: Which, refitted: dict[Which, FittedModel]) -> None:
    assert refitted.keys() == fitted_models().keys() == set(MODELS)
    shipped, fresh = fitted_models()[which], refitted[which]
    # Another BLAS may differ in the last digits.
    assert shipped.constants == pytest.approx(fresh.constants, rel=1e-3, abs=1e-3)
    assert shipped.ranges == fresh.ranges
    assert shipped.tool == "pyosys 0.70"
    assert (shipped.fitted.units, shipped.held_out.units) == (fresh.fitted.units, fresh.held_out.units)
    for errors, again in ((shipped.fitted, fresh.fitted), (shipped.held_out, fresh.held_out)):
        assert (errors.median, errors.percentile_95) == pytest.approx((again.median, again.percentile_95), abs=1e-3)


def test_the_readme_tells_the_errors_of_today() -> None:
    readme = " ".join((Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8").split())
    luts, area = fitted_models()[LUTS].held_out, fitted_models()[AREA].held_out
    assert f"a grid of {len(grid().units)} units" in readme
    star, osu018, period, _ = (fitted_models()[which].held_out for which in [*OTHER_SIZES, *PERIODS])
    others = star.percentile_95, osu018.percentile_95, period.percentile_95
    assert "within {:.1%} and {:.1%}, the shortest period within {:.1%}".format(*others).replace("%", " %") in readme
    energy, leakage = fitted_models()[ENERGY], fitted_models()[LEAKAGE]
    assert f"Energy ({energy.fitted.units} units fitted, {energy.held_out.units} held out)" in readme
    told = energy.held_out.median, energy.held_out.percentile_95, leakage.held_out.percentile_95
    assert "error of {:.1%} and is within {:.1%}, leakage within {:.1%}".format(*told).replace("%", " %") in readme
    assert f"median error is {luts.median:.1%} in LUTs and {area.median:.1%} in area".replace("%", " %") in readme
    assert f"within {luts.percentile_95:.1%} and {area.percentile_95:.1%} for 95".replace("%", " %") in readme


@pytest.mark.parametrize(
    ("which", "median", "percentile_95"),
    [
        *((size, 0.05, 0.15) for size in SIZES),
        *((size, 0.05, 0.16) for size in OTHER_SIZES),
        *((period, 0.07, 0.20) for period in PERIODS),
        (ENERGY, 0.055, 0.20),
        (LEAKAGE, 0.05, 0.15),
    ],
)
def test_errors_on_held_out_units(which: Which, median: float, percentile_95: float) -> None:
    errors = fitted_models()[which].held_out
    assert errors.units >= 20
    assert errors.median < median
    assert errors.percentile_95 < percentile_95


@pytest.mark.parametrize("which", [*SIZES, *OTHER_SIZES])
def test_an_estimate_stands_in_its_band(which: Which) -> None:
    unit, (_, target, flow) = _unit("bfp6", 8, "fp32"), which
    found, model = estimate(unit, target, flow=flow), fitted_models()[which]
    assert found.value == pytest.approx(sum(model.constants[kind] * count for kind, count in gate_counts(unit).items()))
    assert found.source == "model"
    assert found.relative_band == model.held_out.percentile_95
    assert (found.low, found.high) == pytest.approx(
        (found.value * (1 - found.relative_band), found.value * (1 + found.relative_band))
    )


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


@pytest.mark.parametrize("target", TARGETS)
def test_an_estimate_is_of_the_headline_s_flow_unless_another_is_named(target: str) -> None:
    unit = _unit("bfp6", 8, "fp32")
    assert estimate(unit, target) == estimate(unit, target, flow="carry" if target == "xc7" else "star")


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(
        ConfigError, match="no cost model for 'xc6', expected xc7, nangate45, osu018; did you mean 'xc7'"
    ):
        estimate(_unit("int8", 1, "int32"), "xc6")
    with pytest.raises(ConfigError, match="no cost model for 'xc7' in flow 'carry_booth', expected carry, star"):
        estimate(_unit("int8", 1, "int32"), "xc7", flow="carry_booth")
    with pytest.raises(ConfigError, match="no model of energy_fj for 'xc7', expected nangate45"):
        estimate(_unit("int8", 1, "int32"), "xc7", "energy_fj")


def test_counts_of_a_unit_that_can_be_counted_by_hand() -> None:
    counts = gate_counts(_unit("int8", 4, "int32"))
    assert counts["multiply"] == 4 * 8 * 8
    # Products have 15 bits and a sign: two adders of 17 bits, then one of 18.
    assert counts["tree_signed"] == 2 * 17 + 18
    assert counts["add_int"] == counts["register"] == 32
    assert counts["align"] == counts["float_decode"] == counts["tree_sign_magnitude"] == 0


def test_steps_of_a_path_that_can_be_counted_by_hand() -> None:
    steps = path_steps(_unit("int8", 4, "int32"))
    # A multiplier of 8 rows is a tree of three levels, four products one of two.
    assert {name: count for name, count in steps.items() if count} == {
        "multiply": 3,
        "tree_signed": 2,
        "int": 1,
        "int_bits": 32,
    }
    mac = path_steps(_unit("bfloat16", 1, "fp32"))
    assert (mac["mac_product_bits"], mac["mac_normalize"], mac["mac_exponent"]) == (8 + 8, 4, 8)


def test_a_fit_finds_the_constants_that_made_the_costs() -> None:
    units = [_unit("int8", lanes, "int32") for lanes in range(1, 65)]
    costs = [3.0 * gate_counts(unit)["multiply"] + 2.0 * gate_counts(unit)["register"] for unit in units]
    model = fit("size", "made up", "none", "none", units, costs)
    assert model.held_out.largest < 1e-3
    assert model.held_out.units == sum(map(is_held_out, units)) > 5
