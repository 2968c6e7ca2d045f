"""Converters, simulated against the exact codec: corners, blocks of every size, every scale rule and rounding."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import densimeter.formats as F
import densimeter.kernels as K
from densimeter.formats.reference import quantize_block
from densimeter.rtl.conversion.quantizer import emit_converter
from densimeter.rtl.module import EmittedModule
from densimeter.rtl.stream import StreamResult, Words, run_stream
from densimeter.rtl.synthesize import synthesize_luts
from support.unit_streams import any_format

pytestmark = pytest.mark.rtl

Bits = NDArray[np.uint32]

SIGN = np.uint32(0x80000000)
NAN, INFINITY = 0x7FC00000, 0x7F800000
SUBNORMALS = [0x00000001, 0x00200000, 0x003FFFFF, 0x00400000, 0x00400001, 0x007FFFFF, 0x00800000, 0x00800001]
LARGE = [0x7F7FFFFF, 0x7F7FFFFE, 0x7F000000, 0x7EFFFFFF]
NEAR_POWERS = [0x3F800000, 0x3F7FFFFF, 0x3F800001, 0x40FFFFFF, 0x41000000, 0x41000001, 0x3F7F8000, 0x3F780000]
CORNERS = np.array([0, *SUBNORMALS, *LARGE, *NEAR_POWERS], dtype=np.uint32)

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
    COMPOSED,
]
MORE_FORMATS = [
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
IN_TWO_PASSES = ["int8", "int4", "int8_e8m0", "{element: e4m3, scale: fp32, block: tensor}"]


@pytest.mark.parametrize("written", FORMATS + DIVIDED)
def test_float32_becomes_what_the_reference_says(written: str) -> None:
    result = _in_one_pass("float32", written)
    assert result.mismatches == 0, result.first_mismatch


@pytest.mark.parametrize("source", ["bfloat16", "float16", "float32_ftz"])
@pytest.mark.parametrize("written", ["bfp6", "mxfp8_e4m3", "e5m2", "nvfp4"])
def test_other_sources(source: str, written: str) -> None:
    result = _in_one_pass(source, written)
    assert result.mismatches == 0, result.first_mismatch


@pytest.mark.slow
@pytest.mark.parametrize("source", ["float32", "bfloat16", "float16", "float32_ftz"])
@pytest.mark.parametrize("written", FORMATS + MORE_FORMATS + DIVIDED + MORE_DIVIDED)
def test_every_source_at_length(source: str, written: str) -> None:
    result = _in_one_pass(source, written, cycles=600, seed=1)
    assert result.mismatches == 0, result.first_mismatch


@pytest.mark.parametrize("source", ["float32", "float16"])
@pytest.mark.parametrize("written", IN_TWO_PASSES)
def test_long_blocks_come_twice(source: str, written: str) -> None:
    result = _in_two_passes(source, written)
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
    run = _in_two_passes if F.get(written).block_values is None else _in_one_pass
    assert run("float32", written, fault=(right, wrong)).mismatches


def _in_two_passes(source: str, written: str, fault: tuple[str, str] | None = None) -> StreamResult:
    floats, target, lanes, cycles, blocks = any_format(source), any_format(written), 4, 5, 16
    values = draw_values(floats, blocks, cycles * lanes, seed=0)
    rows = [_reference(row, floats, target) for row in values]
    passes = np.tile(np.repeat([1, 0], cycles), blocks).astype(np.uint64)
    inputs: Words = {
        "en": np.ones(len(passes), np.uint64),
        "measure": passes,
        "clear": np.tile(np.arange(2 * cycles) == 0, blocks).astype(np.uint64),
        "value": np.tile(values.reshape(blocks, 1, cycles, lanes), (1, 2, 1, 1)).reshape(-1, lanes),
    }
    converting = np.flatnonzero(passes == 0)
    # In the first pass outputs hold; before the first conversion they are unknown.
    latest = np.maximum.accumulate(np.where(passes == 0, np.arange(len(passes)), 0))
    codes = np.zeros((len(passes), lanes), np.uint64)
    codes[converting] = np.array([codes for _, codes, _ in rows], np.uint64).reshape(-1, lanes)
    scales = np.repeat(np.array([scale for scale, _, _ in rows], np.uint64), 2 * cycles)
    expected: Words = {"code": codes[latest], "scale": scales[latest]}
    assert target.scale is not None
    assert not target.refuses_nan
    bits = {"en": 1, "measure": 1, "clear": 1, "value": floats.element.bits}
    bits |= {"code": target.element.bits, "scale": target.scale.code_bits}
    converter = _with(fault, emit_converter(floats, target, lanes))
    result = run_stream(converter, inputs, expected, bits, skip=int(converting[0]))
    assert result.cycles_compared == len(latest) - converting[0]
    return result


def _with(fault: tuple[str, str] | None, emitted: EmittedModule) -> EmittedModule:
    if fault is None:
        return emitted
    assert emitted.text.count(fault[0]) == 1
    return EmittedModule(emitted.name, emitted.text.replace(*fault))


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
    rows = [quantize_block(_floats(row, F.get("bfloat16")), fmt) for row in values]
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
        ("float32", "int4_g32_affine", None, "int4_g32_affine has no converter: it finds the smallest and the largest"),
        ("float32", "nf4_dq", None, "nf4_dq has no converter: it needs the scales of 256 blocks at once"),
        (
            "float32",
            "{element: int4, block: 8, scale: {kind: float, element: fp16, anchor: signed}}",
            None,
            ".* its sign",
        ),
        ("float32", "{element: {kind: codebook, levels: [-1, 0, 1]}}", None, ".* it searches the nearest of 3 levels"),
        ("float32", "mx9", None, "mx9 has no converter: it finds an exponent of each part"),
        ("float32", "bm8_as_published", None, ".* has no converter: it follows the quirks"),
        ("float32", "{element: int8, rounding: stochastic}", None, ".* has no converter: it rounds at random"),
        ("float32", "bfp6", 8, "bfp6: lanes is 8, expected 16"),
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


def _in_one_pass(
    source_name: str, written: str, *, cycles: int = 80, seed: int = 0, fault: tuple[str, str] | None = None
) -> StreamResult:
    source, target = any_format(source_name), any_format(written)
    lanes = target.block_values if target.scale else 4
    assert lanes is not None
    values = draw_values(source, cycles, lanes, seed)
    factors = _draw_factors(target, cycles, seed)
    rows = [_reference(row, source, target, float(factor)) for row, factor in zip(values, factors, strict=True)]
    enable = np.random.default_rng(seed).random(cycles) < 0.9
    enable[0] = True
    latest = np.maximum.accumulate(np.where(enable, np.arange(cycles), 0))
    expected: Words = {"code": np.array([codes for _, codes, _ in rows], np.uint64)[latest]}
    if target.scale is not None:
        expected["scale"] = np.array([scale for scale, _, _ in rows], np.uint64)[latest]
    if target.refuses_nan and source.element.has_nan:
        expected["invalid"] = np.array([invalid for _, _, invalid in rows], np.uint64)[latest]
    bits = {"en": 1, "value": source.element.bits, "code": target.element.bits, "invalid": 1, "tensor_scale": 32}
    bits["scale"] = target.scale.code_bits if target.scale else 0
    converter = _with(fault, emit_converter(source, target, lanes))
    inputs: Words = {"en": enable.astype(np.uint64), "value": values}
    if target.has_tensor_scale:
        inputs["tensor_scale"] = factors.view(np.uint32)
    result = run_stream(converter, inputs, expected, bits)
    assert result.cycles_compared == cycles
    return result


def _draw_factors(target: F.BlockFormat, cycles: int, seed: int) -> NDArray[np.float32]:
    """A tensor's factor for each block, where the format has one: of any size, and now and then zero."""
    if not target.has_tensor_scale:
        return np.ones(cycles, np.float32)
    rng = np.random.default_rng(seed)
    exponents = np.select(
        [rng.random(cycles) < 0.1, rng.random(cycles) < 0.2],
        [-300, rng.integers(-149, 128, cycles)],
        rng.integers(-14, 3, cycles),
    )
    return (rng.uniform(1, 2, cycles) * 2.0**exponents).astype(np.float32)


def draw_values(source: F.BlockFormat, cycles: int, lanes: int, seed: int) -> NDArray[np.uint64]:
    """Codes of a float format, [cycles, lanes]: corners, ties, blocks of one binade and of all, rarely NaN and Inf."""
    rng = np.random.default_rng(seed)
    shape = (cycles, lanes)
    anything = rng.integers(0, 1 << 32, shape, dtype=np.uint32)
    # Blocks around an exponent of their own, any there is, with few bits so that ties are common.
    middle = rng.choice([0, 1, 8, 40, 118, 127, 135, 254], (cycles, 1))
    field = np.clip(middle + np.rint(rng.normal(0, 4, shape)), 0, 254).astype(np.uint32)
    short = (anything & np.uint32(0x80000000)) | field << 23 | (anything & np.uint32(0x7C0000))
    near = (short.astype(np.int64) + rng.integers(-1, 2, shape)).astype(np.uint32)
    fine = (short & np.uint32(0xFF800000)) | (anything & np.uint32(0x7FFFFF))
    corner = rng.choice(CORNERS, shape) ^ (anything & SIGN)
    kind = rng.integers(0, 6, (cycles, 1))
    values = np.select([kind == 0, kind == 1, kind == 2, kind == 3], [short, near, fine, corner], short)
    values = np.where(rng.random(shape) < 0.1, anything & np.uint32(0xC0FFFFFF), values)
    special = rng.random((cycles, 1)) < 0.15
    strange = rng.choice(np.array([NAN, INFINITY, 0x7F800001], np.uint32), shape) ^ (anything & SIGN)
    values = np.where(special & (rng.random(shape) < 0.5), strange, values)
    values = np.where(~special & ((values & 0x7F800000) == 0x7F800000), corner, values)
    values[1], values[2] = 0, SIGN
    return _codes(values, source)


def _codes(values: Bits, source: F.BlockFormat) -> NDArray[np.uint64]:
    """Float32 bits cut down to the source; of its narrower exponent all fields occur."""
    element = source.element
    assert isinstance(element, F.FloatElement)
    if element.exponent_bits == 8:
        return (values >> np.uint32(23 - element.mantissa_bits)).astype(np.uint64)
    exponent = (values >> 23 & 0xFF).astype(np.int64)
    top = (1 << element.exponent_bits) - 1
    moved = np.where(exponent == 255, top, exponent % top)
    mantissa = values >> np.uint32(23 - element.mantissa_bits) & np.uint32((1 << element.mantissa_bits) - 1)
    sign = (values >> 31).astype(np.uint64) << np.uint64(element.bits - 1)
    codes = sign | moved.astype(np.uint64) << np.uint64(element.mantissa_bits) | mantissa.astype(np.uint64)
    return np.asarray(codes, np.uint64)


def _floats(codes: NDArray[np.uint64], source: F.BlockFormat) -> list[float]:
    """Values of codes; NaNs with their sign."""
    element = source.element
    decoded = [float(element.decode(int(code))) for code in codes]
    return [
        float(np.copysign(np.nan, -1.0 if int(code) >> (element.bits - 1) else 1.0)) if np.isnan(value) else value
        for code, value in zip(codes, decoded, strict=True)
    ]


def _reference(
    codes: NDArray[np.uint64], source: F.BlockFormat, target: F.BlockFormat, tensor_factor: float = 1.0
) -> tuple[int, list[int], bool]:
    """Scale code, codes, and whether a refused NaN was taken for zero."""
    values = _floats(codes, source)
    invalid = target.refuses_nan and any(map(np.isnan, values))
    if target.refuses_nan:
        values = [0.0 if np.isnan(value) else value for value in values]
    if target.scale is None:
        return 0, [quantize_block([value], target)[1][0] for value in values], invalid
    scale, found = quantize_block(values, target, tensor_factor)
    return scale, found, invalid
