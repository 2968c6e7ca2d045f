"""Writes what commands print into pages, and figures beside them: `.venv/bin/python tests/docs/rewrite.py PAGE.md ...`

Every command of the pages runs, slow ones too. Outputs that still match stay as they are, their dots included; others
are replaced. A figure that a page shows, `![...](NAME.svg)`, is replaced by the file of that name that its commands
drew. What changes is printed as a diff.
"""

import difflib
import re
import sys
import tempfile
from pathlib import Path

from console import Command, difference, read_page, run_page


def rewrite(path: Path) -> str:
    """Bring a page and its figures up to date; gives the diff, empty where nothing changed."""
    before = path.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "page")
        folder.mkdir()
        after = _filled(before, list(run_page(read_page(path), folder, slow=True)))
        changes = difflib.unified_diff(before.splitlines(), after.splitlines(), str(path), "the run", lineterm="")
        told = [*changes, *_figures(path, after, folder)]
    if after != before:
        path.write_text(after, encoding="utf-8")
    return "\n".join(told)


def _filled(text: str, printed: list[tuple[Command, str]]) -> str:
    lines = text.splitlines()
    for command, output in reversed(printed):  # from the end, so that line numbers stay true
        if difference(command, output):
            start = command.line + command.text.count("\n")
            indent = lines[command.line - 1].partition("$")[0]
            shown = (indent + line.rstrip() for line in output.rstrip("\n").splitlines())
            lines[start : start + command.output.count("\n")] = [line.rstrip() for line in shown]
    return "\n".join(lines) + "\n"


def _figures(path: Path, text: str, folder: Path) -> list[str]:
    """Copy what was drawn; one line for each figure that changed."""
    told = []
    for name in re.findall(r"!\[[^\]]*\]\(([\w.-]+\.svg)\)", text):
        drawn, kept = folder / name, path.with_name(name)
        if drawn.exists() and (not kept.exists() or kept.read_bytes() != drawn.read_bytes()):
            kept.write_bytes(drawn.read_bytes())
            told.append(f"{kept}: drawn anew")
    return told


def main() -> None:
    for name in sys.argv[1:]:
        told = rewrite(Path(name))
        print(told or f"{name}: unchanged")


if __name__ == "__main__":
    main()
