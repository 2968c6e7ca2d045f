"""Elements: every code of every narrow element, the constants of specifications, and what cannot be declared."""

import math
from collections.abc import Iterator
from fractions import Fraction
from itertools import product

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import DTypeLike

from densimeter.formats import Element, FloatElement, FormatError, IntElement, LogElement, get
from densimeter.formats.notation import parse_element
from support import oracle


def narrow_ints() -> Iterator[IntElement]:
    for bits, encoding, symmetric in product(range(2, 9), ("twos_complement", "sign_magnitude"), (False, True)):
        yield IntElement(bits, encoding, fraction_bits=bits // 2, symmetric=symmetric)  # type: ignore[arg-type]


def narrow_floats() -> Iterator[FloatElement]:
    shapes = [(e, m) for e in range(1, 8) for m in range(8 - e)]
    for (e, m), specials, subnormals in product(shapes, ("none", "nan", "ieee"), (True, False)):
        bias, all_subnormal = (1 << (e - 1)) - 1, e == 1 and (specials == "ieee" or m == 0)
        if not (specials == "ieee" and m == 0) and not (all_subnormal and (m == 0 or not subnormals)):
            yield FloatElement(e, m, bias, subnormals=subnormals, specials=specials)  # type: ignore[arg-type]
    yield from (FloatElement(e, m, (1 << (e - 1)) - 1, hidden_bit=False) for e, m in shapes if m)


def narrow_logs() -> Iterator[LogElement]:
    yield from (LogElement(bits, bias, zero) for bits, bias, zero in product(range(2, 8), (0, 9), (True, False)))


NARROW: list[Element] = [*narrow_ints(), *narrow_floats(), *narrow_logs()]


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
    assert Fraction(2) ** element.emax <= element.largest < Fraction(2) ** (element.emax + 1)
    assert all(v % Fraction(2) ** element.lsb_exponent == 0 for v in finite)
    assert element.has_nan == any(map(math.isnan, decoded(element)))
    assert element.has_infinity == any(map(math.isinf, decoded(element)))


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
    [("mxint8", -2), ("int8", -128), ("fixed8", -1)],
)
def test_twos_complement_decodes_its_most_negative_code(name: str, most_negative: int) -> None:
    assert get(name).element.decode(0x80).value == most_negative


def test_special_codes() -> None:
    e4m3, e5m2 = parse_element("e4m3"), parse_element("e5m2")
    assert [code for code in range(256) if math.isnan(float(e4m3.decode(code)))] == [0x7F, 0xFF]
    assert [code for code in range(256) if math.isinf(float(e5m2.decode(code)))] == [0x7C, 0xFC]
    assert [code for code in range(256) if math.isnan(float(e5m2.decode(code)))] == [0x7D, 0x7E, 0x7F, 0xFD, 0xFE, 0xFF]


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


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (IntElement, {"bits": 1}, "bits is 1, expected an integer from 2 to 16"),
        (IntElement, {"bits": 17}, "bits is 17"),
        (IntElement, {"bits": 8.0}, "bits is 8.0"),
        (IntElement, {"bits": True}, "bits is True"),
        (IntElement, {"bits": 8, "encoding": "ones_complement"}, "expected one of twos_complement, sign_magnitude"),
        (IntElement, {"bits": 8, "fraction_bits": 65}, "fraction_bits is 65"),
        (FloatElement, {"exponent_bits": 0, "mantissa_bits": 3, "bias": 0}, "exponent_bits is 0, expected an integer"),
        (FloatElement, {"exponent_bits": 9, "mantissa_bits": 3, "bias": 0}, "from 1 to 8"),
        (FloatElement, {"exponent_bits": 4, "mantissa_bits": 24, "bias": 7}, "mantissa_bits is 24"),
        (FloatElement, {"exponent_bits": 4, "mantissa_bits": 3, "bias": 1000}, "bias is 1000"),
        (FloatElement, {"exponent_bits": 4, "mantissa_bits": 3, "bias": 7, "specials": "ocp"}, "none, ieee, nan"),
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
    ],
)
def test_what_cannot_be_declared(kind: type, fields: dict[str, object], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        kind(**fields)
