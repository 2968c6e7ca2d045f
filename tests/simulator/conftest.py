"""Running the command line inside the test process."""

import pytest

from densimeter.simulator.cli import main
from support.command import Densimeter, Outcome


@pytest.fixture
def densimeter(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Densimeter:
    """``densimeter("formats", "mxfp4")`` runs the command with these arguments."""

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr("sys.argv", ["densimeter", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Outcome(ended.value.code if isinstance(ended.value.code, int) else 1, captured.out, captured.err)

    return run
