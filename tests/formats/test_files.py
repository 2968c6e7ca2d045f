"""Written files are whole or absent."""

from pathlib import Path

import pytest

from densimeter.formats import ConfigError
from densimeter.formats.files import write_text


def test_a_file_is_replaced_and_nothing_else_stays(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("old")
    write_text(path, "new \N{MULTIPLICATION SIGN}")
    assert path.read_text(encoding="utf-8") == "new \N{MULTIPLICATION SIGN}"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "half \ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_missing_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "page.html"
    write_text(path, "x")
    assert path.read_text() == "x"


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match=r"cannot write .*/file/page.html: .*; expected a file in a folder"):
        write_text(tmp_path / "file" / "page.html", "x")
