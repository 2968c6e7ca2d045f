"""Every unit of the default density table is clean under the compilers' own warnings."""

import os
import subprocess
from importlib import resources
from pathlib import Path

import pytest

import densimeter.formats as F
from densimeter.rtl.batch import find_verilator
from densimeter.rtl.emit import emit
from densimeter.simulator.schema.density import DensityConfig
from densimeter.simulator.schema.document import parse, validate

pytestmark = pytest.mark.rtl

_CONFIG = resources.files("densimeter.simulator.configs").joinpath("density.yaml").read_text(encoding="utf-8")
UNITS = [unit.datapath() for unit in validate(parse(_CONFIG, "density.yaml"), DensityConfig).units]


def _name(datapath: F.Datapath) -> str:
    return emit(datapath).name


@pytest.mark.parametrize("datapath", UNITS, ids=_name)
def test_icarus_warns_of_nothing(datapath: F.Datapath, tmp_path: Path) -> None:
    unit = emit(datapath)
    (tmp_path / "unit.v").write_text(unit.text, encoding="utf-8")
    command = ["iverilog", "-g2012", "-Wall", "-t", "null", "-s", unit.name, "unit.v"]
    compiled = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (compiled.returncode, compiled.stdout + compiled.stderr) == (0, "")


@pytest.mark.parametrize("datapath", UNITS, ids=_name)
def test_verilator_warns_of_nothing(datapath: F.Datapath, tmp_path: Path) -> None:
    try:
        program, environment = find_verilator()
    except F.ToolError as missing:
        pytest.skip(str(missing))
    unit = emit(datapath)
    (tmp_path / "unit.v").write_text(unit.text, encoding="utf-8")
    command = [program, "--lint-only", "-Wall", "--top-module", unit.name, "unit.v"]
    linted = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    assert (linted.returncode, linted.stderr) == (0, "")
