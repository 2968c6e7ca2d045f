"""Figures for papers and notebooks: what they show, and the files they become."""

import re
from pathlib import Path
from typing import Any

import pytest

from densimeter.formats import get
from densimeter.formats.display import anatomy
from densimeter.formats.errors import ConfigError, ToolError
from densimeter.reports import browser, density_figure, front_figure, machine_figure, read_run, write_figure
from densimeter.reports.row import DensityTable
from densimeter.reports.run_folder import Run
from densimeter.simulator import evaluate
from support.design_points import DESIGN
from support.run_folder import front, random_rows, write_run

needs_browser = pytest.mark.skipif(browser.find_browser() is None, reason="no Chromium")


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return random_rows(30)


@pytest.fixture(scope="module")
def run(rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Run:
    return read_run(write_run(tmp_path_factory.mktemp("runs") / "run", rows))


def test_the_front_stands_before_the_other_designs(run: Run, rows: list[dict[str, Any]]) -> None:
    others, *kinds = front_figure(run).data
    assert others.name == "other designs"
    best = front(rows)
    assert len(others.x) == len(rows) - len(best)
    assert {trace.name for trace in kinds} == {row["format"] for row in best}
    drawn = sorted(x for trace in kinds for x in trace.x)
    assert drawn == pytest.approx(sorted(row["tokens_per_s"] for row in best))


def test_an_axis_is_in_the_unit_that_suits_its_largest_value(run: Run, rows: list[dict[str, Any]]) -> None:
    figure = front_figure(run, x="area_mm2", y="energy_per_token_j")
    assert figure.layout.xaxis.title.text == "area, mm²"
    unit = re.fullmatch("energy per token, (.*)J", figure.layout.yaxis.title.text)
    assert unit
    largest = max(row["energy_per_token_j"] for row in rows)
    assert max(y for trace in figure.data for y in trace.y) == pytest.approx(largest / {"m": 1e-3, "": 1}[unit[1]])


def test_a_column_that_a_run_lacks_is_answered(run: Run) -> None:
    with pytest.raises(ConfigError, match="no column 'area_mm'; did you mean 'area_mm2'"):
        front_figure(run, x="area_mm")
    with pytest.raises(ConfigError, match="'format' of bfp-arrays holds words"):
        front_figure(run, x="format")


def test_an_axis_of_powers_of_two_is_logarithmic(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    """Of two designs, 20 times as large is linear and 20.5 times is not."""
    for largest, kind in ((20.0, "linear"), (20.5, "log")):
        two = [{**rows[0], "area_mm2": 1.0}, {**rows[1], "area_mm2": largest}]
        run = read_run(write_run(tmp_path / kind, two))
        assert front_figure(run, x="area_mm2").layout.xaxis.type == kind


def test_a_machine_shows_every_component() -> None:
    row = evaluate(DESIGN)
    area, energy = machine_figure(row).data
    assert sum(area.x) == pytest.approx(row["area_mm2"])
    assert len(energy.y) == len(row["energies_j"])
    assert list(energy.x) == sorted(energy.x)  # Plotly's bars begin at the bottom


def test_a_drawing_becomes_svg_without_a_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser, "BROWSERS", ())
    write_figure(anatomy(get("mxfp4")), tmp_path / "mxfp4.svg")
    assert (tmp_path / "mxfp4.svg").read_text(encoding="utf-8").startswith("<svg ")


def test_without_a_browser_a_figure_says_what_it_needs(
    table: DensityTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser, "BROWSERS", ("no_such_browser",))
    with pytest.raises(ToolError, match="no_such_browser on the PATH: install one, such as Debian's package chromium"):
        write_figure(density_figure(table), tmp_path / "density.pdf")
    assert list(tmp_path.iterdir()) == []


def test_a_name_without_a_known_ending_is_refused(table: DensityTable, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"density.jpg, expected a name ending in .svg, .png, .pdf"):
        write_figure(density_figure(table), tmp_path / "density.jpg")


@needs_browser
def test_a_drawing_becomes_a_page_of_its_size_and_an_image_twice_as_fine(tmp_path: Path) -> None:
    drawing = anatomy(get("bfp6"))
    height = float(re.findall(r'viewBox="0 0 520 ([\d.]+)"', drawing)[0])
    write_figure(drawing, tmp_path / "f.png")
    write_figure(drawing, tmp_path / "f.pdf")
    data = (tmp_path / "f.png").read_bytes()
    assert data.startswith(b"\x89PNG")
    assert int.from_bytes(data[16:20]) == 2 * 520  # the image's width, by the PNG specification
    page = re.search(rb"/MediaBox ?\[0 0 ([\d.]+) ([\d.]+)\]", (tmp_path / "f.pdf").read_bytes())
    assert page
    assert [float(side) for side in page.groups()] == pytest.approx([520 * 0.75, height * 0.75], abs=1)  # 96 to 72 dpi


@needs_browser
def test_plotly_becomes_vectors(table: DensityTable, tmp_path: Path) -> None:
    write_figure(density_figure(table), tmp_path / "f.svg")
    svg = (tmp_path / "f.svg").read_text(encoding="utf-8")
    assert svg.startswith("<svg ")
    assert "memory density" in svg
