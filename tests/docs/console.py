"""Runs what the documentation shows: every command of a page, compared with the output printed under it.

A page is Markdown. Three kinds of fenced block matter here, and they act in the order of the page, all in one temporary
folder that starts empty:

    ```yaml title="own.yaml"            any language with a title: the file of that name is written with this content
    format: bfp6
    ```

    ```diff title="densimeter/formats/catalog.yaml"      a diff with a title: the lines that it takes away or keeps must
     context                                             stand in that file once, and are replaced
    +new line
    ```

    ```console                          commands and what they print, standard error included
    $ densimeter formats mxfp4 | head -2
    mxfp4  OCP MXFP4
      bits_per_value:  ...
    $ densimeter check own.yaml \\
    >   && echo fine                    a command goes on behind "> "
    ...
    fine
    ```

A line `--8<-- "examples/shape/shape.yaml"` in a block stands for that file of `reports/docs`.

In expected output, `...` matches anything within a line, and a line that is only `...` any number of lines. Blanks at
the end of lines do not count, nor do lines that announce compiling. A command runs in bash of its own (`cd` and
`export` do not carry over) and must exit with 0; to show a failure, write it:
`$ densimeter check bad.yaml; echo "exit code $?"`.

A comment on the line before a fence says what is special about that block; clauses are separated by semicolons:

    <!-- test: slow -->                     runs under `pytest -m slow` only; what builds upon it is slow as well
    <!-- test: needs torch, iverilog -->    skipped where one of these modules or programs is missing
    <!-- test: not run, it needs a cluster -->   shown only; a shell block without this clause is always run
    <!-- test: checkout -->                 anywhere in a page: the folder holds a copy of the repository, densimeter/,
                                            and the command `densimeter` runs that copy's code

To write a page, leave the outputs out and run `.venv/bin/python tests/docs/console.py PAGE.md`: it prints every command
with what it printed. Pages are found by `test_pages.py`; nothing needs to be listed.
"""

import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "reports" / "docs"
_SHELL = ("console", "sh", "bash", "shell")
_FENCE = re.compile(
    r"(?:^ *<!-- test: (?P<clauses>[^\n]*?) -->\n+)?"
    r"^(?P<indent> *)(?P<ticks>```+) *(?P<language>[\w-]+)(?P<options>[^\n`]*)\n(?P<body>.*?)^(?P=indent)(?P=ticks) *$",
    re.MULTILINE | re.DOTALL,
)
_SNIPPET = re.compile(r'^--8<-- "([^"]+)"\n', re.MULTILINE)
_COPIED = ("formats", "hwmodels", "kernels", "reports", "rtl", "simulator", "tests/typing")
_SECONDS = 600
# What a new machine is told once: nothing that a page shows.
_ANNOUNCED = re.compile(r"^densimeter: compiling .* for this machine.*\n", re.MULTILINE)


@dataclass(frozen=True)
class Command:
    """A shell command and what the page says that it prints."""

    line: int
    text: str
    output: str


@dataclass(frozen=True)
class Block:
    """A fenced block: commands to run, or a file to write (or change, when `is_patch`)."""

    line: int
    body: str
    title: str | None
    is_patch: bool
    commands: tuple[Command, ...]
    slow: bool
    needs: tuple[str, ...]

    def missing(self) -> list[str]:
        return [name for name in self.needs if shutil.which(name) is None and not _importable(name)]


def _importable(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):  # a parent is missing; a name that is none
        return False


@dataclass(frozen=True)
class Page:
    """What a page wants done."""

    path: Path
    blocks: tuple[Block, ...]
    checkout: bool

    @property
    def has_slow_blocks(self) -> bool:
        return any(block.slow for block in self.blocks)


def read_page(path: Path) -> Page:
    """The blocks of a page that act. ValueError: a block that can neither be run nor says why, an unknown clause."""
    text = path.read_text(encoding="utf-8")
    checkout = re.search(r"^<!-- test: checkout -->$", text, re.MULTILINE) is not None
    return Page(path, tuple(_blocks(path.name, text)), checkout)


def _blocks(name: str, text: str) -> Iterator[Block]:
    for fence in _FENCE.finditer(text):
        line = text.count("\n", 0, fence.start("ticks")) + 1
        clauses = [clause.strip() for clause in (fence["clauses"] or "").split(";") if clause.strip()]
        if any(re.match(r"not run, \w", clause) for clause in clauses):
            continue
        needs: list[str] = []
        for clause in clauses:
            if clause.startswith("needs "):
                needs += [needed.strip() for needed in clause.removeprefix("needs ").split(",")]
            elif clause not in ("slow", "checkout"):
                raise ValueError(f"{name}:{line}: clause {clause!r}, expected slow, needs ..., checkout, not run, why")
        body = re.sub(rf"^{fence['indent']}", "", fence["body"], flags=re.MULTILINE)
        body = _SNIPPET.sub(lambda found: (DOCS / found[1]).read_text(encoding="utf-8"), body)
        title = re.search(r'title="([^"]+)"', fence["options"])
        commands: tuple[Command, ...] = ()
        if fence["language"] in _SHELL:
            commands = tuple(_commands(line, body))
            if not commands:
                raise ValueError(f'{name}:{line}: a shell block without "$ " commands, and not marked as not run')
        elif not title:
            continue
        yield Block(
            line,
            body,
            title[1] if title and not commands else None,
            fence["language"] == "diff",
            commands,
            "slow" in clauses,
            tuple(needs),
        )


def _commands(first_line: int, body: str) -> Iterator[Command]:
    """The block's commands. What stands before the first one is not printed by any."""
    command, output, started = "", "", 0
    for number, line in enumerate(body.splitlines(), first_line + 1):
        if line.startswith("$ "):
            if command:
                yield Command(started, command, output)
            command, output, started = line[2:], "", number
        elif not command:
            raise ValueError(f'line {number}: {line!r} in a shell block, expected a command behind "$ "')
        elif line.startswith("> ") and not output:
            command += "\n" + line[2:]
        else:
            output += line + "\n"
    if command:
        yield Command(started, command, output)


def run_page(page: Page, folder: Path, *, slow: bool) -> Iterator[tuple[Command, str]]:
    """Do what the page shows in an empty folder; gives each command with what it printed.

    AssertionError: a command failed, or a diff does not fit.
    """
    if page.checkout:
        _copy_repository(folder / "densimeter")
    for block in page.blocks:
        if (block.slow and not slow) or block.missing():
            continue
        if block.title:
            target = folder / block.title
            target.parent.mkdir(parents=True, exist_ok=True)
            content = _patched(target.read_text(), block) if block.is_patch else block.body
            target.write_text(content, encoding="utf-8")
        for command in block.commands:
            yield command, _run(command, page, folder)


def _run(command: Command, page: Page, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-c", command.text],
        cwd=folder,
        env=_environment(folder, page.checkout),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_SECONDS,
    )
    where = f"{page.path.name}:{command.line}"
    assert done.returncode == 0, f"{where}: exit code {done.returncode} of {command.text}\n{done.stdout}"
    return _ANNOUNCED.sub("", done.stdout)


def _environment(folder: Path, checkout: bool) -> dict[str, str]:
    """This interpreter's commands first, plain text of 100 columns, and no cache but one of the page's own."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(folder.parent / f"{folder.name}-cache"),
        "COLUMNS": "100",
        "TERM": "dumb",
        "NO_COLOR": "1",
        "LC_ALL": "C.UTF-8",
    }
    if checkout:  # symbolic links to the six folders under their installed names; found before the installed package
        environment["PYTHONPATH"] = str(folder / "densimeter" / "tests" / "typing")
    return environment


def _copy_repository(target: Path) -> None:
    """Times of change are kept, so that what Numba compiled from these files stays valid, and goes with them."""
    ignored = shutil.ignore_patterns(".*")
    for name in _COPIED:
        shutil.copytree(ROOT / name, target / name, symlinks=True, ignore=ignored)
    for file in ROOT.iterdir():
        if file.is_file():
            shutil.copy2(file, target)


def _patched(text: str, block: Block) -> str:
    """The text with the diff's lines replaced; a line of dots, @@ or headers separates hunks."""
    hunks: list[list[str]] = [[]]
    for line in block.body.splitlines():
        if line.startswith(("@@", "---", "+++")):
            hunks.append([])
        else:
            hunks[-1].append(line or " ")
    for hunk in filter(None, hunks):
        before = "".join(f"{line[1:]}\n" for line in hunk if line[0] != "+")
        after = "".join(f"{line[1:]}\n" for line in hunk if line[0] != "-")
        found = text.count(before)
        assert found == 1, f"line {block.line}: {block.title} holds these lines {found} times, expected once:\n{before}"
        text = text.replace(before, after)
    return text


def difference(command: Command, printed: str) -> str:
    """Empty where the output is what the page shows; else a unified diff, page against run."""
    shown = [line.rstrip() for line in command.output.rstrip().splitlines()]
    lines = [line.rstrip() for line in printed.rstrip().splitlines()]
    if _pattern(shown).fullmatch("".join(f"{line}\n" for line in lines)):
        return ""
    return "\n".join(difflib.unified_diff(shown, lines, "the page", "the run", lineterm=""))


def _pattern(shown: list[str]) -> re.Pattern[str]:
    parts = (
        r"(?:.*\n)*?" if line == "..." else r"[^\n]*?".join(map(re.escape, line.split("..."))) + r"\n" for line in shown
    )
    return re.compile("".join(parts))


def main() -> None:
    """Print the commands of the page named on the command line, each with what it prints."""
    page = read_page(Path(sys.argv[1]))
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "page")
        folder.mkdir()
        for command, printed in run_page(page, folder, slow=True):
            sys.stdout.write(f"$ {command.text}\n{printed}")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
