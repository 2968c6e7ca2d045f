"""Suffixes: what each changes, that order does not matter, and which formats take which."""

from dataclasses import replace
from fractions import Fraction
from itertools import permutations

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
    PowerOfTwoScale,
    get,
    names,
    resolve,
)
from densimeter.formats.levels import levels
from densimeter.formats.variants import SUFFIXES

FP16 = FloatElement(5, 10, 15, specials="ieee")
BF16 = FloatElement(8, 7, 127, specials="ieee")
FP32 = FloatElement(8, 23, 127, specials="ieee")
INT4, UINT4 = IntElement(4, symmetric=True), IntElement(4, "unsigned")
ABSMAX = ("int8", "int6", "int4", "int3", "int2")
MX = ("mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e3m2", "mxfp6_e2m3", "mxfp4", "mxint8", "mxint8_symmetric")


@pytest.mark.parametrize(
    ("name", "element", "scale", "block"),
    [
        ("int4", INT4, FloatScale(FP32), "row"),
        ("int4_tensor", INT4, FloatScale(FP32), "tensor"),
        ("int4_channel", INT4, FloatScale(FP32), "row"),
        ("int4_token", INT4, FloatScale(FP32), "row"),
        ("int4_g128", INT4, FloatScale(FP16), 128),  # a group's scale is fp16 unless the name says otherwise
        ("int4_g96", INT4, FloatScale(FP16), 96),
        ("int4_g128_fp32", INT4, FloatScale(FP32), 128),
        ("int4_g128_bf16", INT4, FloatScale(BF16), 128),
        ("int4_fp16", INT4, FloatScale(FP16), "row"),
        ("int4_affine", UINT4, AffineScale(FP32, UINT4), "row"),
        ("int4_tensor_affine", UINT4, AffineScale(FP32, UINT4), "tensor"),
        ("int4_g128_affine", UINT4, AffineScale(FP16, UINT4), 128),
        ("int4_g128_affine_fp32", UINT4, AffineScale(FP32, UINT4), 128),
        ("int4_affine_e8m0", UINT4, AffineScale(PowerOfTwoScale(nan=True, rule="rceil"), UINT4), "row"),
        ("int4_e8m0", INT4, PowerOfTwoScale(nan=True, rule="rceil"), "row"),
        ("int4_g32_e8m0", INT4, PowerOfTwoScale(nan=True, rule="rceil"), 32),
    ],
)
def test_absmax_integers(name: str, element: IntElement, scale: FloatScale, block: int) -> None:
    assert get(name) == BlockFormat(name, element, scale, block)


@pytest.mark.parametrize("base", ABSMAX)
@pytest.mark.parametrize("suffix", ["tensor", "channel", "token", "g128", "g64", "g32", "affine", "g128_affine"])
def test_every_width_takes_every_public_suffix(base: str, suffix: str) -> None:
    fmt, bits = get(f"{base}_{suffix}"), get(base).element.bits
    assert fmt.element.bits == bits
    group = int(suffix.split("_")[0][1:]) if suffix.startswith("g") else None
    shared = 16 + bits * suffix.endswith("affine")  # an fp16 scale, and a zero point of as many bits as the element
    assert fmt.bits_per_value == bits + (Fraction(shared, group) if group else 0)


@pytest.mark.parametrize(
    ("base", "suffixes"),
    [
        ("int4", ("g128", "affine")),
        ("int4", ("g64", "affine", "fp32")),
        ("int8", ("tensor", "affine", "fp16")),
        ("mxfp4", ("b16", "ceil")),
        ("nf4", ("dq", "b128")),
    ],
)
def test_order_does_not_matter(base: str, suffixes: tuple[str, ...]) -> None:
    variants = [get("_".join((base, *order))) for order in permutations(suffixes)]
    assert all(replace(fmt, name="x") == replace(variants[0], name="x") for fmt in variants)
    assert all(fmt.title.startswith(variants[0].title.split(",")[0]) for fmt in variants)


@pytest.mark.parametrize("rule", ["floor", "ceil", "even", "rceil"])
@pytest.mark.parametrize("base", MX)
def test_mx_formats_take_another_scale_rule(base: str, rule: str) -> None:
    fmt, clean = get(f"{base}_{rule}"), get(base)
    assert fmt.scale == PowerOfTwoScale(nan=True, rule=rule)  # type: ignore[arg-type]
    assert (fmt.element, fmt.block, fmt.source) == (clean.element, clean.block, clean.source)


@pytest.mark.parametrize(
    ("name", "block", "bits"),
    [
        ("bfp6_b32", 32, 6 + Fraction(8, 32)),
        ("bfp6_b16x16", (16, 16), 6 + Fraction(8, 256)),
        ("mxfp4_b16", 16, Fraction(9, 2)),
        ("mxfp4_b2x16_rceil", (2, 16), 4 + Fraction(8, 32)),
        ("nvfp4_b16x16", (16, 16), 4 + Fraction(8, 256)),
        ("nf4_b128", 128, 4 + Fraction(32, 128)),
        ("kint4_b128", 128, 4 + Fraction(16, 128)),
        ("msfp12_b32", 32, 4 + Fraction(8, 32)),
        ("bl8_as_published_b8", 8, 9),
        ("mx9_b32", 32, 8 + Fraction(16, 32)),
    ],
)
def test_another_block(name: str, block: object, bits: Fraction) -> None:
    fmt = get(name)
    base = next(get(base) for base in sorted(names(), key=len, reverse=True) if name.startswith(base))
    assert fmt.block == block
    assert fmt.bits_per_value == bits
    assert (fmt.element, fmt.quirks, fmt.rounding) == (base.element, base.quirks, base.rounding)


@pytest.mark.parametrize("base", ["nf4", "fp4", "kint4", "dyn8"])
def test_double_scales_by_suffix(base: str) -> None:
    assert get(f"{base}_dq").scale == DoubleScale(CodebookElement(levels("dynamic8")))
    assert get(f"{base}_b32_dq").block == 32


def test_the_longest_base_wins() -> None:
    """e4m3_fnuz and mxint8_symmetric are entries, not variants; nf4_dq is both and the same."""
    assert get("mxint8_symmetric_rceil").element == get("mxint8_symmetric").element
    assert get("nf4_dq_b32").scale == get("nf4_dq").scale
    assert replace(get("nf4_b64_dq"), name="nf4_dq") == get("nf4_dq")


@pytest.mark.parametrize("suffix", [suffix for suffix in SUFFIXES if suffix not in ("dq", "b32", "b16x16")])
def test_every_suffix_that_is_suggested_is_taken(suffix: str) -> None:
    base = "mxfp4" if suffix in ("floor", "ceil", "even", "rceil") else "int4"
    assert get(f"{base}_{suffix}").name == f"{base}_{suffix}"


def test_variants_resolve_as_names_and_as_bases() -> None:
    assert resolve(" int4_g128 ") == get("int4_g128")
    assert resolve("{base: int4_g128, rounding: stochastic}").rounding == "stochastic"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("int4_g", r"'int4' has no variant 'g'"),
        ("int4_g0", "block is 0"),
        ("int4_g128_g64", "'int4' has no variant 'g128_g64'"),  # two of a kind
        ("int4_g128_tensor", "no variant 'g128_tensor'"),
        ("int4_fp16_fp32", "no variant 'fp16_fp32'"),
        ("int4_affine_affine", "no variant 'affine_affine'"),
        ("int4_b32", "no variant 'b32'"),  # groups go by g
        ("int4_rceil", "no variant 'rceil'"),
        ("int4_dq", "no variant 'dq'"),
        ("int4_afine", r"did you mean 'affine'\?"),
        ("mxfp4_g32", "no variant 'g32'"),
        ("mxfp4_affine", "no variant 'affine'"),
        ("mxfp4_rceil_ceil", "no variant 'rceil_ceil'"),
        ("mxfp4_b0", "block is 0"),
        ("mxfp4_b16x", "no variant 'b16x'"),
        ("bfp6_rceil", "no variant 'rceil'"),  # its offset is part of the paper's definition
        ("bfp6_dq", "no variant 'dq'"),
        ("nvfp4_even", "no variant 'even'"),
        ("kint4_even", "no variant 'even'"),
        ("nf4_dq_dq", "no variant 'dq'"),
        ("mx9_b20", "8 microexponents do not divide block 20"),
        ("mx9_b16x16", "8 microexponents do not divide block"),
        ("nvfp4_one_level_tensor", "no variant 'tensor'"),
        ("float32_b16", "'float32' has no variant 'b16'"),
        ("fixed8_affine", "'fixed8' has no variant 'affine'"),
        ("gguf_q4_0_b16", "layout 'ggml' needs block 32"),
        ("e4m3_g32", "'e4m3' has no variant"),
    ],
)
def test_variants_that_do_not_exist(name: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        get(name)
