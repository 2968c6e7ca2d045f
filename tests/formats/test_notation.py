"""The written form of a format: short names, mappings, and what is said to those who misspell them."""

from typing import Any

import pytest
import yaml
from hypothesis import given

from densimeter.formats import (
    AffineScale,
    BlockFormat,
    CodebookElement,
    DoubleScale,
    Element,
    FloatElement,
    FloatScale,
    FormatError,
    IntElement,
    LogElement,
    PowerOfTwoScale,
    Quirks,
    Scale,
    declaration,
    get,
    names,
    parse,
    resolve,
)
from densimeter.formats.levels import levels
from densimeter.formats.notation import parse_element
from support.strategies import formats

E4M3 = FloatElement(4, 3, 7, specials="nan")
FP16 = FloatElement(5, 10, 15, specials="ieee")


@pytest.mark.parametrize(
    ("written", "element"),
    [
        ("e4m3", E4M3),  # OCP: one NaN, no infinities
        ("e5m2", FloatElement(5, 2, 15, specials="ieee")),  # OCP
        ("e3m2", FloatElement(3, 2, 3)),
        ("e2m3", FloatElement(2, 3, 1)),
        ("e2m1", FloatElement(2, 1, 1)),
        ("e3m4", FloatElement(3, 4, 3, specials="ieee")),  # as in ml_dtypes
        ("e4m3_ieee", FloatElement(4, 3, 7, specials="ieee")),
        ("e2m1_ieee", FloatElement(2, 1, 1, specials="ieee")),
        ("e4m3_fnuz", FloatElement(4, 3, 8, specials="fnuz")),  # the bias is one higher
        ("e5m2_fnuz", FloatElement(5, 2, 16, specials="fnuz")),
        ("e5m3", FloatElement(5, 3, 15, specials="ieee")),  # above eight bits: IEEE 754
        ("fp16", FloatElement(5, 10, 15, specials="ieee")),
        ("bf16", FloatElement(8, 7, 127, specials="ieee")),
        ("fp32", FloatElement(8, 23, 127, specials="ieee")),
        ("int4", IntElement(4)),
        ("uint4", IntElement(4, "unsigned")),
        ({"kind": "int", "bits": 5, "encoding": "offset"}, IntElement(5, "offset")),
        ({"kind": "codebook", "levels": [-1, 0, 0.5]}, CodebookElement((-1.0, 0.0, 0.5))),
        ({"kind": "codebook", "levels": "nf4"}, CodebookElement(levels("nf4"))),
        ({"kind": "int", "bits": 6, "encoding": "sign_magnitude"}, IntElement(6, "sign_magnitude")),
        ({"kind": "float", "exponent_bits": 4, "mantissa_bits": 3, "bias": 9}, FloatElement(4, 3, 9)),
        ({"kind": "log", "exponent_bits": 5, "bias": 15, "zero": False}, LogElement(5, 15, zero=False)),
    ],
)
def test_elements(written: object, element: Element) -> None:
    assert parse_element(written) == element


@pytest.mark.parametrize(
    ("written", "scale"),
    [
        ("e8m0", PowerOfTwoScale(nan=True)),
        ("e4m3", FloatScale(E4M3)),
        ("fp32", FloatScale(FloatElement(8, 23, 127, specials="ieee"))),
        ({"kind": "power_of_two", "bits": 5, "bias": 15, "rule": "ceil"}, PowerOfTwoScale(5, 15, "ceil")),
        ({"kind": "power_of_two", "rule": "rceil", "nan": True}, PowerOfTwoScale(nan=True, rule="rceil")),
        ({"kind": "float", "element": "e4m3", "tensor_scale": True}, FloatScale(E4M3, tensor_scale=True)),
        ({"kind": "float", "element": "fp16", "anchor": "signed"}, FloatScale(FP16, anchor="signed")),
    ],
)
def test_scales(written: object, scale: Scale) -> None:
    assert parse({"element": "int4", "block": 16, "scale": written}).scale == scale


@pytest.mark.parametrize(
    ("element", "written", "scale"),
    [
        ("uint4", {"kind": "affine", "element": "fp16", "zero": "uint4"}, AffineScale(FP16, IntElement(4, "unsigned"))),
        ("uint5", {"kind": "affine", "element": "fp16", "zero": "fp16"}, AffineScale(FP16, FP16)),
        (
            "uint4",
            {"kind": "affine", "element": "e8m0", "zero": "uint4"},
            AffineScale(PowerOfTwoScale(nan=True, rule="rceil"), IntElement(4, "unsigned")),
        ),
        (
            {"kind": "codebook", "levels": "nf4"},
            {"kind": "double", "element": {"kind": "codebook", "levels": "dynamic8"}, "block": 128, "centred": False},
            DoubleScale(CodebookElement(levels("dynamic8")), 128, centred=False),
        ),
        (
            {"kind": "int", "bits": 3, "encoding": "sign_magnitude"},
            {"kind": "power_of_two", "microexponents": 4, "microexponent_bits": 2},
            PowerOfTwoScale(microexponents=4, microexponent_bits=2),
        ),
    ],
)
def test_scales_with_an_element_of_their_own(element: object, written: object, scale: Scale) -> None:
    assert parse({"element": element, "block": 16, "scale": written}).scale == scale


def test_a_whole_format() -> None:
    composed = parse(
        {"name": "mine", "element": "e2m1", "block": 24, "scale": "e8m0", "quirks": {"saturate_significand": True}}
    )
    quirks = Quirks(saturate_significand=True)
    assert composed == BlockFormat("mine", FloatElement(2, 1, 1), PowerOfTwoScale(nan=True), 24, quirks=quirks)


def test_tiles_rounding_and_policies() -> None:
    written = "{element: e5m2, block: [4, 16], scale: e8m0, rounding: stochastic, overflow: special, specials: zero}"
    expected = BlockFormat(
        "e5m2_b4x16_e8m0",
        FloatElement(5, 2, 15, specials="ieee"),
        PowerOfTwoScale(nan=True),
        (4, 16),
        rounding="stochastic",
        overflow="special",
        specials="zero",
    )
    assert resolve(written) == expected
    assert parse(declaration(expected)) == expected


def test_a_declaration_holds_what_differs_from_the_usual() -> None:
    assert declaration(get("e2m1")) == {
        "name": "e2m1",
        "element": {"kind": "float", "exponent_bits": 2, "mantissa_bits": 1, "bias": 1},
    }
    assert declaration(get("nf4_dq"))["scale"] == {
        "kind": "double",
        "element": {"kind": "codebook", "levels": "dynamic8"},
    }
    assert declaration(get("bfp6_b16x16"))["block"] == [16, 16]
    assert declaration(get("msfp12"))["rounding"] == "toward_zero"
    assert declaration(get("gguf_q4_0"))["layout"] == "ggml"


def test_levels_of_no_name_are_written_out() -> None:
    fmt = parse({"element": {"kind": "codebook", "levels": [0, -0.0, 0.5, -1]}})
    assert declaration(fmt)["element"] == {"kind": "codebook", "levels": [0.0, -0.0, 0.5, -1.0]}
    again = resolve(yaml.safe_dump(declaration(fmt), default_flow_style=True))
    assert repr(again.element) == repr(fmt.element), "0.0 and -0.0 are equal, but not the same"


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("{element: e3m1, block: 24, scale: e8m0}", "e3m1_b24_e8m0"),
        ("{element: int4, block: row, scale: fp16}", "int4_brow_e5m10"),
        ("{element: e3m4}", "e3m4"),
        ("{element: {kind: int, bits: 5, encoding: sign_magnitude}}", "sm5"),
        ("{element: int4, block: [2, 16], scale: fp16}", "int4_b2x16_e5m10"),
        ("{element: uint4, block: 32, scale: {kind: affine, element: fp16, zero: uint4}}", "uint4_b32_e5m10_uint4"),
        ("{element: {kind: codebook, levels: nf4}, block: 64, scale: fp32}", "codebook16_b64_e8m23"),
    ],
)
def test_a_composed_format_gets_a_name_fit_for_a_file(written: str, name: str) -> None:
    assert resolve(written).name == name


VARIANTS = (
    "int4_g128_affine",
    "int4_g32_affine_e8m0",
    "int8_tensor",
    "int4_g32_e8m0",
    "mxfp4_b16x16_rceil",
    "nf4_dq_b128",
    "mx6_b32",
)


@pytest.mark.parametrize("name", [*names(), *VARIANTS])
def test_a_declaration_reads_back_to_its_format(name: str) -> None:
    fmt = get(name)
    assert parse(declaration(fmt)) == fmt
    assert resolve(yaml.safe_dump(declaration(fmt), default_flow_style=True)) == fmt


@given(formats())
def test_the_declaration_of_any_format_reads_back(fmt: BlockFormat) -> None:
    assert parse(declaration(fmt)) == fmt
    assert resolve(yaml.safe_dump(declaration(fmt), default_flow_style=True)) == fmt


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({}, r"has no element; expected something like \{element: e3m2"),
        ({"block": 16, "scale": "e8m0"}, "has no element"),
        ({"element": "e3m2", "blok": 24}, r"format has no key 'blok'; did you mean 'block'\?; it takes name, element"),
        ({"element": "e3m2", 7: 1}, "format has no key 7"),
        ({"element": None}, "element is None, expected eXmY"),
        ({"element": "e3"}, "element is 'e3', expected eXmY"),
        ({"element": "e0m3"}, "exponent_bits is 0"),
        ({"element": "e4m3_fn"}, "element is 'e4m3_fn', expected eXmY"),
        ({"element": "e2m0_ieee"}, "specials 'ieee' needs at least one mantissa bit"),
        ({"element": "uint1"}, "bits is 1, expected an integer from 2 to 16"),
        ({"element": "sint4"}, "element is 'sint4'"),
        ({"element": {"kind": "codebook"}}, "has no levels"),
        ({"element": {"kind": "codebook", "levels": "nf5"}}, "codebook levels 'nf5' are unknown; did you mean 'nf4'"),
        ({"element": {"kind": "codebook", "levels": []}}, r"codebook levels are \[\], expected numbers"),
        (
            {"element": {"kind": "codebook", "levels": 4}},
            "codebook levels are 4, expected numbers, or a published name",
        ),
        ({"element": {"kind": "codebook", "levels": [0, "1"]}}, "expected numbers, or a published name such as nf4"),
        ({"element": {"kind": "codebook", "levels": [0, True]}}, "expected numbers, or a published name"),
        ({"element": {"kind": "codebook", "levels": [0, 0.1]}}, r"codebook level 0\.1 is not a finite float32"),
        ({"element": "e9m3"}, "exponent_bits is 9"),
        ({"element": "int99"}, "bits is 99"),
        ({"element": ["e3m2"]}, "expected eXmY"),
        ({"element": {"bits": 8}}, "element kind is None, expected one of int, float, log, codebook"),
        ({"element": {"kind": "posit", "bits": 8}}, "element kind is 'posit'"),
        ({"element": {"kind": ["int"], "bits": 8}}, "element kind is"),
        ({"element": {"kind": "int"}}, "has no bits"),
        ({"element": {"kind": "int", "bits": 8, "enconding": 1}}, r"did you mean 'encoding'\?"),
        ({"element": {"kind": "int", "bits": "8"}}, "bits is '8'"),
        ({"element": {"kind": "int", "bits": 8, "symmetric": "no"}}, "symmetric is 'no'"),
        (
            {"element": {"kind": "float", "exponent_bits": 4, "mantissa_bits": 3, "bias": 7, "hidden_bit": 2}},
            "hidden_bit is 2",
        ),
        ({"element": {"kind": "log", "exponent_bits": 7, "bias": 127, "zero": "yes"}}, "zero is 'yes'"),
        ({"element": "e3m2", "block": 24}, "block 24 without a scale"),
        ({"element": "e3m2", "block": "24", "scale": "e8m0"}, "block is '24'"),
        ({"element": "e3m2", "block": 24.5, "scale": "e8m0"}, r"block is 24\.5"),
        ({"element": "e3m2", "block": 24, "scale": "e8"}, "scale is 'e8', expected e8m0"),
        ({"element": "e3m2", "block": 24, "scale": "int8"}, "scale is 'int8'"),
        ({"element": "e3m2", "block": 24, "scale": 127}, "scale is 127"),
        ({"element": "e3m2", "block": 24, "scale": {"kind": "shared"}}, "scale kind is 'shared', .* affine, double"),
        ({"element": "uint4", "block": 24, "scale": {"kind": "affine"}}, "has no element"),
        ({"element": "uint4", "block": 24, "scale": {"kind": "affine", "element": "fp16"}}, "has no zero"),
        (
            {"element": "uint4", "block": 24, "scale": {"kind": "affine", "element": "fp16", "zero": "int4"}},
            "zero point",
        ),
        (
            {"element": "int4", "block": 24, "scale": {"kind": "double", "element": "int8"}},
            "expected a codebook such as",
        ),
        ({"element": "e3m2", "block": [4], "scale": "e8m0"}, r"block is \(4,\), expected a positive integer, a tile"),
        ({"element": "e3m2", "block": [4, "16"], "scale": "e8m0"}, r"block is \(4, '16'\)"),
        ({"element": "e3m2", "rounding": "nearest"}, "rounding is 'nearest'"),
        ({"element": "e3m2", "rounding": None}, "rounding is None"),
        ({"element": "e3m2", "overflow": "special"}, "overflow 'special' needs an element with Inf or NaN"),
        ({"element": "e3m2", "specials": "element"}, "specials 'element' needs"),
        ({"element": "e3m2", "block": 24, "scale": {"kind": "float"}}, "has no element"),
        ({"element": "e3m2", "block": 24, "scale": {"kind": "float", "element": "int8"}}, "scale.*[iI]nt"),
        ({"element": "e3m2", "block": 24, "scale": {"kind": "power_of_two", "nan": "no"}}, "nan is 'no'"),
        ({"element": "e3m2", "quirks": 1}, "quirks is 1, expected a mapping"),
        ({"element": "e3m2", "quirks": {"eps": 1}}, r"did you mean 'epsilon'\?"),
        ({"element": "e3m2", "quirks": {"epsilon": "small"}}, "epsilon is 'small'"),
        ({"element": "e3m2", "quirks": {"epsilon": -1.0}}, r"epsilon is -1\.0"),
        ({"element": "e3m2", "name": 5}, "name is 5"),
    ],
)
def test_what_is_refused(written: dict[Any, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        parse(written)
