"""Ctrl-C in the middle of a synthesis leaves no broken record, no folder and no process behind."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from densimeter.hwmodels.characterization.record import Record

COMMAND = [sys.executable, "-c", "from densimeter.simulator.cli import main; main()"]
UNIT = ["rtl", "synth", "-a", "bfp6", "-w", "bfp5", "-l", "16", "-c", "fp32", "--fresh"]


def test_interrupted_synthesis_leaves_nothing_broken(tmp_path: Path) -> None:
    scratch, cache = tmp_path / "scratch", tmp_path / "cache"
    scratch.mkdir()
    environment = os.environ | {"TMPDIR": str(scratch), "XDG_CACHE_HOME": str(cache)}
    process = subprocess.Popen(
        [*COMMAND, *UNIT], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 60
        while not list(scratch.glob("densimeter-yosys-*/design.v")):
            assert time.monotonic() < deadline, "no synthesis began"
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert not list(scratch.glob("densimeter-*"))
    for file in cache.rglob("*"):  # what had finished by then is kept whole
        assert file.is_dir() or Record.from_line(file.read_text().rstrip("\n"), str(file))
    assert not _processes_in(scratch)


def _processes_in(folder: Path) -> list[bytes]:
    """Command lines of processes that name a file of this folder."""
    lines = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            lines.append(command.read_bytes())
    return [line for line in lines if str(folder).encode() in line]
