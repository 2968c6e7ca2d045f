"""Shell completion: installed by one option, and offering commands, options and names of formats."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(sys.executable).with_name("densimeter")


def offered(*words: str) -> list[str]:
    """What bash shows behind these words and a Tab."""
    request = {
        "_DENSIMETER_COMPLETE": "complete_bash",
        "COMP_WORDS": " ".join(words),
        "COMP_CWORD": f"{len(words) - 1}",
    }
    done = subprocess.run([PROGRAM], env=os.environ | request, capture_output=True, text=True, check=False, timeout=60)
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("densimeter", "for"), ["formats"]),
        (("densimeter", "rtl", "synth", "--pipe"), ["--pipeline"]),
        (("densimeter", "formats", "mxfp8"), ["mxfp8_e4m3", "mxfp8_e5m2"]),
        (("densimeter", "rtl", "emit", "-a", "nvf"), ["nvfp4", "nvfp4_one_level"]),
        (("densimeter", "rtl", "test", "-a", "bfp6", "-c", "al"), ["aligned24"]),
        (("densimeter", "init", "-e", "kv"), ["kv_cache_format"]),
    ],
)
def test_tab_offers(words: tuple[str, ...], expected: list[str]) -> None:
    assert offered(*words) == expected


def test_one_option_installs_it(tmp_path: Path) -> None:
    done = subprocess.run(
        [PROGRAM, "--install-completion", "bash"],
        env=os.environ | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (script,) = (tmp_path / ".bash_completions").iterdir()
    assert str(script) in (tmp_path / ".bashrc").read_text(encoding="utf-8")
    assert "_DENSIMETER_COMPLETE" in script.read_text(encoding="utf-8")
