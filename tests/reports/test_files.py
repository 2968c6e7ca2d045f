"""Report files are whole or absent."""

from pathlib import Path

import pytest

from densimeter.formats import ConfigError
from densimeter.reports import write_text


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


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot write .*/none/page.html: No such file or directory; expected"):
        write_text(tmp_path / "none" / "page.html", "x")
