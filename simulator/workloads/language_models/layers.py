"""The linear layers of a model and all its parameters; changes when an architecture has a tensor more.

Order, biases and norms are those of the `transformers` models that families.yaml names, so that counts agree with the
checkpoints to the last parameter.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from densimeter.hwmodels.gemm import Operand
from densimeter.simulator.workloads.language_models.config import ModelConfig

Rows = Literal["token", "sequence", "routed"]
Kind = Literal["embedding", "weight", "head", "vector"]


@dataclass(frozen=True)
class Linear:
    """A weight ``[outputs, inputs]``, `count` of them in the model.

    rows: what passes through it: every token, the last (or first) token of every sequence, or tokens routed to it.
    """

    name: str
    outputs: int
    inputs: int
    count: int
    bias: bool = False
    rows: Rows = "token"
    result: Operand = "activation"


@dataclass(frozen=True)
class Parameter:
    """Tensors of one shape, `count` of them. Matrices (embedding, weight, head) take a format, vectors stay wide."""

    name: str
    shape: tuple[int, ...]
    count: int
    kind: Kind

    @property
    def values(self) -> int:
        return self.count * math.prod(self.shape)


def linears(config: ModelConfig) -> tuple[Linear, ...]:
    """The linear layers in the order of execution; a tied lm_head is one too."""
    return (*_into_stack(config), *_attention(config), *_feed_forward(config), *_out_of_stack(config))


def parameters(config: ModelConfig) -> tuple[Parameter, ...]:
    """Every tensor of the checkpoint: embeddings, weights, biases and norms. A tied lm_head is not stored again."""
    return (*_embeddings(config), *_stored_linears(config), *_norms(config))


def module_paths(config: ModelConfig, linear: str) -> tuple[str, ...]:
    """Dotted paths of the linear layers of that name in the checkpoint: one each layer of the stack, or one in all."""
    path = dict(config.modules)[linear]
    return tuple(path.format(layer=i) for i in range(config.layers)) if "{layer}" in path else (path,)


@lru_cache(maxsize=64)
def parameter_count(config: ModelConfig) -> int:
    return sum(parameter.values for parameter in parameters(config))


@lru_cache(maxsize=64)
def matrix_values(config: ModelConfig) -> int:
    """Parameters that stand in matrices, the embeddings among them."""
    return sum(parameter.values for parameter in parameters(config) if parameter.kind != "vector")


def _into_stack(config: ModelConfig) -> Iterator[Linear]:
    if config.embedding != config.hidden:
        yield Linear("project_in", config.hidden, config.embedding, 1)


def _attention(config: ModelConfig) -> Iterator[Linear]:
    width, layers, bias = config.hidden, config.layers, config.qkv_bias
    yield Linear("q", config.query_width, width, layers, bias, result="query")
    yield Linear("k", config.kv_width, width, layers, bias, result="key")
    yield Linear("v", config.kv_width, width, layers, bias, result="value")
    yield Linear("o", width, config.query_width, layers, config.output_bias)


def _feed_forward(config: ModelConfig) -> Iterator[Linear]:
    if config.experts:
        yield Linear("router", config.experts, config.hidden, config.layers)
    rows: Rows = "routed" if config.experts else "token"
    count, prefix = config.layers * max(1, config.experts), "expert_" if config.experts else ""
    for name in ("gate", "up") if config.gated else ("up",):
        yield Linear(prefix + name, config.ffn, config.hidden, count, config.ffn_bias, rows)
    yield Linear(f"{prefix}down", config.hidden, config.ffn, count, config.ffn_bias, rows)


def _out_of_stack(config: ModelConfig) -> Iterator[Linear]:
    if config.embedding != config.hidden:
        yield Linear("project_out", config.embedding, config.hidden, 1, rows="sequence")
    if config.pooler:
        yield Linear("pooler", config.hidden, config.hidden, 1, bias=True, rows="sequence", result="output")
    if config.causal:
        yield Linear("lm_head", config.vocabulary, config.embedding, 1, rows="sequence", result="output")


def _embeddings(config: ModelConfig) -> Iterator[Parameter]:
    yield Parameter("token_embedding", (config.vocabulary, config.embedding), 1, "embedding")
    positions = config.positions + config.unused_positions
    for name, rows in (("position_embedding", positions), ("token_type_embedding", config.token_types)):
        if rows:
            yield Parameter(name, (rows, config.hidden), 1, "embedding")


def _stored_linears(config: ModelConfig) -> Iterator[Parameter]:
    for linear in linears(config):
        head = linear.name == "lm_head"
        if not (head and config.tied):
            shape = (linear.outputs, linear.inputs)
            yield Parameter(linear.name, shape, linear.count, "head" if head else "weight")
        if linear.bias:
            yield Parameter(f"{linear.name}_bias", (linear.outputs,), linear.count, "vector")


def _norms(config: ModelConfig) -> Iterator[Parameter]:
    vectors = 2 if config.norm == "layer" else 1  # a layer norm has a bias beside its weight
    count = 2 * config.layers + config.final_norm + config.embedding_norm
    yield Parameter("norm", (config.hidden,), vectors * count, "vector")
    if config.qk_norm:
        yield Parameter("qk_norm", (config.head_dim,), vectors * 2 * config.layers, "vector")
