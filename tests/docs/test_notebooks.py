"""Every notebook of the documentation runs from top to bottom, and its results show themselves as HTML or figures."""

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from docs.console import ROOT

nbclient = pytest.importorskip("nbclient")
jupytext = pytest.importorskip("jupytext")
pytest.importorskip("ipykernel")

NOTEBOOKS = sorted((ROOT / "reports" / "docs" / "notebooks").glob("*.py"))
_SHOWN = ("text/html", "application/vnd.plotly.v1+json")


def executed(path: Path, folder: Path) -> Any:
    """The notebook with its outputs; CellExecutionError where a cell fails."""
    notebook = jupytext.read(path)
    client = nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}})
    client.execute()
    return notebook


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")  # of the kernel's own libraries
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_shows_its_results(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONWARNINGS", "default")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    notebook = executed(path, tmp_path)
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    rich = [output for output in outputs if output.output_type in ("execute_result", "display_data")]
    assert rich
    assert all(set(_SHOWN) & set(output.data) for output in rich)
    assert not any("Traceback" in output.get("text", "") for output in outputs)


def test_there_are_notebooks() -> None:
    assert len(NOTEBOOKS) >= 3
