"""Dequantisers and output converters, simulated against the exact codec and the exact value of a register."""

import subprocess
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import densimeter.formats as F
import densimeter.kernels as K
from densimeter.formats.number import Kind, power_of_two
from densimeter.formats.reference import decode_scale, dequantize_block, encode_float
from densimeter.rtl.conversion.dequantizer import Target, emit_dequantizer, emit_output_converter
from densimeter.rtl.stream import run_stream
from support.unit_streams import any_format

pytestmark = pytest.mark.rtl

SCALED = "{{element: {}, block: 16, scale: {{kind: float, element: {{kind: float, {}}}}}}}"
FORMATS = [
    "bfp6",
    "msfp12",
    "mxfp4",
    "mxfp8_e4m3",
    "mxfp8_e5m2",
    "mxint8",
    "bm8",
    "bl8",
    "dmf8",
    "e4m3_fnuz",
    "float16",
    "nvfp4",
    "int8",
    "int4_g16",
    "int4_g8_affine",
    "gguf_q4_0",
    "gguf_q4_1",
    "nf4_b8",
    "kquant3_b8",
    "mx6",
    "{element: e3m1, block: 24, scale: e8m0}",
]
MORE_FORMATS = [
    "bfp8",
    "mxfp6_e2m3",
    "minifloat8",
    "fixed8",
    "e5m2",
    "bfloat16",
    "float32",
    "float32_ftz",
    "tf32",
    "int8_g32_e8m0",
    "int4_g32_affine_e8m0",
    "int2_g64_affine_fp32",
    "gguf_q8_0",
    "gguf_q5_1",
    "nvfp4_one_level",
    "mx9",
    "mx4",
    "fp4",
    "kint2",
    "mxfp4_b4x8",
    "{element: uint3, block: 16, scale: {kind: affine, element: fp32, zero: bf16}}",
    "{element: uint3, block: 16, scale: {kind: affine, element: e8m0, zero: fp32}}",
    SCALED.format("e5m2", "exponent_bits: 6, mantissa_bits: 3, bias: 40, hidden_bit: false"),
    "{element: e4m3_fnuz, block: 16, scale: bf16}",
    SCALED.format("int4", "exponent_bits: 5, mantissa_bits: 2, bias: 15, subnormals: false"),
]
ACCUMULATORS = [
    ("int8", "int8", 16, "int32"),
    ("fixed8", "int8", 1, "int20_saturate"),
    ("bfp6", "bfp6", 16, "fixed48:-24"),
    ("mxfp4", "mxint8", 16, "fixed60:-160"),
    ("bfp6", "bfp6", 16, "aligned24"),
    ("mxfp4", "mxfp4", 16, "aligned40"),
]


@pytest.mark.parametrize("written", FORMATS)
def test_float32_is_what_the_reference_says(written: str) -> None:
    _compare(written, "float32", cycles=80)


@pytest.mark.parametrize("target", ["bfloat16", "float16"])
@pytest.mark.parametrize("written", ["bfp8", "mxfp8_e5m2", "nvfp4", "nf4_b8", "int4_g8_affine"])
def test_narrow_targets_are_one_rounding_of_the_exact_value(written: str, target: Target) -> None:
    _compare(written, target, cycles=80)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("written", FORMATS + MORE_FORMATS)
def test_every_target_at_length(written: str, target: Target) -> None:
    scale = any_format(written).scale
    if target != "float32" and isinstance(scale, F.AffineScale) and scale.has_minimum:
        pytest.skip("defined in float32 alone")
    _compare(written, target, cycles=600, seed=1)


def test_kernel_and_circuit_agree() -> None:
    fmt, rows = F.get("nvfp4"), 150
    values = np.random.default_rng(5).standard_normal((rows, 16)).astype(np.float32)
    tensor = K.quantize(values * np.float32(2.0) ** (np.arange(rows)[:, None] - 75).astype(np.float32), fmt)
    factor = np.full(rows, np.float32(tensor.tensor_scale), np.float32).view(np.uint32)
    inputs = {
        "en": np.ones(rows, np.uint64),
        "code": tensor.codes,
        "scale": tensor.scales[:, 0],
        "tensor_scale": factor,
    }
    expected = {"value": tensor.dequantize().view(np.uint32)}
    bits = {"en": 1, "code": 4, "scale": 8, "tensor_scale": 32, "value": 32}
    result = run_stream(emit_dequantizer(fmt), inputs, expected, bits)
    assert (result.cycles_compared, result.mismatches) == (rows, 0), result.first_mismatch


def test_a_narrow_machine_takes_a_block_in_several_cycles() -> None:
    _compare("mxfp4", "bfloat16", cycles=50, lanes=8)


@pytest.mark.parametrize(("activation", "weight", "lanes", "accumulator"), ACCUMULATORS)
def test_register_is_rounded_to_float32(activation: str, weight: str, lanes: int, accumulator: str) -> None:
    datapath = F.derive(F.get(activation), F.get(weight), lanes, accumulator)
    rng, cycles, bits = np.random.default_rng(7), 400, datapath.register_bits
    words = rng.integers(0, 1 << 63, cycles, dtype=np.uint64) >> rng.integers(0, 63, cycles).astype(np.uint64)
    words = np.where(rng.random(cycles) < 0.5, ~words, words) & np.uint64((1 << bits) - 1)
    words[:3] = 0, 1 << (bits - 1), (1 << bits) - 1
    flags = rng.random(cycles) < 0.1
    expected = np.array([_register_value(int(word), datapath) for word in words], np.uint32)
    inputs = {"en": np.ones(cycles, np.uint64), "accumulator": words}
    if datapath.has_invalid_flag:
        inputs["invalid"] = flags.astype(np.uint64)
        expected[flags] = 0x7FC00000
    widths = {"en": 1, "accumulator": bits, "invalid": 1, "value": 32}
    result = run_stream(emit_output_converter(datapath), inputs, {"value": expected}, widths)
    assert (result.cycles_compared, result.mismatches) == (cycles, 0), result.first_mismatch


def _register_value(word: int, datapath: F.Datapath) -> int:
    bits = datapath.accumulator.bits  # type: ignore[union-attr]
    code, low = divmod(word, 1 << bits)
    value = (low - (low >> (bits - 1) << bits)) * power_of_two(code + datapath.register_lsb_exponent)
    return _rounded(value, value < 0, F.get("float32"))


@pytest.mark.parametrize(
    ("written", "target", "lanes", "message"),
    [
        ("nf4_dq", "float32", None, "nf4_dq has no dequantiser: its scales are themselves quantised"),
        ("gguf_q4_1", "bfloat16", None, "gguf_q4_1 has no dequantiser to bfloat16"),
        ("bfp6", "float32", 5, "bfp6: lanes is 5, expected a divisor of the block, 16"),
        ("mx9", "float32", 4, "mx9: lanes is 4, expected 16, for its microexponents"),
        ("dyn8", "float32", None, "lanes is 4096, expected 1 to 256"),
        ("bfp6", "float64", None, "target is 'float64', expected one of float32, bfloat16, float16"),
    ],
)
def test_what_has_no_circuit_is_refused(written: str, target: Target, lanes: int | None, message: str) -> None:
    with pytest.raises(F.FormatError, match=f"^{message}"):
        emit_dequantizer(F.get(written), target, lanes)


def test_a_float32_register_needs_no_converter() -> None:
    with pytest.raises(F.FormatError, match="accumulator fp32_ftz is a float32 already"):
        emit_output_converter(F.derive(F.get("bfp6"), F.get("bfp6"), 16, "fp32_ftz"))


@pytest.mark.parametrize("written", ["nvfp4", "gguf_q4_1", "nf4_b8", "mx6", "int4_g8_affine"])
def test_compiles_alone_without_a_warning(written: str, tmp_path: Path) -> None:
    emitted = emit_dequantizer(F.get(written))
    (tmp_path / "unit.v").write_text(emitted.text, encoding="utf-8")
    command = ["iverilog", "-g2012", "-Wall", "-s", emitted.name, "-o", "unit.vvp", "unit.v"]
    compiled = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (compiled.returncode, compiled.stdout + compiled.stderr) == (0, "")
    assert emitted == emit_dequantizer(F.get(written))


def _compare(written: str, target: Target, cycles: int, seed: int = 0, lanes: int | None = None) -> None:
    fmt, wanted = any_format(written), F.get(target)
    count = lanes or (fmt.block_values or 4 if fmt.scale else 4)
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 1 << fmt.element.bits, (cycles, count), dtype=np.uint64)
    codes[0] = 0
    scales = _draw_scales(fmt, cycles, rng)
    factors = np.where(rng.random(cycles) < 0.5, rng.integers(1, 0x7F7FFFFF, cycles), 0x3B800000).astype(np.uint32)
    inputs = {"en": rng.random(cycles) < 0.9, "code": codes}
    inputs["en"][0] = True
    latest = np.maximum.accumulate(np.where(inputs["en"], np.arange(cycles), 0))
    if fmt.scale is not None:
        inputs["scale"] = scales
    if fmt.has_tensor_scale:
        inputs["tensor_scale"] = factors
    else:
        factors[:] = np.float32(1).view(np.uint32)
    rows = [
        _values(fmt, wanted, int(scale), row.tolist(), float(factor))
        for scale, row, factor in zip(scales, codes, factors.view(np.float32), strict=True)
    ]
    bits = {"en": 1, "code": fmt.element.bits, "tensor_scale": 32, "value": wanted.element.bits}
    bits["scale"] = fmt.scale.code_bits if fmt.scale else 0
    emitted = emit_dequantizer(fmt, target, count)
    given = {name: words.astype(np.uint64) for name, words in inputs.items()}
    result = run_stream(emitted, given, {"value": np.array(rows, np.uint64)[latest]}, bits)
    assert result.cycles_compared == cycles
    assert result.mismatches == 0, result.first_mismatch


def _draw_scales(fmt: F.BlockFormat, cycles: int, rng: np.random.Generator) -> NDArray[np.uint64]:
    """Any code, half of them with a sign bit of 0 and few leading bits, where floats and exponents are near one."""
    if fmt.scale is None:
        return np.zeros(cycles, np.uint64)
    bits = fmt.scale.code_bits
    anything = rng.integers(0, 1 << 63, cycles, dtype=np.uint64) >> np.uint64(max(63 - bits, 0))
    ends = rng.choice(np.array([0, 1, (1 << bits) - 1, (1 << bits) - 2, 1 << (bits - 1)], np.uint64), cycles)
    return np.where(rng.random(cycles) < 0.1, ends, anything)


def _values(fmt: F.BlockFormat, target: F.BlockFormat, scale: int, codes: list[int], factor: float) -> list[int]:
    """Codes of the values in the target; NaNs canonical."""
    if target.name == "float32":
        values = np.array(dequantize_block(scale, codes, fmt, factor), np.float32)
        return np.where(np.isnan(values), np.uint32(0x7FC00000), values.view(np.uint32)).tolist()  # type: ignore[no-any-return]
    element = target.element
    assert isinstance(element, F.FloatElement)
    shared = decode_scale(scale, fmt, Fraction(factor))
    found = []
    for position, code in enumerate(codes):
        number = fmt.element.decode(code)
        below_zero = shared is not None and shared.unit < 0
        negative = number.negative != below_zero
        if shared is None or number.kind is Kind.NAN or (number.kind is Kind.INFINITE and not shared.unit):
            found.append(element.nan_code)
        elif number.kind is Kind.INFINITE:
            found.append(element.with_sign(element.infinity_code, negative))
        else:
            integer = number.value - shared.zero
            negative = (integer < 0) != below_zero if shared.zero else negative
            unit = shared.unit / (1 << _microexponent(fmt, scale, position))
            found.append(_rounded(abs(integer * unit), negative, target))
    return found


def _microexponent(fmt: F.BlockFormat, scale: int, position: int) -> int:
    if not (isinstance(fmt.scale, F.PowerOfTwoScale) and fmt.scale.microexponents):
        return 0
    assert fmt.block_values is not None
    part = position * fmt.scale.microexponents // fmt.block_values
    return scale >> (fmt.scale.bits + part * fmt.scale.microexponent_bits) & fmt.scale.largest_shift


def _rounded(value: Fraction, negative: bool, target: F.BlockFormat) -> int:
    element = target.element
    assert isinstance(element, F.FloatElement)
    return element.with_sign(min(encode_float(abs(value), element), element.infinity_code), negative)
