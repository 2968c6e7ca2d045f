"""Runs of a sweep: what they hold, and that it is the same however they were made."""

import errno
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from densimeter.formats.errors import ConfigError, DensimeterError
from densimeter.simulator import evaluate
from densimeter.simulator.explore.engine import Progress, Run, run
from densimeter.simulator.explore.executors import using
from densimeter.simulator.explore.load import Exploration, explore
from densimeter.simulator.explore.merge import merge
from densimeter.simulator.explore.part import PartMaker
from densimeter.simulator.explore.plan import Shard
from densimeter.simulator.explore.run_folder import RunFolder
from support.sweeps import SWEEP, content

PARTS = 10  # 2 * 5 * 4 * 3 * 2 = 240 designs, 24 a part


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [row for part in sorted((path / "rows").iterdir()) for row in pq.read_table(part).to_pylist()]


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[int]]:
    """``interrupt(5)`` lets five parts be made, then raises as Ctrl-C does; the list grows with each one."""
    real = PartMaker.part

    def install(until: int) -> list[int]:
        made: list[int] = []

        def part(self: PartMaker, number: int) -> Any:
            if len(made) == until:
                raise KeyboardInterrupt
            made.append(number)
            return real(self, number)

        monkeypatch.setattr(PartMaker, "part", part)
        return made

    return install


def test_rows_are_the_product_of_the_axes_without_what_constraints_refuse(exploration: Exploration, whole: Run) -> None:
    expected, refused = {}, {"pruned": 0, "infeasible": 0, "rejected": 0}
    for index in range(exploration.space.size):
        design = exploration.space.design(index)
        if design["array"]["rows"] * design["array"]["cols"] > 1024:
            refused["pruned"] += 1
            continue
        try:
            found = evaluate(design)
        except DensimeterError:
            refused["infeasible"] += 1
            continue
        if found["area_mm2"] > 5:
            refused["rejected"] += 1
            continue
        expected[index] = (design["format"], design["array"]["rows"], found["area_mm2"], found["tokens_per_s"])
    rows = rows_of(whole.path)
    kept = {row["index"]: (row["format"], row["array.rows"], row["area_mm2"], row["tokens_per_s"]) for row in rows}
    assert kept == expected
    counts = whole.facts["counts"]
    assert {name: counts[name] for name in refused} == refused
    assert min(refused.values()) > 0
    assert counts["designs"] == 240 == sum(refused.values()) + counts["accepted"]
    assert counts["accepted"] == len(rows)
    assert sum(kind["count"] for kind in whole.facts["infeasible"].values()) == refused["infeasible"]


def test_front_has_all_rows_that_no_row_dominates(whole: Run) -> None:
    rows = rows_of(whole.path)
    costs = np.array([[-row["tokens_per_s"], row["energy_per_token_j"], row["area_mm2"]] for row in rows])
    dominated = [bool(((costs <= one).all(axis=1) & (costs < one).any(axis=1)).any()) for one in costs]
    expected = [row for row, out in zip(rows, dominated, strict=True) if not out]
    assert pq.read_table(whole.path / "front.parquet").to_pylist() == expected
    assert 0 < len(expected) < len(rows)


def test_scenarios_have_a_front_each(small_parts: int, whole: Run, tmp_path: Path) -> None:
    """What is given is not chosen: a batch of 4 gives more tokens a second than one of 1, yet does not rule it out."""
    for keep in ("all", "front"):
        sweep = {**SWEEP, "scenarios": ["workload.batch"], "output": {"keep": keep}}
        made = run(explore(sweep), tmp_path / keep)
        front = made.front.to_pylist()
        expected = []
        for batch in (1, 4):
            alone = run(
                explore({**SWEEP, "axes": {**SWEEP["axes"], "workload.batch": [batch]}}), tmp_path / f"{keep}{batch}"
            )
            expected += [tuple(row[name] for name in SWEEP["objectives"]) for row in alone.front.to_pylist()]
        assert sorted(tuple(row[name] for name in SWEEP["objectives"]) for row in front) == sorted(expected)
        assert {row["workload.batch"] for row in front} == {1, 4}
        assert {row["workload.batch"] for row in whole.front.to_pylist()} == {4}
        assert made.facts["scenarios"] == ["workload.batch"]


def test_designs_that_come_to_the_same_all_stay_and_are_counted(small_parts: int, tmp_path: Path) -> None:
    """With conversions overlapped and nothing to convert, their rate changes nothing."""
    axes = {"array.rows": [8, 16], "overlap.conversions_per_cycle": [64, 128, 256]}
    sweep = {**SWEEP, "axes": axes, "constraints": [], "objectives": {"area_mm2": "min"}}
    made = run(explore(sweep), tmp_path / "run")
    assert [row["array.rows"] for row in made.front.to_pylist()] == [8, 8, 8]
    assert (made.facts["counts"]["front"], made.facts["counts"]["outcomes"]) == (3, 1)


def test_run_json_says_what_rows_mean(exploration: Exploration, whole: Run) -> None:
    assert whole.is_done
    assert whole.facts["axes"]["array.rows"] == [4, 8, 16, 32, 64]
    columns = pq.read_schema(whole.path / "front.parquet").names
    assert columns == ["index", *whole.facts["axes"], *whole.facts["columns"]]
    assert explore(SWEEP).resolved() == exploration.resolved()
    assert sorted(path.name for path in whole.path.iterdir()) == ["front.parquet", "rows", "run.json", "run.yaml"]


@pytest.mark.parametrize("until", [0, 1, 5, PARTS - 1])
def test_an_interrupted_run_goes_on(
    until: int, exploration: Exploration, whole: Run, tmp_path: Path, interrupt: Callable[[int], list[int]]
) -> None:
    path = tmp_path / "interrupted"
    interrupt(until)
    with pytest.raises(KeyboardInterrupt):
        run(exploration, path)
    assert content(path)["run.json"]["state"] == "running"
    assert content(path)["run.json"]["counts"]["designs"] == until * 24
    made = interrupt(PARTS)
    assert run(exploration, path).is_done
    assert made == list(range(until, PARTS))  # nothing again
    assert content(path) == content(whole.path)


def test_an_interruption_between_any_two_steps_of_keeping_a_part(
    exploration: Exploration, whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once its file is there, as its front is joined, or once all is done."""
    for step in ("write_part", "_joined", "finish"):
        path, owner = tmp_path / step, RunFolder if step == "write_part" else Progress
        real = getattr(owner, step)
        calls: list[int] = []

        def after(*arguments: Any, real: Any = real, calls: list[int] = calls) -> Any:
            found = real(*arguments)
            calls.append(1)
            if len(calls) == 3:
                raise KeyboardInterrupt
            return found

        with monkeypatch.context() as patched:
            patched.setattr(owner, step, after)
            with pytest.raises(KeyboardInterrupt):
                run(exploration, path)
        run(exploration, path)
        assert content(path) == content(whole.path)


def test_a_finished_run_makes_nothing(
    exploration: Exploration, whole: Run, interrupt: Callable[[int], list[int]]
) -> None:
    before, made = content(whole.path), interrupt(0)
    assert run(exploration, whole.path).is_done
    assert made == []
    assert content(whole.path) == before


def test_a_front_or_facts_behind_the_rows_are_made_again(exploration: Exploration, whole: Run, tmp_path: Path) -> None:
    """kill -9 may come after a part was kept and before the front was."""
    before = content(whole.path)
    run(exploration, tmp_path / "half", shard=Shard(1, 2))
    for name in ("front.parquet", "run.json"):
        (whole.path / name).write_bytes((tmp_path / "half" / name).read_bytes())
    (whole.path / "rows" / ".part-000000000000000.parquet.1.1").write_bytes(b"torn")
    run(exploration, whole.path)
    assert content(whole.path) == before
    (whole.path / "front.parquet").unlink()
    run(exploration, whole.path)
    assert content(whole.path) == before


@pytest.mark.parametrize("count", [2, 3, 12])
def test_merged_shards_are_one_run(count: int, exploration: Exploration, whole: Run, tmp_path: Path) -> None:
    shards = [tmp_path / f"shard-{i}" for i in range(1, count + 1)]
    for i, path in enumerate(shards, start=1):
        assert run(exploration, path, shard=Shard(i, count)).is_done
    assert merge(shards, tmp_path / "merged").is_done
    assert content(tmp_path / "merged") == content(whole.path)


def test_a_merger_without_all_shards_is_completed_by_a_run(
    exploration: Exploration, whole: Run, tmp_path: Path, interrupt: Callable[[int], list[int]]
) -> None:
    run(exploration, tmp_path / "second", shard=Shard(2, 2))
    merged = merge([tmp_path / "second"], tmp_path / "merged")
    assert not merged.is_done
    assert merged.facts["counts"]["designs"] == 5 * 24
    made = interrupt(PARTS)
    run(exploration, tmp_path / "merged")
    assert made == [0, 2, 4, 6, 8]
    assert content(tmp_path / "merged") == content(whole.path)


def test_runs_of_different_sweeps_do_not_merge(exploration: Exploration, whole: Run, tmp_path: Path) -> None:
    run(explore({**SWEEP, "name": "other"}), tmp_path / "other")
    with pytest.raises(ConfigError, match="holds the run of another sweep than"):
        merge([whole.path, tmp_path / "other"], tmp_path / "merged")
    with pytest.raises(ConfigError, match="holds no run, expected the folder of a run"):
        merge([tmp_path], tmp_path / "merged")


def test_any_executor_gives_the_same(exploration: Exploration, whole: Run, tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as executor:
        run(exploration, tmp_path / "threads", executor=using(executor))
    assert content(tmp_path / "threads") == content(whole.path)


def test_a_full_disk_leaves_a_usable_run(
    exploration: Exploration, whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, real, room = tmp_path / "full", os.replace, [6]  # run.json, run.yaml and four parts

    def replace(source: Path, target: Path) -> None:
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        room[0] -= 1
        real(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", replace)
        with pytest.raises(ConfigError, match="No space left on device"):
            run(exploration, path)
    assert [file for file in path.rglob("*") if file.name.startswith(".")] == []
    assert len(list((path / "rows").iterdir())) == 4
    run(exploration, path)
    assert content(path) == content(whole.path)


def test_a_folder_is_of_one_sweep_and_one_version(exploration: Exploration, whole: Run) -> None:
    with pytest.raises(ConfigError, match="holds the run of another sweep; choose another folder, or delete it"):
        run(explore({**SWEEP, "constraints": []}), whole.path)
    facts = whole.path / "run.json"
    facts.write_text(facts.read_text().replace('"numpy": "', '"numpy": "0.'))
    with pytest.raises(ConfigError, match=r"was begun with numpy 0\."):
        run(exploration, whole.path)


def test_two_runs_do_not_share_a_folder(exploration: Exploration, whole: Run) -> None:
    def again(done: int, planned: int) -> None:
        with pytest.raises(ConfigError, match="another run is writing there"):
            run(exploration, whole.path)

    run(exploration, whole.path, advance=again)


def test_progress_is_told_in_designs(exploration: Exploration, small_parts: int, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    run(exploration, tmp_path / "run", shard=Shard(1, 2), advance=lambda *done: told.append(done))
    assert told == [(24 * parts, 5 * 24) for parts in range(6)]


@pytest.mark.parametrize("keep", ["front", 50])
def test_what_is_kept(keep: str | int, whole: Run, tmp_path: Path) -> None:
    """Parts keep their own fronts, from which that of the run is made, and an even sample of the rest."""
    kept = run(explore({**SWEEP, "output": {"keep": keep}}), tmp_path / "kept")
    assert kept.front.equals(whole.front)
    assert kept.facts["counts"] == whole.facts["counts"]
    rows, everything = rows_of(kept.path), rows_of(whole.path)
    assert all(row in everything for row in rows)
    assert len(rows) < len(everything)
    if isinstance(keep, int):
        front = run(explore({**SWEEP, "output": {"keep": "front"}}), tmp_path / "front")
        fronts = {row["index"] for row in rows_of(front.path)}
        besides = [row for row in rows if row["index"] not in fronts]
        assert 0 < len(besides) <= keep


def test_random_designs_are_different_and_as_many_as_asked_for(small_parts: int, tmp_path: Path) -> None:
    """Designs that constraints on settings refuse do not count: 2 * (5 * 4 - 1) * 3 * 2 meet them."""
    sweep = {**SWEEP, "constraints": ["array.rows * array.cols <= 1024"]}
    found = {}
    for seed in (0, 1):
        for designs in (40, 1000):
            asked = {**sweep, "search": {"method": "random", "designs": designs, "seed": seed}}
            made = run(explore(asked), tmp_path / f"{seed}-{designs}")
            counts = made.facts["counts"]
            assert counts["evaluated"] + counts["infeasible"] == min(designs, 2 * 19 * 3 * 2)
            found[seed, designs] = [row["index"] for row in rows_of(made.path)]
            assert len(set(found[seed, designs])) == len(found[seed, designs])
    assert found[0, 40] != found[1, 40]
    assert sorted(found[0, 1000]) == sorted(found[1, 1000])


def test_measures_are_columns_of_their_own(small_parts: int, tmp_path: Path) -> None:
    """One names a result and a setting, the next one the first; both may be constraints and objectives."""
    measures = {"tokens_per_mm2": "tokens_per_s / area_mm2 / workload.batch", "tenth": "tokens_per_mm2 / 10"}
    whole = run(explore({**SWEEP, "measures": measures, "objectives": {"tenth": "max"}}), tmp_path / "whole")
    rows = rows_of(whole.path)
    for row in rows:
        assert row["tokens_per_mm2"] == row["tokens_per_s"] / row["area_mm2"] / row["workload.batch"]
        assert row["tenth"] == row["tokens_per_mm2"] / 10
    assert whole.front["tenth"].to_pylist() == [max(row["tenth"] for row in rows)]
    assert whole.facts["columns"]["tenth"] == {"meaning": "tokens_per_mm2 / 10"}
    middle = sorted(row["tenth"] for row in rows)[len(rows) // 2]
    changes = {"measures": measures, "constraints": [*SWEEP["constraints"], f"tenth >= {middle!r}"]}
    better = rows_of(run(explore(SWEEP | changes), tmp_path / "better").path)
    assert [row["index"] for row in better] == [row["index"] for row in rows if row["tenth"] >= middle]


def test_a_sweep_without_axes_is_one_design(small_parts: int, tmp_path: Path) -> None:
    made = run(explore({**SWEEP, "axes": {}, "constraints": []}), tmp_path / "one")
    assert made.facts["counts"]["designs"] == made.front.num_rows == 1
    assert isinstance(made.front, pa.Table)


@pytest.mark.parametrize(("number", "count"), [(0, 2), (3, 2), (1, 0)])
def test_shards_are_counted_from_one(number: int, count: int) -> None:
    with pytest.raises(ConfigError, match=f"shard {number}/{count}, expected 1/{count}"):
        Shard(number, count)
