"""Work done by others: results come whatever happens to workers, and a run of theirs is the run of one process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from densimeter.formats.errors import ConfigError, ToolError
from densimeter.simulator.explore.engine import Run, run
from densimeter.simulator.explore.executors import as_finished, cluster, processes, using
from densimeter.simulator.explore.load import Exploration, explore
from support.parts import DeadlyParts, SmallParts
from support.sweeps import SWEEP, content

# A command whose parts are small, too, and slow enough to be killed between two of them.
SLOW = """
import time
import densimeter.simulator.explore.plan as plan
from densimeter.simulator.explore.part import PartMaker
from densimeter.simulator.cli import main

def part(self, number, real=PartMaker.part):
    time.sleep(0.1)
    return real(self, number)

plan.BLOCK, PartMaker.part = 24, part
main()
"""


class Unreliable(Executor):
    """Does the work at once; breaks at every call whose number is in `broken`."""

    def __init__(self, broken: set[int]) -> None:
        self.calls, self._broken = 0, broken

    def submit(self, work, /, *arguments, **named):  # type: ignore[no-untyped-def]
        self.calls += 1
        future: Future[int] = Future()
        if self.calls in self._broken:
            future.set_exception(BrokenExecutor("killed"))
        else:
            future.set_result(work(*arguments, **named))
        return future


def test_work_of_a_broken_executor_is_done_again() -> None:
    found = list(as_finished(using(Unreliable({3, 7, 8})), lambda number: number, range(20)))
    assert sorted(found) == list(range(20))


def test_executors_that_keep_breaking_are_given_up() -> None:
    with pytest.raises(ToolError, match="workers died 3 times in a row"):
        list(as_finished(using(Unreliable(set(range(100)))), lambda number: number, range(20)))


def test_no_more_is_asked_for_than_is_wanted_at_a_time() -> None:
    executor = Unreliable(set())
    found = as_finished(using(executor), lambda number: number, range(1000), in_flight=4)
    next(found)
    assert executor.calls == 4


@pytest.mark.parametrize("work", [SmallParts, DeadlyParts])
def test_processes_make_the_run_of_one(
    work: type[SmallParts], exploration: Exploration, whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a worker is killed."""
    monkeypatch.setenv("DENSIMETER_TEST_MARKER", str(tmp_path / "killed"))
    monkeypatch.setattr("densimeter.simulator.explore.engine.EvaluatePart", work)
    run(exploration, tmp_path / "processes", executor=processes(2))
    assert (tmp_path / "killed").exists() == (work is DeadlyParts)
    assert content(tmp_path / "processes") == content(whole.path)


@contextmanager
def dask_cluster(tmp_path: Path, workers: int) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """The address of a scheduler, and its process before those of its workers, as a user starts them."""
    address, environment = tmp_path / "scheduler.json", os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    python = [sys.executable, "-m", "distributed.cli"]
    commands = [["scheduler", "--port", "0", "--dashboard-address", ":0", "--scheduler-file", str(address)]]
    commands += [["worker", "--scheduler-file", str(address), "--no-nanny", "--nthreads", "1"]] * workers
    started: list[subprocess.Popen[bytes]] = []
    try:
        for name, *arguments in commands:
            command = [*python[:-1], f"distributed.cli.dask_{name}", *arguments, "--host", "127.0.0.1"]
            nowhere = subprocess.DEVNULL
            started.append(subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=nowhere, stderr=nowhere))
            deadline = time.monotonic() + 120
            while not address.exists():
                assert time.monotonic() < deadline, "no scheduler came up"
                time.sleep(0.05)
        yield yaml.safe_load(address.read_text())["address"], started
    finally:
        for process in started:
            process.kill()
            process.wait(timeout=60)


def test_a_cluster_makes_the_run_of_one_process_though_a_worker_is_killed(
    exploration: Exploration, whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("densimeter.simulator.explore.engine.EvaluatePart", SmallParts)
    with dask_cluster(tmp_path, 2) as (address, (_, victim, _)):

        def kill_one(done: int, planned: int) -> None:
            if done >= 2 * 24:
                victim.kill()

        result = run(exploration, tmp_path / "cluster", executor=cluster(address), advance=kill_one)
        assert victim.wait(timeout=60) == -signal.SIGKILL
    assert result.is_done
    assert content(tmp_path / "cluster") == content(whole.path)


@pytest.mark.slow
def test_a_lost_scheduler_loses_no_finished_part(
    exploration: Exploration, whole: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("densimeter.simulator.explore.engine.EvaluatePart", SmallParts)
    with dask_cluster(tmp_path, 1) as (address, processes):

        def kill_scheduler(done: int, planned: int) -> None:
            if done >= 2 * 24:
                processes[0].kill()

        with pytest.raises(ToolError, match="the work was lost"):
            run(exploration, tmp_path / "cluster", executor=cluster(address), advance=kill_scheduler)
    monkeypatch.undo()
    monkeypatch.setattr("densimeter.simulator.explore.plan.BLOCK", 24)
    assert content(tmp_path / "cluster")["run.json"]["counts"]["designs"] >= 2 * 24
    run(exploration, tmp_path / "cluster")
    assert content(tmp_path / "cluster") == content(whole.path)


def test_a_cluster_that_is_not_there(exploration: Exploration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed")
    monkeypatch.setattr("densimeter.simulator.explore.executors._CONNECT_S", 1)
    with pytest.raises(ConfigError, match="no scheduler answers"):
        run(exploration, tmp_path / "run", executor=cluster("tcp://127.0.0.1:9"))


def _started(folder: Path, parts: int, *options: str) -> subprocess.Popen[bytes]:
    """`densimeter run` in a process of its own, once it has finished so many parts."""
    sweep = folder.with_suffix(".yaml")
    sweep.write_text(yaml.safe_dump(SWEEP, sort_keys=False))
    command = [sys.executable, "-c", SLOW, "run", str(sweep), "-o", str(folder), *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while len(list((folder / "rows").glob("part-*"))) < parts and process.poll() is None:
        assert time.monotonic() < deadline, "no part was finished"
        time.sleep(0.001)
    return process


@pytest.mark.parametrize("parts", [0, 1, 4])
def test_a_killed_run_is_taken_up(parts: int, exploration: Exploration, whole: Run, tmp_path: Path) -> None:
    """kill -9, then the same again: the run that nothing disturbed."""
    folder = tmp_path / "killed"
    process = _started(folder, parts)
    process.kill()
    assert process.wait(timeout=60) == -signal.SIGKILL
    finished = {path: path.stat().st_mtime_ns for path in (folder / "rows").glob("part-*")}
    assert parts <= len(finished) < 10
    run(exploration, folder)
    assert content(folder) == content(whole.path)
    assert {path: path.stat().st_mtime_ns for path in finished} == finished


def test_workers_end_with_their_run(tmp_path: Path) -> None:
    """Also where it is killed and can tell them nothing."""
    process = _started(tmp_path / "run", 0, "--workers", "2")
    try:
        deadline = time.monotonic() + 120
        while len(workers := _children(process.pid)) < 3:  # two, and multiprocessing's resource tracker
            assert time.monotonic() < deadline, "no workers came up"
            assert process.poll() is None
            time.sleep(0.01)
    finally:
        process.kill()
        process.wait(timeout=60)
    deadline = time.monotonic() + 120
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline, "workers live on"
        time.sleep(0.05)


def _children(parent: int) -> set[int]:
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        if int(fields[1]) == parent:
            found.add(int(stat.parent.name))
    return found


def test_ctrl_c_ends_a_run_cleanly(exploration: Exploration, whole: Run, tmp_path: Path) -> None:
    folder = tmp_path / "stopped"
    process = _started(folder, 1)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert content(folder)["run.json"]["state"] == "running"
    run(explore(SWEEP), folder)
    assert content(folder) == content(whole.path)
