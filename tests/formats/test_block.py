"""BlockFormat: what an element, a scale and a block make together, and which of them cannot stand together."""

import math
from fractions import Fraction
from typing import Any

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
    Quirks,
    get,
)
from densimeter.formats.levels import levels

INT8, UINT4, LOG = IntElement(8), IntElement(4, "unsigned"), LogElement(7, 127)
E4M3 = FloatElement(4, 3, 7, specials="nan")
E5M2 = FloatElement(5, 2, 15, specials="ieee")
E2M1 = FloatElement(2, 1, 1)
FNUZ = FloatElement(4, 3, 8, specials="fnuz")
FP16 = FloatElement(5, 10, 15, specials="ieee")
FP32 = FloatElement(8, 23, 127, specials="ieee")
NF4 = CodebookElement(levels("nf4"))
SHARED, E8M0, FLOAT = PowerOfTwoScale(), PowerOfTwoScale(nan=True), FloatScale(E4M3)
TENSOR = FloatScale(E4M3, tensor_scale=True)
SIGNED = FloatScale(FP16, anchor="signed")
ZERO_POINT, MINIMUM = AffineScale(FP16, UINT4), AffineScale(FP16, FP16)
DOUBLE = DoubleScale(CodebookElement(levels("dynamic8")))
MICRO = PowerOfTwoScale(microexponents=8)
RECIPROCAL = Quirks(float32_reciprocal=True)


# Sizes


@pytest.mark.parametrize(
    ("fmt", "bits"),
    [
        (BlockFormat("x", INT8), 8),
        (BlockFormat("x", INT8, SHARED, 16), 8 + Fraction(8, 16)),
        (BlockFormat("x", INT8, SHARED, (4, 16)), 8 + Fraction(8, 64)),
        (BlockFormat("x", INT8, FloatScale(FP16), "row"), 8),  # vanishes as the row grows
        (BlockFormat("x", INT8, FloatScale(FP16), "tensor"), 8),
        (BlockFormat("x", E2M1, TENSOR, 16), 4 + Fraction(8, 16)),  # the tensor's float32 counts nothing
        (BlockFormat("x", UINT4, ZERO_POINT, 128), 4 + Fraction(16 + 4, 128)),
        (BlockFormat("x", UINT4, MINIMUM, 32), 4 + Fraction(16 + 16, 32)),
        (BlockFormat("x", NF4, DOUBLE, 64), 4 + Fraction(8, 64) + Fraction(32, 64 * 256)),
        (BlockFormat("x", INT8, PowerOfTwoScale(microexponents=8, microexponent_bits=2), 16), 8 + Fraction(8 + 16, 16)),
    ],
)
def test_bits_per_value_count_all_that_a_block_shares(fmt: BlockFormat, bits: Fraction) -> None:
    assert fmt.bits_per_value == bits
    assert fmt.memory_density == 32 / Fraction(bits)


@pytest.mark.parametrize(
    ("block", "values", "columns", "rows", "in_unit"),
    [
        (16, 16, 16, 1, True),
        ((4, 16), 64, 16, 4, True),
        ((1, 16), 16, 16, 1, True),
        ("row", None, None, 1, False),
        ("tensor", None, None, 1, False),
    ],
)
def test_shapes_of_blocks(block: Any, values: int | None, columns: int | None, rows: int, in_unit: bool) -> None:
    fmt = BlockFormat("x", INT8, FLOAT, block)
    assert (fmt.block_values, fmt.block_columns, fmt.block_rows) == (values, columns, rows)
    assert fmt.has_unit_scale == in_unit


@pytest.mark.parametrize(
    ("block", "row_length", "length", "count", "padded"),
    [
        (16, 32, 16, 2, 32),
        (16, 33, 16, 3, 48),
        (16, 5, 16, 1, 16),
        (16, 0, 16, 0, 0),
        ((4, 16), 33, 16, 3, 48),
        ("row", 33, 33, 1, 33),
        ("row", 0, 1, 1, 0),
        ("tensor", 66, 66, 1, 66),
    ],
)
def test_blocks_of_a_row(block: Any, row_length: int, length: int, count: int, padded: int) -> None:
    fmt = BlockFormat("x", INT8, FLOAT, block)
    assert (fmt.block_length(row_length), fmt.blocks_per_row(row_length)) == (length, count)
    assert fmt.padded_length(row_length) == padded


# Policies


@pytest.mark.parametrize(
    ("fmt", "nan_block", "keeps_nan", "refuses_nan", "to_special"),
    [
        (get("float32"), False, True, False, True),
        (get("e4m3"), False, True, False, False),  # one NaN, but no Inf: saturates
        (get("e4m3_fnuz"), False, True, False, False),
        (get("minifloat8"), False, False, True, False),
        (get("bfp6"), False, False, True, False),
        (get("mxfp4"), True, False, False, False),
        (get("mxfp8_e5m2"), True, False, False, False),  # the scale's NaN comes before the element's
        (get("nvfp4"), True, False, False, False),
        (get("int8"), True, False, False, False),
        (get("int4_affine"), True, False, False, False),
        (get("gguf_q4_0"), True, False, False, False),
        (get("mx9"), False, False, True, False),
        (get("nf4"), True, False, False, False),  # float32 scales
        (get("nf4_dq"), False, False, True, False),
        (BlockFormat("x", E4M3, SHARED, 16), False, True, False, False),
        (BlockFormat("x", E4M3, overflow="special"), False, True, False, True),
        (BlockFormat("x", E5M2, overflow="saturate"), False, True, False, False),
        (BlockFormat("x", E5M2, E8M0, 16, overflow="special"), True, False, False, True),
        (BlockFormat("x", E5M2, E8M0, 16, specials="element"), False, True, False, False),
        (BlockFormat("x", E5M2, E8M0, 16, specials="zero"), False, False, False, False),
        (BlockFormat("x", E5M2, E8M0, 16, specials="refuse"), False, False, True, False),
        (BlockFormat("x", INT8, specials="zero"), False, False, False, False),
        (BlockFormat("x", E5M2, quirks=Quirks(saturate_significand=True)), False, True, False, False),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_policies(fmt: BlockFormat, nan_block: bool, keeps_nan: bool, refuses_nan: bool, to_special: bool) -> None:
    assert (fmt.nan_block, fmt.keeps_nan, fmt.refuses_nan) == (nan_block, keeps_nan, refuses_nan)
    assert fmt.overflows_to_special == to_special


def test_second_levels() -> None:
    assert get("nvfp4").has_tensor_scale
    assert not get("nvfp4_one_level").has_tensor_scale
    assert get("mxfp4").first_level is get("mxfp4")
    assert get("nf4_dq").first_level.scale == FloatScale(FP32)


@pytest.mark.parametrize(
    ("scale", "offset"),
    [(PowerOfTwoScale(), 6), (PowerOfTwoScale(offset=0), 0), (PowerOfTwoScale(offset=-3), -3)],
)
def test_the_scale_offset_defaults_to_the_elements_emax(scale: PowerOfTwoScale, offset: int) -> None:
    assert BlockFormat("x", INT8, scale, 16).scale_exponent_offset == offset  # 127 lies in the binade of 2^6


def test_no_scale_has_no_offset() -> None:
    with pytest.raises(FormatError, match="x has no power-of-two scale"):
        _ = BlockFormat("x", INT8).scale_exponent_offset


def test_title_and_source_do_not_tell_formats_apart() -> None:
    assert BlockFormat("x", INT8, title="one") == BlockFormat("x", INT8, source="two")
    assert BlockFormat("x", INT8) != BlockFormat("y", INT8)


# What cannot be composed


@pytest.mark.parametrize(
    ("element", "scale", "block", "message"),
    [
        (INT8, SHARED, "column", r"block is 'column', expected a positive integer, a tile \[rows, columns\], 'row' or"),
        (INT8, SHARED, 0, "block is 0"),
        (INT8, SHARED, -16, "block is -16"),
        (INT8, SHARED, True, "block is True"),
        (INT8, SHARED, 16.0, r"block is 16\.0"),
        (INT8, SHARED, None, "block is None"),
        (INT8, SHARED, [1, 16], r"block is \[1, 16\]"),
        (INT8, SHARED, (0, 16), r"block is \(0, 16\)"),
        (INT8, SHARED, (4, True), r"block is \(4, True\)"),
        (INT8, SHARED, (16,), r"block is \(16,\)"),
        (INT8, SHARED, (1, 4, 16), r"block is \(1, 4, 16\)"),
        (INT8, None, 16, "block 16 without a scale; a block exists to share one"),
        (INT8, None, "row", "block row without a scale"),
        (INT8, None, (2, 2), r"block \(2, 2\) without a scale"),
        # Scales that need another element
        (LOG, FLOAT, 16, "a float scale needs an integer, float or codebook element, not log e7"),
        (LOG, DOUBLE, 16, "a float scale needs an integer, float or codebook element, not log e7"),
        (LOG, ZERO_POINT, 16, "not log e7"),
        (INT8, ZERO_POINT, 16, "a scale with a zero needs an unsigned integer element .uint4., not twos-comp"),
        (E4M3, MINIMUM, 16, "a scale with a zero needs an unsigned integer element"),
        (NF4, MINIMUM, 16, "a scale with a zero needs an unsigned integer element"),
        (IntElement(4, "unsigned", 2), MINIMUM, 16, r"not unsigned int4 x 2\^-2"),
        (UINT4, SIGNED, 16, "anchor 'signed' needs a signed integer element, not unsigned int4"),
        (E4M3, SIGNED, 16, "anchor 'signed' needs a signed integer element, not e4m3"),
        (NF4, SIGNED, 16, "anchor 'signed' needs a signed integer element, not codebook"),
        (NF4, PowerOfTwoScale(rule="even"), 16, "'even' rounds to the element's precision, which a codebook lacks"),
        # Scales that need another block
        (INT8, TENSOR, "row", "a tensor scale needs blocks of a fixed count, not block 'row'"),
        (NF4, TENSOR, 16, "and an integer or float element"),
        (NF4, DOUBLE, "row", "a doubly quantised scale needs blocks of a fixed count, not block 'row'"),
        (INT8, PowerOfTwoScale(microexponents=8), 20, "8 microexponents do not divide block 20"),
        (INT8, PowerOfTwoScale(microexponents=8), (2, 8), r"8 microexponents do not divide block \(2, 8\)"),
        (INT8, PowerOfTwoScale(microexponents=8), "row", "8 microexponents do not divide block 'row'"),
        # Ranges: 2047 * 2^-9 is more than one
        (IntElement(12), FLOAT, 16, "int12 is wider than scale e4m3 can serve: its largest value, 2047, times"),
        (FloatElement(8, 7, 100), FloatScale(FP32), 16, "e8m7 bias 100 is wider than scale e8m23 can serve"),
        (FloatElement(8, 0, -20), DOUBLE, 64, "is wider than scale e8m23 can serve"),
        (IntElement(12), FloatScale(FloatElement(4, 3, 7, subnormals=False)), 16, "the smallest scale, 0.015625"),
        (FloatElement(4, 3, -200), None, 1, r"has its largest value between 2\^215 and 2\^215, outside float32"),
        (FloatElement(4, 3, 200), None, 1, r"between 2\^-185 and 2\^-185, outside float32 .2\^-149 to 2\^127.; change"),
        (FloatElement(4, 3, -300 + 256), PowerOfTwoScale(bias=-100), 16, r"under scale 2\^e, 8-bit e, floor has its"),
        (FloatElement(4, 3, 400), SHARED, 16, "outside float32"),
        (LogElement(8, -10), None, 1, "outside float32"),
    ],
)  # fmt: skip
def test_what_cannot_be_composed(element: Any, scale: Any, block: Any, message: str) -> None:
    with pytest.raises(FormatError, match=f"^x: .*{message}"):
        BlockFormat("x", element, scale, block)


@pytest.mark.parametrize(
    ("element", "scale"),
    [
        (IntElement(10), FLOAT),  # 511 * 2^-9 is just below one
        (IntElement(12), TENSOR),  # the tensor's scale serves what the block's cannot
        (FloatElement(8, 7, 200), SHARED),
        (FloatElement(4, 3, -120), PowerOfTwoScale(bias=255)),
    ],
)
def test_ranges_that_just_fit(element: Any, scale: Any) -> None:
    assert BlockFormat("x", element, scale, 16).element == element


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"element": INT8, "overflow": "wrap"}, "overflow is 'wrap', expected one of saturate, special"),
        (
            {"element": INT8, "overflow": "special"},
            "overflow 'special' needs an element with Inf or NaN, which twos-com",
        ),
        ({"element": E2M1, "overflow": "special"}, "which e2m1 bias 1 lacks"),
        ({"element": INT8, "specials": "keep"}, "specials is 'keep', expected one of block, element, zero, refuse"),
        ({"element": INT8, "specials": "element"}, "specials 'element' needs an element with a NaN"),
        ({"element": E4M3, "specials": "block"}, "specials 'block' needs a scale with a code for NaN, such as e8m0"),
        (
            {"element": E4M3, "scale": SHARED, "block": 16, "specials": "block"},
            "'block' needs a scale with a code for N",
        ),
        (
            {"element": NF4, "scale": DOUBLE, "block": 64, "specials": "block"},
            "'block' needs a scale with a code for N",
        ),
        ({"element": INT8, "rounding": "nearest"}, "rounding is 'nearest', expected one of nearest_even"),
        ({"element": INT8, "layout": "gguf"}, "layout is 'gguf', expected one of planes, ggml"),
        ({"element": INT8, "layout": "ggml"}, "layout 'ggml' needs block 32"),
        ({"element": INT8, "scale": FloatScale(FP16), "block": 64, "layout": "ggml"}, "layout 'ggml' needs block 32"),
        ({"element": IntElement(6), "scale": FloatScale(FP16), "block": 32, "layout": "ggml"}, "elements of 4, 5 or 8"),
        ({"element": UINT4, "scale": ZERO_POINT, "block": 32, "layout": "ggml"}, "one scale of whole bytes"),
        ({"element": E2M1, "scale": TENSOR, "block": 32, "layout": "ggml"}, "layout 'ggml' needs"),
        ({"element": NF4, "scale": DOUBLE, "block": 32, "layout": "ggml"}, "layout 'ggml' needs"),
        ({"name": 5, "element": INT8}, "name is 5, expected text"),
    ],
)
def test_policies_that_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        BlockFormat(**{"name": "x", **fields})


@pytest.mark.parametrize(
    ("fields", "quirks", "message"),
    [
        (
            {"element": E5M2, "overflow": "special"},
            Quirks(saturate_significand=True),
            "cannot stand with overflow 'spec",
        ),
        (
            {"element": E5M2, "rounding": "nearest_up"},
            Quirks(saturate_significand=True),
            "rounding 'nearest_even' alone",
        ),
        (
            {"element": FloatElement(4, 3, 7, subnormals=False)},
            Quirks(saturate_significand=True),
            "not defined for an element without subnormals",
        ),
        ({"element": E5M2}, Quirks(epsilon=1e-9), "epsilon on a float element needs saturate_significand"),
        ({"element": NF4}, Quirks(epsilon=1e-9), "epsilon on a codebook element is not defined"),
        (
            {"element": UINT4, "scale": ZERO_POINT, "block": 32},
            Quirks(epsilon=1e-9),
            "a scale with a zero are not defined",
        ),
        (
            {"element": INT8, "scale": MICRO, "block": 16},
            Quirks(flush_at=1e-8),
            "epsilon and flush_at under microexpon",
        ),
        (
            {"element": INT8, "scale": MICRO, "block": 16},
            Quirks(epsilon=1e-9),
            "under microexponents .* are not defined",
        ),
        (
            {"element": UINT4, "scale": MINIMUM, "block": 32},
            Quirks(flush_at=1e-8),
            "a scale with a zero are not defined",
        ),
        ({"element": INT8, "scale": SIGNED, "block": 32}, Quirks(epsilon=1e-9), "under a scale with anchor 'signed'"),
    ],
)
def test_quirks_that_are_refused(fields: dict[str, Any], quirks: Quirks, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        BlockFormat(**{"name": "x", "quirks": quirks, **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {"element": E2M1},
        {"element": INT8, "scale": SHARED},
        {"element": INT8, "scale": None, "block": 1},
        {"element": INT8, "scale": TENSOR},
        {"element": UINT4, "scale": ZERO_POINT},
        {"rounding": "nearest_even"},
        {"rounding": "stochastic"},
        {"quirks": Quirks(float32_reciprocal=True, epsilon=1e-9)},
        {"quirks": Quirks(float32_reciprocal=True, flush_at=1e-9)},
    ],
)
def test_ggmls_arithmetic_is_defined_for_ggmls_formats(fields: dict[str, Any]) -> None:
    good: dict[str, Any] = {"name": "x", "element": INT8, "scale": FloatScale(FP16), "block": 32}
    good |= {"rounding": "nearest_away", "quirks": RECIPROCAL}
    assert BlockFormat(**good).quirks == RECIPROCAL
    with pytest.raises(
        FormatError, match="float32_reciprocal needs an integer element, a float scale or one with a min"
    ):
        BlockFormat(**good | fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epsilon": -1.0}, r"epsilon is -1\.0, expected a number that is not negative"),
        ({"epsilon": math.inf}, "epsilon is inf"),
        ({"epsilon": math.nan}, "epsilon is nan"),
        ({"epsilon": "1e-9"}, "epsilon is '1e-9'"),
        ({"epsilon": True}, "epsilon is True"),
        ({"flush_at": -1e-8}, "flush_at is -1e-08"),
        ({"flush_at": None}, "flush_at is None"),
        ({"epsilon_of_smallest": 1}, "epsilon_of_smallest is 1, expected true or false"),
        ({"saturate_significand": "yes"}, "saturate_significand is 'yes'"),
        ({"float32_reciprocal": 0}, "float32_reciprocal is 0"),
    ],
)
def test_what_no_quirk_can_be(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        Quirks(**fields)


def test_an_error_names_its_format_once() -> None:
    with pytest.raises(FormatError, match=r"^far: element e8m0 bias -20 is wider"):
        BlockFormat("far", FloatElement(8, 0, -20), DOUBLE, 64)
