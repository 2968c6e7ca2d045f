"""Elements: every code of every narrow element, the constants of specifications, and what cannot be declared."""

import math
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import product
from typing import get_args

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import DTypeLike

from densimeter.formats import Element, FloatElement, FormatError, IntElement, LogElement, get
from densimeter.formats.element import FloatSpecials, IntEncoding, largest_magnitude
from densimeter.formats.notation import parse_element
from support import oracle


def narrow_ints() -> Iterator[IntElement]:
    for bits, encoding, symmetric in product(range(2, 9), get_args(IntEncoding), (False, True)):
        yield IntElement(bits, encoding, fraction_bits=bits // 2, symmetric=symmetric)


SHAPES = [(e, m) for e in range(1, 8) for m in range(8 - e)]


def narrow_floats() -> Iterator[FloatElement]:
    for (e, m), specials, subnormals in product(SHAPES, get_args(FloatSpecials), (True, False)):
        with suppress(FormatError):
            yield FloatElement(e, m, (1 << (e - 1)) - 1, subnormals=subnormals, specials=specials)
    yield from (FloatElement(e, m, (1 << (e - 1)) - 1, hidden_bit=False) for e, m in SHAPES if m)


def narrow_logs() -> Iterator[LogElement]:
    yield from (LogElement(bits, bias, zero) for bits, bias, zero in product(range(2, 8), (0, 9), (True, False)))


NARROW: list[Element] = [*narrow_ints(), *narrow_floats(), *narrow_logs()]


def test_all_shapes_but_the_empty_ones_exist() -> None:
    """Inf without a mantissa bit: 7 shapes; e1m0 with a NaN: no number above zero; e1mX, IEEE, flushed: likewise 6."""
    assert sum(isinstance(e, FloatElement) and e.hidden_bit for e in NARROW) == 28 * 4 * 2 - 7 * 2 - 1 * 2 - 6


def same(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))


def decoded(element: Element) -> list[float]:
    return [float(element.decode(code)) for code in range(1 << element.bits)]


@pytest.mark.parametrize("element", NARROW, ids=str)
def test_every_code_is_worth_what_the_formula_says(element: Element) -> None:
    for code, worth in enumerate(decoded(element)):
        assert same(worth, oracle.value(element, code)), code


@pytest.mark.parametrize("element", NARROW, ids=str)
def test_derived_facts_follow_from_the_values(element: Element) -> None:
    finite = [Fraction(v) for v in decoded(element) if math.isfinite(v)]
    assert element.largest == max(finite)
    assert largest_magnitude(element) * Fraction(2) ** element.lsb_exponent == max(map(abs, finite))
    assert Fraction(2) ** element.emax <= element.largest < Fraction(2) ** (element.emax + 1)
    assert all(v % Fraction(2) ** element.lsb_exponent == 0 for v in finite)
    assert element.has_nan == any(map(math.isnan, decoded(element)))
    assert element.has_infinity == any(map(math.isinf, decoded(element)))


@pytest.mark.parametrize("element", [e for e in NARROW if isinstance(e, FloatElement)], ids=str)
def test_the_top_binade_counts_in_its_lowest_bit(element: FloatElement) -> None:
    largest = element.decode(element.largest_magnitude_code)
    assert largest.exponent == element.top_exponent
    assert largest.value == element.largest


@pytest.mark.parametrize("element", NARROW, ids=str)
def test_the_code_of_padding_is_zero_or_the_smallest_power(element: Element) -> None:
    smallest = 0 if not isinstance(element, LogElement) or element.zero else Fraction(2) ** -element.bias
    assert element.decode(element.padding_code).value == smallest


@pytest.mark.parametrize("element", [e for e in NARROW if isinstance(e, IntElement)], ids=str)
def test_every_integer_encodes_to_a_code_of_its_own(element: IntElement) -> None:
    integers = range(element.smallest_integer, element.largest_integer + 1)
    codes = [element.encode(abs(i), i < 0) for i in integers]
    assert len(set(codes)) == len(codes)
    step = Fraction(2) ** element.lsb_exponent
    assert [element.decode(code).value / step for code in codes] == list(integers)
    outside = (element.encode(1 << 20, negative=True), element.encode(1 << 20, negative=False))
    assert outside == (codes[0], codes[-1]), "saturates"


@pytest.mark.parametrize("element", NARROW, ids=str)
def test_significands_fit_their_width(element: Element) -> None:
    significands = [element.decode(code).significand for code in range(1 << element.bits)]
    assert max(significands).bit_length() <= element.significand_bits


@pytest.mark.parametrize(
    ("written", "largest", "smallest", "emax"),
    [
        # OCP Microscaling v1.0, table of element formats
        ("e5m2", 57344, 2**-16, 15),
        ("e4m3", 448, 2**-9, 8),
        ("e3m2", 28, 2**-4, 4),
        ("e2m3", 7.5, 2**-3, 2),
        ("e2m1", 6, 0.5, 2),
        # IEEE 754 and its relatives
        ("e8m23", (2 - 2**-23) * 2**127, 2**-149, 127),
        ("e5m10", 65504, 2**-24, 15),
        ("e8m7", (2 - 2**-7) * 2**127, 2**-133, 127),
        ("int8", 127, 1, 6),
        ("uint4", 15, 1, 3),
        # fnuz (arXiv 2206.02915, ml_dtypes): one bias more, no code lost but negative zero
        ("e4m3_fnuz", 240, 2**-10, 7),  # (1 + 7/8) * 2^(15 - 8)
        ("e5m2_fnuz", 57344, 2**-17, 15),  # (1 + 3/4) * 2^(31 - 16)
        ("e3m4", 15.5, 2**-6, 3),  # IEEE: (1 + 15/16) * 2^(6 - 3)
        ("e4m3_ieee", 240, 2**-9, 7),
    ],
)
def test_published_ranges_of_short_names(written: str, largest: float, smallest: float, emax: int) -> None:
    assert_range(parse_element(written), largest, smallest)
    assert parse_element(written).emax == emax


@pytest.mark.parametrize(
    ("name", "largest", "smallest"),
    [
        ("mxint8", 1 + 63 / 64, 2**-6),
        ("minifloat8", 480, 2**-9),  # 2^8 * (1 + 7/8); 2^-6 * 1/8
        ("dmf8", 224, 2**-10),  # 2^8 * 7/8; 2^-7 * 1/8
        ("bfp6", 1 - 2**-5, 2**-5),
        ("bl8", 2**0, 2**-126),  # field 127 under bias 127; field 0 is zero
        ("bl8_as_published", 2**0, 2**-127),
        ("fixed8", 127 / 128, 2**-7),
        ("fixed8_f4", 127 / 16, 2**-4),
    ],
)
def test_published_ranges_of_catalog_elements(name: str, largest: float, smallest: float) -> None:
    assert_range(get(name).element, largest, smallest)


def assert_range(element: Element, largest: float, smallest: float) -> None:
    lowest_codes = range(min(1 << (element.bits - 1), 1 << 8))
    assert min(v for code in lowest_codes if (v := float(element.decode(code))) > 0) == smallest
    assert element.largest == Fraction(largest)


@pytest.mark.parametrize(
    ("name", "most_negative"),
    [("mxint8", -2), ("int8", -128), ("fixed8", -1)],  # 0x80, whether a quantiser produces it or not
)
def test_twos_complement_decodes_its_most_negative_code(name: str, most_negative: int) -> None:
    assert get(name).element.decode(0x80).value == most_negative


def test_special_codes() -> None:
    e4m3, e5m2 = parse_element("e4m3"), parse_element("e5m2")
    assert [code for code in range(256) if math.isnan(float(e4m3.decode(code)))] == [0x7F, 0xFF]
    assert [code for code in range(256) if math.isinf(float(e5m2.decode(code)))] == [0x7C, 0xFC]
    assert [code for code in range(256) if math.isnan(float(e5m2.decode(code)))] == [0x7D, 0x7E, 0x7F, 0xFD, 0xFE, 0xFF]
    fnuz = parse_element("e4m3_fnuz")
    assert [code for code in range(256) if math.isnan(float(fnuz.decode(code)))] == [0x80]


@pytest.mark.parametrize(
    ("written", "code"),
    [("e4m3", 0x7F), ("e5m2", 0x7E), ("e3m4", 0x78), ("e8m7", 0x7FC0), ("e5m2_fnuz", 0x80), ("e8m23", 0x7FC00000)],
)
def test_the_nan_that_is_written(written: str, code: int) -> None:
    """OCP has one per sign, IEEE 754 prefers the quiet one, fnuz has the code of negative zero."""
    element = parse_element(written)
    assert isinstance(element, FloatElement)
    assert element.nan_code == code
    assert math.isnan(float(element.decode(code)))


def test_fnuz_has_no_negative_zero() -> None:
    fnuz, ocp = parse_element("e4m3_fnuz"), parse_element("e4m3")
    assert isinstance(fnuz, FloatElement)
    assert isinstance(ocp, FloatElement)
    assert (fnuz.has_negative_zero, ocp.has_negative_zero) == (False, True)
    assert [fnuz.with_sign(code, True) for code in (0, 1)] == [0, 0x81]
    assert [ocp.with_sign(code, True) for code in (0, 1)] == [0x80, 0x81]


@pytest.mark.parametrize(
    ("element", "values"),
    [
        (IntElement(3, "twos_complement"), [0, 1, 2, 3, -4, -3, -2, -1]),
        (IntElement(3, "sign_magnitude"), [0, 1, 2, 3, -0.0, -1, -2, -3]),
        (IntElement(3, "offset"), [-4, -3, -2, -1, 0, 1, 2, 3]),
        (IntElement(3, "unsigned"), [0, 1, 2, 3, 4, 5, 6, 7]),
        (IntElement(3, "unsigned", fraction_bits=2), [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75]),
        (FloatElement(2, 1, 1), [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6]),
        (
            FloatElement(2, 1, 2, specials="fnuz"),
            [0, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, math.nan, *(-k / 4 for k in (1, 2, 3, 4, 6, 8, 12))],
        ),
        (
            FloatElement(2, 1, 1, hidden_bit=False),
            [0, 0.25, 0, 0.5, 0, 1, 0, 2, -0.0, -0.25, -0.0, -0.5, -0.0, -1, -0.0, -2],
        ),
        (LogElement(2, 1), [0, 1, 2, 4, -0.0, -1, -2, -4]),
        (LogElement(2, 1, zero=False), [0.5, 1, 2, 4, -0.5, -1, -2, -4]),
    ],
    ids=lambda value: getattr(value, "symbol", None),
)
def test_small_elements_written_out(element: Element, values: list[float]) -> None:
    assert all(map(same, decoded(element), map(float, values)))


@pytest.mark.parametrize("special", [0x7C, 0x7D])
def test_a_special_has_no_exact_value(special: int) -> None:
    with pytest.raises(ValueError, match="has no exact value"):
        _ = parse_element("e5m2").decode(special).value


@pytest.mark.parametrize(
    ("written", "dtype"),
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
        ("e8m7", ml_dtypes.bfloat16),
        ("e5m10", np.float16),
    ],
)
def test_values_agree_with_ml_dtypes(written: str, dtype: DTypeLike) -> None:
    element = parse_element(written)
    codes = np.arange(1 << element.bits, dtype=np.uint8 if element.bits <= 8 else np.uint16)
    with np.errstate(invalid="ignore"):  # signalling NaNs
        theirs = codes.view(dtype).astype(np.float64)
    assert all(map(same, decoded(element), theirs.tolist()))


def test_e4m3b11_fnuz_agrees_with_ml_dtypes() -> None:
    theirs = np.arange(256, dtype=np.uint8).view(ml_dtypes.float8_e4m3b11fnuz).astype(np.float64)
    assert all(map(same, decoded(get("e4m3b11_fnuz").element), theirs.tolist()))


@pytest.mark.parametrize(
    ("element", "symbol", "notation"),
    [
        (IntElement(4, "offset"), "off4", "offset int4"),
        (IntElement(8, "unsigned", 3), "uint8", "unsigned int8 x 2^-3"),
        (IntElement(6, "sign_magnitude", 5), "sm6", "sign-magnitude int6 x 2^-5"),
        (FloatElement(4, 3, 8, specials="fnuz"), "e4m3", "e4m3 bias 8, fnuz"),
        (FloatElement(4, 3, 7, hidden_bit=False), "e4m3", "e4m3 bias 7, no hidden bit"),
        (LogElement(7, 127, zero=False), "log7", "log e7 bias 127, no zero"),
    ],
)
def test_how_elements_are_called(element: Element, symbol: str, notation: str) -> None:
    assert (element.symbol, element.notation) == (symbol, notation)


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (IntElement, {"bits": 1}, "bits is 1, expected an integer from 2 to 16"),
        (IntElement, {"bits": 17}, "bits is 17"),
        (IntElement, {"bits": 8.0}, "bits is 8.0"),
        (IntElement, {"bits": True}, "bits is True"),
        (IntElement, {"bits": 8, "encoding": "ones_complement"}, "expected one of twos_complement, sign_magnitude"),
        (IntElement, {"bits": 8, "encoding": ["unsigned"]}, "encoding is"),
        (IntElement, {"bits": 8, "fraction_bits": 65}, "fraction_bits is 65"),
        (IntElement, {"bits": 8, "symmetric": 1}, "symmetric is 1, expected true or false"),
        (FloatElement, {"exponent_bits": 0, "mantissa_bits": 3, "bias": 0}, "exponent_bits is 0, expected an integer"),
        (FloatElement, {"exponent_bits": 9, "mantissa_bits": 3, "bias": 0}, "from 1 to 8"),
        (FloatElement, {"exponent_bits": 4, "mantissa_bits": 24, "bias": 7}, "mantissa_bits is 24"),
        (FloatElement, {"exponent_bits": 4, "mantissa_bits": 3, "bias": 1000}, "bias is 1000, expected .* -256 to 512"),
        (FloatElement, {"exponent_bits": 4, "mantissa_bits": 3, "bias": 7, "specials": "ocp"}, "none, ieee, nan, fnuz"),
        (FloatElement, {"exponent_bits": 4, "mantissa_bits": 3, "bias": 7, "hidden_bit": None}, "hidden_bit is None"),
        (FloatElement, {"exponent_bits": 4, "mantissa_bits": 3, "bias": 7, "subnormals": 0}, "subnormals is 0"),
        (FloatElement, {"exponent_bits": 4, "mantissa_bits": 0, "bias": 7, "specials": "ieee"}, "one mantissa bit"),
        (FloatElement, {"exponent_bits": 4, "mantissa_bits": 0, "bias": 7, "hidden_bit": False}, "needs mantissa bits"),
        (
            FloatElement,
            {"exponent_bits": 4, "mantissa_bits": 3, "bias": 7, "hidden_bit": False, "specials": "nan"},
            "specials 'none'",
        ),
        (FloatElement, {"exponent_bits": 1, "mantissa_bits": 0, "bias": 0, "specials": "nan"}, "above zero"),
        (
            FloatElement,
            {"exponent_bits": 1, "mantissa_bits": 3, "bias": 0, "specials": "ieee", "subnormals": False},
            "above zero",
        ),
        (LogElement, {"exponent_bits": 1, "bias": 0}, "exponent_bits is 1, expected an integer from 2 to 8"),
        (LogElement, {"exponent_bits": 7, "bias": 513}, "bias is 513"),
        (LogElement, {"exponent_bits": 7, "bias": 127, "zero": "no"}, "zero is 'no'"),
    ],
)
def test_what_cannot_be_declared(kind: type, fields: dict[str, object], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        kind(**fields)
