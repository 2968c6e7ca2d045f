"""Bytes that a model and its KV cache take in memory, to the byte, from the packed layouts of the formats."""

from collections.abc import Mapping
from fractions import Fraction
from math import ceil, prod

from densimeter.formats import BlockFormat, get
from densimeter.formats.errors import ConfigError
from densimeter.formats.grid import grid
from densimeter.formats.packing import layout
from densimeter.simulator.workloads.language_models.config import ModelConfig
from densimeter.simulator.workloads.language_models.layers import Kind, parameters

Storage = BlockFormat | Fraction
"""How values are stored: in a format, or in so many bits each, for layouts that no format of ours describes."""


def weight_bytes(config: ModelConfig, weight: Storage, others: Mapping[Kind, Storage] | None = None) -> int:
    """Bytes of all parameters, each row blocked along its contraction axis and filled up to whole blocks.

    weight: of the matrices. others: of the kinds that differ: "embedding" (token, position and segment embeddings),
    "head" (an lm_head of its own) and "vector" (norms and biases), which stay float32 unless named.
    """
    kinds: dict[Kind, Storage] = {"embedding": weight, "weight": weight, "head": weight, "vector": get("float32")}
    unknown = set(others or {}) - set(kinds)
    if unknown:
        raise ConfigError(f"kinds {', '.join(sorted(unknown))}, expected some of {', '.join(kinds)}")
    kinds.update(others or {})
    return sum(p.count * _tensor_bytes(kinds[p.kind], p.shape) for p in parameters(config))


def kv_cache_bytes(config: ModelConfig, *, batch: int, context: int, key: Storage, value: Storage) -> int:
    """Bytes of the KV cache when each of `batch` sequences holds `context` tokens.

    Each layer's keys are blocked along the head's dimension, its values along the context; last blocks are filled up.
    """
    if min(batch, context) < 1:
        raise ConfigError(f"batch {batch} and context {context}, expected 1 or more each")
    if not config.causal:
        return 0
    tokens, heads = config.cached_tokens(context), batch * config.kv_heads
    keys = _tensor_bytes(key, (heads * tokens, config.head_dim))
    values = _tensor_bytes(value, (heads * config.head_dim, tokens))
    return config.layers * (keys + values)


def _tensor_bytes(storage: Storage, shape: tuple[int, ...]) -> int:
    if isinstance(storage, Fraction):
        return ceil(prod(shape) * storage / 8)
    return layout(storage, grid(storage, shape, len(shape) - 1)).total_bytes
