"""The catalog: every public name is there with its published width, says where it comes from, and a wrong one gets a
suggestion."""

import re
from fractions import Fraction

import pytest

from densimeter.formats import (
    BlockFormat,
    CodebookElement,
    FormatError,
    PowerOfTwoScale,
    Quirks,
    get,
    names,
    parse,
    resolve,
)
from densimeter.formats.levels import levels

BASELINES = {"float32": 32, "float32_ftz": 32, "tf32": 19, "bfloat16": 16, "float16": 16}
INTEGERS = {"int8": 8, "int6": 6, "int4": 4, "int3": 3, "int2": 2, "fixed8": 8, "fixed8_f4": 8}
PLAIN = {"e4m3": 8, "e5m2": 8, "e3m4": 8, "e3m2": 6, "e2m3": 6, "e2m1": 4, "e4m3_ieee": 8, "e4m3b11_fnuz": 8}
FNUZ = {f"{name}_fnuz": PLAIN[name] for name in ("e4m3", "e5m2", "e3m4", "e3m2", "e2m3", "e2m1")}
BFP = {f"bfp{width}": width + 8 / 16 for width in (8, 7, 6, 5, 4)}
BLOCK_QUANTISATION = {"minifloat8": 8, "dmf8": 8, "bm8": 8.5, "bl8": 8.5, **BFP}
AS_PUBLISHED = {f"{name}_as_published": bits for name, bits in BLOCK_QUANTISATION.items()}
MSFP = {f"msfp{n}": n - 8 + 8 / 16 for n in range(11, 17)}  # sign and n - 9 significand bits, 8 bits per 16
MICROEXPONENTS = {"mx9": 9, "mx6": 6, "mx4": 4}
MX_WIDTHS = {
    "mxfp8_e4m3": 8,
    "mxfp8_e5m2": 8,
    "mxfp6_e3m2": 6,
    "mxfp6_e2m3": 6,
    "mxfp4": 4,
    "mxint8": 8,
    "mxint8_symmetric": 8,
}
MICROSCALING = {name: bits + 8 / 32 for name, bits in MX_WIDTHS.items()}
NVFP4 = {"nvfp4": 4 + 8 / 16, "nvfp4_one_level": 4 + 8 / 16}
CODEBOOKS = {"nf4": 4 + 32 / 64, "fp4": 4 + 32 / 64, "dyn8": 8 + 32 / 4096}
DOUBLE = {f"{name}_dq": 4 + 8 / 64 + 32 / (64 * 256) for name in ("nf4", "fp4")}
K_BIT = {f"k{family}{k}": k + 16 / 64 for family in ("int", "float", "dyn", "quant") for k in range(2, 9)}
GGUF = {"gguf_q8_0": 8.5, "gguf_q4_0": 4.5, "gguf_q4_1": 5.0, "gguf_q5_0": 5.5, "gguf_q5_1": 6.0, "gguf_mxfp4": 4.25}

BITS: dict[str, float] = (
    BASELINES | INTEGERS | PLAIN | FNUZ | BLOCK_QUANTISATION | AS_PUBLISHED | MSFP | MICROEXPONENTS
    | MICROSCALING | NVFP4 | CODEBOOKS | DOUBLE | K_BIT | GGUF
)  # fmt: skip
VARIANT_BITS = {
    "int4_g128": 4.125,  # 4 + 16/128
    "int4_g64": 4.25,
    "int8_g32": 8.5,
    "int4_g128_affine": 4 + 20 / 128,
    "int4_affine_g128": 4 + 20 / 128,
    "int8_g64_affine": 8 + 24 / 64,
    "int4_tensor": 4,
    "int4_channel_affine": 4,
    "int2_token": 2,
    "bfp6_b32": 6.25,
    "bfp6_b16x16": 6 + 8 / 256,
    "mxfp4_rceil": 4.25,
    "kint4_b128": 4.125,
    "nf4_dq_b128": 4 + 8 / 128 + 32 / (128 * 256),
}


def test_public_names_are_present() -> None:
    assert set(names()) >= set(BITS)
    assert len(names()) == len(set(names()))


@pytest.mark.parametrize(("name", "bits"), [*BITS.items(), *VARIANT_BITS.items()])
def test_bits_per_value(name: str, bits: float) -> None:
    assert get(name).bits_per_value == Fraction(bits)
    assert get(name).memory_density == 32 / Fraction(bits)


@pytest.mark.parametrize(
    ("name", "published", "digits"),
    [
        # The block-quantisation paper
        ("bfp8", 3.765, 3),
        ("bfp6", 4.923, 3),
        ("bfp5", 5.818, 3),
        ("bfp4", 7.111, 3),
        # Microsoft floating point, NeurIPS 2020
        ("msfp16", 3.8, 1),
        ("msfp15", 4.3, 1),
        ("msfp14", 4.9, 1),
        ("msfp13", 5.8, 1),
        ("msfp12", 7.1, 1),
        ("msfp11", 9.1, 1),
    ],
)
def test_published_memory_densities(name: str, published: float, digits: int) -> None:
    assert round(float(get(name).memory_density), digits) == published


def test_published_bits_of_double_quantisation() -> None:
    """QLoRA: 0.5 bits of scales per parameter become 8/64 + 32/(64 * 256) = 0.127."""
    assert round(float(get("nf4").bits_per_value), 3) == 4.5
    assert round(float(get("nf4_dq").bits_per_value), 3) == 4.127


@pytest.mark.parametrize("name", names())
def test_an_entry_names_itself_its_title_and_its_source(name: str) -> None:
    fmt = get(name)
    assert fmt.name == name
    assert fmt.title
    assert re.search(r"\d{4}", fmt.source), "a source is dated"


@pytest.mark.parametrize("name", sorted(BITS.keys() - AS_PUBLISHED.keys() - GGUF.keys()))
def test_plain_names_are_clean(name: str) -> None:
    assert get(name).quirks == Quirks()


@pytest.mark.parametrize("name", sorted(AS_PUBLISHED))
def test_published_code_to_the_letter_is_a_name_of_its_own(name: str) -> None:
    assert get(name).quirks != Quirks()


ROUNDINGS = dict.fromkeys(MSFP, "toward_zero") | {"gguf_q8_0": "nearest_away"}
ROUNDINGS |= dict.fromkeys(("gguf_q4_0", "gguf_q4_1", "gguf_q5_0", "gguf_q5_1"), "nearest_up")


@pytest.mark.parametrize("name", BITS)
def test_only_what_its_source_says_is_otherwise_than_usual(name: str) -> None:
    assert get(name).rounding == ROUNDINGS.get(name, "nearest_even")
    assert get(name).layout == ("ggml" if name in GGUF else "planes")
    assert get(name).overflow is None
    assert get(name).specials is None


@pytest.mark.parametrize(
    ("name", "element", "block"),
    [
        ("mxfp8_e4m3", "e4m3", 32),
        ("mxfp8_e5m2", "e5m2", 32),
        ("mxfp6_e3m2", "e3m2", 32),
        ("mxfp6_e2m3", "e2m3", 32),
        ("mxfp4", "e2m1", 32),
    ],
)
def test_microscaling_is_what_its_short_notation_says(name: str, element: str, block: int) -> None:
    assert get(name) == parse({"name": name, "element": element, "block": block, "scale": "e8m0"})


@pytest.mark.parametrize("name", sorted({*PLAIN, *FNUZ} - {"e4m3b11_fnuz"}))
def test_plain_elements_are_what_their_name_says(name: str) -> None:
    assert get(name) == parse({"name": name, "element": name})


@pytest.mark.parametrize("bits", range(2, 9))
@pytest.mark.parametrize(
    ("prefix", "family"), [("kint", "int"), ("kfloat", "float"), ("kdyn", "dynamic"), ("kquant", "quantile")]
)
def test_k_bit_families_are_their_levels_under_fp16_per_64(prefix: str, family: str, bits: int) -> None:
    fmt = get(f"{prefix}{bits}")
    assert fmt.element == CodebookElement(levels(f"{family}{bits}"))
    assert fmt == parse(
        {"name": fmt.name, "element": {"kind": "codebook", "levels": f"{family}{bits}"}, "block": 64, "scale": "fp16"}
    )


@pytest.mark.parametrize(("name", "significand_bits"), [("mx9", 7), ("mx6", 4), ("mx4", 2)])
def test_shared_microexponents(name: str, significand_bits: int) -> None:
    """Blocks of 16 with 8 bits of exponent, pairs with one bit: k1 = 16, k2 = 2, d1 = 8, d2 = 1."""
    fmt = get(name)
    assert fmt.block == 16
    assert fmt.element.bits == 1 + significand_bits
    assert fmt.scale == PowerOfTwoScale(offset=-1, microexponents=16 // 2, microexponent_bits=1)


def test_a_block_suffix_changes_the_block_alone() -> None:
    base, wide = get("bfp6"), get("bfp6_b32")
    assert (wide.name, wide.block) == ("bfp6_b32", 32)
    assert (wide.element, wide.scale, wide.quirks) == (base.element, base.scale, base.quirks)
    assert get("bl8_as_published_b8").quirks == get("bl8_as_published").quirks


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bfp66", r"no format is called 'bfp66'; did you mean 'bfp6'\?"),
        ("mxfp_4", r"did you mean 'mxfp4'\?"),
        ("MXFP4", "no format is called 'MXFP4'"),
        ("bfp6_b", "no format is called 'bfp6_b': 'bfp6' has no variant 'b'"),
        ("bfp6_b32_b16", "no format is called"),
        ("int8_b32", "no format is called 'int8_b32'"),  # a row has no count to replace
        ("", "no format is called ''"),
        ("_", "no format is called '_'"),
        ("bfp6_b0", "block is 0"),
        ("float32_b16", "'float32' has no variant 'b16'"),
    ],
)
def test_a_wrong_name_is_refused(name: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        get(name)


def test_the_suggestion_stays_silent_where_nothing_is_near() -> None:
    with pytest.raises(FormatError, match=r"'zzzzzzzz'; `densimeter formats` lists them"):
        get("zzzzzzzz")


@pytest.mark.parametrize("written", ["bfp6", " bfp6 ", "bfp6_b16"])
def test_resolve_takes_names(written: str) -> None:
    assert resolve(written).element == get("bfp6").element


def test_resolve_takes_flow_style() -> None:
    composed = resolve("{element: e3m2, block: 24, scale: e8m0}")
    assert isinstance(composed, BlockFormat)
    assert composed == parse({"element": "e3m2", "block": 24, "scale": "e8m0"})


def test_a_base_is_changed_where_the_mapping_says() -> None:
    changed = resolve("{base: mxfp4, rounding: stochastic, block: [2, 16]}")
    base = get("mxfp4")
    assert (changed.rounding, changed.block) == ("stochastic", (2, 16))
    assert (changed.element, changed.scale) == (base.element, base.scale)
    assert changed.name == "mxfp4_stochastic_block"
    assert parse({"base": "mxfp4", "name": "mine"}).name == "mine"
    assert parse({"base": "int4_g128_affine"}) == get("int4_g128_affine")


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("{element: e3m2", "is not valid YAML"),
        ("{element: e3m2, element: e2m3}", "'element' is given twice"),
        ("{}", "has no element"),
        ("nofloat", "no format is called"),
        ("{base: nofloat}", "no format is called 'nofloat'"),
        ("{base: 4}", "base is 4, expected the name of a catalog format"),
        ("{base: mxfp4, blok: 16}", r"format has no key 'blok'; did you mean 'block'\?"),
        ("{base: float32, block: 16}", "block 16 without a scale"),
        ("{base: mxfp4, rounding: up}", "rounding is 'up'"),
    ],
)
def test_resolve_refuses(written: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        resolve(written)
