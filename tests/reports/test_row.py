"""The density table as data: the JSON that others rely on, and what a row may not say."""

import dataclasses
import json

import pytest

from densimeter.formats import ConfigError
from densimeter.reports import Cost, DensityRow, DensityTable, Published

KEYS = {
    "format", "title", "family", "unit", "lanes", "accumulator", "encoding", "block", "bits_per_value",
    "memory_density", "flow", "lut_per_mac", "arithmetic_density_lut", "arithmetic_density_lut_vs_int8_mac",
    "arithmetic_density_lut_vs_int8_dot", "lut_per_mac_by_flow", "arithmetic_density_lut_by_flow",
    "library", "area_um2_per_mac", "arithmetic_density_area", "arithmetic_density_area_vs_int8_mac",
    "arithmetic_density_area_vs_int8_dot", "area_um2_per_mac_by_library", "arithmetic_density_area_by_library",
    "energy_fj_per_mac", "energy_density", "energy_density_vs_int8_mac", "energy_density_vs_int8_dot",
    "energy_fj_per_mac_by_library", "energy_density_by_library",
    "lut_per_mac_low", "lut_per_mac_high", "lut_per_mac_relative_band_by_flow", "area_um2_per_mac_low",
    "area_um2_per_mac_high", "area_um2_per_mac_relative_band_by_library", "energy_fj_per_mac_low",
    "energy_fj_per_mac_high", "energy_fj_per_mac_relative_band_by_library",
    "min_period_ns_by_library", "min_period_ns_relative_band_by_library",
    "flip_flops_per_mac", "qsnr_weights_db", "qsnr_weights_exact", "qsnr_activations_db",
    "qsnr_activations_exact", "published", "cost_source",
}  # fmt: skip


def test_json_has_the_public_keys_and_no_infinity(table: DensityTable) -> None:
    document = json.loads(json.dumps(table.to_json(), allow_nan=False))
    assert [set(row) for row in document["rows"]] == [KEYS] * len(table.rows)
    assert document["default_flow"] == "carry"
    assert document["tool"] == "pyosys 0.70"


def test_a_row_is_seen_through_the_default_flow_and_library(table: DensityTable, bfp6: DensityRow) -> None:
    record = table.record(bfp6)
    assert (record["format"], record["unit"], record["block"]) == ("bfp6", "16-lane dot", "16")
    assert record["encoding"] == "sign-magnitude int6 x 2^-5"
    assert record["bits_per_value"] == 6 + 8 / 16
    assert record["memory_density"] == pytest.approx(32 / 6.5)
    assert record["lut_per_mac"] == 58.8
    assert record["arithmetic_density_lut"] == pytest.approx(1164 / 58.8)
    assert record["arithmetic_density_lut_vs_int8_mac"] == pytest.approx(106 / 58.8)
    assert record["arithmetic_density_lut_vs_int8_dot"] == pytest.approx(92 / 58.8)
    assert record["arithmetic_density_lut_by_flow"] == pytest.approx({"carry": 1164 / 58.8, "star": 1956 / 74.4})


def test_what_was_not_measured_is_null(table: DensityTable, bfp6: DensityRow) -> None:
    record = table.record(bfp6)
    assert record["area_um2_per_mac"] is None
    assert record["arithmetic_density_area"] is None
    assert record["area_um2_per_mac_by_library"] == {}


def test_an_estimate_has_a_band_and_what_was_measured_has_none(table: DensityTable, bfp6: DensityRow) -> None:
    estimated = dataclasses.replace(bfp6, lut={"carry": Cost(per_mac=50.0, relative_band=0.1)}, cost_source="model")
    record = table.record(estimated)
    assert (record["lut_per_mac_low"], record["lut_per_mac_high"]) == pytest.approx((50 * 0.9, 50 * 1.1))
    assert record["lut_per_mac_relative_band_by_flow"] == {"carry": 0.1}
    assert record["cost_source"] == "model"
    measured = table.record(bfp6)
    assert measured["lut_per_mac_low"] == measured["lut_per_mac"] == measured["lut_per_mac_high"]
    assert measured["lut_per_mac_relative_band_by_flow"] == {"carry": 0, "star": 0}
    assert measured["area_um2_per_mac_low"] is measured["area_um2_per_mac_high"] is None


def test_an_exact_format_has_no_figure_but_says_so(table: DensityTable) -> None:
    float32, *_, bfp4 = map(table.record, table.rows)
    assert (float32["qsnr_weights_db"], float32["qsnr_weights_exact"]) == (None, True)
    assert (bfp4["qsnr_weights_db"], bfp4["qsnr_weights_exact"]) == (None, False)


def test_families_keep_their_order(table: DensityTable) -> None:
    families = {family: len(rows) for family, rows in table.families().items()}
    assert list(families.items()) == [("float", 1), ("integer", 2), ("block integer", 3)]


def test_the_most_trusted_published_figure_stands_for_the_others(bfp6: DensityRow) -> None:
    figure = bfp6.published_as("arithmetic_density_lut")
    assert figure is not None
    assert (figure.value, figure.trust) == (19.0, "V")
    assert bfp6.published_as("lut_per_mac") is None


def test_a_published_figure_names_a_quantity_of_a_row() -> None:
    with pytest.raises(ConfigError, match=r"'lut_density', expected one of memory_density, "):
        Published(quantity="lut_density", value=1.0, trust="V", source="somebody")


def test_the_default_flow_is_one_that_was_measured(table: DensityTable) -> None:
    with pytest.raises(ConfigError, match="flow is 'dsp', expected one of carry, star, booth"):
        DensityTable(**{**vars(table), "default_flow": "dsp"})
    with pytest.raises(ConfigError, match="library is 'sky130', expected one of nangate45"):
        DensityTable(**{**vars(table), "default_library": "sky130"})
