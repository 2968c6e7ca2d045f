"""What rows cost beside float32."""

from typing import Any

import pytest

import densimeter.formats as F
from densimeter.hwmodels.headline import float32_mac, headline_cost
from densimeter.kernels.operand_formats import LayerFormats, Recipe
from densimeter.simulator.accuracy.costs import row_costs

WEIGHTS = {"a": 100, "b": 300}


def formats(weight: str | None, activation: str | None, **others: Any) -> LayerFormats:
    w, a = (None if name is None else F.get(name) for name in (weight, activation))
    return LayerFormats(weight=w, activation=a, **others)


def area(weight: str, activation: str, lanes: int, accumulator: str = "fp32") -> float:
    """A product's, in um2."""
    unit = F.derive(F.get(activation), F.get(weight), lanes, accumulator)
    return headline_cost(unit).area_um2_per_mac("nangate45")


def test_a_row_has_the_density_of_its_unit_in_the_density_table() -> None:
    found = row_costs(Recipe(formats("bfp6", "bfp6")), WEIGHTS, {"a": 6.5, "b": 6.5})
    float32 = headline_cost(float32_mac()).area_um2_per_mac("nangate45")
    assert found["unit"] == "bfp6, 16 lanes, fp32"
    assert found["arithmetic_density_area"] == pytest.approx(float32 / area("bfp6", "bfp6", 16))
    assert found["arithmetic_density_area_relative_band"] == 0
    assert found["cost_source"] == "synthesis"
    assert found["memory_density"] == 64 / (6.5 + 6.5)


def test_a_mixture_is_a_mean_over_products() -> None:
    """100 products in mxfp4 and 300 in bfp8; mxfp4 has 4 + 8 / 32 bits, bfp8 8 + 8 / 16."""
    bfp8 = {"weight": F.get("bfp8"), "activation": F.get("bfp8")}
    plan = Recipe(formats("mxfp4", "mxfp4"), (("b", bfp8),))
    found = row_costs(plan, WEIGHTS, {"a": 4.25, "b": 8.5})
    mean = (100 * area("mxfp4", "mxfp4", 16) + 300 * area("bfp8", "bfp8", 16)) / 400
    float32 = headline_cost(float32_mac()).area_um2_per_mac("nangate45")
    assert found["arithmetic_density_area"] == pytest.approx(float32 / mean)
    assert found["memory_density"] == 64 / ((100 * 2 * 4.25 + 300 * 2 * 8.5) / 400)


def test_layers_without_formats_cost_what_float32_does() -> None:
    found = row_costs(Recipe(), WEIGHTS, {})
    assert (found["arithmetic_density_area"], found["arithmetic_density_lut"], found["memory_density"]) == (1, 1, 1)


def test_scales_of_rows_are_applied_outside_the_unit() -> None:
    found = row_costs(Recipe(formats("int8_channel", "int8_token")), WEIGHTS, {"a": 8, "b": 8})
    assert found["unit"] == "int8, 16 lanes, int32"
    assert found["cost_source"] == "synthesis"


def test_the_unit_that_is_emulated_is_the_one_that_is_priced() -> None:
    """`kernels.matmul` sums whole MX blocks."""
    plan = Recipe(formats("mxfp4", "mxfp4", accumulator=F.parse_accumulator("fp32")))
    assert row_costs(plan, WEIGHTS, {})["unit"] == "mxfp4, 32 lanes, fp32"


@pytest.mark.parametrize(
    ("weight", "activation", "reason"),
    [
        ("bfp4", None, "only weights have a format"),
        (None, "bfp4", "only activations have a format"),
        ("nf4", "nf4", "the sum times both scale significands is"),
    ],
)
def test_where_there_is_no_unit_the_row_says_why(weight: str | None, activation: str | None, reason: str) -> None:
    found = row_costs(Recipe(formats(weight, activation)), WEIGHTS, {})
    assert found["unit"] is None
    assert reason in found["no_unit"]
    assert "arithmetic_density_area" not in found


def test_what_was_never_synthesised_is_an_estimate_with_its_band() -> None:
    found = row_costs(Recipe(formats("mxfp4", "int8_token")), WEIGHTS, {})
    unit = F.derive(F.get("int8"), F.get("mxfp4"), 16, "fp32")
    assert found["cost_source"] == "model"
    assert found["arithmetic_density_area_relative_band"] == headline_cost(unit).area_um2["nangate45"].relative_band


def test_products_beside_the_unit_add_area_and_no_density() -> None:
    """400 products in int8 and 40 of float16: as large as 440 to do what 400 do."""
    plan = Recipe(formats("int8_channel", "int8_token"))
    found = row_costs(plan, WEIGHTS, {"a": 8, "b": 8}, {"b": 40})
    float32 = headline_cost(float32_mac()).area_um2_per_mac("nangate45")
    both = 400 * area("int8", "int8", 16, "int32") + 40 * area("float16", "float16", 1)
    assert found["arithmetic_density_area"] == pytest.approx(float32 * 400 / both)
    assert found["side_products_share"] == 40 / 400
    assert found["unit"] == "int8, 16 lanes, int32; float16, 1 lanes, fp32"
    assert "side_products_share" not in row_costs(plan, WEIGHTS, {})
