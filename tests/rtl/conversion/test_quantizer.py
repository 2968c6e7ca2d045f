"""Converters, simulated against the exact codec: corners, blocks of every size, every scale rule and rounding."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

import densimeter.formats as F
import densimeter.kernels as K
from densimeter.formats.reference import quantize_block
from densimeter.rtl.conversion.quantizer import emit_converter
from densimeter.rtl.module import EmittedModule
from densimeter.rtl.stream import Words, run_stream
from densimeter.rtl.synthesize import synthesize_luts
from support.converter_streams import floats, in_one_pass, in_two_passes
from support.unit_streams import any_format

pytestmark = pytest.mark.rtl

COMPOSED = "{element: e3m1, block: 24, scale: e8m0}"
ROUNDED = "{{element: {}, block: 8, scale: {{kind: power_of_two, rule: {}}}, rounding: {}}}"
SIGNED = "{kind: int, bits: 5, encoding: sign_magnitude, fraction_bits: 2}"
FORMATS = [
    "bfp6",
    "bfp8",
    "bfp4",
    "msfp12",
    "mxfp4",
    "mxfp8_e4m3",
    "mxfp8_e5m2",
    "mxfp6_e2m3",
    "mxint8",
    "bm8",
    "bl8",
    "minifloat8",
    "dmf8",
    "fixed8",
    "e4m3",
    "e5m2_fnuz",
    "bfloat16",
    "mx9",
    "mx4",
    COMPOSED,
]
MICRO = "{{element: {}, block: 8, scale: {{kind: power_of_two, microexponents: {}, microexponent_bits: {}{}}}}}"
MORE_FORMATS = [
    "mx6",
    MICRO.format("{kind: int, bits: 5, encoding: sign_magnitude, fraction_bits: 4}", 2, 2, ", offset: -1"),
    MICRO.format("e2m1", 2, 3, ""),
    MICRO.format("e3m2", 8, 4, ", bits: 5, bias: 10, offset: 5"),
    MICRO.format("{kind: log, exponent_bits: 4, bias: 9}", 4, 1, ""),
    "mxfp4_even",
    "mxfp4_rceil",
    "mxfp6_e3m2_rceil",
    "mxint8_even",
    "mxint8_symmetric",
    "int8_g32_e8m0",
    "e5m2",
    "e3m4",
    "e4m3_fnuz",
    "e2m1_fnuz",
    "tf32",
    "float16",
    "float32_ftz",
    "fixed8_f4",
    "gguf_mxfp4",
    "bfp6_b4x8",
    ROUNDED.format(SIGNED, "rceil", "nearest_away"),
    ROUNDED.format(SIGNED, "floor", "toward_minus_infinity"),
    ROUNDED.format("int6", "even", "nearest_up"),
    ROUNDED.format("uint4", "ceil", "toward_zero"),
    ROUNDED.format("{kind: int, bits: 4, encoding: offset}", "rceil", "toward_minus_infinity"),
    ROUNDED.format("e4m3", "floor", "toward_zero"),
    ROUNDED.format("{kind: log, exponent_bits: 4, bias: 9}", "ceil", "toward_minus_infinity"),
    ROUNDED.format("{kind: log, exponent_bits: 4, bias: 9, zero: false}", "floor", "toward_zero"),
    "{element: {kind: float, exponent_bits: 3, mantissa_bits: 2, bias: 3, subnormals: false}, block: 4, scale: e8m0}",
    "{element: {kind: float, exponent_bits: 3, mantissa_bits: 3, bias: 2, hidden_bit: false}, block: 4, scale: e8m0}",
    "{element: e3m0, block: 4, scale: {kind: power_of_two, bits: 4, bias: 9, rule: even}}",
    "{element: e3m2, block: 8, scale: {kind: power_of_two, bias: 200, rule: rceil}}",
    "{element: e3m2, block: 8, scale: {kind: power_of_two, bits: 3, bias: -2, negated: true}}",
    "{element: int5, block: 8, scale: {kind: power_of_two, bits: 6, bias: 148, offset: 3}}",
    "{element: e5m2, block: 8, scale: e8m0, specials: element, overflow: special}",
    "{element: e4m3, block: 8, scale: e8m0, specials: element, overflow: special, rounding: toward_minus_infinity}",
    "{element: e5m2, block: 8, scale: e8m0, specials: zero, overflow: special, rounding: toward_zero}",
    "{element: int8, specials: zero, rounding: nearest_away}",
    "{element: e5m2, overflow: saturate, rounding: toward_minus_infinity}",
    "{element: e4m3, overflow: special}",
]


DIVIDED = ["nvfp4", "int8_g32", "{element: e2m1, block: 4, scale: fp32}", "{element: int4, block: 4, scale: bf16}"]
MORE_DIVIDED = [
    "nvfp4_one_level",
    "int4_g32",
    "{element: e4m3, block: 8, scale: fp32}",
    "{element: int8, block: 8, scale: fp16}",
    "{element: e3m2, block: 4, scale: {kind: float, element: e5m2, tensor_scale: true}}",
    "{element: {kind: int, bits: 6, encoding: sign_magnitude}, block: 4, scale: fp32, rounding: nearest_away}",
    "{element: {kind: int, bits: 5, encoding: offset}, block: 4, scale: fp32, rounding: toward_minus_infinity}",
    "{element: uint4, block: 4, scale: fp32, rounding: nearest_up}",
    "{element: e3m1, block: [2, 4], scale: {kind: float, element: e4m3, tensor_scale: true}, rounding: toward_zero}",
    "{element: int8, block: 4, scale: fp32, specials: zero}",
    "{element: e5m2, block: 4, scale: fp32, specials: element, overflow: special}",
]
IN_TWO_PASSES = [
    "int8",
    "int4",
    "int8_e8m0",
    "{element: e4m3, scale: fp32, block: tensor}",
    "bfp6",
    "mxfp4",
    "nvfp4",
    "int4_g128",
]


@pytest.mark.parametrize("written", FORMATS + DIVIDED)
def test_float32_becomes_what_the_reference_says(written: str) -> None:
    result = in_one_pass("float32", written)
    assert result.mismatches == 0, result.first_mismatch


@pytest.mark.parametrize("source", ["bfloat16", "float16", "float32_ftz"])
@pytest.mark.parametrize("written", ["bfp6", "mxfp8_e4m3", "e5m2", "nvfp4"])
def test_other_sources(source: str, written: str) -> None:
    result = in_one_pass(source, written)
    assert result.mismatches == 0, result.first_mismatch


@pytest.mark.slow
@pytest.mark.parametrize("source", ["float32", "bfloat16", "float16", "float32_ftz"])
@pytest.mark.parametrize("written", FORMATS + MORE_FORMATS + DIVIDED + MORE_DIVIDED)
def test_every_source_at_length(source: str, written: str) -> None:
    result = in_one_pass(source, written, cycles=600, seed=1)
    assert result.mismatches == 0, result.first_mismatch


@pytest.mark.parametrize("source", ["float32", "float16"])
@pytest.mark.parametrize("written", IN_TWO_PASSES)
def test_long_blocks_come_twice(source: str, written: str) -> None:
    result = in_two_passes(source, written)
    assert result.mismatches == 0, result.first_mismatch


@pytest.mark.parametrize(
    ("written", "right", "wrong"),
    [
        ("int8_g32", "digit[0] | sticky}", "digit[0]}"),
        ("int8_g32", "{digit[QUOTIENT_BITS-2:0], sticky}", "{digit[QUOTIENT_BITS-2:0], 1'b0}"),
        ("int8_g32", "(fits ? less[BITS:0] : rest[k]) << 1", "less[BITS:0] << 1"),
        ("nvfp4", "brought_up & {QUOTIENT_BITS{denominator[DENOMINATOR_BITS-1]}}", "brought_up"),
        ("nvfp4", "unit_product << 1", "unit_product"),
        ("nvfp4", "range_product << 1", "range_product"),
        ("int8", "largest & {31{~clear}}", "largest"),
        ("int8", "largest_here > held ? largest_here : held", "largest_here"),
        ("int8", "(refused & ~clear)", "refused"),
        ("int8", "if (en & ~measure)", "if (en)"),
    ],
)
def test_faults_of_division_are_found(written: str, right: str, wrong: str) -> None:
    run = in_two_passes if F.get(written).block_values is None else in_one_pass
    assert run("float32", written, fault=(right, wrong)).mismatches


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("| {BITS{above}}", ""),
        ("{BITS{counts & ~below}}", "{BITS{counts}}"),
        ("{BITS{counts & ~below}}", "{BITS{~below}}"),
        ("under_shared + ", "under_shared - "),
        ("= ~nearest;", "= nearest;"),
        ("{microexponents, shared_exponent_code}", "{~microexponents, shared_exponent_code}"),
    ],
)
def test_faults_of_microexponents_are_found(right: str, wrong: str) -> None:
    assert in_one_pass("float32", "mx6", cycles=300, fault=(right, wrong)).mismatches


def test_kernel_and_circuit_agree() -> None:
    fmt, rows = F.get("mxfp6_e2m3"), 600
    values = np.random.default_rng(3).standard_normal((rows, 32)).astype(np.float32)
    values *= np.float32(2.0) ** np.random.default_rng(4).integers(-140, 120, (rows, 1)).astype(np.float32)
    tensor = K.quantize(values, fmt)
    inputs: Words = {"en": np.ones(rows, np.uint64), "value": values.view(np.uint32)}
    expected: Words = {"code": tensor.codes, "scale": tensor.scales[:, 0]}
    bits = {"en": 1, "value": 32, "code": 6, "scale": 8}
    result = run_stream(emit_converter(F.get("float32"), fmt), inputs, expected, bits)
    assert (result.cycles_compared, result.mismatches) == (rows, 0), result.first_mismatch


def test_planted_fault_is_found() -> None:
    fmt = F.get("bfp4")
    converter = emit_converter(F.get("bfloat16"), fmt)
    right, wrong = "half & (sticky | kept[0])", "half & sticky"
    assert converter.text.count(right) == 1
    values = np.full((2, 16), 0x3F80, np.uint64)  # one, and 1.125 = 4.5 steps of 2^-3 under scale 2: a tie, to 4...
    values[1, 0] = 0x3F90
    values[1, 1] = 0x3FB0  # ...and 1.375 = 5.5 steps: a tie, to 6
    rows = [quantize_block(floats(row, F.get("bfloat16")), fmt) for row in values]
    assert rows[1][1][:2] == [4, 6]
    inputs: Words = {"en": np.ones(2, np.uint64), "value": values}
    expected: Words = {
        "code": np.array([codes for _, codes in rows], np.uint64),
        "scale": np.array([scale for scale, _ in rows], np.uint64),
        "invalid": np.zeros(2, np.uint64),
    }
    bits = {"en": 1, "value": 16, "code": 4, "scale": 8, "invalid": 1}
    assert run_stream(converter, inputs, expected, bits).mismatches == 0
    faulty = run_stream(EmittedModule(converter.name, converter.text.replace(right, wrong)), inputs, expected, bits)
    assert faulty.mismatches == 1
    first = faulty.first_mismatch
    assert first is not None
    assert (first.cycle, first.inputs["en"]) == (1, 1)
    assert first.got["code"] != first.expected["code"]


def test_a_stream_that_proves_nothing_is_refused() -> None:
    converter = emit_converter(F.get("float32"), F.get("e4m3"))
    with pytest.raises(F.ConfigError, match="same cycles of every port, at least one"):
        run_stream(converter, {"en": np.ones(0, np.uint64)}, {"code": np.ones(0, np.uint64)}, {"en": 1, "code": 8})
    with pytest.raises(F.ConfigError, match="is 2; its port has 1 bits a lane"):
        run_stream(converter, {"en": np.full(1, 2, np.uint64)}, {"code": np.ones(1, np.uint64)}, {"en": 1, "code": 8})


@pytest.mark.parametrize(
    ("source", "written", "lanes", "message"),
    [
        (
            "float32",
            "gguf_q4_1",
            None,
            "gguf_q4_1 has no converter: it subtracts the minimum of a block",
        ),
        (
            "float32",
            "{element: uint16, block: 8, scale: {kind: affine, element: fp16, zero: uint4}}",
            None,
            ".* it has 16 bits, expected 15",
        ),
        (
            "float32",
            "{element: uint4, block: 8, scale: {kind: affine, element: fp16, zero: uint4}, specials: zero}",
            None,
            ".* has no converter from floats with an Inf",
        ),
        ("float32", "nf4_dq", None, "nf4_dq has no converter: it needs the scales of 256 blocks at once"),
        (
            "float32",
            "{element: int4, block: 8, scale: {kind: float, element: fp16, anchor: signed}}",
            None,
            ".* its sign",
        ),
        (
            "float32",
            "{element: {kind: codebook, levels: [-1, 0, 1]}, block: 8, scale: e8m0}",
            None,
            ".* has levels under a shared exponent",
        ),
        ("float32", "mx9", 8, "mx9: lanes is 8, expected 16, for its microexponents"),
        ("float32", "bm8_as_published", None, ".* has no converter: it follows the quirks"),
        ("float32", "{element: int8, rounding: stochastic}", None, ".* has no converter: it rounds at random"),
        ("float32", "bfp6", 6, "bfp6: lanes is 6, expected a divisor of the block, 16"),
        ("float32", "nf4", 128, "nf4: lanes is 128, expected a divisor of the block, 64"),
        ("float32", "e4m3", 300, "lanes is 300, expected 1 to 256"),
        ("int8", "bfp6", None, "int8 cannot be converted from"),
        ("e4m3_fnuz", "bfp6", None, "e4m3_fnuz cannot be converted from"),
    ],
)
def test_what_has_no_circuit_is_refused(source: str, written: str, lanes: int | None, message: str) -> None:
    with pytest.raises(F.FormatError, match=f"^{message}"):
        emit_converter(any_format(source), any_format(written), lanes)


@pytest.mark.parametrize("source", ["float32", "float16", "float32_ftz"])
@pytest.mark.parametrize("written", ["bfp6", "mxfp4", "bl8", "dmf8", "e5m2_fnuz", "mxint8"])
def test_compiles_alone_without_a_warning(source: str, written: str, tmp_path: Path) -> None:
    emitted = emit_converter(F.get(source), F.get(written))
    (tmp_path / "unit.v").write_text(emitted.text, encoding="utf-8")
    command = ["iverilog", "-g2012", "-Wall", "-s", emitted.name, "-o", "unit.vvp", "unit.v"]
    compiled = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (compiled.returncode, compiled.stdout + compiled.stderr) == (0, "")
    assert emitted == emit_converter(F.get(source), F.get(written))


def test_header_tells_the_conversion() -> None:
    text = emit_converter(F.get("float32"), F.get("mxfp4")).text
    header = text[: text.index("module")]
    for told in (
        "float32: e8m23",
        "mxfp4: e2m1",
        "lanes:       32",
        "nearest even",
        "saturates",
        "latency",
        "scale code",
    ):
        assert told in header


@pytest.mark.slow
def test_flushed_sources_cost_less() -> None:
    bfp8 = F.get("bfp8_b2")
    luts = {}
    for source in ("float32", "float32_ftz"):
        emitted = emit_converter(F.get(source), bfp8)
        luts[source] = synthesize_luts(emitted.text, emitted.name, "carry").luts
    assert luts["float32_ftz"] < luts["float32"]
