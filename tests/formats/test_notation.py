"""The written form of a format: short names, mappings, and what is said to those who misspell them."""

from typing import Any

import pytest
import yaml
from hypothesis import given

from densimeter.formats import (
    BlockFormat,
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
from densimeter.formats.notation import parse_element
from support.strategies import formats

E4M3 = FloatElement(4, 3, 7, specials="nan")


@pytest.mark.parametrize(
    ("written", "element"),
    [
        ("e4m3", E4M3),  # OCP: one NaN, no infinities
        ("e5m2", FloatElement(5, 2, 15, specials="ieee")),  # OCP
        ("e3m2", FloatElement(3, 2, 3)),
        ("e2m3", FloatElement(2, 3, 1)),
        ("e2m1", FloatElement(2, 1, 1)),
        ("e3m4", FloatElement(3, 4, 3)),
        ("e5m3", FloatElement(5, 3, 15, specials="ieee")),  # above eight bits: IEEE 754
        ("fp16", FloatElement(5, 10, 15, specials="ieee")),
        ("bf16", FloatElement(8, 7, 127, specials="ieee")),
        ("fp32", FloatElement(8, 23, 127, specials="ieee")),
        ("int4", IntElement(4)),
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
        ({"kind": "float", "element": "e4m3", "tensor_scale": True}, FloatScale(E4M3, tensor_scale=True)),
    ],
)
def test_scales(written: object, scale: Scale) -> None:
    assert parse({"element": "e2m1", "block": 16, "scale": written}).scale == scale


def test_a_whole_format() -> None:
    composed = parse(
        {"name": "mine", "element": "e2m1", "block": 24, "scale": "e8m0", "quirks": {"saturate_significand": True}}
    )
    quirks = Quirks(saturate_significand=True)
    assert composed == BlockFormat("mine", FloatElement(2, 1, 1), PowerOfTwoScale(nan=True), 24, quirks)


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("{element: e3m1, block: 24, scale: e8m0}", "e3m1_b24_e8m0"),
        ("{element: int4, block: row, scale: fp16}", "int4_brow_e5m10"),
        ("{element: e3m4}", "e3m4"),
        ("{element: {kind: int, bits: 5, encoding: sign_magnitude}}", "sm5"),
    ],
)
def test_a_composed_format_gets_a_name_fit_for_a_file(written: str, name: str) -> None:
    assert resolve(written).name == name


@pytest.mark.parametrize("name", names())
def test_a_declaration_reads_back_to_its_format(name: str) -> None:
    assert parse(declaration(get(name))) == get(name)


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
        ({"element": "e9m3"}, "exponent_bits is 9"),
        ({"element": "int99"}, "bits is 99"),
        ({"element": ["e3m2"]}, "expected eXmY"),
        ({"element": {"bits": 8}}, "element kind is None, expected one of int, float, log"),
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
        ({"element": "e3m2", "block": 24, "scale": {"kind": "affine"}}, "scale kind is 'affine'"),
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
