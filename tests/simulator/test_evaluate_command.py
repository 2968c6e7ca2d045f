"""`densimeter evaluate`: a unit or a machine from a file, printed, written, refused."""

import json
from pathlib import Path

import pytest
import yaml

from densimeter.simulator import evaluate
from support.command import Densimeter
from support.design_points import DESIGN


def written(path: Path, design: object) -> Path:
    path.write_text(yaml.safe_dump(design), encoding="utf-8")
    return path


def test_json_is_the_row(densimeter: Densimeter, tmp_path: Path) -> None:
    assert densimeter("evaluate", written(tmp_path / "machine.yaml", DESIGN), "--json").json == evaluate(DESIGN)


def test_a_machine_is_printed_and_written(densimeter: Densimeter, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    shown = densimeter("evaluate", written(tmp_path / "machine.yaml", DESIGN), "-o", folder)
    assert shown.code == 0
    assert shown.out.startswith("llama-2-7b decode 1x2048 on 32 x 32 units of 16 lanes\n")
    assert json.loads((folder / "row.json").read_text()) == evaluate(DESIGN)
    names = {"row.json", "machine.md", "totals.csv", "components.csv", "layers.csv"}
    assert {path.name for path in folder.iterdir()} == names


def test_a_unit_is_printed(densimeter: Densimeter, tmp_path: Path) -> None:
    shown = densimeter("evaluate", written(tmp_path / "unit.yaml", {"format": "bfp6", "accumulator": "aligned24"}))
    assert shown.code == 0
    assert "lut_per_mac_by_flow, carry" in shown.out


@pytest.mark.parametrize(
    ("design", "message"),
    [
        (DESIGN | {"lanes": 5}, "5 lanes do not divide the block of bfp6 (16)"),
        ({key: value for key, value in DESIGN.items() if key != "workload"}, "workload: missing, expected a value"),
        (DESIGN | {"dram": {"device": "hbm9"}}, "hbm2, hbm2e, hbm3"),
        ({"format": "bfp6", "accumulatr": "fp32"}, "did you mean 'accumulator'?"),
        (DESIGN | {"workload": {"model": "llama2-7b"}}, "did you mean 'llama-2-7b'?"),
        (DESIGN | {"workload": {"gemms": "none.csv"}}, "there is no file 'none.csv'"),
        ([1, 2], "machine.yaml:1: (document)"),
    ],
)
def test_mistakes_name_file_and_line(densimeter: Densimeter, tmp_path: Path, design: object, message: str) -> None:
    refused = densimeter("evaluate", written(tmp_path / "machine.yaml", design))
    assert refused.code == 2
    assert message in " ".join(refused.err.split())
    assert "machine.yaml:" in refused.err
    assert "Traceback" not in refused.err
