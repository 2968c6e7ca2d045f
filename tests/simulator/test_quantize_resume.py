"""`densimeter quantize`, interrupted: the output stays what it was, and the same command goes on to the same bytes."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import densimeter.kernels as K
from support.command import Densimeter

COMMAND = [sys.executable, "-c", "from densimeter.simulator.cli import main; main()"]
TENSORS = 12


@pytest.fixture
def model(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    arrays = {f"layers.{i:02}.w": rng.standard_normal((4, 64)).astype(np.float32) for i in range(TENSORS)}
    save_file(arrays | {"norm": np.ones(3, np.float32)}, tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def partial(out: Path) -> Path:
    return out.with_name(f".{out.name}.partial")


def journal(out: Path) -> Path:
    return out.with_name(f".{out.name}.partial.jsonl")


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[int]]:
    """``count(5)`` lets five tensors be quantised, then interrupts as Ctrl-C does; the list grows with each one."""

    def install(until: int = sys.maxsize) -> list[int]:
        done: list[int] = []

        def counted(*arguments: Any, **named: Any) -> Any:
            if len(done) == until:
                raise KeyboardInterrupt
            done.append(1)
            return K.quantize(*arguments, **named)

        monkeypatch.setattr("densimeter.simulator.checkpoint.quantize.quantize", counted)
        return done

    return install


@pytest.fixture
def interrupted(densimeter: Densimeter, model: Path, tmp_path: Path, count: Callable[..., list[int]]) -> Path:
    """The output of a run that was interrupted after five tensors."""
    out = tmp_path / "q.safetensors"
    count(5)
    assert densimeter("quantize", model, "-f", "nvfp4", "-o", out).code == 130
    count()
    return out


def test_an_interruption_keeps_the_output_and_the_work(
    densimeter: Densimeter, model: Path, tmp_path: Path, count: Callable[..., list[int]]
) -> None:
    out = tmp_path / "q.safetensors"
    out.write_text("old")
    count(5)
    outcome = densimeter("quantize", model, "-f", "nvfp4", "-o", out)
    assert outcome.code == 130
    assert f"5 of {TENSORS + 1} tensors are done; the same command goes on" in outcome.err
    assert out.read_text() == "old"
    assert partial(out).exists()
    assert len(journal(out).read_text().splitlines()) == 1 + 5


def test_the_same_command_goes_on_to_the_same_bytes(
    densimeter: Densimeter, model: Path, tmp_path: Path, interrupted: Path, count: Callable[..., list[int]]
) -> None:
    whole = densimeter("quantize", model, "-f", "nvfp4", "-o", tmp_path / "whole.safetensors", "--json")
    done = count()
    resumed = densimeter("quantize", model, "-f", "nvfp4", "-o", interrupted, "--json")
    assert "going on after 5 of 13 tensors" in resumed.err
    assert len(done) == TENSORS - 5  # what was finished is not done again
    assert interrupted.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
    assert resumed.json["tensors"] == whole.json["tensors"]  # their statistics are kept
    assert resumed.json["total"] == whole.json["total"]
    assert not partial(interrupted).exists()
    assert not journal(interrupted).exists()


def test_a_torn_line_of_the_journal_does_not_count(
    densimeter: Densimeter, model: Path, tmp_path: Path, interrupted: Path
) -> None:
    densimeter("quantize", model, "-f", "nvfp4", "-o", tmp_path / "whole.safetensors")
    text = journal(interrupted).read_text()
    journal(interrupted).write_text(text[:-20])  # killed while it wrote the fifth
    outcome = densimeter("quantize", model, "-f", "nvfp4", "-o", interrupted)
    assert "going on after 4 of 13 tensors" in outcome.err
    assert interrupted.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-f", "mxfp4"], "differs in format"),
        (["-f", "nvfp4", "--seed", "1"], "differs in seed"),
        (["-f", "nvfp4", "--axis", "0"], "differs in axis"),
        (["-f", "nvfp4", "--include", "layers.*"], "differs in include"),
        (["-f", "nvfp4", "--exclude", "layers.03.w", "--only-quantized"], "differs in exclude, only_quantized"),
    ],
)
def test_another_job_starts_anew_and_says_so(
    options: list[str], said: str, densimeter: Densimeter, model: Path, tmp_path: Path, interrupted: Path
) -> None:
    outcome = densimeter("quantize", model, *options, "-o", interrupted)
    assert f"an interrupted run {said}: starting anew" in outcome.err
    densimeter("quantize", model, *options, "-o", tmp_path / "fresh.safetensors")
    assert interrupted.read_bytes() == (tmp_path / "fresh.safetensors").read_bytes()


def test_a_source_that_was_touched_is_another_one(densimeter: Densimeter, model: Path, interrupted: Path) -> None:
    os.utime(model, ns=(0, 0))
    outcome = densimeter("quantize", model, "-f", "nvfp4", "-o", interrupted)
    assert "differs in source: starting anew" in outcome.err


@pytest.mark.parametrize("damage", ["journal", "data"])
def test_damaged_remains_are_thrown_away(
    damage: str, densimeter: Densimeter, model: Path, tmp_path: Path, interrupted: Path
) -> None:
    if damage == "journal":
        journal(interrupted).write_text("{\n")
    else:
        os.truncate(partial(interrupted), 100)
    assert densimeter("quantize", model, "-f", "nvfp4", "-o", interrupted).code == 0
    densimeter("quantize", model, "-f", "nvfp4", "-o", tmp_path / "fresh.safetensors")
    assert interrupted.read_bytes() == (tmp_path / "fresh.safetensors").read_bytes()


def test_two_runs_do_not_write_one_file(densimeter: Densimeter, model: Path, interrupted: Path) -> None:
    with partial(interrupted).open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        outcome = densimeter("quantize", model, "-f", "nvfp4", "-o", interrupted)
    assert outcome.code == 2
    assert "another run is writing" in outcome.err
    assert len(journal(interrupted).read_text().splitlines()) == 1 + 5


def test_no_space_is_known_at_once(
    densimeter: Densimeter, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    outcome = densimeter("quantize", model, "-f", "nvfp4", "-o", tmp_path / "q.safetensors")
    assert outcome.code == 2
    assert "No space left on device" in outcome.err
    assert sorted(tmp_path.iterdir()) == [model]


def test_a_failing_disk_keeps_what_is_finished(
    densimeter: Densimeter, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, real, syncs = tmp_path / "q.safetensors", os.fdatasync, []

    def fail(file: int) -> None:
        syncs.append(file)
        if len(syncs) > 5:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(file)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", fail)
        outcome = densimeter("quantize", model, "-f", "nvfp4", "-o", out)
    assert outcome.code == 2
    assert "Input/output error; what is finished is kept" in outcome.err
    assert "going on after 5 of 13 tensors" in densimeter("quantize", model, "-f", "nvfp4", "-o", out).err


def test_a_tensor_that_is_refused_leaves_nothing(
    densimeter: Densimeter, model: Path, tmp_path: Path, interrupted: Path
) -> None:
    broken = np.ones((2, 32), np.float32)
    broken[1, 2] = np.nan
    save_file({"a": np.ones((2, 32), np.float32), "b": broken}, tmp_path / "broken.safetensors")
    outcome = densimeter("quantize", tmp_path / "broken.safetensors", "-f", "bfp6", "-o", interrupted)
    assert outcome.code == 2
    assert not partial(interrupted).exists()
    assert not journal(interrupted).exists()


def test_a_killed_run_is_taken_up(densimeter: Densimeter, tmp_path: Path) -> None:
    """kill -9 between two tensors, or within one."""
    rng = np.random.default_rng(0)
    arrays = {f"layers.{i:03}.w": rng.standard_normal((32, 256)).astype(np.float32) for i in range(150)}
    model, out = tmp_path / "model.safetensors", tmp_path / "q.safetensors"
    save_file(arrays, model)
    densimeter("quantize", model, "-f", "bfp6", "-o", tmp_path / "whole.safetensors")
    out.write_text("old")
    arguments = ["quantize", str(model), "-f", "bfp6", "-o", str(out)]
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 300
        while not journal(out).exists() or journal(out).read_bytes().count(b"\n") < 5:
            assert time.monotonic() < deadline, "no tensor was finished"
            time.sleep(0.001)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert out.read_text() == "old"
    finished = journal(out).read_bytes().count(b"\n") - 1
    assert json.loads(journal(out).read_text().splitlines()[0])["format"]["name"] == "bfp6"
    assert f"going on after {finished} of 150 tensors" in densimeter(*arguments).err
    assert out.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()
