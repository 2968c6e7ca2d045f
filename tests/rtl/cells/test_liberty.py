"""Liberty files: the facts read out of one, and how libraries are found."""

from pathlib import Path

import pytest

from densimeter.formats.errors import ConfigError, ToolError
from densimeter.rtl.cells import liberty
from densimeter.rtl.cells.liberty import Library, find_library, known_libraries
from support.tiny_library import TINY_LIBRARY


@pytest.fixture
def tiny(tmp_path: Path) -> Library:
    path = tmp_path / "tiny.lib"
    path.write_text(TINY_LIBRARY)
    return find_library(path)


def test_a_file_gives_its_name_and_facts(tiny: Library) -> None:
    assert tiny.name == "tiny"
    assert tiny.cells == {"INVX1", "NAND2X1", "BUFX1", "DFFX1"}
    assert tiny.nand2_area_um2 == 2.0
    assert [cell for cell in sorted(tiny.cells) if tiny.is_flip_flop(cell)] == ["DFFX1"]


def test_register_delay_is_worst_clock_to_output_plus_worst_setup_in_the_middle_of_the_tables(tiny: Library) -> None:
    assert tiny.register_delay_ns("DFFX1") == (70 + 25) / 1000  # ps: fall of Q, rise of the setup


def test_comments_and_quoted_braces_are_no_syntax(tmp_path: Path) -> None:
    path = tmp_path / "commented.lib"
    path.write_text(TINY_LIBRARY.replace("area : 2;", '/* } area : 3; */ footprint : "a}b"; area : 2;'))
    assert find_library(path).nand2_area_um2 == 2.0


def test_a_file_that_is_no_library_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.lib"
    path.write_text("library (empty) {}")
    with pytest.raises(ConfigError, match=r"empty\.lib: no cell in it"):
        _ = find_library(path).cells


def test_a_truncated_cell_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.lib"
    path.write_text(TINY_LIBRARY[: TINY_LIBRARY.index("setup_rising")])
    with pytest.raises(ConfigError, match=r"cut\.lib: cell DFFX1 ends within a statement"):
        find_library(path).register_delay_ns("DFFX1")


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'nangate54': no such file; expected nangate45, osu018.*did you mean"):
        find_library("nangate54")


def test_a_library_that_is_not_installed_is_known_and_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liberty, "_nangate45_file", lambda: None)
    missing = find_library("nangate45")
    assert missing.path is None
    with pytest.raises(ToolError, match=r"nangate45 is not installed: pip install 'densimeter\[asic45\]'"):
        missing.file()


@pytest.mark.parametrize(("name", "nand2_area_um2"), [("nangate45", 0.798), ("osu018", 24)])
def test_installed_libraries_are_those_of_the_committed_figures(name: str, nand2_area_um2: float) -> None:
    found = next(library for library in known_libraries() if library.name == name)
    if found.path is None:
        pytest.skip(f"{name} is not installed: {found.how_to_get}")
    pinned = {"nangate45": liberty._NANGATE45, "osu018": liberty._OSU018}[name]
    assert found.sha256 == pinned.sha256
    assert found.nand2_area_um2 == nand2_area_um2
