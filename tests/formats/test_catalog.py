"""The catalog: every public name is there, says where it comes from, and a wrong one gets a suggestion."""

import re

import pytest

from densimeter.formats import BlockFormat, FormatError, Quirks, get, names, parse, resolve

BASELINES = {"float32", "float32_ftz", "tf32", "bfloat16", "float16", "int8", "fixed8", "fixed8_f4"}
BLOCK_QUANTISATION = {"minifloat8", "dmf8", "bm8", "bl8", "bfp8", "bfp7", "bfp6", "bfp5", "bfp4"}
MICROSCALING = {"mxfp8_e4m3", "mxfp8_e5m2", "mxfp6_e3m2", "mxfp6_e2m3", "mxfp4", "mxint8", "nvfp4"}
AS_PUBLISHED = {f"{name}_as_published" for name in BLOCK_QUANTISATION}


def test_public_names_are_present() -> None:
    assert set(names()) >= BASELINES | BLOCK_QUANTISATION | MICROSCALING | AS_PUBLISHED
    assert len(names()) == len(set(names()))


@pytest.mark.parametrize("name", names())
def test_an_entry_names_itself_its_title_and_its_source(name: str) -> None:
    fmt = get(name)
    assert fmt.name == name
    assert fmt.title
    assert re.search(r"\d{4}", fmt.source), "a source is dated"


@pytest.mark.parametrize("name", sorted(BASELINES | BLOCK_QUANTISATION | MICROSCALING))
def test_plain_names_are_clean(name: str) -> None:
    assert get(name).quirks == Quirks()


@pytest.mark.parametrize("name", sorted(AS_PUBLISHED))
def test_published_code_to_the_letter_is_a_name_of_its_own(name: str) -> None:
    assert get(name).quirks != Quirks()


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
        ("bfp6_b", "no format is called 'bfp6_b'"),
        ("bfp6_b32_b16", "no format is called"),
        ("int8_b32", "no format is called 'int8_b32'"),  # a row has no count to replace
        ("", "no format is called ''"),
        ("bfp6_b0", "block is 0"),
        ("float32_b16", "block 16 without a scale"),
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


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("{element: e3m2", "is not valid YAML"),
        ("{element: e3m2, element: e2m3}", "'element' is given twice"),
        ("{}", "has no element"),
        ("nofloat", "no format is called"),
    ],
)
def test_resolve_refuses(written: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        resolve(written)
