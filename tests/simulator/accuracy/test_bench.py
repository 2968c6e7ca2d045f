"""Rows tried one by one on one model, as sweeps do."""

from pathlib import Path
from typing import Any

import pytest

import densimeter.formats as F
from densimeter.simulator.accuracy.bench import Bench
from densimeter.simulator.schema.accuracy import BenchConfig, CalibrationField, RowField
from support.tiny_language_model import save_tiny_model

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from densimeter.simulator.accuracy import bench as module  # noqa: E402
from densimeter.simulator.accuracy import calibration  # noqa: E402

BFP6 = RowField(name="bfp6", weight=F.get("bfp6"), activation=F.get("bfp6"))
SMOOTH = RowField(name="smooth", recipe="smoothquant", weight=F.get("bfp4"), activation=F.get("bfp4"))


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> BenchConfig:
    folder = tmp_path_factory.mktemp("tiny")
    save_tiny_model(folder)
    return BenchConfig(model=str(folder), tokens=64, context_tokens=32, calibration=CalibrationField(tokens=32))


def test_a_row_is_measured_once_and_found_by_what_it_depends_on(
    config: BenchConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench.open(config, tmp_path)
    assert bench.find(BFP6) is None
    row = bench.row(BFP6)
    assert row["row"] == "bfp6"
    assert row["perplexity_ratio"] == pytest.approx(row["perplexity"] / bench.reference()["perplexity"])
    monkeypatch.setattr(module, "load", lambda files: pytest.fail("the model was loaded again"))
    again = Bench.open(config, tmp_path)
    assert again.row(BFP6) == row
    assert again.row(BFP6.model_copy(update={"name": "other"})) == row | {"row": "other"}
    assert again.find(BFP6.model_copy(update={"skip": ()})) is None
    assert Bench.open(config.model_copy(update={"tokens": 48}), tmp_path).find(BFP6) is None


def test_a_row_that_was_measured_elsewhere_can_be_kept(config: BenchConfig, tmp_path: Path) -> None:
    bench = Bench.open(config, tmp_path)
    bench.keep(BFP6, {"row": "x", "perplexity": 1.0})
    assert bench.find(BFP6) == {"row": "bfp6", "perplexity": 1.0}


def test_one_pass_of_calibration_serves_all_rows(
    config: BenchConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two rows, and another bench over the same folder: a single pass."""
    passes: list[Any] = []
    whole = calibration.calibrate

    def counted(*given: Any) -> Any:
        passes.append(given)
        return whole(*given)

    monkeypatch.setattr(calibration, "calibrate", counted)
    rows = [SMOOTH, SMOOTH.model_copy(update={"skip": ()})]
    bench = Bench.open(config, tmp_path, rows=rows)
    for row in rows:
        bench.row(row)
    Bench.open(config, tmp_path).row(SMOOTH.model_copy(update={"weight": None}))
    assert len(passes) == 1
    assert [file.name.partition("-")[0] for file in tmp_path.glob("*.safetensors")] == ["ranges"]
