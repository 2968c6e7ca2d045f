"""Every command that the documentation shows works, and prints what is printed there."""

from pathlib import Path

import pytest

from docs.console import DOCS, Page, difference, read_page, run_page

PAGES = [read_page(path) for path in sorted(DOCS.rglob("*.md"))]


def identity(path: Path) -> str:
    return path.relative_to(DOCS).with_suffix("").as_posix()


@pytest.mark.parametrize(
    ("page", "slow"),
    [
        pytest.param(page, slow, id=identity(page.path) + ("-slow" if slow else ""), marks=[pytest.mark.slow] * slow)
        for page in PAGES
        for slow in (False, True)
        if any(block.slow == slow and block.commands for block in page.blocks)
    ],
)
def test_a_page_shows_what_its_commands_print(page: Page, slow: bool, tmp_path: Path) -> None:
    folder = tmp_path / "page"
    folder.mkdir()
    for command, printed in run_page(page, folder, slow=slow):
        assert not (found := difference(command, printed)), f"{page.path.name}:{command.line}: {command.text}\n{found}"
