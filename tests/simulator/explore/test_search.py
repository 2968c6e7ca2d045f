"""Searches that learn: they find the front, are seeded, and interrupted ones go on as if nothing was."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from densimeter.formats.errors import ConfigError
from densimeter.simulator import evaluate
from densimeter.simulator.explore.chosen import designs
from densimeter.simulator.explore.engine import Run, run
from densimeter.simulator.explore.load import Exploration, explore
from densimeter.simulator.explore.part import PartMaker
from densimeter.simulator.explore.paths import get
from densimeter.simulator.explore.search import METHODS, search
from support.sweeps import SWEEP, content

pytest.importorskip("optuna")


def searching(method: str, designs: int = 100, **changes: Any) -> Exploration:
    return explore({**SWEEP, "search": {"method": method, "designs": designs, "seed": 3}, **changes})


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """``blocks(2)`` lets two batches be evaluated, then raises as Ctrl-C does; the list holds their sizes."""
    real = PartMaker.block

    def install(until: int = 1000) -> list[int]:
        sizes: list[int] = []

        def block(self: PartMaker, positions: Any, indices: Any) -> Any:
            if len(sizes) == until:
                raise KeyboardInterrupt
            sizes.append(len(positions))
            return real(self, positions, indices)

        monkeypatch.setattr(PartMaker, "block", block)
        return sizes

    return install


def rows_of(run: Run) -> list[dict[str, Any]]:
    return [row for part in sorted((run.path / "rows").iterdir()) for row in pq.read_table(part).to_pylist()]


@pytest.mark.parametrize("method", METHODS)
def test_as_many_different_designs_as_asked_for(method: str, tmp_path: Path) -> None:
    found = search(searching(method), tmp_path / "run")
    assert found.is_done
    assert found.facts["counts"]["designs"] == 100
    indices = [row["index"] for row in rows_of(found)]
    assert len(set(indices)) == len(indices) == found.facts["counts"]["accepted"]
    assert set(found.front["index"].to_pylist()) <= set(indices)


@pytest.mark.parametrize("method", METHODS)
def test_it_learns(method: str, tmp_path: Path) -> None:
    """150 designs of 7 * 7 * 3 * 3 * 3 hold much more of the front than the 150 / 1323 of it that luck would find."""
    axes = {
        "array.rows": {"powers_of_two": [4, 256]},
        "array.cols": {"powers_of_two": [4, 256]},
        "buffers.activation_kib": [64, 256, 1024],
        "buffers.weight_kib": [64, 256, 1024],
        "workload.batch": [1, 4, 16],
    }
    changes = {"axes": axes, "constraints": ["area_mm2 <= 20"]}
    best = set(run(explore(SWEEP | changes), tmp_path / "grid").front["index"].to_pylist())
    found = search(searching(method, 150, **changes), tmp_path / "run")
    assert len(best & {row["index"] for row in rows_of(found)}) > 3 * 150 / 1323 * len(best)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("until", [0, 2])
def test_an_interrupted_search_goes_on_as_if_nothing_was(
    method: str, until: int, tmp_path: Path, blocks: Callable[..., list[int]]
) -> None:
    every = blocks()
    undisturbed = search(searching(method), tmp_path / "whole")
    blocks(until)
    with pytest.raises(KeyboardInterrupt):
        search(searching(method), tmp_path / "stopped")
    rest = blocks()
    search(searching(method), tmp_path / "stopped")
    assert rest == every[until:]  # nothing again
    assert content(tmp_path / "stopped") == content(undisturbed.path)


WIDTHS = ["bfp4", "bfp5", "bfp6", "bfp8"]
VAST = {"storage.layers[model.decoder.layers.{0..11}.{fc1,fc2,self_attn.q_proj}].weight": WIDTHS}
"""12 * 3 weights of four widths each: 2**72 designs."""


@pytest.mark.parametrize("method", [*METHODS, "random"])
def test_spaces_that_no_int64_numbers_are_searched(
    method: str, tmp_path: Path, blocks: Callable[..., list[int]]
) -> None:
    """Rows are named by the order in which they were drawn, and every one leads back to its design."""
    objectives = {"memory_density": "max", "energy_per_token_j": "min"}
    exploration = searching(method, 30, axes=VAST, constraints=[], objectives=objectives)
    assert exploration.space.size == 2**72
    make = run if method == "random" else search
    found = make(exploration, tmp_path / "run")
    rows = rows_of(found)
    assert [row["index"] for row in rows] == list(range(30))
    assert all(len({row[axis] for row in rows}) > 1 for axis in exploration.space.axes)
    again = designs(found.path, [row["index"] for row in rows])
    for row in rows[::6]:
        point = again[row["index"]]
        axes = exploration.space.axes
        assert [get(point, axis, None) for axis in axes] == [row[axis] for axis in axes]
        assert evaluate(point)["memory_density"] == row["memory_density"]
    if method != "random":
        blocks(1)
        with pytest.raises(KeyboardInterrupt):
            search(exploration, tmp_path / "stopped")
        blocks()
        search(exploration, tmp_path / "stopped")
        assert content(tmp_path / "stopped") == content(found.path)


def test_seeds_differ(tmp_path: Path) -> None:
    other = searching("tpe", search={"method": "tpe", "designs": 30, "seed": 4})
    found = [search(one, tmp_path / str(i)) for i, one in enumerate((searching("tpe", 30), other))]
    assert {row["index"] for row in rows_of(found[0])} != {row["index"] for row in rows_of(found[1])}


@pytest.mark.parametrize("method", METHODS)
def test_a_search_of_more_designs_than_there_are_ends(method: str, tmp_path: Path) -> None:
    axes = {"array.rows": [4, 8], "buffers.weight_kib": {"values": [16, 64], "when": "array.rows == 8"}}
    found = search(searching(method, 1000, axes=axes), tmp_path / "run")
    assert found.is_done
    assert found.facts["counts"]["designs"] == 1 + 2  # 4 rows, with the design's own buffer; 8, with either


def test_what_is_kept_is_everything(tmp_path: Path) -> None:
    """A search goes on from what it kept."""
    found = [search(searching("nsga2", output={"keep": keep}), tmp_path / keep) for keep in ("all", "front")]
    assert rows_of(found[0]) == rows_of(found[1])
    assert np.isfinite(found[0].front["tokens_per_s"].to_numpy()).all()


def test_the_folder_of_another_search_is_refused(tmp_path: Path) -> None:
    search(searching("tpe", 20), tmp_path / "run")
    with pytest.raises(ConfigError, match="holds the run of another sweep"):
        search(searching("nsga2", 20), tmp_path / "run")
