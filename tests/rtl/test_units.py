"""Units of many formats and every accumulator, simulated against the reference dot product."""

import numpy as np
import pytest

import densimeter.formats as F
from densimeter.rtl.emit import emit
from densimeter.rtl.simulate import Stimulus, run
from support.unit_streams import any_format, draw_stream, with_reference

pytestmark = pytest.mark.rtl

UNITS = [
    ("int8", "int8", 1, "int32"),
    ("int8", "int8", 16, "int20_saturate"),
    ("int8", "int8", 3, "aligned18"),
    ("bfp6", "bfp6", 16, "fixed48:-24"),
    ("bfp6", "bfp6", 16, "aligned24"),
    ("bfp6", "bfp6", 16, "fp32"),
    ("bfp6", "bfp4", 8, "fp32_ftz"),
    ("int8", "bfp6", 16, "fp32"),
    ("mxint8", "bfp5", 16, "aligned32"),
    ("mxfp4", "mxfp8_e4m3", 16, "fp32"),
    ("mxfp8_e5m2", "mxfp8_e4m3", 4, "fixed48:-20"),
    ("nvfp4", "nvfp4", 16, "fp32"),
    ("nvfp4", "nvfp4", 8, "aligned32"),
    ("bl8", "bl8", 16, "fp32"),
    ("bl8", "int8", 16, "aligned48"),
    ("dmf8", "minifloat8", 4, "int48"),
    ("e4m3", "e4m3", 8, "int40_saturate"),
    ("e4m3", "e4m3", 1, "fp32"),
    ("bfloat16", "int8", 1, "fp32"),
    ("{element: {kind: log, exponent_bits: 5, bias: 10}}", "e4m3", 1, "fp32"),
    ("{element: {kind: int, bits: 4, encoding: offset}, block: 16, scale: e8m0}", "int8", 8, "fp32"),
    ("{element: {kind: int, bits: 4, encoding: offset}, block: 16, scale: e8m0}", "uint4", 8, "fixed48:-24"),
    ("bfp6_b4x8", "mxfp4_rceil", 8, "fp32"),
    ("e3m4", "e4m3_ieee", 4, "fp32"),
    ("{element: e3m1, block: 24, scale: e8m0}", "{element: e3m1, block: 24, scale: e8m0}", 24, "fixed32:-10"),
    ("kint4", "int8", 16, "fp32"),
    ("int8", "{element: {kind: codebook, levels: [-1, 0, 1]}}", 16, "int24"),
    ("e4m3_fnuz", "e4m3", 1, "fp32"),
    ("e2m3_fnuz", "e3m2_fnuz", 16, "fixed40:-12"),
]
MORE_UNITS = [
    ("float32", "float32", 1, "fp32"),
    ("float32_ftz", "float32_ftz", 1, "fp32_ftz"),
    ("float16", "tf32", 1, "fp32"),
    ("float16", "e3m2", 1, "fp32_ftz"),
    ("bfp8", "bfp8", 16, "fp32"),
    ("bfp4", "bfp4", 16, "aligned20"),
    ("bm8", "bm8", 16, "fp32"),
    ("bm8_as_published", "bm8_as_published", 16, "aligned48"),
    ("bl8_as_published", "bfp6", 16, "fixed60:-30"),
    ("mxfp6_e2m3", "mxfp6_e3m2", 32, "fp32"),
    ("mxfp8_e4m3", "mxfp8_e4m3", 32, "fp32"),
    ("mxint8", "mxint8", 32, "fp32_ftz"),
    ("nvfp4", "bfp6", 16, "fixed40:-20"),
    ("nvfp4", "mxfp4", 4, "fp32_ftz"),
    ("int4", "bl8", 16, "fixed48:-60"),
    ("nf4", "int8", 8, "fp32"),
    ("kquant3", "mxint8", 8, "aligned48"),
    ("{element: {kind: codebook, levels: [0.5, -0.0, -3, 0.0, 1.25]}}", "e2m1", 1, "fp32"),
    ("e5m2_fnuz", "e4m3_fnuz", 4, "fp32"),
    ("e2m1_fnuz", "bfp4", 16, "aligned24"),
]


@pytest.mark.parametrize(("activation", "weight", "lanes", "accumulator"), UNITS)
def test_unit_equals_the_reference(activation: str, weight: str, lanes: int, accumulator: str) -> None:
    _compare(activation, weight, lanes, accumulator, cycles=500)


def test_what_has_no_circuit_is_refused() -> None:
    with pytest.raises(F.FormatError, match=r"^gguf_q4_0: there is no Verilog decoder for scales with a sign"):
        emit(F.derive(F.get("gguf_q4_0"), F.get("int8"), 1, "fp32"))


@pytest.mark.slow
@pytest.mark.parametrize(("activation", "weight", "lanes", "accumulator"), UNITS + MORE_UNITS)
def test_unit_equals_the_reference_at_length(activation: str, weight: str, lanes: int, accumulator: str) -> None:
    _compare(activation, weight, lanes, accumulator, cycles=5000)


def _compare(activation: str, weight: str, lanes: int, accumulator: str, cycles: int) -> None:
    datapath = F.derive(any_format(activation), any_format(weight), lanes, accumulator)
    unit = emit(datapath)
    stream = draw_stream(datapath, cycles)
    result = run(unit.text, unit.name, datapath, stream.stimulus, stream.expected, stream.invalid)
    assert result.vectors_compared == cycles
    assert result.mismatches == 0, result.first_mismatch


def test_aligned_exponent_grows_without_wrapping() -> None:
    int8 = F.get("int8")
    datapath = F.derive(int8, int8, 2, "aligned17")
    cycles = 200
    largest = np.full((cycles, 2), 0x7F, dtype=np.uint64)
    flags = np.ones(cycles, dtype=bool)
    stream = with_reference(datapath, Stimulus(largest, largest, clear=np.arange(cycles) == 0, enable=flags))
    unit = emit(datapath)
    result = run(unit.text, unit.name, datapath, stream.stimulus, stream.expected)
    assert result.mismatches == 0, result.first_mismatch
    # 200 groups of 2 * 127**2 in units of 1 are 6451600 = 2**22.6: seven places above the 17-bit significand.
    assert stream.expected[-1] >> np.uint64(17) == 7
