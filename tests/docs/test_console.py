"""The runner of pages judges: what is shown and not printed fails, and what is neither run nor excused is refused."""

from pathlib import Path
from textwrap import dedent

import pytest

from docs.console import Command, difference, read_page, run_page


def outcome(tmp_path: Path, text: str, *, slow: bool = False) -> list[tuple[str, str]]:
    """Each command with its difference from what the page shows."""
    path, folder = tmp_path / "page.md", tmp_path / "folder"
    path.write_text(dedent(text))
    folder.mkdir()
    return [
        (command.text, difference(command, printed))
        for command, printed in run_page(read_page(path), folder, slow=slow)
    ]


def test_commands_run_in_order_in_one_folder_that_starts_empty(tmp_path: Path) -> None:
    page = """
    ```yaml title="sub/own.yaml"
    format: bfp6
    ```

    Text in between.

    ```console
    $ find . -type f
    ./sub/own.yaml
    $ cat sub/own.yaml > copy \\
    >   && cat copy
    format: bfp6
    $ echo wrong >&2
    wrong
    ```
    """
    commands = ["find . -type f", "cat sub/own.yaml > copy \\\n  && cat copy", "echo wrong >&2"]
    assert outcome(tmp_path, page) == [(command, "") for command in commands]


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a\nb\n", "a\nb\n", True),
        ("a\n", "a   \n\n", True),  # blanks at the end of lines, empty lines at the end
        ("a\nb\n", "a\n", False),
        ("", "a\n", False),
        ("a\n...\nd\n", "a\nb\nc\nd\n", True),
        ("a\n...\nd\n", "a\nd\n", True),
        ("a\n...\nd\n", "a\nb\n", False),
        ("took ... s\n", "took 1.5 s\n", True),
        ("took ... s\n", "took 1.5\n2 s\n", False),  # within a line only
        ("a.c\n", "abc\n", False),  # other dots are dots
    ],
)
def test_what_is_shown_is_what_is_printed(shown: str, printed: str, same: bool) -> None:
    assert (difference(Command(1, "", shown), printed) == "") == same


def test_a_command_that_fails_fails_the_page(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=r"page.md:3: exit code 3 of exit 3"):
        outcome(tmp_path, "\n```console\n$ exit 3\n```\n")


def test_slow_blocks_wait_and_missing_programs_excuse(tmp_path: Path) -> None:
    page = """
    <!-- test: slow -->
    ```console
    $ echo slow
    slow
    ```

    <!-- test: needs no_such_program -->
    ```console
    $ no_such_program
    ```

    <!-- test: not run, it needs a cluster -->
    ```sh
    $ no_such_program either
    ```

    ```console
    $ echo quick
    quick
    ```
    """
    (tmp_path / "1").mkdir()
    (tmp_path / "2").mkdir()
    assert outcome(tmp_path / "1", page) == [("echo quick", "")]
    assert outcome(tmp_path / "2", page, slow=True) == [("echo slow", ""), ("echo quick", "")]


def test_a_diff_replaces_lines_that_stand_once(tmp_path: Path) -> None:
    page = """
    ```text title="f"
    a
    b
    c
    ```

    ```diff title="f"
     a
    -b
    +B
     c
    ```

    ```console
    $ cat f
    a
    B
    c
    ```

    ```diff title="f"
    -b
    +B
    ```
    """
    with pytest.raises(AssertionError, match=r"f holds these lines 0 times, expected once"):
        outcome(tmp_path, page)


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("```sh\nmake\n```\n", "'make' in a shell block"),
        ("```sh\n```\n", "a shell block without"),
        ("<!-- test: quick -->\n```console\n$ true\n```\n", "clause 'quick', expected"),
    ],
)
def test_a_block_that_is_neither_run_nor_excused_is_refused(tmp_path: Path, page: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        outcome(tmp_path, page)
