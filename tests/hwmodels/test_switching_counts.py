"""What the energy model counts: gates, those behind the adder tree times the levels of gates ahead of it."""

import math

import densimeter.formats as F
from densimeter.hwmodels.gate_counts import gate_counts
from densimeter.hwmodels.switching_counts import levels_to_sum, switching_counts
from densimeter.rtl.unit import levels


def _unit(name: str, lanes: int, accumulator: str) -> F.Datapath:
    return F.derive(F.get(name), F.get(name), lanes, accumulator)


def test_levels_are_those_of_multiplier_alignment_and_tree() -> None:
    assert levels_to_sum(_unit("int8", 1, "int32")) == levels.multiplier(8, 8)
    assert levels_to_sum(_unit("int8", 4, "int32")) == levels.multiplier(8, 8) + levels.tree(4, 18)
    wide, narrow = (levels_to_sum(_unit(name, 16, "fp32")) for name in ("bfp8", "bfp4"))
    assert wide > narrow
    # The exponents of E4M3 take four bits, their sums five; a decoder finds the hidden bit.
    unit = _unit("mxfp8_e4m3", 1, "fixed48:-24")
    assert levels_to_sum(unit) == levels.multiplier(4, 4) + levels.shifter(5) + 3


def test_signed_multipliers_count_by_themselves() -> None:
    integers, magnitudes = (switching_counts(_unit(*unit)) for unit in (("int8", 4, "int32"), ("bfp8", 4, "aligned24")))
    assert (integers["multiply_rows"], integers["multiply_rows_signed"]) == (0, 4 * 8 * 7)
    assert (magnitudes["multiply_rows"], magnitudes["multiply_rows_signed"]) == (4 * 7 * 6, 0)


def test_what_stands_behind_the_tree_counts_by_the_levels_ahead_of_it() -> None:
    unit = _unit("nvfp4", 8, "fixed48:-24")
    gates, counts = gate_counts(unit), switching_counts(unit)
    for kind in ("resolve", "scale_multiply_signed", "fixed_shift"):
        assert counts[kind] == gates[kind] * levels_to_sum(unit) > 0
    assert counts["tree_sign_magnitude"] == gates["tree_sign_magnitude"]


def test_rounding_a_sum_is_told_from_rounding_a_product() -> None:
    mac, dot = (switching_counts(_unit(*unit)) for unit in (("bfloat16", 1, "fp32"), ("mxint8", 4, "fp32")))
    assert mac["round_normalize"] == mac["round_scaled"] == 0
    assert dot["round_normalize"] > 0
    assert dot["round_scaled"] == dot["round"] == levels_to_sum(_unit("mxint8", 4, "fp32"))


def test_saturation_counts_by_the_levels_of_the_tree() -> None:
    counts = switching_counts(_unit("int8", 8, "int32_saturate"))
    assert counts["saturate"] == 32 * math.log2(8)
