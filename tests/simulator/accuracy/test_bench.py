"""Rows tried one by one on one model, as sweeps do."""

from pathlib import Path
from typing import Any

import pytest

import densimeter.formats as F
from densimeter.formats.errors import ConfigError
from densimeter.simulator.accuracy.bench import Bench
from densimeter.simulator.recipes import parse_recipe, recipe_names
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


def test_moments_are_kept_and_serve_rows_that_want_less(
    config: BenchConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Bench.open(config, tmp_path).row(SMOOTH.model_copy(update={"recipe": parse_recipe("gptq")}))
    monkeypatch.setattr(calibration, "calibrate", lambda *_: pytest.fail("calibrated again"))
    again = SMOOTH.model_copy(update={"recipe": parse_recipe("gptq"), "skip": ()})
    for row in (SMOOTH, again):
        assert Bench.open(config, tmp_path).row(row)["kl_nats"] > 0


@pytest.fixture(scope="module")
def calibrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("calibrated")


@pytest.mark.parametrize("recipe", [name for name in recipe_names() if parse_recipe(name).calibration == "moments"])
def test_recipes_take_their_moments_from_the_file(config: BenchConfig, calibrated: Path, recipe: str) -> None:
    """Calibrated by the first of them, mapped read-only by all."""
    row = RowField(name=recipe, recipe=recipe, weight=F.get("int2_g32"), activation=F.get("int8_token"))
    assert Bench.open(config, calibrated, rows=[row]).row(row)["kl_nats"] > 0
    assert sorted(file.name.partition("-")[0] for file in calibrated.glob("*.safetensors")) == ["moments", "ranges"]


def test_what_a_correction_costs_stands_in_its_row(config: BenchConfig, calibrated: Path) -> None:
    """Rank 2 beside q 64 x 64, k and v 32 x 64, o 64 x 64, gate and up 96 x 64, down 64 x 96."""
    recipes: tuple[Any, ...] = ("qllm", {"name": "qllm", "rank": 2})
    formats: dict[str, Any] = {"weight": F.get("int4_channel"), "activation": F.get("int8_token")}
    bench = Bench.open(config, calibrated)
    plain, corrected = (bench.row(RowField(name=str(recipe), recipe=recipe, **formats)) for recipe in recipes)
    share = 2 * (128 + 96 + 96 + 128 + 3 * 160) / (4096 + 2 * 2048 + 4096 + 3 * 6144)
    assert corrected["side_products_share"] == pytest.approx(share)
    assert corrected["bits_per_weight"] - plain["bits_per_weight"] == pytest.approx(16 * share)
    assert corrected["arithmetic_density_area"] < plain["arithmetic_density_area"]
    assert "side_products_share" not in plain


def test_a_tuned_row_is_scored_with_the_weights_that_it_keeps(config: BenchConfig, tmp_path: Path) -> None:
    """Trained on the text behind the scored tokens: BFP4 loses less, and the reference stays what it was."""
    plain = RowField(name="bfp4", weight=F.get("bfp4"), activation=F.get("bfp4"))
    recipe = {"name": "fine_tune", "steps": 20, "step_tokens": 32, "learning_rate": 0.01}
    tuned = plain.model_copy(update={"name": "tuned", "recipe": parse_recipe(recipe)})
    wider = config.model_copy(update={"calibration": CalibrationField(tokens=640)})
    bench = Bench.open(wider, tmp_path, rows=[plain, tuned])
    before, row, after = bench.row(plain), bench.row(tuned), bench.row(plain.model_copy(update={"skip": ()}))
    assert len(row["training_losses_nats"]) == 20
    assert row["perplexity"] < before["perplexity"]
    assert row["bits_per_weight"] == 4 + 8 / 16
    assert after["reference_perplexity"] == row["reference_perplexity"] == before["reference_perplexity"]
    assert [file.name.partition("-")[0] for file in tmp_path.glob("*.safetensors")] == ["tuned"]


def test_only_causal_models_are_tuned(tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "model")
    config = BenchConfig(model=str(tmp_path / "model"), kind="embedding", tokens=400, context_tokens=32)
    row = RowField(name="tuned", weight=F.get("bfp4"), recipe="fine_tune")
    with pytest.raises(ConfigError, match="expected a causal language model under fine_tune"):
        Bench.open(config, tmp_path).row(row)
