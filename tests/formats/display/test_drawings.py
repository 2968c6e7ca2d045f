"""What a notebook shows of a format: every catalog format can be drawn, and what is drawn is true."""

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

import densimeter.formats as F
from densimeter.formats.display import bit_layout, card, histogram, html_table, number_line, standalone
from densimeter.formats.display.palette import CATEGORIES_DARK, CATEGORIES_LIGHT, GREEN, OKABE_ITO, VERMILLION
from support.contrast import contrast

SVG = "{http://www.w3.org/2000/svg}"
WHITE, DARK_SURFACE = "#ffffff", "#14171b"


def words(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def strokes(svg: str, color: str) -> int:
    """How many ticks of that colour there are on the whole drawing."""
    paths = ElementTree.fromstring(svg).iter(f"{SVG}path")
    return sum(path.attrib["d"].count("M") for path in paths if path.attrib["stroke"] == color)


@pytest.mark.parametrize("name", F.names())
def test_every_format_of_the_catalog_is_drawn(name: str) -> None:
    fmt = F.get(name)
    for svg in (number_line(fmt), bit_layout(fmt)):
        root = ElementTree.fromstring(svg)
        assert name in root.attrib["aria-label"]
        assert len(list(root)) > 3


def test_the_values_of_mxfp4_stand_on_its_line() -> None:
    """E2M1: 0, 0.5, 1, 1.5, 2, 3, 4, 6. Both rows show magnitudes: the even one with either sign, and zero."""
    svg = number_line(F.get("mxfp4"))
    assert "15 values; magnitudes 0.5 to 6, times the scale" in words(svg)
    assert strokes(svg, VERMILLION) == 2 + 1  # 0.5, subnormal
    assert strokes(svg, GREEN) == 2 * 6 + 6  # 1, 1.5, 2, 3, 4, 6
    assert {"2⁻¹", "2⁰", "2¹", "2²", "2³"} <= set(words(svg))


def test_a_wide_element_is_drawn_as_ranges() -> None:
    """float16: subnormals from 2^-24, normal values from 2^-14 to 65504."""
    svg = number_line(F.get("float16"))
    assert "65 536 codes; magnitudes 2⁻²⁴ to 65504" in words(svg)
    fills = [rect.attrib["fill"] for rect in ElementTree.fromstring(svg).iter(f"{SVG}rect")]
    assert fills[:2] == [VERMILLION, GREEN]


def test_the_block_of_mx9_counts_its_bits() -> None:
    """16 values share an exponent of 8 bits and 8 microexponents of one bit: 16 + 16 * 8 = 144 bits, 9 a value."""
    drawn = words(bit_layout(F.get("mx9")))
    assert "a block of 16 values: 16 + 16 x 8 = 144 bits, 9 a value" in drawn
    assert {"shared exponent 8", "8 microexponents x 1", "values x 8"} <= set(drawn)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("float32", "one code: 32 bits, e8m23 bias 127"),
        ("nvfp4", "and one float32 scale a tensor"),
        ("nf4_dq", "and one float32 for every 256 scales, and their float32 mean"),
        ("int8", "one scale a row: 8 bits a value, and 32 bits a row"),
        ("gguf_q4_1", "minimum e5m10: 16"),
        ("mxfp4_b16x16", "a block of 16 x 16 values: 8 + 256 x 4 = 1032 bits, 4.0312 a value"),
    ],
)
def test_what_is_shared_is_said(name: str, said: str) -> None:
    assert said in words(bit_layout(F.get(name)))


def test_a_code_has_a_box_a_bit() -> None:
    letters = [word for word in words(bit_layout(F.get("mxfp6_e3m2"))) if len(word) == 1]
    assert "".join(letters) == "S" + "E" * 3 + "M" * 2


class _Balanced(HTMLParser):
    """Counts elements that are opened and not closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_names_and_titles_are_escaped() -> None:
    fmt = F.parse({"name": "<b>&", "element": "int4", "block": 8, "scale": "e8m0"})
    shown = fmt._repr_html_()
    assert shown == card(fmt)
    assert "&lt;b&gt;&amp;" in shown
    assert "<b>" not in shown
    assert _Balanced(shown).open == []
    assert "<td" in html_table(["a<"], [["<i>"]], right=[True])
    assert "<i>" not in html_table(["a<"], [["<i>"]])


def test_a_histogram_shows_every_count_that_is_not_zero() -> None:
    svg = histogram([0, 1, 1000], [-1.0, 0.0, 1.0, 2.0], "errors")
    bars = ElementTree.fromstring(svg).findall(f"{SVG}rect")
    assert [float(bar.attrib["height"]) for bar in bars] == [1, 90]


def test_a_file_of_its_own_has_a_size_and_ink_for_either_surface() -> None:
    alone = standalone(bit_layout(F.get("bfp6")))
    root = ElementTree.fromstring(alone)
    assert root.attrib["width"] == "520"
    assert root.attrib["viewBox"] == f"0 0 520 {root.attrib['height']}"
    assert "prefers-color-scheme:dark" in (root.findtext(f"{SVG}style") or "")


def test_data_has_colours_seen_on_either_surface() -> None:
    """3 to 1 is what WCAG 2.1 asks of graphics (1.4.11); where a fill has less, boxes have an outline."""
    for color in (GREEN, VERMILLION):
        assert contrast(color, WHITE) >= 3
        assert contrast(color, DARK_SURFACE) >= 3
    for colors in (OKABE_ITO, CATEGORIES_LIGHT, CATEGORIES_DARK):
        assert len(set(colors)) == len(colors)
        assert all(re.fullmatch("#[0-9a-fA-F]{6}", color) for color in colors)
