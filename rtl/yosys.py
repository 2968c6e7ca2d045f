"""How Yosys is run: one script, in a process of its own, in a folder of its own. Nothing of a run outlives it.

A Yosys error ends the process it happens in, so the library is never loaded into this one.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory

from densimeter.formats.errors import ToolError

# Counts differ between versions by up to 20 %: the extra `rtl` pins this one, and it made the committed figures.
PINNED_VERSION = "0.70"
_RUN_SCRIPT = "from pyosys import libyosys; libyosys.run_pass('script run.ys', libyosys.Design())"
_LOG_LINES = 15
_running: set[subprocess.Popen[bytes]] = set()


def installed_version() -> str | None:
    """Version of the installed pyosys, which is the Yosys inside it; None where there is none."""
    try:
        return version("pyosys")
    except PackageNotFoundError:
        return None


def run(script: str, files: Mapping[str, str | Path], output: str, timeout_s: float) -> tuple[str, str]:
    """Run `script`, one command a line, and return its log and the text of the file `output` it has written.

    `files` are at hand for the script by their plain names: texts are written, paths are linked to. Raises `ToolError`
    when pyosys is missing, the script fails, or it takes longer than `timeout_s`.
    """
    if installed_version() is None:
        raise ToolError("synthesis needs pyosys, which is not installed: pip install 'densimeter[rtl]'")
    with TemporaryDirectory(prefix="densimeter-yosys-") as name:
        folder = Path(name)
        for file, content in {**files, "run.ys": script}.items():
            if isinstance(content, Path):
                (folder / file).symlink_to(content.resolve())
            else:
                (folder / file).write_text(content)
        code = _run_in(folder, timeout_s)
        log = (folder / "log").read_text(errors="replace")
        if code != 0 or not (folder / output).exists():
            last_lines = "\n".join(log.strip().splitlines()[-_LOG_LINES:])
            raise ToolError(f"Yosys failed (exit code {code}). The last lines of its log:\n{last_lines}")
        return log, (folder / output).read_text()


def stop_all() -> None:
    """End every Yosys that this process has started; whoever waits for one gets a `ToolError`."""
    for process in list(_running):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def _run_in(folder: Path, timeout_s: float) -> int:
    # TMPDIR: the ABC process that Yosys starts keeps its files there. One thread: the machine belongs to the caller,
    # who may run several of these.
    environment = {**os.environ, "TMPDIR": str(folder), "YOSYS_MAX_THREADS": "1"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _RUN_SCRIPT],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a group, so that ABC can be ended with it
        )
        _running.add(process)
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise ToolError(
                f"Yosys did not end within {timeout_s:g} s and was stopped; take fewer lanes, or an idler machine"
            ) from None
        finally:
            _running.discard(process)
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
