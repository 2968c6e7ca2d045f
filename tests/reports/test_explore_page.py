"""The page of a run: complete in itself, safe with any name; in a real browser its views follow each other."""

import csv
import io
import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from densimeter.reports.browser import find_browser, images
from densimeter.reports.explore_page import explore_page
from densimeter.reports.explore_tables import tables
from densimeter.reports.quantities import Quantity
from densimeter.reports.run_folder import Run, read_run
from densimeter.reports.table import to_csv, to_latex, to_markdown
from densimeter.reports.theme import DARK
from densimeter.simulator import evaluate
from densimeter.simulator.explore.load import explore
from support.pages import CHROMIUM, Tags, in_browser, loads_nothing
from support.run_folder import SWEEP, front, random_rows, write_run

ATTACK = "</script><script>alert(1)</script><img src=x onerror=alert(1)><a href='http://x'>\"'&amp;"


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return random_rows(40)


@pytest.fixture(scope="module")
def folder(rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_run(tmp_path_factory.mktemp("explore") / "run", rows)
    detailed = [row["index"] for row in front(rows)[:2]]
    details = {str(index): evaluate(explore(SWEEP).space.design(index)) for index in detailed}
    (folder / "details.json").write_text(json.dumps(details), encoding="utf-8")
    density = "format,unit,accumulator,lut_per_mac,qsnr_weights_db\nbfp6,16-lane dot,aligned24,64.375,\n"
    (folder / "density.csv").write_text(density, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return read_run(folder)


@pytest.fixture(scope="module")
def page(run: Run) -> str:
    return explore_page(run)


def test_nothing_is_loaded_from_anywhere(page: str) -> None:
    loads_nothing(page)


def test_it_holds_configuration_counts_layers_and_density(page: str, run: Run) -> None:
    texts = Tags(page).texts
    said = " ".join(" ".join(texts).split())
    assert run.sweep in texts
    assert "96 evaluated 40 rejected 0" in " ".join(re.findall(r"<d[dt]>([^<]*)</d[dt]>", page)).replace("designs ", "")
    assert "64.4" in said
    for index, row in run.details.items():
        assert f"Layers of design {index}" in said
        for product in row["products"]:
            assert product["name"] in said


def test_it_says_when_it_is_a_sample_and_when_the_run_goes_on(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    whole, part = (
        " ".join(" ".join(Tags(explore_page(read_run(folder, most_rows=most))).texts).split())
        for folder, most in (
            (write_run(tmp_path / "a", rows), 99),
            (write_run(tmp_path / "b", rows, state="running"), 9),
        )
    )
    assert "random sample" not in whole
    assert "had not ended" not in whole
    assert re.search(r"Of 40 rows, this page holds \d+: the Pareto front and a random sample", part)
    assert "had not ended" in part


def test_it_can_be_read_by_everybody(page: str) -> None:
    parsed = Tags(page)
    assert next(parsed.all("html")) == {"lang": "en"}
    assert any(meta.get("name") == "viewport" for meta in parsed.all("meta"))
    assert all(heading.get("scope") in ("col", "row") for heading in parsed.all("th"))
    assert sum(tag == "caption" for tag, _ in parsed.tags) == sum(tag == "table" for tag, _ in parsed.tags)


def hostile(rows: list[dict[str, Any]], folder: Path) -> Run:
    return read_run(write_run(folder, [row | {"format": ATTACK} for row in rows[:6]] + rows[6:], name=ATTACK))


def test_hostile_names_stay_text(rows: list[dict[str, Any]], tmp_path: Path, run: Run) -> None:
    harmless = read_run(write_run(tmp_path / "a", rows))
    tags = [
        [(tag, sorted(attributes)) for tag, attributes in Tags(explore_page(one)).tags]
        for one in (hostile(rows, tmp_path / "b"), harmless)
    ]
    assert tags[0] == tags[1]


def test_tables_hold_every_design_of_the_front(run: Run, rows: list[dict[str, Any]]) -> None:
    made = {table.name: table for table in tables(run)}
    assert list(made) == ["front", "areas", "energies", "layers", "density"]
    best = front(rows)
    lines = list(csv.DictReader(io.StringIO(to_csv(made["front"]))))
    assert [int(line["index"]) for line in lines] == [row["index"] for row in best]
    assert [float(line["tokens_per_s"]) for line in lines] == [row["tokens_per_s"] for row in best]
    areas = list(csv.DictReader(io.StringIO(to_csv(made["areas"]))))
    for line, row in zip(areas, best, strict=True):
        parts = [float(value) for name, value in line.items() if name != "index"]
        assert sum(parts) == pytest.approx(row["area_mm2"])
    layers = list(csv.DictReader(io.StringIO(to_csv(made["layers"]))))
    assert len(layers) == sum(len(row["products"]) + len(row["vector_work"]) for row in run.details.values())
    for table in made.values():
        assert to_markdown(table).count("\n| ") == len(table.rows) + 2
        assert to_latex(table).count(" \\\\\n") == len(table.rows) + 1


VALUES = [0.0488941, 1.0, 0.0009996, 999.6, 2.5e-6, -3e-9, 0.0, 1e30, 12345678.0]

DRIVE = """<script>
const said = {};
const listedRows = () => [...byId("designs").tBodies[0].rows];
const names = () => listedRows().map((row) => row.cells[0].textContent);
const column = (title) => [...byId("designs").tHead.rows[0].cells].findIndex((cell) => cell.textContent === title);
const text = (title) => listedRows().map((row) => row.cells[column(title)].textContent);
const points = () => byId("pareto").data.flatMap(({ customdata }) => customdata ?? []).length;
said.start = { rows: names().length, points: points(), count: byId("count").textContent };
said.figures = VALUES.map((value) => figureText({ unit: "s", factor: 1, prefixed: true }, value));

const formats = [...document.querySelectorAll("fieldset")].find((field) => field.textContent.startsWith("format"));
formats.querySelector(".chip input").click();
said.filtered = { formats: [...new Set(text("format"))], points: points(), count: byId("count").textContent };
byId("reset").click();
said.reset = { rows: names().length, checked: document.querySelectorAll(".chip :checked").length };

byId("pareto").emit("plotly_selected", { points: [{ customdata: 3 }, { customdata: 5 }] });
said.selected = { names: names(), bars: byId("area").data[0].y, lines: csv().trim().split("\\n").length };
byId("pareto").emit("plotly_deselect");

const heading = () => byId("designs").tHead.rows[0].cells[column("area")];
heading().firstChild.click();
said.sorted = { order: heading().ariaSort, first: csv().split("\\n")[1].split(",")[0] };

byId("pareto").emit("plotly_click", { points: [{ customdata: 1 }] });
said.chosen = { name: document.querySelector("tr.chosen").cells[0].textContent, bar: byId("area").data[0].y.at(-1),
  layers: document.querySelector(".of-design:not([hidden])").dataset.index, roofs: byId("roofline").data.at(-1).name };

const box = canvas.getBoundingClientRect();
const touch = (type, y) => canvas.dispatchEvent(
  new PointerEvent(type, { clientX: box.left + lineX(lines.length - 1), clientY: box.top + y, pointerId: 1 }));
canvas.setPointerCapture = () => {};
touch("pointerdown", lineY(0.5)); touch("pointermove", lineY(1)); touch("pointerup", lineY(1));
said.brushed = visible.map((row) => page.indices[row]);
touch("pointerdown", lineY(0.5)); touch("pointerup", lineY(0.5));
said.unbrushed = visible.length;
said.csv = csv();
document.body.dataset.said = JSON.stringify(said);
</script></body>"""


def driven(page: str, folder: Path) -> tuple[dict[str, Any], str, list[str]]:
    """What the page did when it was used, its elements, the browser's console."""
    document, console = in_browser(page.replace("</body>", DRIVE.replace("VALUES", json.dumps(VALUES))), folder)
    (said,) = re.findall(r'data-said="(.*?)"', document)
    return json.loads(unescape(said)), document, console


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_in_a_browser_every_view_follows_the_others(
    page: str, run: Run, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    said, document, console = driven(page, tmp_path)
    best, indices = front(rows), run.rows["index"].to_pylist()
    assert console == []
    assert document.count('class="main-svg"') >= 4
    assert said["start"] == {"rows": 40, "points": 40, "count": f"40 of 40 designs, {len(best)} of them in the front"}

    left = [row for row in rows if row["format"] != "bfp4"]
    assert set(said["filtered"]["formats"]) == {"bfp6", "bfp8", "mxfp4"}
    assert said["filtered"]["points"] == len(left)
    assert said["filtered"]["count"].startswith(f"{len(left)} of 40 designs")
    assert said["reset"] == {"rows": 40, "checked": 4 + 4 + 3 + 2}

    starred = {row["index"] for row in best}
    named = [f"#{index} ★" if index in starred else f"#{index}" for index in (indices[3], indices[5])]
    assert said["selected"]["names"] == named
    assert said["selected"]["bars"] == [f"#{indices[5]}", f"#{indices[3]}"]
    assert said["selected"]["lines"] == 1 + 2

    smallest = min(rows, key=lambda row: row["area_mm2"])
    assert said["sorted"] == {"order": "ascending", "first": str(smallest["index"])}
    chosen = indices[1]
    assert said["chosen"] == {
        "name": f"#{chosen} ★",
        "bar": f"#{chosen}",
        "layers": str(chosen),
        "roofs": f"layers of #{chosen}",
    }

    # The last axis is the area; its upper half on a linear or logarithmic scale holds the largest and not the smallest.
    assert max(rows, key=lambda row: row["area_mm2"])["index"] in said["brushed"]
    assert smallest["index"] not in said["brushed"]
    assert said["unbrushed"] == 40


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_figures_in_a_browser_read_as_they_do_in_tables_and_csv_is_complete(
    page: str, rows: list[dict[str, Any]], tmp_path: Path
) -> None:
    said, _, _ = driven(page, tmp_path)
    assert said["figures"] == [Quantity("time", "s").text(value) for value in VALUES]
    lines = {int(line["index"]): line for line in csv.DictReader(io.StringIO(said["csv"]))}
    for row in rows:
        line = lines[row["index"]]
        assert line["format"] == row["format"]
        assert int(line["array.rows"]) == row["array.rows"]
        for name in ("area_mm2", "tokens_per_s", "energies_j.dram"):
            assert float(line[name]) == pytest.approx(row[name], rel=1e-6)


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_hostile_names_stay_text_in_a_browser(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    document, console = in_browser(explore_page(hostile(rows, tmp_path / "run")), tmp_path)
    assert console == []
    assert "<img" not in document.replace('class="main-svg"', "").partition("<main>")[2].partition("<script>")[0]
    assert not re.search(r"<a [^>]*http://x", document.partition("<script>")[0])


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_the_page_follows_a_dark_theme(page: str, tmp_path: Path) -> None:
    document, console = in_browser(page, tmp_path, "--blink-settings=preferredColorScheme=0")
    red, green, blue = bytes.fromhex(DARK.surface.removeprefix("#"))
    assert re.search(rf'class="main-svg"[^>]*background: rgb\({red}, {green}, {blue}\)', document)
    assert console == []


@pytest.mark.skipif(find_browser() is None, reason="needs chromium or chrome")
def test_figures_are_drawn_as_files(page: str) -> None:
    drawn = images(page)
    plots = ("pareto", "roofline", "area", "energy")
    assert set(drawn) == {*(f"{name}.{kind}" for name in plots for kind in ("svg", "png")), "parallel.png"}
    for name, data in drawn.items():
        assert data.startswith(b"<svg" if name.endswith(".svg") else b"\x89PNG\r\n\x1a\n")
        assert len(data) > 5000
