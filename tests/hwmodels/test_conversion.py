"""The cost of converters: on record or synthesised, never estimated."""

from pathlib import Path

import pytest

import densimeter.formats as F
from densimeter.formats.errors import FormatError, ModelRangeError, ToolError
from densimeter.hwmodels.characterization.grid import grid
from densimeter.hwmodels.conversion import Conversion, ConversionFigures, conversion_figures
from densimeter.rtl import yosys


@pytest.fixture(autouse=True)
def _empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def figures(source: str, target: str, lanes: int | None = None, *, synthesize: bool = False) -> ConversionFigures:
    return conversion_figures(F.get(source), F.get(target), lanes, synthesize=synthesize)


def test_every_converter_of_the_grid_is_on_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yosys, "installed_version", lambda: None)
    assert len(grid().conversions) > 20
    for conversion in grid().conversions:
        found = conversion_figures(conversion.source, conversion.target, conversion.lanes)
        assert found.values == conversion.values / conversion.passes
        assert found.area_um2.value > 0
        assert found.min_period_ns.source == "synthesis"
        measured = conversion in grid().energy_conversions
        assert [figure is not None for figure in (found.energy_fj, found.leakage_nw)] == [measured, measured]


def test_a_row_with_one_scale_passes_twice() -> None:
    assert (figures("float32", "int8").values, figures("float32", "int8_g32").values) == (16 / 2, 32)


def test_a_block_longer_than_what_comes_in_a_cycle_passes_twice() -> None:
    float32 = F.get("float32")
    assert [Conversion(float32, F.get("nf4"), lanes).passes for lanes in (None, 64, 16)] == [1, 1, 2]
    long = Conversion(float32, F.get("dyn8"))  # blocks of 4096
    assert (long.values, long.passes) == (16, 2)


def test_its_registers_hold_a_block_with_its_scale() -> None:
    assert figures("float32", "mxfp4").values == 32
    # Codes, one shared exponent, and the flag that a NaN, which the format refuses, was among the values.
    assert figures("float32", "bfp6").flip_flops == 16 * 6 + 8 + 1
    assert figures("float32", "mxfp4").flip_flops == 32 * 4 + 8
    # Of a bfloat16's 16 bits, synthesis drops the registers of mantissa bits that no e2m1 reaches.
    assert 32 * (1 + 8 + 1) <= figures("mxfp4", "bfloat16").flip_flops < 32 * 16


def test_a_measured_one_has_an_energy() -> None:
    found = figures("float32", "bfloat16")
    assert found.energy_fj is not None
    assert found.energy_fj.source == "simulation"
    assert found.energy_fj.value > 0
    assert found.energy_fj.relative_band == 0


def test_wider_elements_and_sources_cost_more() -> None:
    areas = [figures("float32", name).area_um2.value for name in ("bfp4", "bfp6", "bfp8")]
    assert areas == sorted(areas)
    for target in ("bfp6", "mxfp4", "mxint8"):
        assert figures("bfloat16", target).area_um2.value < figures("float32", target).area_um2.value


def test_the_direction_follows_from_the_formats() -> None:
    bfp6, bfloat16, float32 = map(F.get, ("bfp6", "bfloat16", "float32"))
    assert Conversion(bfp6, bfloat16).dequantizes
    assert not Conversion(bfloat16, bfp6).dequantizes
    assert not Conversion(float32, bfloat16).dequantizes


def test_what_is_on_no_record_is_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelRangeError, match="no record of densimeter_convert_float16_bfp5_x16 in nangate45"):
        figures("float16", "bfp5")
    monkeypatch.setattr(yosys, "installed_version", lambda: None)
    with pytest.raises(ToolError, match=r"no record of densimeter_convert_float16_bfp5_x16.*pyosys"):
        figures("float16", "bfp5", synthesize=True)
    with pytest.raises(FormatError, match="nf4_dq has no converter: it needs the scales of 256 blocks"):
        figures("float32", "nf4_dq")


@pytest.mark.rtl
def test_a_synthesis_is_made_on_demand() -> None:
    assert figures("float16", "e2m1", 1, synthesize=True).flip_flops == 4 + 1
    again = figures("float16", "e2m1", 1)
    assert again.area_um2.source == "synthesis"
    assert again.energy_fj is again.leakage_nw is None  # a synthesis measures none
