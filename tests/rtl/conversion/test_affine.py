"""Converters to integers with a zero point, simulated against the exact codec."""

from itertools import product

import numpy as np
import pytest

import densimeter.formats as F
import densimeter.kernels as K
from densimeter.rtl.conversion.quantizer import emit_converter
from densimeter.rtl.stream import Words, run_stream
from support.converter_streams import in_one_pass, in_two_passes, reference
from support.unit_streams import any_format

pytestmark = pytest.mark.rtl

COMPOSED = "{{element: {}, block: 8, scale: {{kind: affine, element: {}, zero: {}}}, rounding: {}}}"
SHORT_ZERO = COMPOSED.format("uint8", "e5m2", "uint3", "toward_minus_infinity")
SMALL_SCALES = COMPOSED.format(
    "uint4", "{kind: power_of_two, bias: 300, rule: rceil, nan: true}", "uint4", "nearest_up"
)
FORMATS = [
    "int4_g8_affine",
    "int8_g4_affine",
    "int2_g8_affine",
    "int6_g4_fp32_affine",
    "int8_g4_bf16_affine",
    "int4_g8_e8m0_affine",
    COMPOSED.format("uint4", "fp16", "uint8", "nearest_away"),
    SHORT_ZERO,
    SMALL_SCALES,
    COMPOSED.format("uint5", "fp32", "uint5", "nearest_up"),
    COMPOSED.format("uint3", "{kind: power_of_two, bits: 5, bias: 12, rule: rceil, nan: true}", "uint2", "toward_zero"),
]
SOURCES = ["float32", "bfloat16", "float16", "float32_ftz", "e4m3", "e3m2"]


@pytest.mark.parametrize("written", FORMATS)
def test_float32_becomes_what_the_reference_says(written: str) -> None:
    result = in_one_pass("float32", written)
    assert result.mismatches == 0, result.first_mismatch


@pytest.mark.parametrize("source", SOURCES[1:])
@pytest.mark.parametrize("written", ["int4_g8_affine", "int8_g4_e8m0_affine"])
def test_other_sources(source: str, written: str) -> None:
    result = in_one_pass(source, written)
    assert result.mismatches == 0, result.first_mismatch


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("written", FORMATS)
def test_every_source_at_length(source: str, written: str) -> None:
    result = in_one_pass(source, written, cycles=600, seed=1)
    assert result.mismatches == 0, result.first_mismatch


@pytest.mark.parametrize("written", ["int4_affine", "int8_g32_affine", "int4_g16_e8m0_affine"])
def test_long_blocks_come_twice(written: str) -> None:
    result = in_two_passes("float32", written)
    assert result.mismatches == 0, result.first_mismatch


@pytest.mark.parametrize(
    "written",
    [
        "{element: uint2, block: 2, scale: {kind: affine, element: e4m3, zero: uint2}}",
        # Values that share no bit with any block's NaN: those that refuse it take it for zero.
        "{element: uint3, block: 2, scale: {kind: affine, element: e5m2, zero: uint3}, specials: zero}",
    ],
)
@pytest.mark.parametrize("source", ["e3m2", "e4m3"])
def test_every_pair_of_small_floats(source: str, written: str) -> None:
    floats, target = any_format(source), any_format(written)
    codes = range(0, 1 << floats.element.bits, 1 if floats.element.bits == 6 else 3)
    values = np.array(list(product(codes, repeat=2)), np.uint64)
    rows = [reference(row, floats, target) for row in values]
    expected: Words = {
        "code": np.array([codes for _, codes, _ in rows], np.uint64),
        "scale": np.array([scale for scale, _, _ in rows], np.uint64),
    }
    assert target.scale is not None
    bits = {"en": 1, "value": floats.element.bits, "code": target.element.bits, "scale": target.scale.code_bits}
    inputs: Words = {"en": np.ones(len(values), np.uint64), "value": values}
    result = run_stream(emit_converter(floats, target), inputs, expected, bits)
    assert (result.cycles_compared, result.mismatches) == (len(codes) ** 2, 0), result.first_mismatch


def test_kernel_and_circuit_agree() -> None:
    fmt, rows = F.get("int4_g32_affine"), 200
    values = np.random.default_rng(3).standard_normal((rows, 32)).astype(np.float32)
    values *= np.float32(2.0) ** np.random.default_rng(4).integers(-30, 20, (rows, 1)).astype(np.float32)
    tensor = K.quantize(values, fmt)
    inputs: Words = {"en": np.ones(rows, np.uint64), "value": values.view(np.uint32)}
    expected: Words = {"code": tensor.codes, "scale": tensor.scales[:, 0]}
    bits = {"en": 1, "value": 32, "code": 4, "scale": 20}
    result = run_stream(emit_converter(F.get("float32"), fmt), inputs, expected, bits)
    assert (result.cycles_compared, result.mismatches) == (rows, 0), result.first_mismatch


@pytest.mark.parametrize(
    ("written", "right", "wrong"),
    [
        ("int4_g8_affine", "| {BITS{above}}", ""),
        (SHORT_ZERO, "& {BITS{~below}}", ""),
        ("int4_g8_affine", "{wide, negative}", "{wide, 1'b0}"),
        ("int4_g8_affine", "source_code[30:0] & {31{~source_code[31]}}", "source_code[30:0]"),
        ("int4_g8_affine", "source_code[30:0] & {31{source_code[31]}}", "source_code[30:0]"),
        ("int6_g4_fp32_affine", "sum_overflow ? 31'd2139095039", "sum_overflow ? 31'd2139095038"),
        ("int4_g8_e8m0_affine", "(range_normal > 24'd15728640)", "(range_normal >= 24'd15728640)"),
        (SMALL_SCALES, "range_place & {9{range_normal[23]}}", "range_place"),
    ],
)
def test_faults_are_found(written: str, right: str, wrong: str) -> None:
    assert in_one_pass("float32", written, cycles=400, fault=(right, wrong)).mismatches
