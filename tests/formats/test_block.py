"""BlockFormat: what an element, a scale and a block make together, and which of them cannot stand together."""

from fractions import Fraction

import pytest

from densimeter.formats import (
    BlockFormat,
    FloatElement,
    FloatScale,
    FormatError,
    IntElement,
    LogElement,
    PowerOfTwoScale,
    get,
)

INT8, LOG = IntElement(8), LogElement(7, 127)
E4M3 = FloatElement(4, 3, 7, specials="nan")
SHARED, FLOAT = PowerOfTwoScale(), FloatScale(E4M3)


@pytest.mark.parametrize(
    ("name", "bits", "density"),
    [
        ("float32", 32, 1),
        ("float16", 16, 2),
        ("tf32", 19, Fraction(32, 19)),
        ("fixed8", 8, 4),
        ("minifloat8", 8, 4),
        ("dmf8", 8, 4),
        ("bm8", 8 + Fraction(8, 16), Fraction(64, 17)),
        ("bl8", 8 + Fraction(8, 16), Fraction(64, 17)),
        ("bfp8", 8 + Fraction(8, 16), Fraction(64, 17)),
        ("bfp6_b32", 6 + Fraction(8, 32), Fraction(128, 25)),
        ("mxfp8_e4m3", 8 + Fraction(8, 32), Fraction(128, 33)),
        ("mxfp8_e5m2", 8.25, Fraction(128, 33)),
        ("mxfp6_e3m2", 6.25, Fraction(128, 25)),
        ("mxfp6_e2m3", 6.25, Fraction(128, 25)),
        ("mxfp4", 4.25, Fraction(128, 17)),
        ("mxint8", 8.25, Fraction(128, 33)),
        ("nvfp4", 4.5, Fraction(64, 9)),
        ("int8", 8, 4),  # a scale per row counts nothing as the row grows
    ],
)
def test_bits_per_value_count_the_scale(name: str, bits: float, density: Fraction) -> None:
    assert get(name).bits_per_value == Fraction(bits)
    assert get(name).memory_density == density


@pytest.mark.parametrize(("name", "published"), [("bfp8", 3.765), ("bfp6", 4.923), ("bfp5", 5.818), ("bfp4", 7.111)])
def test_memory_density_published_by_the_block_quantisation_paper(name: str, published: float) -> None:
    assert round(float(get(name).memory_density), 3) == published


@pytest.mark.parametrize(
    ("fmt", "nan_block", "holds_nan", "to_infinity", "in_unit", "tensor"),
    [
        (get("float32"), False, True, True, False, False),
        (get("minifloat8"), False, False, False, False, False),
        (get("bfp6"), False, False, False, True, False),
        (get("mxfp4"), True, True, False, True, False),
        (get("mxfp8_e5m2"), True, True, False, True, False),
        (get("nvfp4"), True, True, False, True, True),
        (get("int8"), True, True, False, False, False),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_policies(
    fmt: BlockFormat, nan_block: bool, holds_nan: bool, to_infinity: bool, in_unit: bool, tensor: bool
) -> None:
    assert fmt.nan_block == nan_block
    assert fmt.holds_nan == holds_nan
    assert fmt.overflows_to_infinity == to_infinity
    assert fmt.has_unit_scale == in_unit
    assert fmt.has_tensor_scale == tensor


@pytest.mark.parametrize(
    ("block", "row_length", "length", "count"),
    [(16, 32, 16, 2), (16, 33, 16, 3), (16, 5, 16, 1), (16, 0, 16, 0), ("row", 33, 33, 1), ("tensor", 66, 66, 1)],
)
def test_blocks_of_a_row(block: int | str, row_length: int, length: int, count: int) -> None:
    fmt = BlockFormat("x", INT8, SHARED if isinstance(block, int) else FLOAT, block)  # type: ignore[arg-type]
    assert (fmt.block_length(row_length), fmt.blocks_per_row(row_length)) == (length, count)


@pytest.mark.parametrize(
    ("scale", "offset"),
    [(PowerOfTwoScale(), 6), (PowerOfTwoScale(offset=0), 0), (PowerOfTwoScale(offset=-3), -3)],
)
def test_the_scale_offset_defaults_to_the_elements_emax(scale: PowerOfTwoScale, offset: int) -> None:
    assert BlockFormat("x", INT8, scale, 16).scale_exponent_offset == offset  # 127 lies in the binade of 2^6


def test_no_scale_has_no_offset() -> None:
    with pytest.raises(FormatError, match="x has no power-of-two scale"):
        _ = BlockFormat("x", INT8).scale_exponent_offset


@pytest.mark.parametrize(
    ("scale", "codes", "exponents"),
    [
        (PowerOfTwoScale(nan=True), (254, 255), (-127, 127)),  # OCP E8M0: 0xFF is NaN
        (PowerOfTwoScale(), (255, 255), (-127, 128)),
        (PowerOfTwoScale(bits=4, bias=9), (15, 15), (-9, 6)),
    ],
)
def test_range_of_a_shared_exponent(scale: PowerOfTwoScale, codes: tuple[int, int], exponents: tuple[int, int]) -> None:
    assert (scale.largest_code, scale.nan_code) == codes
    assert (scale.smallest_exponent, scale.largest_exponent) == exponents


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bits": 0}, "scale bits is 0, expected an integer from 1 to 8"),
        ({"bits": 9}, "scale bits is 9"),
        ({"bits": "8"}, "scale bits is '8'"),
        ({"bias": 5000}, "bias is 5000"),
        ({"bias": "127"}, "bias is '127'"),
        ({"offset": 1.5}, "offset is 1.5"),
        ({"rule": "round"}, "scale rule is 'round', expected .*floor.*ceil"),
    ],
)
def test_what_no_power_of_two_scale_can_be(fields: dict[str, object], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        PowerOfTwoScale(**fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("element", "scale", "block", "message"),
    [
        (INT8, SHARED, "column", "block is 'column', expected a positive integer, 'row' or 'tensor'"),
        (INT8, SHARED, 0, "block is 0"),
        (INT8, SHARED, -16, "block is -16"),
        (INT8, SHARED, True, "block is True"),
        (INT8, SHARED, 16.0, r"block is 16\.0"),
        (INT8, SHARED, None, "block is None"),
        (INT8, SHARED, [1, 16], r"block is \[1, 16\]"),
        (INT8, None, 16, "block 16 without a scale"),
        (INT8, None, "row", "block row without a scale"),
        (INT8, SHARED, "row", "a power-of-two scale per row is not supported"),
        (INT8, SHARED, "tensor", "a power-of-two scale per tensor is not supported"),
        (LOG, FLOAT, 16, "a float scale needs an integer or float element, not log e7"),
        (INT8, FloatScale(E4M3, tensor_scale=True), "row", "a tensor scale needs blocks of a fixed count"),
    ],
)
def test_what_cannot_be_composed(element: object, scale: object, block: object, message: str) -> None:
    with pytest.raises(FormatError, match=f"^x: .*{message}"):
        BlockFormat("x", element, scale, block)  # type: ignore[arg-type]


def test_title_and_source_do_not_tell_formats_apart() -> None:
    assert BlockFormat("x", INT8, title="one") == BlockFormat("x", INT8, source="two")
    assert BlockFormat("x", INT8) != BlockFormat("y", INT8)
