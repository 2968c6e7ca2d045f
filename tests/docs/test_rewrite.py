"""The command that writes outputs into pages: what differs is replaced and shown, what still matches is left alone."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("rewrite.py")
PAGE = """\
# A page

```console
$ echo 1 && \\
>   echo 2
old
$ echo took 3 s
took ... s
$ true
```

![A figure](drawn.svg)

```console
$ echo "<svg/>" > drawn.svg
```
"""


def rewrite(page: Path) -> str:
    return subprocess.run([sys.executable, SCRIPT, page], capture_output=True, text=True, check=True).stdout


def test_outputs_and_figures_are_written_and_shown(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(PAGE, encoding="utf-8")
    shown = rewrite(page)
    assert page.read_text(encoding="utf-8") == PAGE.replace("old\n", "1\n2\n")
    assert "-old\n+1\n+2\n" in shown
    assert (tmp_path / "drawn.svg").read_text(encoding="utf-8") == "<svg/>\n"
    assert rewrite(page) == f"{page}: unchanged\n"
