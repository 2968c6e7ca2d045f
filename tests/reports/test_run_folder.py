"""A run's folder as reports read it: complete, front first, sampled where it is large, refused where it is none."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from densimeter.formats.errors import ConfigError
from densimeter.reports.run_folder import read_run
from support.run_folder import AXES, OBJECTIVES, front, random_rows, write_run


@pytest.fixture(scope="module")
def rows() -> list[dict[str, Any]]:
    return random_rows(24)


def test_every_row_is_read_once_and_the_front_first(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "run", rows))
    best = front(rows)
    assert run.rows.to_pylist()[: len(best)] == best == run.front.to_pylist()
    assert sorted(run.rows["index"].to_pylist()) == [row["index"] for row in rows]
    assert (run.row_count, run.is_sample) == (24, False)
    assert run.axes == list(AXES)
    assert run.objectives == OBJECTIVES


def test_a_large_run_is_sampled_the_same_way_each_time(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", rows)
    run = read_run(folder, most_rows=10)
    assert run.is_sample
    assert run.row_count == 24
    assert len(run.rows) <= len(front(rows)) + 10
    assert run.front.to_pylist() == front(rows)
    assert len(run.rows["index"].unique()) == len(run.rows)
    assert read_run(folder, most_rows=10).rows == run.rows
    assert read_run(folder, most_rows=10, seed=1).rows != run.rows


def test_a_run_that_kept_only_its_front_is_read(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", rows)
    for path in (folder / "rows").iterdir():
        path.unlink()
    run = read_run(folder)
    assert run.rows.to_pylist() == front(rows)
    assert run.row_count == len(front(rows))


def test_columns_that_are_coded_differently_in_each_part_are_one(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", rows)
    for path in (folder / "rows").iterdir():
        table = pq.read_table(path)
        narrow = table.set_column(2, "array.rows", table["array.rows"].cast(pa.int16()))
        pq.write_table(narrow, path)
    formats = read_run(folder).rows["format"].to_pylist()
    assert sorted(formats) == sorted(row["format"] for row in rows)


@pytest.mark.parametrize("missing", ["run.json", "run.yaml", "front.parquet"])
def test_a_folder_that_is_no_run_is_refused(rows: list[dict[str, Any]], tmp_path: Path, missing: str) -> None:
    folder = write_run(tmp_path / "run", rows)
    (folder / missing).unlink()
    with pytest.raises(ConfigError, match=f"{missing}.*expected the folder of `densimeter run`"):
        read_run(folder)


def test_broken_files_are_refused(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", rows)
    (folder / "front.parquet").write_bytes(b"PAR1")
    with pytest.raises(ConfigError, match=r"front\.parquet: cannot be read"):
        read_run(folder)
    (folder / "run.json").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"run\.json: is not JSON"):
        read_run(folder)


def test_a_run_whose_first_part_is_not_finished_says_so(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", rows)
    (folder / "run.json").write_text('{"versions": {}}', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"lacks name, state, .* no part of the run has finished yet"):
        read_run(folder)


def test_details_and_density_are_read_where_given(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", rows)
    assert read_run(folder).details == {}
    (folder / "details.json").write_text(json.dumps({"7": {"products": []}}), encoding="utf-8")
    (folder / "density.csv").write_text('format,unit\n"a,b",MAC\n', encoding="utf-8")
    run = read_run(folder)
    assert run.details == {7: {"products": []}}
    assert run.density == ({"format": "a,b", "unit": "MAC"},)
    assert np.isfinite(run.rows["area_mm2"].to_numpy()).all()
