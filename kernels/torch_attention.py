"""Products inside attention with operands in formats, by way of transformers' attention interface; changes with it."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from densimeter.formats.errors import ConfigError
from densimeter.kernels.matmul import matmul
from densimeter.kernels.operand_formats import LayerFormats, Recipe
from densimeter.kernels.tensor import QuantizedTensor
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
        setattr(part, _ATTRIBUTE, _Attention(path, recipe.of(path), recipe.seed, observe, _key_order(part)))


def _key_order(part: torch.nn.Module) -> torch.Tensor | None:
    """The order in which the layers of an attention want channels held, [key heads, channels], if one says so."""
    orders = (getattr(layer, "key_order", None) for layer in part.children())
    return next((order for order in orders if order is not None), None)


class _Attention:
    """Both products of one layer's attention.

    torch sums them in float32; under an `attention_accumulator` they are `kernels.matmul`, bit for bit as its unit
    computes, and have no gradient.
    """

    def __init__(
        self, path: str, formats: LayerFormats, seed: int, observe: Observe | None, key_order: torch.Tensor | None
    ) -> None:
        self._key_order = key_order
        self._accumulator = formats.attention_accumulator
        value_axis = -2 if formats.value_axis == "tokens" else -1
        self._query = OperandQuantizer(path, "query", formats.query, -1, seed, observe)
        self._key = OperandQuantizer(path, "key", formats.key, -1, seed, observe)
        self._probability = OperandQuantizer(path, "probability", formats.probability, -1, seed, observe)
        self._value = OperandQuantizer(path, "value", formats.value, value_axis, seed, observe)

    def scores(self, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
        """``[batch, heads, queries, keys]``; heads that share a key are rows of one product."""
        batch, heads, queries, width = query.shape
        if self._key_order is not None:
            order = self._key_order[:, None]  # one for every token
            key = key.gather(-1, order.expand(key.shape))
            query = query.gather(-1, order.repeat_interleave(heads // key.shape[1], 0).expand(query.shape))
        if self._accumulator is not None:
            return self._exact(self._query.codes(query), self._key.codes(key), query)
        rows = self._query(query).reshape(batch, key.shape[1], -1, width)
        return (rows @ self._key(key).transpose(2, 3)).reshape(batch, heads, queries, key.shape[2])

    def context(self, probabilities: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """``[batch, heads, queries, channels]``."""
        batch, heads, queries, keys = probabilities.shape
        if self._accumulator is not None:
            return self._exact(self._probability.codes(probabilities), self._value.codes(value), probabilities)
        rows = self._probability(probabilities).reshape(batch, value.shape[1], -1, keys)
        return (rows @ self._value(value)).reshape(batch, heads, queries, value.shape[3])

    def _exact(self, left: QuantizedTensor, right: QuantizedTensor, like: torch.Tensor) -> torch.Tensor:
        """The product as `kernels.matmul` computes it, head by head.

        left: [batch, heads, queries, k]; right: [batch, heads that several share, outputs, k] once blocks lie last.
        """
        assert self._accumulator is not None
        batch, heads, queries, _ = left.shape
        sharing = heads // right.shape[1]
        rights = [matrix for matrix in _matrices(right) for _ in range(sharing)]
        products = [
            matmul(one, other, activation=left.format, weight=right.format, accumulator=self._accumulator)
            for one, other in zip(_matrices(left), rights, strict=True)
        ]
        return torch.from_numpy(np.stack(products)).reshape(batch, heads, queries, -1).to(like.device, like.dtype)


def _matrices(tensor: QuantizedTensor) -> Iterator[QuantizedTensor]:
    """The matrices [rows, K] that the tensor stacks, blocks along K."""
    codes = np.moveaxis(tensor.codes, tensor.axis, -1)
    codes = codes.reshape(-1, *codes.shape[-2:])
    shared = tensor.format.block == "tensor"
    scales = tensor.scales if shared else np.moveaxis(tensor.scales, tensor.axis, -1)
    each = [scales] * len(codes) if shared else scales.reshape(len(codes), -1, scales.shape[-1])
    for matrix, own in zip(codes, each, strict=True):
        yield replace(tensor, shape=matrix.shape, axis=1, codes=matrix, scales=own)


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
