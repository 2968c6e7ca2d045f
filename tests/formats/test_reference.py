"""The reference codec against the oracle at every place where a decision changes, and its policies one by one."""

import math
from collections.abc import Iterator
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import DTypeLike, NDArray

from densimeter.formats import (
    BlockFormat,
    Element,
    FloatElement,
    FloatScale,
    FormatError,
    IntElement,
    PowerOfTwoScale,
    get,
    names,
    parse,
    reference,
)
from support import oracle
from support.decisions import decision_points
from support.strategies import float32_arrays, formats

CLEAN = [name for name in names() if not name.endswith("_as_published")]
E4M3 = FloatElement(4, 3, 7, specials="nan")


def plain(element: Element) -> BlockFormat:
    return BlockFormat("plain", element)


def encode_one(value: float, fmt: BlockFormat) -> int:
    return reference.quantize_block([value], fmt)[1][0]


def round_trip(values: list[float], fmt: BlockFormat) -> list[float]:
    factor = reference.tensor_scale(values, fmt)
    return reference.dequantize_block(*reference.quantize_block(values, fmt, factor), fmt, factor)


def assert_like_oracle(values: list[float], fmt: BlockFormat, factor: float = 1.0) -> None:
    scale, codes = reference.quantize_block(values, fmt, factor)
    assert (scale, codes) == oracle.quantize_block(values, fmt, factor)
    restored = reference.dequantize_block(scale, codes, fmt, factor)
    np.testing.assert_array_equal(restored, oracle.dequantize_block(scale, codes, fmt, factor))


# Every place where a code changes


@pytest.mark.parametrize("name", CLEAN)
def test_every_rounding_decision_of_an_element(name: str) -> None:
    fmt = plain(get(name).element)
    for value in decision_points(fmt.element).tolist():
        assert_like_oracle([value], fmt)


def blocks_of(points: list[float], anchor: float) -> Iterator[list[float]]:
    """Blocks of 16 whose largest value is the anchor, so that they all take the scale that the anchor asks for."""
    inside = [x for x in points if abs(x) <= anchor]
    yield from ([anchor, *inside[i : i + 15]] for i in range(0, len(inside), 15))


@pytest.mark.parametrize("exponent", [-126, 3])
@pytest.mark.parametrize("name", [name for name in CLEAN if isinstance(get(name).scale, PowerOfTwoScale)])
def test_every_rounding_decision_under_a_shared_exponent(name: str, exponent: int) -> None:
    fmt = get(name)
    for block in blocks_of(
        decision_points(fmt.element, 2.0**exponent).tolist(), float(oracle.largest(fmt.element)) * 2.0**exponent
    ):
        assert_like_oracle(block, fmt)


@pytest.mark.parametrize("scale", [2**-6, 0.4375, 448, 2**-9])  # the last one subnormal
@pytest.mark.parametrize("factor", [1.0, 0.25, float(np.float32(0.0123))])
def test_every_rounding_decision_under_a_float_scale(scale: float, factor: float) -> None:
    fmt = get("nvfp4")
    for block in blocks_of(
        decision_points(fmt.element, scale * factor).tolist(), float(np.float32(6 * scale * factor))
    ):
        assert_like_oracle(block, fmt, factor)


@settings(max_examples=300)
@given(float32_arrays(24, nan=False), formats())
def test_any_format_on_any_numbers(x: NDArray[np.float32], fmt: BlockFormat) -> None:
    factor = reference.tensor_scale(x.tolist(), fmt)
    assert factor == oracle.tensor_factor(x.tolist(), fmt)
    assert_like_oracle(x.tolist(), fmt, factor)


@pytest.mark.slow
@pytest.mark.parametrize("name", CLEAN)
def test_many_random_blocks(name: str) -> None:
    rng, fmt = np.random.default_rng(7), get(name)
    for exponent in range(-150, 128):
        with np.errstate(over="ignore"):
            block = np.ldexp(rng.standard_normal(32), exponent).astype(np.float32).tolist()
        assert_like_oracle(block, fmt, oracle.tensor_factor(block, fmt))


@pytest.mark.parametrize(
    ("element", "dtype"),
    [
        ("e4m3", ml_dtypes.float8_e4m3fn),
        ("e5m2", ml_dtypes.float8_e5m2),
        ("e2m3", ml_dtypes.float6_e2m3fn),
        ("e3m2", ml_dtypes.float6_e3m2fn),
        ("e2m1", ml_dtypes.float4_e2m1fn),
    ],
)
def test_elements_round_like_ml_dtypes_within_their_range(element: str, dtype: DTypeLike) -> None:
    fmt = parse({"element": element})
    points = [x for x in decision_points(fmt.element).tolist() if abs(x) <= fmt.element.largest]
    theirs = np.array(points, np.float32).astype(dtype).view(np.uint8)
    assert [encode_one(x, fmt) for x in points] == theirs.tolist()


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


@pytest.mark.parametrize("name", CLEAN)
def test_an_all_zero_block_stays_zero(name: str) -> None:
    assert round_trip([0.0] * 4, get(name)) == [0.0] * 4


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


@pytest.mark.parametrize("name", ["float32", "float16", "minifloat8", "dmf8", "bfp6", "mxfp4", "nvfp4", "bl8"])
def test_negative_zero_keeps_its_sign_where_the_sign_stands_apart(name: str) -> None:
    restored = round_trip([-0.0, 0.0, 1.0], get(name))
    assert [math.copysign(1, x) for x in restored[:2]] == [-1, 1]
    assert restored[:2] == [0, 0]


@pytest.mark.parametrize("name", ["int8", "fixed8", "mxint8"])
def test_twos_complement_has_one_zero(name: str) -> None:
    assert reference.quantize_block([-0.0, 0.0, 0.5], get(name))[1][:2] == [0, 0]


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


@pytest.mark.parametrize("name", [name for name in names() if not get(name).holds_nan])
def test_nan_is_refused_where_no_code_holds_it(name: str) -> None:
    with pytest.raises(FormatError, match=f"{name} has no code for NaN"):
        reference.quantize_block([1.0, math.nan], get(name))


def test_a_nan_in_a_block_stays_with_its_element_where_the_scale_has_no_code_for_it() -> None:
    fmt = BlockFormat("x", E4M3, PowerOfTwoScale(), 4)
    assert fmt.holds_nan
    scale, codes = reference.quantize_block([448.0, math.nan, -1.0], fmt)
    assert (scale, codes) == (127, [0x7E, 0x7F, 0xB8])


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
