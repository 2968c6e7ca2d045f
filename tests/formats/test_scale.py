"""Scales worked by hand: how each kind follows from a block, how it is stored, and which cannot be declared."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from densimeter.formats import (
    AffineScale,
    BlockFormat,
    CodebookElement,
    DoubleScale,
    FloatElement,
    FloatScale,
    FormatError,
    IntElement,
    LogElement,
    PowerOfTwoScale,
    Scale,
    get,
    parse,
    reference,
)
from densimeter.formats.levels import levels

E2M1 = FloatElement(2, 1, 1)
E4M3 = FloatElement(4, 3, 7, specials="nan")
FP16 = FloatElement(5, 10, 15, specials="ieee")
FP32 = FloatElement(8, 23, 127, specials="ieee")
UINT4 = IntElement(4, "unsigned")
DYNAMIC8 = CodebookElement(levels("dynamic8"))
BELOW_8 = float(np.nextafter(np.float32(8), np.float32(0)))


def round_trip(values: list[float], fmt: BlockFormat) -> list[float]:
    factor = reference.tensor_scale(values, fmt)
    return reference.dequantize_block(*reference.quantize_block(values, fmt, factor), fmt, factor)


def float16_code(value: float) -> int:
    return int(np.float16(value).view(np.uint16))


# Powers of two: the exponent of max / 6 under E2M1, whose emax is 2


@pytest.mark.parametrize(
    ("rule", "largest", "exponent"),
    [
        ("floor", 7.0, 2 - 2),
        ("floor", BELOW_8, 2 - 2),
        ("floor", 8.0, 3 - 2),
        ("ceil", 7.0, 3 - 2),
        ("ceil", BELOW_8, 3 - 2),
        ("ceil", 8.0, 3 - 2),
        ("ceil", 8.000001, 4 - 2),
        # even: to one fraction bit first, 7 = 3.5 steps of 2, the tie goes up to 8
        ("even", 7.0, 3 - 2),
        ("even", float(np.nextafter(np.float32(7), np.float32(0))), 2 - 2),
        ("even", BELOW_8, 3 - 2),
        ("even", 6.0, 2 - 2),
        # rceil: the smallest scale under which max is at most 6
        ("rceil", 6.0, 0),
        ("rceil", 6.000001, 1),
        ("rceil", 7.0, 1),
        ("rceil", BELOW_8, 1),
        ("rceil", 12.0, 1),
    ],
)
def test_rules_of_a_shared_exponent(rule: str, largest: float, exponent: int) -> None:
    fmt = get(f"mxfp4_{rule}")
    largest = float(np.float32(largest))
    assert reference.quantize_block([0.5, -largest, 1.0], fmt)[0] == 127 + exponent
    # The same, and exponents elsewhere
    assert reference.quantize_block([largest * 2.0**-40], fmt)[0] == 127 + exponent - 40


def test_under_rceil_nothing_saturates() -> None:
    for largest in (6.0, 6.000001, 7.0, BELOW_8):
        (restored,) = round_trip([float(np.float32(largest))], get("mxfp4_rceil"))
        assert abs(restored - largest) <= 1.0  # half a step of the top binade, 2 times the scale 2^1, or less


@pytest.mark.parametrize(
    ("element", "fraction_bits"),
    [
        (E2M1, 1),
        (E4M3, 3),
        (IntElement(8), 6),  # 127 = 1.111111 * 2^6
        (IntElement(5, "sign_magnitude", 4), 3),  # 15
        (IntElement(4, "unsigned"), 3),
        (FloatElement(4, 3, 7, hidden_bit=False), 2),  # 0.111: two bits below its leading one
        (LogElement(4, 7), 0),
    ],
    ids=lambda value: getattr(value, "notation", None),
)
def test_even_rounds_to_the_precision_of_the_largest_element(element: Any, fraction_bits: int) -> None:
    fmt = BlockFormat("x", element, PowerOfTwoScale(rule="even", offset=0), 16)
    assert fmt.top_fraction_bits == fraction_bits
    tie = 2 - 2.0 ** -(fraction_bits + 1)
    assert reference.quantize_block([tie], fmt)[0] == 127 + 1
    assert reference.quantize_block([float(np.nextafter(np.float32(tie), np.float32(0)))], fmt)[0] == 127


@pytest.mark.parametrize(
    ("scale", "largest", "code"),
    [
        (PowerOfTwoScale(offset=0), 0.0, 0),
        (PowerOfTwoScale(offset=0), 2.0**-149, 0),  # clipped at -127
        (PowerOfTwoScale(offset=0, nan=True), math.inf, 255),
        (PowerOfTwoScale(offset=0), math.inf, 255),  # 2^128, the exponent 128 + 127
        (PowerOfTwoScale(bits=3, bias=4, offset=0), 100.0, 7),
        (PowerOfTwoScale(bits=3, bias=4, offset=0, nan=True), 100.0, 6),
        (PowerOfTwoScale(offset=0, negated=True), 8.0, 127 - 3),
        (PowerOfTwoScale(offset=1, negated=True), 8.0, 127 - (3 - 1)),
        (PowerOfTwoScale(offset=0, negated=True), 0.0, 255),
        (PowerOfTwoScale(offset=-5), 8.0, 127 + 3 + 5),
    ],
)
def test_how_an_exponent_is_stored(scale: PowerOfTwoScale, largest: float, code: int) -> None:
    assert reference.quantize_block([largest], BlockFormat("x", E2M1, scale, 16))[0] == code


# Microexponents


def test_a_pair_one_binade_lower_gets_the_bit() -> None:
    """MX9: E = floor(log2 12) = 3, so 2^(E+1) times 7 fraction bits: steps of 1/8, in pairs below 8 of 1/16.

    The pair of 3.1 lies two binades lower, of which one bit says one.
    """
    values = [12.0, 0.0625, 7.0, 0.0625, 3.125, 0.1875, 8.0, 0.0625, *[0.0] * 8]
    scale, codes = reference.quantize_block(values, get("mx9"))
    assert scale & 0xFF == 127 + 3 + 1
    assert scale >> 8 == 0b1111_0110, "pairs from the lowest bit on: 0 1 1 0, then four of zeros"
    assert codes[:8] == [96, 0, 112, 1, 50, 3, 64, 0]  # 12 * 8; 7 * 16; 1/16 is a tie under steps of 1/8
    expected = [12.0, 0.0, 7.0, 0.0625, 3.125, 0.1875, 8.0, 0.0]
    assert reference.dequantize_block(scale, codes, get("mx9"))[:8] == expected


def test_wider_microexponents_reach_further() -> None:
    """Two bits: shifts up to 3. Parts of 4 values with maxima 8, 4, 1, 0.25: 0, 1, 3, and 5 cut to 3."""
    scale = PowerOfTwoScale(offset=-1, microexponents=4, microexponent_bits=2)
    fmt = BlockFormat("x", IntElement(8, "sign_magnitude", 7), scale, 16)
    values = [8.0, 0, 0, 0, 0, -4.0, 0, 0, 1.0, 0, 0, 0, 0, 0, 0, 0.25]
    code, codes = reference.quantize_block(values, fmt)
    assert code == 127 + 4 | 0b11_11_01_00 << 8
    assert (codes[0], codes[5], codes[8], codes[15]) == (64, 64 | 0x80, 64, 16)
    assert reference.dequantize_block(code, codes, fmt) == values


def test_microexponents_follow_a_clipped_exponent() -> None:
    """Exponents stop at -4 here: 2^-7 lies three binades under what the scale is for, so its part is shifted by 3."""
    scale = PowerOfTwoScale(bits=3, bias=4, offset=0, microexponents=2, microexponent_bits=2)
    fmt = BlockFormat("x", IntElement(4, "sign_magnitude", 3), scale, 4)
    code, codes = reference.quantize_block([2.0**-7, 0, 2.0**-6, 0], fmt)
    assert code == 0b10_11 << 3
    assert codes == [7, 0, 7, 0]  # one is just beyond 7/8


def test_a_ragged_block_has_parts_of_nothing() -> None:
    scale, _ = reference.quantize_block([1.0, 0.25, 1.0], get("mx6"))
    assert scale >> 8 == 0b1111_1100


# Floats


@pytest.mark.parametrize(
    ("values", "stored", "codes"),
    [
        # Q4_0's rule: d = max / -8, and max itself becomes -8, code 0
        ([-8.0, 4.0, 0.0, 7.0], 1.0, [0, 12, 8, 15]),
        ([8.0, 4.0, 0.0, -7.0], -1.0, [0, 4, 8, 15]),
        ([4.0, -4.0], -0.5, [0, 15]),  # the first of two extremes; 4 / 0.5 = 8 saturates at 7
        ([-4.0, 4.0], 0.5, [0, 15]),
        ([0.0, 0.0], 0.0, [8, 8]),
    ],
)
def test_a_signed_anchor_holds_the_extreme_exactly(values: list[float], stored: float, codes: list[int]) -> None:
    fmt = BlockFormat("x", IntElement(4, "offset"), FloatScale(FP16, anchor="signed"), 32)
    assert reference.quantize_block(values, fmt) == (float16_code(stored), codes)
    assert round_trip(values, fmt)[0] == values[0]


def test_signs_of_zeros_survive_a_negative_scale() -> None:
    """Sign and magnitude under scale -1: 0.0 is stored as -0, which the scale turns back."""
    fmt = BlockFormat("x", IntElement(4, "sign_magnitude"), FloatScale(FP16, anchor="signed"), 32)
    scale, codes = reference.quantize_block([7.0, 0.0, -0.0], fmt)
    assert (scale, codes) == (float16_code(-1.0), [0xF, 0x8, 0x0])
    restored = reference.dequantize_block(scale, codes, fmt)
    assert [math.copysign(1, x) for x in restored] == [1, 1, -1]


def test_infinities_turn_with_a_negative_scale() -> None:
    fmt = BlockFormat("x", FloatElement(5, 2, 15, specials="ieee"), FloatScale(FP16), 4)
    restored = reference.dequantize_block(float16_code(-2.0), [0x7C, 0xFC, 0x7E, 0x3C], fmt)
    np.testing.assert_array_equal(restored, [-np.inf, np.inf, np.nan, -2.0])
    assert all(map(math.isnan, reference.dequantize_block(0, [0x7C, 0xFC], fmt))), "Inf times zero"


def test_a_float_scale_saturates() -> None:
    fmt = BlockFormat("x", IntElement(8, symmetric=True), FloatScale(FP16), 32)
    assert reference.quantize_block([3e38], fmt) == (float16_code(65504), [127])
    assert round_trip([3e38], fmt) == [127 * 65504]


@pytest.mark.parametrize("code", [0x7C00, 0xFC00, 0x7E00, 0x7C01])
def test_a_scale_that_is_not_finite_makes_its_block_nan(code: int) -> None:
    fmt = BlockFormat("x", IntElement(8), FloatScale(FP16), 32)
    assert all(map(math.isnan, reference.dequantize_block(code, [0, 1, 2], fmt)))
    assert reference.decode_scale(code, fmt) is None


# Zero points and minima


@pytest.mark.parametrize(
    ("values", "step", "zero", "codes"),
    [
        # -1 .. 2: 3 / 15 = 0.2, which fp16 rounds to 0.199951; zero = round(1 / 0.199951) = 5
        ([-1.0, 0.0, 2.0, 0.5], 0.2, 5, [0, 5, 15, 8]),
        # The range is widened to hold zero: 0 .. 15 from 10 .. 15
        ([10.0, 15.0], 1.0, 0, [10, 15]),
        ([-10.0, -15.0], 1.0, 15, [5, 0]),
        # A zero point is an integer: 2.5 is a tie, to even
        ([-2.5, 12.5], 1.0, 2, [0, 14]),  # -2.5 is a tie to -2; 12.5 one to 12
        ([-3.5, 11.5], 1.0, 4, [0, 15]),  # to -4; 12 + 4 saturates
        ([0.0, 0.0], 0.0, 0, [0, 0]),
    ],
)
def test_a_zero_point(values: list[float], step: float, zero: int, codes: list[int]) -> None:
    fmt = BlockFormat("x", UINT4, AffineScale(FP16, UINT4), 32)
    assert reference.quantize_block(values, fmt) == (float16_code(step) | zero << 16, codes)
    assert 0.0 in round_trip([*values, 0.0], fmt), "zero is always exact"


@pytest.mark.parametrize(
    ("values", "exponent", "zero", "codes"),
    [
        ([0.0, 15.0], 0, 0, [0, 15]),  # 15 / 15 is a power of two itself
        ([0.0, 15.5], 1, 0, [0, 8]),  # 15.5 / 15 is not: 2, and 7.75 rounds to 8
        ([-3.0, 4.5], -1, 6, [0, 15]),  # 7.5 / 15 = 1/2; -3 is -6 halves, 4.5 nine above zero
        ([0.0, 0.0], -127, 0, [0, 0]),
    ],
)
def test_an_exponent_beside_a_zero_point(values: list[float], exponent: int, zero: int, codes: list[int]) -> None:
    fmt = get("int4_g32_affine_e8m0")
    assert fmt.bits_per_value == 4 + Fraction(8 + 4, 32)
    assert reference.quantize_block(values, fmt) == (exponent + 127 | zero << 8, codes)
    assert reference.quantize_block([1.0, float("inf")], fmt) == (0xFF, [0, 0])
    assert all(map(math.isnan, reference.dequantize_block(0xFF | zero << 8, codes, fmt)))


def test_a_zero_point_saturates() -> None:
    """A two-bit zero point reaches 3 of the 8 that it should: -8 .. 7 becomes -3 .. 12."""
    fmt = BlockFormat("x", UINT4, AffineScale(FP16, IntElement(2, "unsigned")), 32)
    assert reference.quantize_block([-8.0, 7.0, 0.0], fmt) == (float16_code(1.0) | 3 << 16, [0, 10, 3])
    assert round_trip([-8.0, 7.0, 0.0], fmt) == [-3.0, 7.0, 0.0]


def test_a_minimum() -> None:
    """10 .. 25: m = 10, step 15 / 15; nothing is spent on the way to zero."""
    fmt = BlockFormat("x", UINT4, AffineScale(FP16, FP16), 32)
    scale, codes = reference.quantize_block([10.0, 25.0, 17.25], fmt)
    assert scale == float16_code(1.0) | float16_code(10.0) << 16
    assert codes == [0, 15, 7]
    assert reference.dequantize_block(scale, codes, fmt) == [10.0, 25.0, 17.0]


def test_a_minimum_that_rounds_is_the_one_subtracted() -> None:
    """10.004 is stored as fp16 10.0; the values are counted from there."""
    fmt = BlockFormat("x", UINT4, AffineScale(FP16, FP16), 32)
    least = float(np.float32(10.003))
    scale, codes = reference.quantize_block([least, least + 15, least + 0.5], fmt)
    assert scale >> 16 == float16_code(10.0)
    assert codes == [0, 15, 1]  # 10.503 - 10 is above one half


def test_a_minimum_is_added_after_the_product_is_rounded() -> None:
    """3 * (1 + 2^-23) is 3 + 1.5 * 2^-22, a tie that rounds to 3 + 2 * 2^-22; less 3 that is 2^-21, not 3 * 2^-23."""
    fmt = BlockFormat("x", UINT4, AffineScale(FP32, FP32), 32)
    step, minimum = (int(np.float32(x).view(np.uint32)) for x in (1 + 2.0**-23, -3.0))
    assert reference.dequantize_block(step | minimum << 32, [3, 0], fmt) == [2.0**-21, -3.0]


@pytest.mark.parametrize("part", [0x7C00, 0x7C00 << 16, 0x7E00 << 16])
def test_a_minimum_or_step_that_is_not_finite_makes_its_block_nan(part: int) -> None:
    fmt = BlockFormat("x", UINT4, AffineScale(FP16, FP16), 32)
    assert all(map(math.isnan, reference.dequantize_block(part, [0, 15], fmt)))


# Double scales


def test_double_scales_by_hand() -> None:
    """Scales 1 2 3 6, in runs of 2: mean 3, so -2 -1 | 0 3; the factors are 2 and 3, the levels -1 -0.5 0 1."""
    scale = DoubleScale(CodebookElement((-1.0, -0.5, 0.0, 0.5, 1.0)), block=2)
    stored = reference.compress_scales([1.0, 2.0, 3.0, 6.0], scale)
    assert stored == reference.DoubleScales([0, 1, 2, 4], [2.0, 3.0], 3.0)
    assert reference.restore_scales(stored, scale) == [1.0, 2.0, 3.0, 6.0]


def test_double_scales_without_a_mean() -> None:
    scale = DoubleScale(CodebookElement((0.0, 0.25, 0.5, 1.0)), block=4, centred=False)
    stored = reference.compress_scales([1.0, 8.0, 3.0, 0.5, 7.0], scale)
    # eighths: 1/8 is a tie between 0 and 1/4, to the even rank 0; 3/8 one between ranks 1 and 2; the last run is short
    assert stored == reference.DoubleScales([0, 3, 2, 0, 3], [8.0, 7.0], 0.0)
    assert reference.restore_scales(stored, scale) == [0.0, 8.0, 4.0, 0.0, 7.0]


def test_the_mean_is_a_float64_sum_rounded_to_float32() -> None:
    """(2^24 + 1 + 1) / 3: float32 sums would lose both ones."""
    scale = DoubleScale(DYNAMIC8, block=4)
    assert reference.compress_scales([2.0**24, 1.0, 1.0], scale).mean == float(np.float32((2**24 + 2) / 3))


def test_what_is_left_of_the_mean_is_rounded_to_float32() -> None:
    """1 - 2^-25 rounds to 1; before that it would be a tie, and go to 1 - 2^-24, whose rank is even."""
    scale = DoubleScale(CodebookElement((-1.0, 0.0, 1 - 2.0**-24, 1.0)), block=2)
    assert reference.compress_scales([-2.0, -(2.0**-25)], scale) == reference.DoubleScales([0, 3], [1.0], -1.0)


def test_no_scales_and_scales_that_are_equal() -> None:
    scale = DoubleScale(DYNAMIC8, block=4)
    assert reference.compress_scales([], scale) == reference.DoubleScales([], [], 0.0)
    equal = reference.compress_scales([0.375] * 3, scale)
    assert (equal.factors, equal.mean) == ([0.0], 0.375)
    assert reference.restore_scales(equal, scale) == [0.375] * 3


def test_the_first_level_of_a_double_scale_is_float32() -> None:
    nf4 = get("nf4_dq").first_level
    assert nf4.scale == FloatScale(FP32)
    scale, codes = reference.quantize_block([0.5, -0.25, 0.0], nf4)
    assert scale == int(np.float32(0.5).view(np.uint32))
    assert codes == [15, 2, 7]  # levels 1, -0.525, 0
    assert get("nf4").first_level == get("nf4")


@pytest.mark.parametrize(
    ("element", "specials", "keeps", "refuses"),
    [
        (E4M3, None, True, False),
        (E4M3, "refuse", False, True),
        (E4M3, "zero", False, False),
        (IntElement(4), None, False, True),
        (IntElement(4), "zero", False, False),
    ],
)
def test_double_scales_keep_the_policy_for_nan(element: Any, specials: Any, keeps: bool, refuses: bool) -> None:
    fmt = BlockFormat("x", element, DoubleScale(DYNAMIC8), 64, specials=specials)
    for level in (fmt, fmt.first_level):
        assert (level.nan_block, level.keeps_nan, level.refuses_nan) == (False, keeps, refuses)


# Widths and names


@pytest.mark.parametrize(
    ("scale", "code_bits", "symbol", "notation"),
    [
        (PowerOfTwoScale(nan=True), 8, "e8m0", "2^e, 8-bit e, floor"),
        (PowerOfTwoScale(microexponents=8), 16, "e8m0x8", "2^e, 8-bit e, floor, 8 x 1-bit microexponents"),
        (PowerOfTwoScale(5, 15, microexponents=4, microexponent_bits=3), 5 + 4 * 3, "e5m0x4", "4 x 3-bit"),
        (FloatScale(E4M3, tensor_scale=True), 8, "e4m3", "e4m3 float, float32 tensor scale"),
        (FloatScale(FP16, anchor="signed"), 16, "e5m10", "e5m10 float, signed"),
        (AffineScale(FP16, UINT4), 16 + 4, "e5m10_uint4", "e5m10 float, zero point uint4"),
        (AffineScale(FP16, FP32), 16 + 32, "e5m10_e8m23", "e5m10 float, minimum e8m23"),
        (DoubleScale(DYNAMIC8), 8, "dq8", "codebook of 256 levels over float32 per 256, centred"),
    ],
    ids=lambda value: getattr(value, "symbol", None),
)
def test_widths_and_names(scale: Scale, code_bits: int, symbol: str, notation: str) -> None:
    assert scale.code_bits == code_bits
    assert scale.symbol == symbol
    assert notation in scale.notation


@pytest.mark.parametrize(
    ("scale", "codes", "exponents", "shift"),
    [
        (PowerOfTwoScale(nan=True), (254, 255), (-127, 127), 0),  # OCP E8M0: 0xFF is NaN
        (PowerOfTwoScale(), (255, 255), (-127, 128), 0),
        (PowerOfTwoScale(bits=4, bias=9), (15, 15), (-9, 6), 0),
        (PowerOfTwoScale(microexponents=2, microexponent_bits=3), (255, 255), (-127, 128), 7),
    ],
)
def test_range_of_a_shared_exponent(
    scale: PowerOfTwoScale, codes: tuple[int, int], exponents: tuple[int, int], shift: int
) -> None:
    assert (scale.largest_code, scale.nan_code) == codes
    assert (scale.smallest_exponent, scale.largest_exponent) == exponents
    assert scale.largest_shift == shift


def test_which_scales_can_say_nan() -> None:
    assert [get(name).scale.nan for name in ("mxfp4", "nvfp4", "gguf_q4_1", "int4_g32_affine")] == [True] * 4  # type: ignore[union-attr]
    assert [get(name).scale.nan for name in ("bfp6", "mx9", "nf4_dq")] == [False] * 3  # type: ignore[union-attr]
    assert FloatScale(E4M3).nan_code == 0x7F
    assert AffineScale(FP16, UINT4).nan_code == 0x7E00
    assert not FloatScale(FloatElement(8, 0, 127)).nan


# What cannot be declared


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (PowerOfTwoScale, {"bits": 0}, "scale bits is 0, expected an integer from 1 to 8"),
        (PowerOfTwoScale, {"bits": 9}, "scale bits is 9"),
        (PowerOfTwoScale, {"bits": "8"}, "scale bits is '8'"),
        (PowerOfTwoScale, {"bias": 5000}, "scale bias is 5000, expected an integer from -512 to 512"),
        (PowerOfTwoScale, {"bias": "127"}, "bias is '127'"),
        (PowerOfTwoScale, {"offset": 1.5}, r"scale offset is 1\.5"),
        (PowerOfTwoScale, {"offset": -513}, "scale offset is -513"),
        (PowerOfTwoScale, {"rule": "round"}, "scale rule is 'round', expected one of floor, ceil, even, rceil"),
        (PowerOfTwoScale, {"nan": "no"}, "scale nan is 'no'"),
        (PowerOfTwoScale, {"negated": 1}, "scale negated is 1"),
        (PowerOfTwoScale, {"rule": "rceil", "offset": 2}, "'rceil' with offset 2: it divides by the largest element"),
        (PowerOfTwoScale, {"microexponents": -1}, "microexponents is -1"),
        (PowerOfTwoScale, {"microexponents": 8, "microexponent_bits": 0}, "microexponent_bits is 0, .* from 1 to 4"),
        (PowerOfTwoScale, {"microexponents": 8, "microexponent_bits": 5}, "microexponent_bits is 5"),
        (PowerOfTwoScale, {"microexponents": 57}, "65 bits a block, expected at most 64; use fewer"),
        (PowerOfTwoScale, {"microexponents": 8, "nan": True}, "microexponents need the rule 'floor', and neither nan"),
        (PowerOfTwoScale, {"microexponents": 8, "negated": True}, "neither nan nor negated"),
        (PowerOfTwoScale, {"microexponents": 8, "rule": "ceil"}, "microexponents need the rule 'floor'"),
        (
            FloatScale,
            {"element": IntElement(8)},
            "scale element is IntElement.*, expected a float element such as e4m3",
        ),
        (FloatScale, {"element": "e4m3"}, "scale element is 'e4m3'"),
        (FloatScale, {"element": FloatElement(4, 3, 8, specials="fnuz")}, "whose NaN is negative zero"),
        (FloatScale, {"element": E4M3, "tensor_scale": 1}, "tensor_scale is 1"),
        (FloatScale, {"element": E4M3, "anchor": "least"}, "anchor is 'least', expected one of magnitude, signed"),
        (FloatScale, {"element": E4M3, "tensor_scale": True, "anchor": "signed"}, "a tensor scale needs anchor 'magn"),
        (AffineScale, {"element": UINT4, "zero": UINT4}, "scale element is IntElement"),
        (AffineScale, {"element": PowerOfTwoScale(), "zero": UINT4}, "scale element is .* expected .* rule 'rceil'"),
        (AffineScale, {"element": FloatElement(5, 2, 16, specials="fnuz"), "zero": UINT4}, "e5m2 bias 16, fnuz"),
        (
            AffineScale,
            {"element": FP16, "zero": IntElement(4)},
            "zero point is twos-complement int4, expected an unsig",
        ),
        (AffineScale, {"element": FP16, "zero": IntElement(4, "unsigned", 1)}, r"zero point is unsigned int4 x 2\^-1"),
        (AffineScale, {"element": FP16, "zero": "fp16"}, "zero is 'fp16', expected an unsigned integer"),
        (
            AffineScale,
            {"element": FP16, "zero": FloatElement(8, 0, 127)},
            "minimum is e8m0 bias 127, whose values are not",
        ),
        (
            AffineScale,
            {"element": FP16, "zero": FloatElement(8, 7, 160)},
            "minimum is e8m7 bias 160, .* float32 numbers",
        ),
        (DoubleScale, {"element": E4M3}, "scale element is FloatElement.*, expected a codebook such as dynamic8"),
        (
            DoubleScale,
            {"element": CodebookElement((0.0, 0.5))},
            r"levels reach 0\.5, expected a largest magnitude of 1",
        ),
        (DoubleScale, {"element": CodebookElement((0.0, 2.0))}, "levels reach 2, expected a largest magnitude of 1"),
        (DoubleScale, {"element": DYNAMIC8, "block": 0}, "scale block is 0"),
        (DoubleScale, {"element": DYNAMIC8, "block": 1 << 21}, "scale block is 2097152"),
        (DoubleScale, {"element": DYNAMIC8, "centred": "yes"}, "centred is 'yes'"),
    ],
)
def test_what_no_scale_can_be(kind: type, fields: dict[str, object], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        kind(**fields)


def test_a_declared_double_scale_reads_back() -> None:
    fmt = parse(
        {
            "element": "int4",
            "block": 64,
            "scale": {"kind": "double", "element": {"kind": "codebook", "levels": "dynamic8"}},
        }
    )
    assert fmt.scale == DoubleScale(DYNAMIC8)
    assert fmt.bits_per_value == 4 + Fraction(8, 64) + Fraction(32, 64 * 256)
