"""`densimeter report`: page, tables and layers of a run; mistakes answered."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from densimeter.reports import browser
from support.command import Densimeter
from support.run_folder import OBJECTIVES, SWEEP, front, random_rows, write_run


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return random_rows(30)


def test_page_tables_and_layers_are_written(densimeter: Densimeter, tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    folder = write_run(tmp_path / "run", rows)
    shown = densimeter("report", folder, "--layers", "3", "--no-figures")
    assert shown.code == 0, shown.err
    assert (folder / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    names = {
        f"{table}.{kind}"
        for table in ("front", "areas", "energies", "layers", "density")
        for kind in ("csv", "md", "tex")
    }
    assert {path.name for path in (folder / "report").iterdir()} == names
    with (folder / "density.csv").open(encoding="utf-8") as file:
        densities = list(csv.DictReader(file))
    assert {line["format"] for line in densities} <= {"bfp4", "bfp6", "bfp8", "mxfp4"}
    assert all(float(line["arithmetic_density_area"]) > 1 for line in densities)
    details = json.loads((folder / "details.json").read_text(encoding="utf-8"))
    signs = {name: 1 if way == "min" else -1 for name, way in OBJECTIVES.items()}
    by_objective = [min((sign * row[name], row["index"]) for row in front(rows))[1] for name, sign in signs.items()]
    assert list(map(int, details))[: len(set(by_objective))] == list(dict.fromkeys(by_objective))
    assert len(details) == 3
    for index, detail in details.items():
        (row,) = (row for row in rows if row["index"] == int(index))
        assert detail["area_mm2"] == row["area_mm2"]
    with (folder / "report" / "layers.csv").open(encoding="utf-8") as file:
        assert {line["index"] for line in csv.DictReader(file)} == set(details)


def test_a_run_of_the_command_line_is_reported(densimeter: Densimeter, tmp_path: Path) -> None:
    sweep, folder = tmp_path / "sweep.yaml", tmp_path / "run"
    sweep.write_text(yaml.safe_dump(SWEEP, sort_keys=False), encoding="utf-8")
    assert densimeter("run", sweep, "-o", folder).code == 0
    shown = densimeter("report", folder, "--no-figures")
    assert shown.code == 0, shown.err
    best = pq.read_table(folder / "front.parquet").to_pylist()
    with (folder / "report" / "front.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    assert [int(line["index"]) for line in lines] == [row["index"] for row in best]
    assert [float(line["area_mm2"]) for line in lines] == [row["area_mm2"] for row in best]


def test_the_page_may_stand_elsewhere(densimeter: Densimeter, tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    folder, page = write_run(tmp_path / "run", rows), tmp_path / "out" / "arrays.html"
    assert densimeter("report", folder, "-o", page, "--layers", "0", "--no-figures").code == 0
    assert page.exists()
    assert (tmp_path / "out" / "arrays" / "front.csv").exists()


def test_without_a_browser_it_says_what_figures_need(
    densimeter: Densimeter, tmp_path: Path, rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser, "BROWSERS", ())
    shown = densimeter("report", write_run(tmp_path / "run", rows))
    assert shown.code == 0
    assert "they need Chromium or Chrome on the PATH" in " ".join(shown.out.split())


def test_mistakes_are_answered(densimeter: Densimeter, tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    nothing = densimeter("report", tmp_path)
    assert nothing.code == 2
    assert "run.yaml" in nothing.err
    folder = write_run(tmp_path / "run", rows)
    wrong = densimeter("report", folder, "-o", tmp_path / "page.pdf")
    assert wrong.code == 2
    assert "expected a name ending in .html" in " ".join(wrong.err.split())
