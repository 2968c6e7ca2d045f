"""Expected results in files: compared, or written anew with `--regenerate-golden`, which shows what changes."""

import difflib
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.golden import Golden, Row, as_csv, assert_same

FOLDER = Path(__file__).parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--regenerate-golden", action="store_true", help="write the expected results, show differences")


@pytest.fixture
def golden(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Golden:
    """``golden("density.csv", rows)``: the rows are those of the file, figures to six digits."""

    def check(name: str, rows: Sequence[Row]) -> None:
        path, text = FOLDER / name, as_csv(rows)
        known = path.read_text(encoding="utf-8") if path.exists() else ""
        if request.config.getoption("--regenerate-golden", default=False):
            path.write_text(text, encoding="utf-8")
            with capsys.disabled():
                old, new = (written.splitlines(keepends=True) for written in (known, text))
                print("".join(difflib.unified_diff(old, new, name, "now", n=0)))
            return
        assert known, f"{name} is missing; tests/golden/README.md says how to make it"
        assert_same(known, text)

    return check
