"""Units of many formats and every accumulator, simulated against the reference dot product."""

import numpy as np
import pytest

import densimeter.formats as F
from densimeter.rtl.emit import emit
from densimeter.rtl.simulate import Stimulus, run
from support.unit_streams import any_format, draw_stream, with_reference

pytestmark = pytest.mark.rtl

# Two's complement, pairs under microexponents of two bits.
TWOS_COMPLEMENT_PARTS = (
    "{element: int5, block: 8, scale: {kind: power_of_two, microexponents: 4, microexponent_bits: 2}}"
)
# Sign and magnitude, and a scale whose NaN is a code of either sign.
SIGNED_E4M3 = (
    "{element: {kind: int, bits: 5, encoding: sign_magnitude}, block: 16,"
    " scale: {kind: float, element: e4m3, anchor: signed}}"
)
FLOAT_PARTS = "{element: e2m2, block: 16, scale: {kind: power_of_two, microexponents: 4, microexponent_bits: 3}}"
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
    ("{element: {kind: log, exponent_bits: 2, bias: 1}}", "mxfp4", 4, "fixed40:-20"),  # of less range than the window
    ("{element: {kind: int, bits: 4, encoding: offset}, block: 16, scale: e8m0}", "int8", 8, "fp32"),
    ("{element: {kind: int, bits: 4, encoding: offset}, block: 16, scale: e8m0}", "uint4", 8, "fixed48:-24"),
    ("bfp6_b4x8", "mxfp4_rceil", 8, "fp32"),
    ("e3m4", "e4m3_ieee", 4, "fp32"),
    ("{element: e3m1, block: 24, scale: e8m0}", "{element: e3m1, block: 24, scale: e8m0}", 24, "fixed32:-10"),
    ("kint4", "int8", 16, "fp32"),
    ("int8", "{element: {kind: codebook, levels: [-1, 0, 1]}}", 16, "int24"),
    ("e4m3_fnuz", "e4m3", 1, "fp32"),
    ("e2m3_fnuz", "e3m2_fnuz", 16, "fixed40:-12"),
    ("gguf_q4_0", "gguf_q4_0", 32, "fp32"),  # scales with a sign
    ("gguf_q4_0", "int8", 16, "fixed48:-24"),
    ("mxint8", "gguf_q5_0", 8, "aligned40"),
    ("mx9", "mx9", 16, "fp32"),  # parts shifted by microexponents
    ("mx4", "mx6", 8, "fixed48:-24"),
    ("mx9", "int8", 1, "aligned40"),
    (TWOS_COMPLEMENT_PARTS, "gguf_q4_0", 4, "fp32"),
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
    ("gguf_q5_0", "gguf_q8_0", 16, "aligned48"),
    ("gguf_q4_0", "nvfp4", 16, "fp32_ftz"),
    (FLOAT_PARTS, "mx6", 16, "fixed48:-24"),
    ("mx9", "bl8", 16, "fp32"),
    (SIGNED_E4M3, SIGNED_E4M3, 16, "fixed40:-10"),
]


@pytest.mark.parametrize(("activation", "weight", "lanes", "accumulator"), UNITS)
def test_unit_equals_the_reference(activation: str, weight: str, lanes: int, accumulator: str) -> None:
    _compare(activation, weight, lanes, accumulator, cycles=500)


@pytest.mark.parametrize("anchor", ["magnitude", "signed"])
def test_a_zero_scale_makes_zero_of_a_negative_sum(anchor: str) -> None:
    """Where a flush has left -0 in the register, adding -0 would leave it there, and adding 0 makes 0."""
    fmt = F.resolve(f"{{element: int4, block: 1, scale: {{kind: float, element: fp32, anchor: {anchor}}}}}")
    datapath = F.derive(fmt, fmt, 1, "fp32_ftz")
    # -3 * 2^-126, 5 * 2^-127 and -1 * 0: half of the smallest normal number is left after the second group.
    codes, ones = np.array([[13], [5], [15]], np.uint64), np.ones((3, 1), np.uint64)
    scales, others = (
        np.array(exponents, np.uint32) << np.uint32(23)
        for exponents in ([127 - 60, 127 - 61, 0], [127 - 66, 127 - 66, 127 - 66])
    )
    start = np.array([True, False, False])
    stream = with_reference(datapath, Stimulus(codes, ones, scales, others, start, np.ones(3, bool)))
    assert stream.expected.tolist() == [0x81400000, 0x80000000, 0]
    unit = emit(datapath)
    result = run(unit.text, unit.name, datapath, stream.stimulus, stream.expected)
    assert result.mismatches == 0, result.first_mismatch


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
