"""Products inside attention with operands in formats, by way of transformers' attention interface; changes with it."""

from typing import Any

import torch

from densimeter.formats.errors import ConfigError
from densimeter.kernels.operand_formats import LayerFormats, Recipe
from densimeter.kernels.torch import Observe, OperandQuantizer

_NAME = "densimeter"
_ATTRIBUTE = "densimeter_attention"
# Changes to scores that some models ask of their attention function, and that nothing here computes.
_NOT_COMPUTED = ("softcap", "s_aux", "position_bias")


def quantize_attention(model: Any, recipe: Recipe, observe: Observe | None) -> None:
    """Make the model's attention compute in formats; ConfigError where it offers no way to do so."""
    reachable = hasattr(model, "set_attn_implementation")
    if reachable:
        from transformers import AttentionInterface, AttentionMaskInterface
        from transformers.masking_utils import eager_mask

        AttentionInterface.register(_NAME, _attend)
        AttentionMaskInterface.register(_NAME, eager_mask)
        model.set_attn_implementation(_NAME)
        reachable = model.config._attn_implementation == _NAME
    if not reachable:
        raise ConfigError(
            f"{type(model).__name__} keeps its attention to itself, expected a model of transformers that dispatches "
            "on AttentionInterface; leave out the formats of query, key, probability and value"
        )
    # Which modules will call the function is theirs to know, so that each is ready to.
    for path, part in model.named_modules():
        setattr(part, _ATTRIBUTE, _Attention(path, recipe.of(path), recipe.seed, observe))


class _Attention:
    """Both products of one layer's attention."""

    def __init__(self, path: str, formats: LayerFormats, seed: int, observe: Observe | None) -> None:
        value_axis = -2 if formats.value_axis == "tokens" else -1
        self._query = OperandQuantizer(path, "query", formats.query, -1, seed, observe)
        self._key = OperandQuantizer(path, "key", formats.key, -1, seed, observe)
        self._probability = OperandQuantizer(path, "probability", formats.probability, -1, seed, observe)
        self._value = OperandQuantizer(path, "value", formats.value, value_axis, seed, observe)

    def scores(self, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        """``[batch, heads, queries, keys]``; heads that share a key are rows of one product."""
        batch, heads, queries, width = query.shape
        rows = self._query(query).reshape(batch, key.shape[1], -1, width)
        return (rows @ self._key(key).transpose(2, 3)).reshape(batch, heads, queries, key.shape[2])

    def context(self, probabilities: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """``[batch, heads, queries, channels]``."""
        batch, heads, queries, keys = probabilities.shape
        rows = self._probability(probabilities).reshape(batch, value.shape[1], -1, keys)
        return (rows @ self._value(value)).reshape(batch, heads, queries, value.shape[3])


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **others: Any,
) -> tuple[torch.Tensor, torch.Tensor]:
    """transformers' signature: heads before tokens in the operands, after them in the result."""
    asked = [name for name in _NOT_COMPUTED if others.get(name) is not None]
    if asked:
        raise ConfigError(f"{type(module).__name__} attends with {asked[0]}, which is not computed in formats")
    attention: _Attention = getattr(module, _ATTRIBUTE)
    scores = attention.scores(query, key) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if attention_mask is not None:
        scores = scores + attention_mask[..., : key.shape[-2]]
    probabilities = torch.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
    probabilities = torch.nn.functional.dropout(probabilities, dropout, module.training)
    return attention.context(probabilities, value).transpose(1, 2).contiguous(), probabilities
