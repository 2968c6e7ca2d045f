"""A BERT encoder in NumPy whose every matrix operand can be observed; changes when the network does.

Devlin et al. 2019 (arXiv:1810.04805) with the choices of Hugging Face's `BertModel`: layer norm after each
residual sum, GELU by erf, learned absolute positions. Written out to have real operands without torch.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import erf

from densimeter.simulator.workloads.tensors import Float32Array

Observe = Callable[[str, Float32Array], None]
_BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Bert:
    """An encoder: float32 `parameters` under their Hugging Face names, and what their shapes do not tell."""

    parameters: Mapping[str, Float32Array]
    layers: int
    heads: int
    epsilon: float

    def encode(self, ids: npt.NDArray[np.int64], mask: _BoolArray, observe: Observe) -> Float32Array:
        """Return the last hidden states ``[sequences, tokens, hidden]`` of `ids` ``[sequences, tokens]``.

        `mask` is true where a token is real, false where a short sequence is padded. `observe(name, operand)`
        is given the input of every linear layer (query, key and value share one) and both operands of every
        product inside attention: float32 ``[rows, K]``, contraction axis last, without the rows of padding.
        """
        embedded = (
            self.parameters["embeddings.word_embeddings.weight"][ids]
            + self.parameters["embeddings.position_embeddings.weight"][: ids.shape[1]]
            + self.parameters["embeddings.token_type_embeddings.weight"][0]
        )
        hidden = self._norm("embeddings.LayerNorm", embedded)
        for layer in range(self.layers):
            hidden = self._block(f"encoder.layer.{layer}", hidden, mask, observe)
        return hidden

    def _block(self, block: str, hidden: Float32Array, mask: _BoolArray, observe: Observe) -> Float32Array:
        observe(f"{block}.attention.self.input", hidden[mask])
        context = self._attention(f"{block}.attention.self", hidden, mask, observe)
        observe(f"{block}.attention.output.dense.input", context[mask])
        projected = self._linear(f"{block}.attention.output.dense", context)
        hidden = self._norm(f"{block}.attention.output.LayerNorm", projected + hidden)
        observe(f"{block}.intermediate.dense.input", hidden[mask])
        expanded = _gelu(self._linear(f"{block}.intermediate.dense", hidden))
        observe(f"{block}.output.dense.input", expanded[mask])
        contracted = self._linear(f"{block}.output.dense", expanded)
        return self._norm(f"{block}.output.LayerNorm", contracted + hidden)

    def _attention(self, name: str, hidden: Float32Array, mask: _BoolArray, observe: Observe) -> Float32Array:
        by_head = (*hidden.shape[:2], self.heads, -1)
        query, key, value = (
            self._linear(f"{name}.{part}", hidden).reshape(by_head) for part in ("query", "key", "value")
        )
        scores = query.swapaxes(1, 2) @ key.transpose(0, 2, 3, 1) / math.sqrt(query.shape[-1])
        probabilities = _softmax(np.where(mask[:, None, None, :], scores, np.float32(-np.inf)))
        # This product contracts over tokens, so padding is along K: zeros, as a padded block holds them.
        value = np.where(mask[:, :, None, None], value, np.float32(0)).transpose(0, 2, 3, 1)
        for operand, rows in (
            ("query", query[mask]),
            ("key", key[mask]),
            ("probabilities", probabilities.swapaxes(1, 2)[mask]),
            ("value", value),
        ):
            observe(f"{name}.{operand}", np.ascontiguousarray(rows).reshape(-1, rows.shape[-1]))
        context: Float32Array = (probabilities @ value.swapaxes(2, 3)).swapaxes(1, 2).reshape(hidden.shape)
        return context

    def _linear(self, name: str, x: Float32Array) -> Float32Array:
        product: Float32Array = x @ self.parameters[f"{name}.weight"].T
        return product + self.parameters[f"{name}.bias"]

    def _norm(self, name: str, x: Float32Array) -> Float32Array:
        centred = x - x.mean(axis=-1, keepdims=True)
        deviation = np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + self.epsilon)
        normalised: Float32Array = centred / deviation
        return normalised * self.parameters[f"{name}.weight"] + self.parameters[f"{name}.bias"]


def _gelu(x: Float32Array) -> Float32Array:
    activated: Float32Array = 0.5 * x * (1 + erf(x * math.sqrt(0.5)))
    return activated


def _softmax(scores: Float32Array) -> Float32Array:
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
    probabilities: Float32Array = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return probabilities
