"""The page: complete in itself, safe with any name, and drawn by a real browser without an error."""

import dataclasses
import re
from pathlib import Path

import plotly.offline
import pytest

import densimeter.formats as formats
from densimeter.reports import TRUST, DensityRow, DensityTable, density_page
from densimeter.reports.theme import DARK, LIGHT, Theme
from support.contrast import contrast
from support.pages import CHROMIUM, Tags, in_browser, loads_nothing


@pytest.fixture(scope="module")
def page(table: DensityTable) -> str:
    return density_page(table)


def test_nothing_is_loaded_from_anywhere(page: str) -> None:
    loads_nothing(page)


def test_plotly_is_inside_once(page: str) -> None:
    assert page.count(plotly.offline.get_plotlyjs()) == 1
    assert len(page) < 6_000_000


def test_it_says_what_every_figure_rests_on(page: str, table: DensityTable) -> None:
    said = " ".join("".join(Tags(page).texts).split())
    for fact in (table.baseline, table.tool, table.workload, *table.notes, *table.flows.values(), *TRUST.values()):
        assert fact in said
    for row in table.rows:
        assert row.format.title in said
        assert row.format.source in said


def test_published_figures_stand_beside_ours(page: str) -> None:
    # 1164 / 58.8 = 19.80 and 19.80 / 19.0 = 1.042; 41.6 / 22.4 = 1.857
    assert re.search(
        r"<td>19\.0</td><td>V</td><td>19\.8</td><td>\+4\.2%</td><td [^>]*>arXiv 2310\.05079: abstract<", page
    )
    assert re.search(r"LUT per MAC</td><td>22\.4</td><td>M</td><td>41\.6</td><td>\+85\.7%</td>", page)


def test_an_estimate_shows_its_band_and_sorts_by_its_value(table: DensityTable, bfp6: DensityRow, page: str) -> None:
    lut = {"carry": dataclasses.replace(bfp6.lut["carry"], per_mac=54.2, relative_band=0.134)}
    estimated = dataclasses.replace(bfp6, lut=lut, cost_source="model")
    shown = density_page(dataclasses.replace(table, rows=(*table.rows, estimated)))
    assert re.search(r'data-sort="54\.2"[^>]*>54\.2 \N{PLUS-MINUS SIGN}13%</td>', shown)
    assert "<dt>Estimates</dt>" in shown
    assert "<dt>Estimates</dt>" not in page


def test_it_can_be_read_by_everybody(page: str) -> None:
    parsed = Tags(page)
    assert next(parsed.all("html")) == {"lang": "en"}
    assert any(meta.get("name") == "viewport" for meta in parsed.all("meta"))
    assert len(list(parsed.all("title"))) == 1
    assert all(heading.get("scope") in ("col", "colgroup", "row") for heading in parsed.all("th"))
    assert sum(tag == "caption" for tag, _ in parsed.tags) == sum(tag == "table" for tag, _ in parsed.tags)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_text_stands_out_from_what_it_is_on(theme: Theme) -> None:
    for behind in (theme.surface, theme.raised):
        assert contrast(theme.ink, behind) > 12
        assert contrast(theme.muted, behind) > 4.5
        assert contrast(theme.accent, behind) > 4.5


def test_hostile_names_stay_text(table: DensityTable, bfp6: DensityRow) -> None:
    attack = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'"
    fmt = dataclasses.replace(formats.get("bfp6"), name=attack, title=attack, source=attack)
    row = dataclasses.replace(bfp6, format=fmt, accumulator=attack)
    hostile = dataclasses.replace(table, rows=(row,), notes=(attack,), tool=attack, workload=attack, baseline=attack)
    harmless = dataclasses.replace(table, rows=(bfp6,))
    tags = [
        [(tag, sorted(attributes)) for tag, attributes in Tags(density_page(one)).tags] for one in (hostile, harmless)
    ]
    assert [tag for tag, _ in tags[0]].count("li") == 1
    assert [tag for tag in tags[0] if tag[0] != "li"] == [tag for tag in tags[1] if tag[0] != "li"]


SORT = """<script>
const cells = (column) => [...table.tBodies[0].rows].map((row) => row.cells[column].textContent);
const column = headings.findIndex((heading) => heading.textContent === "per MAC");
const orders = [1, 2, 3].map(() => { headings[column].firstChild.click(); return cells(column).join(" "); });
document.body.dataset.orders = orders.join("; ");
document.body.dataset.groups = groups.map((group) => group.hidden ? "" : group.textContent).join("; ");
</script></body>"""


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_a_browser_draws_the_plot_and_sorts_the_table(page: str, table: DensityTable, tmp_path: Path) -> None:
    document, console = in_browser(page.replace("</body>", SORT), tmp_path)
    assert console == []
    assert document.count('class="main-svg"') >= 1
    assert len(re.findall(r'<path class="point[ "]', document)) >= len(table.rows)
    downwards, upwards, original = re.findall(r'data-orders="(.*?); (.*?); (.*?)"', document)[0]
    assert downwards == "1164 106 92.0 64.4 58.8 41.6"
    assert upwards == "41.6 58.8 64.4 92.0 106 1164"
    assert original == "1164 106 92.0 58.8 64.4 41.6"


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_the_plot_follows_a_dark_theme_and_a_console_error_would_be_seen(page: str, tmp_path: Path) -> None:
    planted = page.replace("</body>", "<script>console.error('planted')</script></body>")
    document, console = in_browser(planted, tmp_path, "--blink-settings=preferredColorScheme=0")
    red, green, blue = bytes.fromhex(DARK.surface.removeprefix("#"))
    assert re.search(rf'class="main-svg"[^>]*background: rgb\({red}, {green}, {blue}\)', document)
    assert len(console) == 1
    assert "planted" in console[0]
