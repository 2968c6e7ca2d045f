"""Proofs of small units, planted faults that a proof must refute, and what has no proof."""

import pytest

import densimeter.formats as F
from densimeter.rtl.emit import emit
from densimeter.rtl.prove import prove
from support.unit_streams import any_format

UNITS = [
    ("int4", "int4", 1, "int16"),
    ("int2", "int4", 2, "int10_saturate"),
    ("e2m1", "e2m1", 1, "int16"),
    ("bfp4", "bfp4", 1, "fixed12:-4"),
    ("bfp4", "int3", 1, "aligned12"),
    ("mx4", "int3", 2, "fixed12:-4"),
]
MORE_UNITS = [
    ("int4", "int4", 2, "int12_saturate"),
    ("int8", "int8", 1, "int24"),
    ("bfp4", "bfp4", 2, "fixed24:-8"),
    ("bfp4", "bfp4", 2, "aligned16"),
    ("mxfp4", "mxfp4", 2, "aligned20"),
    ("bfp5", "bfp4", 2, "fixed16:-8"),
]


def _unit(activation: str, weight: str, lanes: int, accumulator: str) -> F.Datapath:
    return F.derive(any_format(activation), any_format(weight), lanes, accumulator)


@pytest.mark.parametrize("unit", UNITS)
def test_small_units_are_proven(unit: tuple[str, str, int, str]) -> None:
    proof = prove(_unit(*unit))
    assert proof.proven, proof.counterexample
    assert proof.input_bits >= 2 * 4 + 2


@pytest.mark.slow
@pytest.mark.parametrize("unit", MORE_UNITS)
def test_more_units_are_proven(unit: tuple[str, str, int, str]) -> None:
    assert prove(_unit(*unit), timeout_s=1200).proven


@pytest.mark.parametrize(
    ("unit", "right", "wrong"),
    [
        (UNITS[0], "clear ? {ACCUMULATOR_BITS{1'b0}} : previous", "previous"),
        (UNITS[1], "{(CLAMPED_BITS-1){~negative}}", "{(CLAMPED_BITS-1){negative}}"),
        (UNITS[2], "normal} << MANTISSA_BITS)", "1'b1} << MANTISSA_BITS)"),
        (UNITS[3], "too_far   = shift >", "too_far   = shift >="),
        (UNITS[4], "(group_larger ? group_exponent : previous_exponent) + overflow", "previous_exponent + overflow"),
    ],
)
def test_a_fault_is_refuted(unit: tuple[str, str, int, str], right: str, wrong: str) -> None:
    datapath = _unit(*unit)
    text = emit(datapath).text
    assert right in text
    proof = prove(datapath, verilog=text.replace(right, wrong))
    assert not proof.proven
    assert "Signal Name" in proof.counterexample


@pytest.mark.parametrize(
    ("unit", "message"),
    [
        (("bfp4", "bfp4", 4, "fp32"), "a proof needs an integer, fixed or aligned register"),
        (("bl8", "int4", 1, "aligned48"), "their sums are cut to a window"),
        (("nvfp4", "nvfp4", 1, "aligned32"), "no proof of units that multiply by one"),
    ],
)
def test_what_has_no_proof_is_refused(unit: tuple[str, str, int, str], message: str) -> None:
    with pytest.raises(F.FormatError, match=message):
        prove(_unit(*unit))
