"""The reference codec worked by hand, feature by feature; test_reference_oracle.py covers every decision."""

import math
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import DTypeLike

from densimeter.formats import (
    BlockFormat,
    FloatElement,
    FloatScale,
    FormatError,
    IntElement,
    PowerOfTwoScale,
    Quirks,
    get,
    names,
    parse,
    reference,
)
from densimeter.formats.block import Specials
from support.decisions import decision_points

FP16 = FloatElement(5, 10, 15, specials="ieee")
E4M3 = FloatElement(4, 3, 7, specials="nan")


def encode_one(value: float, fmt: BlockFormat) -> int:
    return reference.quantize_block([value], fmt)[1][0]


def round_trip(values: list[float], fmt: BlockFormat) -> list[float]:
    factor = reference.tensor_scale(values, fmt)
    return reference.dequantize_block(*reference.quantize_block(values, fmt, factor), fmt, factor)


@pytest.mark.parametrize(
    ("element", "dtype"),
    [
        ("e4m3", ml_dtypes.float8_e4m3fn),
        ("e5m2", ml_dtypes.float8_e5m2),
        ("e2m3", ml_dtypes.float6_e2m3fn),
        ("e3m2", ml_dtypes.float6_e3m2fn),
        ("e2m1", ml_dtypes.float4_e2m1fn),
        ("e3m4", ml_dtypes.float8_e3m4),
        ("e4m3_ieee", ml_dtypes.float8_e4m3),
        ("e4m3_fnuz", ml_dtypes.float8_e4m3fnuz),
        ("e5m2_fnuz", ml_dtypes.float8_e5m2fnuz),
    ],
)
def test_elements_round_like_ml_dtypes_within_their_range(element: str, dtype: DTypeLike) -> None:
    fmt = parse({"element": element})
    points = [x for x in decision_points(fmt.element).tolist() if abs(x) <= fmt.element.largest]
    theirs = np.array(points, np.float32).astype(dtype).view(np.uint8)
    assert [encode_one(x, fmt) for x in points] == theirs.tolist()


@pytest.mark.parametrize(
    ("element", "dtype"),
    [
        ("e4m3", ml_dtypes.float8_e4m3fn),
        ("e5m2", ml_dtypes.float8_e5m2),
        ("e3m4", ml_dtypes.float8_e3m4),
        ("e4m3_ieee", ml_dtypes.float8_e4m3),
        ("e4m3_fnuz", ml_dtypes.float8_e4m3fnuz),
        ("e5m2_fnuz", ml_dtypes.float8_e5m2fnuz),
    ],
)
def test_overflow_to_a_special_is_that_of_ml_dtypes(element: str, dtype: DTypeLike) -> None:
    fmt = parse({"element": element, "overflow": "special"})
    points = [*decision_points(fmt.element).tolist(), 1e30, -1e30, math.inf, -math.inf]
    restored = reference.dequantize_block(*reference.quantize_block(points, fmt), fmt)
    with np.errstate(over="ignore", invalid="ignore"):
        theirs = np.array(points, np.float32).astype(dtype).astype(np.float32)
    np.testing.assert_array_equal(restored, theirs)


# Scales


@pytest.mark.parametrize(
    ("name", "largest", "exponent"),
    [
        # BFP: ceil(log2 max); a power of two keeps its own exponent
        ("bfp6", 1.0, 0),
        ("bfp6", 1 + 2.0**-23, 1),
        ("bfp6", 0.75, 0),
        ("bfp6", 2.0**-149, -127),  # clipped
        ("bfp6", 3e38, 128),
        # MX: floor(log2 max) - emax; 6 = 1.5 * 2^2 has emax 2
        ("mxfp4", 4.0, 0),
        ("mxfp4", 7.999, 0),
        ("mxfp4", 8.0, 1),
        ("mxfp8_e4m3", 256.0, 0),
        ("mxfp8_e5m2", 2.0**15, 0),
        ("mxint8", 1.99, 0),
        ("mxfp4", 2.0**-149, -127),
        ("mxfp4", 3e38, 127 - 2),
    ],
)
def test_shared_exponents(name: str, largest: float, exponent: int) -> None:
    scale, _ = reference.quantize_block([largest], get(name))
    assert scale == exponent + 127


def test_a_shared_exponent_just_under_a_power_of_two() -> None:
    """Rival emulators take log2 in float32, which rounds up to 3: they give 8 where 4 * 1.5 is the largest element."""
    below_eight = float(np.nextafter(np.float32(8), np.float32(0)))
    scale, codes = reference.quantize_block([below_eight, 0.5], get("mxfp4"))
    assert scale == 127  # 2^(floor(log2 7.9999995) - 2) = 2^0
    assert codes == [0b0111, 0b0001]
    assert round_trip([below_eight, 0.5], get("mxfp4")) == [6.0, 0.5]


def test_a_tie_is_not_lost_to_an_addition() -> None:
    """floor(x + 0.5) in float32 turns the float32 below 0.25 into a half step of E2M1."""
    assert round_trip([6.0, float(np.nextafter(np.float32(0.25), np.float32(0)))], get("mxfp4")) == [6.0, 0.0]
    assert round_trip([6.0, 0.25], get("mxfp4")) == [6.0, 0.0]  # a tie, to even
    assert round_trip([6.0, 0.75], get("mxfp4")) == [6.0, 1.0]


@pytest.mark.parametrize(("name", "bits"), [("bfp8", 7), ("bfp7", 6), ("bfp6", 5), ("bfp5", 4), ("bfp4", 3)])
@pytest.mark.parametrize("largest", [2.0**-100, 0.5, 1.0, 2.0**100])
def test_bfp_saturates_where_the_largest_is_a_power_of_two(name: str, bits: int, largest: float) -> None:
    saturated = largest * (1 - 2.0**-bits)
    assert round_trip([largest, -largest], get(name)) == [saturated, -saturated]


def test_nvfp4_scales() -> None:
    values = [6.0 * 448] + [0.0] * 15
    assert reference.tensor_scale(values, get("nvfp4")) == 1.0  # 6 * 448 / (6 * 448)
    assert reference.quantize_block(values, get("nvfp4"), 1.0) == (0x7E, [0b0111] + [0] * 15)  # 448 and 6
    # A block whose largest value is 3: 3 / 6 = 0.5 = 2^-1, field 7 - 1; 3 is then 6 * 0.5.
    assert reference.quantize_block([3.0, -0.25], get("nvfp4"), 1.0) == (6 << 3, [0b0111, 0b1001])


def test_the_tensor_scale_counts_finite_values() -> None:
    assert reference.tensor_scale([math.inf, -2688.0, math.nan], get("nvfp4")) == 1.0
    assert reference.tensor_scale([0.0], get("nvfp4")) == 0.0
    assert reference.tensor_scale([5.0], get("mxfp4")) == 1.0, "no such scale"


def test_a_tensor_scale_saturates_at_the_largest_float32() -> None:
    tiny = BlockFormat("tiny", FloatElement(2, 1, 100), FloatScale(E4M3, tensor_scale=True), 16)
    assert reference.tensor_scale([3e38], tiny) == np.finfo(np.float32).max


ZERO_HOLDING = [name for name in names() if name != "bl8_as_published"]  # which has no zero


@pytest.mark.parametrize("name", ZERO_HOLDING)
def test_an_all_zero_block_stays_zero(name: str) -> None:
    assert round_trip([0.0] * 4, get(name).first_level) == [0.0] * 4


@pytest.mark.parametrize("name", ZERO_HOLDING)
def test_zeros_among_others_stay_zero(name: str) -> None:
    """Exactly, under every zero point and from every codebook; a minimum that is not zero can miss it."""
    restored = round_trip([1.0, 0.0, -0.75, 0.0], get(name).first_level)
    if name in ("gguf_q4_1", "gguf_q5_1"):
        step = (1.0 + 0.75) / (2 ** get(name).element.bits - 1)
        assert abs(restored[1]) < step
    else:
        assert restored[1] == restored[3] == 0.0


@pytest.mark.parametrize(
    ("name", "restored"),
    [
        ("bfp6", 0.65625),  # 2^0: 0.65 * 32 = 20.8, 21/32
        ("msfp13", 0.625),  # 0.65 * 16 = 10.4, cut to 10/16
        ("mx6", 0.625),
        ("mxfp4", 0.75),  # 0.65 / 2^(-1 - 2) = 5.2: between 4 and 6, nearer to 6; 6/8
        ("mxfp4_ceil", 0.75),  # 0.65 / 2^(0 - 2) = 2.6: 3/4
        ("mxfp4_even", 0.75),  # 0.65 = 1.3/2, to one bit 1.5/2: its exponent is -1 too
        ("mxfp4_rceil", 0.75),  # 0.65 / 6 = 0.108 needs 1/8: 5.2 again
        ("nvfp4_one_level", 0.65625),  # 0.65 / 6 = 0.10833 is stored as 0.109375 = 7 / 64; times 6
        ("int8", 0.65),  # the scale is float32: 127 times 0.65 / 127
        ("int4_g32", 0.65),  # 7 times fp16(0.65 / 7)
        ("int4_g32_e8m0", 0.625),  # 0.65 / 7 = 0.0929 needs 1/8: 5.2, 5/8
        ("int4_g32_affine", 0.65),  # 15 times fp16(0.65 / 15), zero point 0
        ("nf4", 0.65),
        ("bl8", 0.5),  # log2 0.65 = -0.62
        ("gguf_q4_0", 0.65),
        ("gguf_q4_1", 0.65),  # minimum fp16(0.65), step 0
    ],
)
def test_a_block_of_one_value(name: str, restored: float) -> None:
    """A float scale follows the value, to the precision that it is stored in; a shared exponent does not."""
    value = float(np.float32(0.65))
    assert round_trip([value], get(name)) == [pytest.approx(restored, rel=2.0**-11 if restored == 0.65 else 0)]


# Microsoft floating point and ggml


def test_msfp_cuts_off_the_low_bits() -> None:
    """MSFP12: 3 significand bits under the exponent of 5.9, which is 2: steps of 2^(2 + 1 - 3) = 1, cut toward zero."""
    assert round_trip([5.9, -1.99, 0.99, 7.0], get("msfp12")) == [5.0, -1.0, 0.0, 7.0]
    scale, codes = reference.quantize_block([5.9, -1.99, 0.99, 7.0], get("msfp12"))
    assert (scale, codes) == (127 + 2 + 1, [5, 0b1001, 0, 7])
    # The largest significand keeps its leading one, where BFP, which takes the exponent above it, may saturate
    assert round_trip([4.0], get("msfp12")) == [4.0]
    assert round_trip([4.0], get("bfp4")) == [3.5]


@pytest.mark.parametrize(("name", "bits"), [("msfp16", 7), ("msfp15", 6), ("msfp14", 5), ("msfp13", 4), ("msfp11", 2)])
def test_msfp_keeps_as_many_bits_as_it_says(name: str, bits: int) -> None:
    largest = 2 - 2.0 ** (1 - bits)  # all ones
    assert round_trip([largest, largest + 2.0**-bits], get(name)) == [largest, largest]


def test_q4_0_of_a_block_with_a_negative_extreme() -> None:
    """d = -4 / -8 = 0.5; 3.8 * 2 + 8.5 = 16.1 is cut at 15; 1.25 * 2 + 8.5 = 11; -0.25 * 2 + 8.5 = 8; 0 stays 8."""
    scale, codes = reference.quantize_block([-4.0, float(np.float32(3.8)), 1.25, -0.25, 0.0], get("gguf_q4_0"))
    assert (scale, codes) == (int(np.float16(0.5).view(np.uint16)), [0, 15, 11, 8, 8])
    assert reference.dequantize_block(scale, codes, get("gguf_q4_0")) == [-4.0, 3.5, 1.5, 0.0, 0.0]


def test_q4_0_of_a_block_with_a_positive_extreme() -> None:
    """d = 4 / -8: the signs turn; -3.8 / -0.5 = 7.6 is cut at 7."""
    scale, codes = reference.quantize_block([4.0, float(np.float32(-3.8)), 1.25, 0.0], get("gguf_q4_0"))
    assert (scale, codes) == (int(np.float16(-0.5).view(np.uint16)), [0, 15, 6, 8])
    assert reference.dequantize_block(scale, codes, get("gguf_q4_0")) == [4.0, -3.5, 1.0, 0.0]


def test_q8_0_divides_before_its_scale_is_rounded() -> None:
    """d = 1 / 127 in float32; fp16(d) is 0.39 % of 2^-11 off, which would turn 63.5 steps into 63.49 or 63.51."""
    value = float(np.float32(63.5) * np.float32(1 / 127))
    _, codes = reference.quantize_block([1.0, value, -value], get("gguf_q8_0"))
    quotient = float(np.float32(value) * (np.float32(1) / np.float32(1 / 127)))
    assert codes == [127, math.floor(quotient + 0.5), 256 - math.floor(quotient + 0.5)], "roundf: halves away from zero"


def test_q4_1_counts_from_its_minimum() -> None:
    """min = 1, d = (16 - 1) / 15 = 1; 2.4 is 1.4 steps up."""
    scale, codes = reference.quantize_block([1.0, 16.0, float(np.float32(2.4))], get("gguf_q4_1"))
    assert (scale, codes) == (0x3C00 | 0x3C00 << 16, [0, 15, 1])
    assert reference.dequantize_block(scale, codes, get("gguf_q4_1")) == [1.0, 16.0, 2.0]


@pytest.mark.parametrize("name", ["int4_g32_affine", "int8_affine", "int2_g64_affine"])
@pytest.mark.parametrize("block", [[1.0, 3.0], [-1.0, -3.0], [-0.3, 2.7], [-2.7, 0.3], [1e-20, 1e20]])
def test_a_zero_point_keeps_zero_exact(name: str, block: list[float]) -> None:
    values = [*(float(np.float32(v)) for v in block), 0.0, -0.0]
    assert round_trip(values, get(name))[2:] == [0.0, 0.0]


# Carries


@pytest.mark.parametrize(
    ("name", "value", "clean", "published"),
    [
        ("minifloat8", 1.97, 2.0, 1.875),  # 1.97 * 8 rounds to 16: carried into the exponent, or clipped to 15/8
        ("minifloat8", 0.0155, 2.0**-6, 7 * 2.0**-9),  # from the subnormals into the normals
        ("dmf8", 0.97, 1.0, 0.875),
        ("minifloat8", 1e9, 480.0, 480.0),
        ("dmf8", 1e9, 224.0, 224.0),
    ],
)
def test_a_significand_that_rounds_up(name: str, value: float, clean: float, published: float) -> None:
    value = float(np.float32(value))
    assert round_trip([value, -value], get(name)) == [clean, -clean]
    assert round_trip([value, -value], get(f"{name}_as_published")) == [published, -published]


def test_a_saturating_significand_never_becomes_a_nan_code() -> None:
    fmt = parse({"element": "e4m3", "quirks": {"saturate_significand": True}})
    assert round_trip([500.0], fmt) == [448.0]


def test_an_exponent_pushed_past_its_value_leaves_the_significand_at_one() -> None:
    """floor(log2(0.6 + 0.5)) = 0; clip(round((0.6 / 2^0 - 1) * 8), 0, 7) = 0."""
    fmt = parse({"element": "e4m3", "quirks": {"saturate_significand": True, "epsilon": 0.5}})
    assert round_trip([float(np.float32(0.6))], fmt) == [1.0]


def test_of_several_codes_the_finest_exponent_is_taken() -> None:
    """Without a hidden bit 1/2 is 2^0 * 4/8 and 2^1 * 2/8: the smaller exponent has the finer step."""
    assert encode_one(0.5, get("dmf8")) == (7 << 3) | 4
    codes = {encode_one(float(get("dmf8").element.decode(code)), get("dmf8")) for code in range(256)}
    assert all(code & 0x7F < 8 or code & 0b100 for code in codes)


# Zeros, subnormal inputs, specials


@pytest.mark.parametrize(
    "name",
    ["float32", "float16", "minifloat8", "dmf8", "bfp6", "mxfp4", "nvfp4", "bl8", "msfp12", "mx9", "fp4", "kfloat4"],
)
def test_negative_zero_keeps_its_sign_where_the_sign_stands_apart(name: str) -> None:
    restored = round_trip([-0.0, 0.0, 1.0], get(name))
    assert [math.copysign(1, x) for x in restored[:2]] == [-1, 1]
    assert restored[:2] == [0, 0]


@pytest.mark.parametrize(
    ("name", "zero"), [("int8", 0), ("fixed8", 0), ("mxint8", 0), ("gguf_q4_0", 8), ("nf4", 7), ("e4m3_fnuz", 0)]
)
def test_others_have_one_zero(name: str, zero: int) -> None:
    assert reference.quantize_block([-0.0, 0.0, -0.5], get(name))[1][:2] == [zero, zero]


def test_the_most_negative_code_is_reached_or_clamped() -> None:
    assert round_trip([-2.0, 1.0], BlockFormat("m", IntElement(8, fraction_bits=6))) == [-2.0, 1.0]
    symmetric = IntElement(8, fraction_bits=6, symmetric=True)
    assert round_trip([-2.0, 1.0], BlockFormat("m", symmetric)) == [-127 / 64, 1.0]
    # mxint8: -1.999 has exponent 0 and rounds to -128/64
    assert reference.quantize_block([-1.9990234375], get("mxint8")) == (127, [0x80])


@pytest.mark.parametrize(
    ("name", "value", "restored"),
    [
        ("float32", 2.0**-149, 2.0**-149),
        ("float32_ftz", 2.0**-149, 0.0),
        ("float32_ftz", -(2.0**-127), -0.0),
        ("float32_ftz", 2.0**-126, 2.0**-126),
        ("tf32", 3 * 2.0**-136, 3 * 2.0**-136),  # its smallest is 2^(1 - 127 - 10)
        ("bfloat16", 2.0**-134, 0.0),  # half its smallest: a tie, to even
        ("bfloat16", 1.5 * 2.0**-134, 2.0**-133),
        # The shared exponent stops at -127, where a BFP6 step is 2^(-127-5)
        ("bfp6", 3 * 2.0**-132, 3 * 2.0**-132),
        ("bfp6", 2.0**-133, 0.0),
        # MXFP4's smallest step is 2^(-127-1)
        ("mxfp4", 2.0**-128, 2.0**-128),
        ("mxfp4", 2.0**-149, 0.0),
        ("int8", 2.0**-149, 0.0),  # the scale, float32(2^-149 / 127), is zero
        ("nf4", 2.0**-149, 2.0**-149),
    ],
)
def test_float32_subnormals_are_honoured(name: str, value: float, restored: float) -> None:
    (result,) = round_trip([value], get(name))
    assert (result, math.copysign(1, result)) == (restored, math.copysign(1, restored))


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("float16", 65519.996, 0x7BFF),
        ("float16", 65520.0, 0x7C00),  # the middle between the largest and 2^16: a tie, to even, is Inf
        ("float16", -1e9, 0xFC00),
        ("bfloat16", 3.4e38, 0x7F80),
        ("float32", math.inf, 0x7F800000),
        ("float32", -math.inf, 0xFF800000),
        ("float32", math.nan, 0x7FC00000),
        ("bfloat16", math.nan, 0x7FC0),
        ("float16", -math.nan, 0xFE00),
    ],
)
def test_elements_with_specials_overflow_to_infinity_and_keep_nan(name: str, value: float, code: int) -> None:
    assert encode_one(float(np.float32(value)), get(name)) == code


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", [name for name in names() if get(name).nan_block])
def test_a_special_makes_its_block_nan_where_the_scale_can_say_so(name: str, value: float) -> None:
    fmt = get(name)
    scale, codes = reference.quantize_block([1.0, value, -3.0], fmt)
    assert fmt.scale is not None
    assert (scale, codes) == (fmt.scale.nan_code, [0, 0, 0])
    assert all(map(math.isnan, reference.dequantize_block(scale, codes, fmt)))


@pytest.mark.parametrize(
    ("name", "largest"),
    [
        ("minifloat8", 480),
        ("dmf8", 224),
        ("bfp6", 2.0**128 * 31 / 32),
        ("bm8", math.inf),  # 2^128 is in the range of the block's elements, and not of float32
    ],
)
def test_infinity_saturates_elsewhere(name: str, largest: float) -> None:
    assert round_trip([math.inf, -math.inf], get(name)) == [largest, -largest]


@pytest.mark.parametrize(
    "name", [name for name in names() if get(name).refuses_nan and get(name).first_level is get(name)]
)
def test_nan_is_refused_where_no_code_holds_it(name: str) -> None:
    with pytest.raises(FormatError, match=f"{name} has no code for NaN"):
        reference.quantize_block([1.0, math.nan], get(name))


def test_a_nan_in_a_block_stays_with_its_element_where_the_scale_has_no_code_for_it() -> None:
    fmt = BlockFormat("x", E4M3, PowerOfTwoScale(), 4)
    assert fmt.keeps_nan
    scale, codes = reference.quantize_block([448.0, math.nan, -1.0], fmt)
    assert (scale, codes) == (127, [0x7E, 0x7F, 0xB8])


@pytest.mark.parametrize(
    ("specials", "restored"),
    [
        (None, [math.nan] * 4),  # E8M0 has a code for it
        ("block", [math.nan] * 4),
        ("element", [1.0, math.nan, -3.0, 0.0]),
        ("zero", [1.0, 0.0, -3.0, 0.0]),
    ],
)
def test_what_a_nan_does(specials: Specials | None, restored: list[float]) -> None:
    fmt = BlockFormat("x", E4M3, PowerOfTwoScale(nan=True), 4, specials=specials)
    np.testing.assert_array_equal(round_trip([1.0, math.nan, -3.0, 0.0], fmt), restored)


def test_a_nan_can_be_refused() -> None:
    fmt = BlockFormat("x", E4M3, PowerOfTwoScale(nan=True), 4, specials="refuse")
    with pytest.raises(FormatError, match="x has no code for NaN"):
        reference.quantize_block([1.0, math.nan], fmt)


def test_a_block_of_nothing_but_nan() -> None:
    fmt = BlockFormat("x", E4M3, PowerOfTwoScale(nan=True), 4, specials="element")
    assert reference.quantize_block([math.nan, -math.nan], fmt) == (0, [0x7F, 0xFF])
    zeroed = BlockFormat("x", IntElement(4), FloatScale(FP16), 4, specials="zero")
    assert reference.quantize_block([math.nan, math.nan], zeroed) == (0, [0, 0])


def test_an_infinity_that_is_not_kept_counts_as_the_power_above_float32() -> None:
    """2^128 under max E4M3's emax 8 needs the scale 2^120; the others are counted in it."""
    fmt = BlockFormat("x", E4M3, PowerOfTwoScale(nan=True), 4, specials="zero")
    scale, codes = reference.quantize_block([math.inf, 2.0**127, 1.0], fmt)
    assert (scale, codes) == (127 + 120, [0x78, 0x70, 0])  # 256 and 128
    to_nan = BlockFormat("x", E4M3, PowerOfTwoScale(bits=7, bias=127), 4, specials="zero", overflow="special")
    assert reference.quantize_block([-math.inf], to_nan) == (127, [0xFF])  # the scale stops at 2^0


def test_fnuz_overflow_and_nan_are_one_code() -> None:
    fmt = parse({"element": "e4m3_fnuz", "overflow": "special"})
    assert reference.quantize_block([1e9, -1e9, math.nan, -math.nan, math.inf], fmt)[1] == [0x80] * 5
    assert round_trip([1e9, -1e9], parse({"element": "e4m3_fnuz"})) == [240.0, -240.0]


# Quirks at their edges


def test_a_constant_beyond_float32_saturates() -> None:
    """The sum overflows in float32 arithmetic, and an infinite sum takes the largest code."""
    fmt = BlockFormat("x", IntElement(8), quirks=Quirks(epsilon=1e39))
    assert round_trip([1.0, -1.0, 0.0], fmt) == [127.0, 127.0, 0.0]  # -1 + epsilon is positive; zeros stay zero
    far = BlockFormat("x", IntElement(8), PowerOfTwoScale(), 4, quirks=Quirks(epsilon=1e39))
    assert round_trip([2.0**100, 2.0**90], far) == [127 * 2.0**94] * 2  # whatever the scale
    shared = BlockFormat("x", IntElement(8, fraction_bits=-64), PowerOfTwoScale(), 4, quirks=Quirks(1.0, True))
    assert round_trip([2.0**100], shared) == [2.0**100 + 2.0**94]  # one step more


def test_a_saturating_significand_can_have_a_nan() -> None:
    fmt = BlockFormat("x", FloatElement(4, 3, 8, specials="fnuz"), quirks=Quirks(saturate_significand=True))
    assert reference.quantize_block([-0.0, math.nan, 1e9], fmt)[1] == [0, 0x80, 0x7F]


# Rounding to float32


@pytest.mark.parametrize(
    ("exact", "rounded"),
    [
        (Fraction(1, 3), float(np.float32(1 / 3))),
        (1 + Fraction(1, 2**24), 1.0),  # a tie, to even
        (1 + Fraction(1, 2**24) + Fraction(1, 2**80), 1 + 2.0**-23),  # float64 would lose the last term and tie
        (Fraction(3, 2**150), 2.0**-148),
        (Fraction(1, 2**150), 0.0),
        (Fraction(2) ** 128 - Fraction(2) ** 103, math.inf),  # the middle between the largest and 2^128
        (Fraction(2) ** 128 - Fraction(2) ** 103 - 1, float(np.finfo(np.float32).max)),
    ],
)
def test_round_to_float32(exact: Fraction, rounded: float) -> None:
    assert reference.round_to_float32(exact) == rounded
