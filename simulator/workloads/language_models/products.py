"""The matrix products of a forward pass: every linear layer, and the two products of attention between v and o."""

from collections.abc import Iterator
from dataclasses import dataclass

from densimeter.hwmodels.gemm import Gemm
from densimeter.simulator.workloads.language_models.config import ModelConfig
from densimeter.simulator.workloads.language_models.layers import Linear, linears


@dataclass(frozen=True)
class Span:
    """A run of consecutive queries of a sequence, and the keys that all of them are multiplied with."""

    queries: int
    keys: int


def products(config: ModelConfig, *, batch: int, tokens: int, spans: tuple[Span, ...]) -> tuple[Gemm, ...]:
    """The products of one pass over `tokens` new tokens of each of `batch` sequences.

    The query heads of a group share a key head, so their queries are the rows of one product: qk is
    ``[group * queries, head_dim] x [keys, head_dim].T``, and av ``[group * queries, keys] x [head_dim, keys].T``, for
    every layer, sequence and key head.
    """
    found: list[Gemm] = []
    for linear in linears(config):
        found += _linear_products(config, linear, batch=batch, tokens=tokens)
        if linear.name == "v":
            found += _attention_products(config, batch=batch, spans=spans)
    return tuple(found)


def distinct_experts(experts: int, per_token: int, tokens: int) -> int:
    """Experts of a layer that so many tokens touch: the expectation, rounded to the nearest whole number.

    Each token takes `per_token` different experts, all alike likely, so an expert is missed by one token with
    probability ``1 - per_token/experts``, and ``experts * (1 - (1 - per_token/experts)**tokens)`` are hit. A whole
    number is needed because an expert's weights are read or not; it is at least those of one token.
    """
    expected = experts * (1 - (1 - per_token / experts) ** tokens)
    return max(per_token, round(expected))


def _linear_products(config: ModelConfig, linear: Linear, *, batch: int, tokens: int) -> Iterator[Gemm]:
    if linear.rows == "routed":
        yield from _expert_products(config, linear, tokens=batch * tokens)
        return
    rows = batch * tokens if linear.rows == "token" else batch
    yield Gemm(linear.name, rows, linear.outputs, linear.inputs, linear.count, result=linear.result)


def _expert_products(config: ModelConfig, linear: Linear, *, tokens: int) -> Iterator[Gemm]:
    """All routed rows, spread as evenly as whole rows allow over the experts that are touched."""
    touched = distinct_experts(config.experts, config.experts_per_token, tokens)
    rows, remainder = divmod(tokens * config.experts_per_token, touched)
    for m, experts in ((rows + 1, remainder), (rows, touched - remainder)):
        if experts:
            count = config.layers * experts
            yield Gemm(linear.name, m, linear.outputs, linear.inputs, count, result=linear.result, parts=touched)


def _attention_products(config: ModelConfig, *, batch: int, spans: tuple[Span, ...]) -> Iterator[Gemm]:
    heads = batch * config.kv_heads
    count, parts = config.layers * heads, heads * len(spans)
    for span in spans:
        rows = config.group * span.queries
        yield Gemm("qk", rows, span.keys, config.head_dim, count, "query", "key", "probability", parts)
        yield Gemm("av", rows, config.head_dim, span.keys, count, "probability", "value", "activation", parts)
