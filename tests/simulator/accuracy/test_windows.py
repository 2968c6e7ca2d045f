"""A text in windows."""

from pathlib import Path

import pytest

from densimeter.formats.errors import ConfigError
from densimeter.simulator.accuracy.windows import cut_windows, read_text
from densimeter.simulator.workloads.text import passage


def test_windows_follow_each_other() -> None:
    assert cut_windows(list(range(20)), 2, 8, 3) == [[2, 3, 4], [5, 6, 7], [8, 9]]


def test_a_last_window_of_one_token_has_nothing_to_score() -> None:
    assert cut_windows(list(range(20)), 0, 7, 3) == [[0, 1, 2], [3, 4, 5]]


def test_a_text_that_is_too_short_is_an_error() -> None:
    with pytest.raises(ConfigError, match="10, expected at most the 8 tokens"):
        cut_windows(list(range(20)), 12, 10, 3)


def test_texts(tmp_path: Path) -> None:
    assert read_text("passage") == passage()
    (tmp_path / "latin.txt").write_bytes(b"\xe9")
    with pytest.raises(ConfigError, match=r"not UTF-8 text\), expected 'passage' or a text file"):
        read_text(str(tmp_path / "latin.txt"))
    with pytest.raises(ConfigError, match="cannot be read"):
        read_text(str(tmp_path / "none.txt"))
