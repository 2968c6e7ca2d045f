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


def test_a_buffer_of_a_byte_is_refused(densimeter: Densimeter, tmp_path: Path) -> None:
    refused = densimeter("evaluate", written(tmp_path / "machine.yaml", DESIGN | {"buffers": {"weight_kib": 0.001}}))
    assert refused.code == 1
    assert "needs 2 x 8 banks of less than 2048 bytes each" in " ".join(refused.err.split())


@pytest.mark.parametrize(
    ("design", "message"),
    [
        (DESIGN | {"lanes": 5}, "5 lanes do not divide the block of bfp6 (16)"),
        ({key: value for key, value in DESIGN.items() if key != "workload"}, "workload: missing, expected a value"),
        (DESIGN | {"dram": {"device": "hbm9"}}, "hbm2, hbm2e, hbm3"),
        ({"format": "bfp6", "accumulatr": "fp32"}, "did you mean 'accumulator'?"),
        (DESIGN | {"workload": {"model": "llama2-7b"}}, "did you mean 'llama-2-7b'?"),
        (DESIGN | {"workload": {"gemms": "none.csv"}}, "there is no file 'none.csv'"),
        (
            DESIGN | {"array": {"rows": 2**24 + 1, "cols": 1}},
            "rows: 16777217: expected less than or equal to 16777216",
        ),
        (DESIGN | {"array": {"rows": 10**30, "cols": 1}}, "array.rows: 1000000000000000000000000000000: expected"),
        (DESIGN | {"buffers": {"weight_kib": float("inf")}}, "buffers.weight_kib: inf: expected less than or equal to"),
        ([1, 2], "machine.yaml:1: (document)"),
    ],
)
def test_mistakes_name_file_and_line(densimeter: Densimeter, tmp_path: Path, design: object, message: str) -> None:
    refused = densimeter("evaluate", written(tmp_path / "machine.yaml", design))
    assert refused.code == 2
    assert message in " ".join(refused.err.split())
    assert "machine.yaml:" in refused.err
    assert "Traceback" not in refused.err
