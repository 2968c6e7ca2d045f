"""Where a unit's LUTs and area go: parts add up to about the whole, and are those that the unit has."""

import pytest

import densimeter.formats as F
from densimeter.rtl.breakdown import REGISTERS, cell_breakdown, lut_breakdown
from densimeter.rtl.cells.liberty import find_library
from densimeter.rtl.emit import emit
from densimeter.rtl.synthesize import synthesize_cells, synthesize_luts


def _unit(name: str, lanes: int, accumulator: str) -> tuple[str, str]:
    module = emit(F.derive(F.get(name), F.get(name), lanes, accumulator))
    return module.text, module.name


@pytest.mark.parametrize("unit", [("int8", 4, "int32"), ("bfp4", 8, "fp32"), ("e4m3", 1, "fp32")])
def test_parts_add_up_to_about_the_whole(unit: tuple[str, int, str]) -> None:
    module = _unit(*unit)
    luts = lut_breakdown(*module, "carry")
    whole = synthesize_luts(*module, "carry")
    assert luts.pop(REGISTERS) == whole.flip_flops
    assert whole.luts <= sum(luts.values()) < 1.5 * whole.luts


def test_parts_of_a_cell_library() -> None:
    library = find_library("nangate45")
    if library.path is None:
        pytest.skip("NanGate 45 is not installed")
    module = _unit("bfp6", 4, "aligned24")
    parts = cell_breakdown(*module, "star", library)
    assert sum(parts.values()) == pytest.approx(synthesize_cells(*module, "star", library).area_um2, rel=0.15)
    assert set(parts) == {"multipliers", "tree", "accumulator", REGISTERS, "scales and signs"}
    # A register of 24 bits and an exponent of 10.
    assert parts[REGISTERS] == pytest.approx(34 * library.cell_area_um2("DFF_X1"))


def test_only_floats_are_aligned_and_only_products_multiplied() -> None:
    assert "alignment" not in lut_breakdown(*_unit("bfp4", 4, "aligned20"), "carry")
    assert {"alignment", "decoders", "specials"} <= set(lut_breakdown(*_unit("e4m3", 4, "int48"), "carry"))
    integer = lut_breakdown(*_unit("int8", 4, "int32"), "carry")
    assert integer["multipliers"] > 0.7 * sum(integer.values())
