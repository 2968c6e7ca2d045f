"""Converters to codebooks, simulated against the exact codec: bounds are met exactly, whatever the scale."""

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise, product

import numpy as np
import pytest
from numpy.typing import NDArray

import densimeter.formats as F
import densimeter.kernels as K
from densimeter.formats.number import Kind
from densimeter.formats.reference import encode_float
from densimeter.rtl.conversion.levels import Bound, Side, sides
from densimeter.rtl.conversion.quantizer import emit_converter
from densimeter.rtl.stream import StreamResult, Words, run_stream
from support.converter_streams import Fault, draw_values, in_one_pass, in_two_passes, reference
from support.unit_streams import any_format

pytestmark = pytest.mark.rtl

SCALED = "{{element: {{kind: codebook, levels: {}}}, block: 8, scale: {}, rounding: {}}}"
NO_ZERO = "[-1, -0.25, 0.25, 1]"
FIVE = SCALED.format("[-1, -0.25, 0, 0.25, 1]", "fp16", "nearest_even")
FORMATS = [
    "nf4_b16",
    "fp4_b8",
    "kint3_b8",
    "kfloat4_b4x4",
    "kdyn4_b8",
    "kquant5_b8",
    SCALED.format("[-1, -0.25, 0, 0.25, 1]", "fp16", "toward_zero"),
    SCALED.format(NO_ZERO, "e4m3", "nearest_even"),
    SCALED.format(NO_ZERO, "bf16", "toward_zero"),
    SCALED.format("[0.5, -0.5, 0.0, -0.0, 3.1415927410125732]", "fp32, specials: zero", "toward_minus_infinity"),
    SCALED.format("[-1, -0.25, 0.5, 1.25]", "bf16", "nearest_away"),
    SCALED.format("[0.25, 2, 3]", "fp16, specials: zero", "nearest_up"),
    SCALED.format("[-3, -1]", "e5m3", "nearest_up"),
    # Under a scale that rounds up, 2^128 is below the middle of two levels that are near each other.
    SCALED.format("[0, 1.2999999523162842, 1.2999998331069946]", "bf16, specials: zero", "nearest_even"),
    "{element: {kind: codebook, levels: [-3, -0.5, 0.0, -0.0, 7.174648137343064e-43, 7]}}",
]
SOURCES = ["float32", "bfloat16", "float16", "float32_ftz", "e4m3", "e3m2"]


@pytest.mark.parametrize("written", FORMATS)
def test_float32_becomes_what_the_reference_says(written: str) -> None:
    result = in_one_pass("float32", written)
    assert result.mismatches == 0, result.first_mismatch


@pytest.mark.parametrize("source", SOURCES[1:])
@pytest.mark.parametrize("written", ["nf4_b8", "fp4_b8", "kint3_b8", FORMATS[-2], FORMATS[-1]])
def test_other_sources(source: str, written: str) -> None:
    result = in_one_pass(source, written)
    assert result.mismatches == 0, result.first_mismatch


@pytest.mark.slow
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("written", FORMATS)
def test_every_source_at_length(source: str, written: str) -> None:
    result = in_one_pass(source, written, cycles=600, seed=1)
    assert result.mismatches == 0, result.first_mismatch


@pytest.mark.parametrize(("written", "source", "lanes"), [("nf4", "float32", 16), ("dyn8_b32", "bfloat16", 8)])
def test_long_blocks_come_twice(written: str, source: str, lanes: int) -> None:
    result = in_two_passes(source, written, lanes=lanes, blocks=8)
    assert result.mismatches == 0, result.first_mismatch


@pytest.mark.parametrize("source", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize(
    "written", ["nf4_b16", "fp4_b16", "kquant3_b8", FIVE, SCALED.format(NO_ZERO, "fp16", "nearest_even")]
)
def test_next_to_every_bound(source: str, written: str) -> None:
    result = _next_to_bounds(source, written)
    assert result.mismatches == 0, result.first_mismatch


def _next_to_bounds(source: str, written: str, fault: Fault | None = None) -> StreamResult:
    target = any_format(written)

    def draw(floats: F.BlockFormat, cycles: int, lanes: int, seed: int) -> NDArray[np.uint64]:
        return np.array(list(_near_bounds(floats, target, cycles, lanes, seed)), np.uint64)

    return in_one_pass(source, written, cycles=120, draw=draw, fault=fault)


def _near_bounds(
    source: F.BlockFormat, target: F.BlockFormat, cycles: int, lanes: int, seed: int
) -> Iterator[list[int]]:
    """Blocks whose first value sets the scale; each other one is a middle of two levels under it, as near as the source
    has it, or its neighbour. Under short scales such middles are often met exactly."""
    rng = np.random.default_rng(seed)
    element, codebook = source.element, target.element
    assert isinstance(element, F.FloatElement)
    assert isinstance(codebook, F.CodebookElement)
    values = [value for value, _ in codebook.ladder]
    middles = [(lower + upper) / 2 for lower, upper in pairwise(values)]
    for largest in draw_values(source, cycles, 1, seed)[:, 0] & np.uint64((1 << (element.bits - 1)) - 1):
        if rng.random() < 0.7:  # few bits
            largest = largest >> np.uint64(element.mantissa_bits - 1) << np.uint64(element.mantissa_bits - 1)
        number = element.decode(int(largest))
        if number.kind is not Kind.FINITE or not number.value:
            number = element.decode(1 << element.mantissa_bits)
        unit = number.value / codebook.largest
        block = [encode_float(number.value, element)]
        for _ in range(lanes - 1):
            middle = middles[rng.integers(len(middles))] * unit
            code = encode_float(abs(middle), element) + int(rng.integers(-1, 2))
            code = min(max(code, 0), element.largest_magnitude_code)
            block.append(element.with_sign(code, middle < 0))
        yield block


@pytest.mark.parametrize(
    "written",
    [
        "{base: nf4, block: 2}",
        "{base: fp4, block: 2, rounding: toward_minus_infinity}",
        "{element: {kind: codebook, levels: [-1, -0.25, 0.25, 1]}, block: 2, scale: e4m3}",
        "{element: {kind: codebook, levels: [0.5, -0.5, 2.0]}, block: 2, scale: e5m2, rounding: nearest_up}",
    ],
)
def test_every_pair_of_small_floats(written: str) -> None:
    floats, target = any_format("e3m2"), any_format(written)
    values = np.array(list(product(range(64), repeat=2)), np.uint64)
    rows = [reference(row, floats, target) for row in values]
    expected: Words = {
        "code": np.array([codes for _, codes, _ in rows], np.uint64),
        "scale": np.array([scale for scale, _, _ in rows], np.uint64),
    }
    assert target.scale is not None
    bits = {"en": 1, "value": 6, "code": target.element.bits, "scale": target.scale.code_bits}
    inputs: Words = {"en": np.ones(len(values), np.uint64), "value": values}
    result = run_stream(emit_converter(floats, target), inputs, expected, bits)
    assert (result.cycles_compared, result.mismatches) == (4096, 0), result.first_mismatch


def test_kernel_and_circuit_agree() -> None:
    fmt, rows = F.get("nf4"), 200
    values = np.random.default_rng(3).standard_normal((rows, 64)).astype(np.float32)
    values *= np.float32(2.0) ** np.random.default_rng(4).integers(-140, 120, (rows, 1)).astype(np.float32)
    tensor = K.quantize(values, fmt)
    inputs: Words = {"en": np.ones(rows, np.uint64), "value": values.view(np.uint32)}
    expected: Words = {"code": tensor.codes, "scale": tensor.scales[:, 0]}
    result = run_stream(
        emit_converter(F.get("float32"), fmt), inputs, expected, {"en": 1, "value": 32, "code": 4, "scale": 32}
    )
    assert (result.cycles_compared, result.mismatches) == (rows, 0), result.first_mismatch


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("magnitude >= bound : magnitude > bound", "magnitude >= bound : magnitude >= bound"),
        ("magnitude >= bound : magnitude > bound", "magnitude > bound : magnitude > bound"),
        ("reached[k] & ~reached[k+1]", "reached[k]"),
        ("bound_1_product << 1", "bound_1_product"),
        ("negative ? code_below : code_above", "code_above"),
    ],
)
def test_faults_are_found_next_to_bounds(right: str, wrong: str) -> None:
    assert _next_to_bounds("float32", FIVE, (right, wrong)).mismatches


def test_faults_at_zero_are_found() -> None:
    """Blocks whose scale rounds to zero, and values below zero that become it."""
    masked, bare = "bound_0_code[30:0] | {31{~scale_normal[10]}}", "bound_0_code[30:0]"
    assert in_one_pass("float32", "kint3_b8", cycles=300, fault=(masked, bare)).mismatches
    signed, unsigned = "negative = source_code[31];", "negative = source_code[31] & |magnitude;"
    assert in_one_pass("float32", "fp4_b8", fault=(signed, unsigned)).mismatches


def test_ties_go_to_the_level_of_even_rank() -> None:
    """-1, 0, 1 have ranks 0, 1, 2: half of one goes away from zero, on either side."""
    half = Bound(Fraction(1, 2), inclusive=True)
    assert sides(F.CodebookElement((-1.0, 0.0, 1.0)), "nearest_even") == (Side([half], [1, 2]), Side([half], [1, 0]))
    # -1, 1 have ranks 0 and 1: zero goes to -1, with a sign or without.
    above = Side([Bound(Fraction(0), inclusive=False)], [0, 1])
    assert sides(F.CodebookElement((-1.0, 1.0)), "nearest_even") == (above, Side([], [0]))


def test_a_rounding_with_a_direction_has_levels_as_bounds() -> None:
    element = F.CodebookElement((-1.0, 0.0, 1.0))
    one, above_zero = Bound(Fraction(1), inclusive=True), Bound(Fraction(0), inclusive=False)
    assert sides(element, "toward_zero") == (Side([one], [1, 2]), Side([one], [1, 0]))
    assert sides(element, "toward_minus_infinity") == (Side([one], [1, 2]), Side([above_zero], [1, 0]))


def test_signs_of_zero_have_their_codes() -> None:
    fp4 = F.get("fp4").element
    assert isinstance(fp4, F.CodebookElement)
    above, below = sides(fp4, "nearest_even")
    # Twelfths 0, 1/16, 2, 3, 4, 6, 8, 12 in the order of bitsandbytes' codes; 8 is the sign.
    assert above.codes == [0, 1, 6, 7, 4, 5, 2, 3]
    assert below.codes == [code + 8 for code in above.codes]
    levels = [Fraction(fp4.levels[code]) for code in above.codes]
    assert [bound.magnitude for bound in above.bounds] == [(low + high) / 2 for low, high in pairwise(levels)]
