"""`densimeter run` and `densimeter merge`: what they print, where runs go, and what they refuse."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from support.command import Densimeter
from support.sweeps import SWEEP, content


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("densimeter.simulator.explore.plan.BLOCK", 24)
    return written(tmp_path / "small.yaml")


def written(path: Path, **changes: Any) -> Path:
    path.write_text(yaml.safe_dump(SWEEP | changes, sort_keys=False))
    return path


def test_front_and_place_are_printed(densimeter: Densimeter, sweep: Path) -> None:
    outcome = densimeter("run", sweep)
    assert outcome.code == 0
    front = pq.read_table("out/small/front.parquet")
    assert f"small: Pareto front of {front.num_rows}" in outcome.out
    assert f"{max(front['tokens_per_s'].to_pylist()):.4g}" in outcome.out
    assert "240 designs, 12 pruned, 30 infeasible" in outcome.out
    assert "infeasible for weight_buffer: " in outcome.out
    assert outcome.out.rstrip().endswith("run (done): out/small")
    assert outcome.err == ""  # nothing but on a terminal


def test_json_is_run_json_and_the_front(densimeter: Densimeter, sweep: Path) -> None:
    printed = densimeter("run", sweep, "-o", "here", "--json").json
    facts = content(Path("here"))["run.json"]
    assert {name: printed[name] for name in facts} == facts
    assert printed["path"] == "here"
    assert printed["front"] == pq.read_table("here/front.parquet").to_pylist()


def test_shards_and_their_merger(densimeter: Densimeter, sweep: Path) -> None:
    densimeter("run", sweep)
    first = densimeter("run", sweep, "--shard", "1/2")
    assert first.out.rstrip().endswith("run (done): out/small-1-of-2")
    unfinished = densimeter("merge", "out/small-1-of-2", "-o", "merged")
    assert "run (not finished, 120 of 240 designs): merged" in unfinished.out
    densimeter("run", sweep, "--shard", "2/2")
    assert densimeter("merge", "out/small-1-of-2", "out/small-2-of-2", "-o", "merged").code == 0
    assert content(Path("merged")) == content(Path("out/small"))


def test_the_resolved_sweep_is_the_sweep(densimeter: Densimeter, sweep: Path) -> None:
    densimeter("run", sweep, "-o", "first")
    assert densimeter("run", "first/run.yaml", "-o", "second").code == 0
    assert content(Path("second")) == content(Path("first"))
    assert densimeter("run", "first/run.yaml", "-o", "first").code == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--shard", "3/2"], "shard 3/2, expected 1/2 to 2/2"),
        (["--shard", "half"], "--shard half: expected a number of a share and how many there are, such as 1/4"),
        (["--workers", "2", "--cluster", "tcp://x:1"], "--workers and --cluster given, expected one of them"),
        (["-o", "small.yaml"], "small.yaml: Not a directory; expected a folder"),
    ],
)
def test_bad_input(options: list[str], said: str, densimeter: Densimeter, sweep: Path) -> None:
    outcome = densimeter("run", sweep, *options)
    assert outcome.code == 2
    assert said in outcome.err
    assert sorted(path.name for path in Path().iterdir()) == ["small.yaml"]


def test_what_learns_is_not_shared_out(densimeter: Densimeter, sweep: Path) -> None:
    written(sweep, search={"method": "nsga2", "designs": 20})
    outcome = densimeter("run", sweep, "--workers", "2")
    assert outcome.code == 2
    assert "nsga2 learns from every design, expected one process" in outcome.err


@pytest.mark.parametrize("method", ["random", "nsga2"])
def test_other_searches(method: str, densimeter: Densimeter, sweep: Path) -> None:
    if method == "nsga2":
        pytest.importorskip("optuna")
    written(sweep, search={"method": method, "designs": 20}, constraints=[])
    printed = densimeter("run", sweep, "--json").json
    assert printed["method"] == method
    assert printed["counts"]["designs"] == 20
