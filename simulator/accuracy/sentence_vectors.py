"""How far the vectors that an encoder gives sentences move, and whether the same sentences stay nearest."""

import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from densimeter.formats.errors import ConfigError
from densimeter.simulator.accuracy.measure import Ids, Walk
from densimeter.simulator.accuracy.scores import estimate, with_errors

Pooling = Callable[[torch.Tensor], torch.Tensor]
"""Makes one vector of the hidden states ``[tokens, channels]``."""

NEIGHBOURS = 5
_SENTENCE_END = re.compile(r"(?<=[.!?;])[\"')]*\s+|\n\s*\n")

_POOLINGS: dict[str, Pooling] = {
    "pooling_mode_mean_tokens": lambda states: states.mean(dim=0),
    "pooling_mode_cls_token": lambda states: states[0],
    "pooling_mode_lasttoken": lambda states: states[-1],
    "pooling_mode_max_tokens": lambda states: states.amax(dim=0),
}


class SentenceVectors:
    """Cosines to the reference's vectors, and agreement of nearest neighbours among the sentences."""

    def __init__(self, reference: Any, sentences: Sequence[Ids], pooling: Pooling) -> None:
        """`sentences`: token ids, special tokens included; at least three, so that one of two can be nearer."""
        self._reference, self._sentences, self._pooling = reference, sentences, pooling
        self._kept: NDArray[np.float64] | None = None

    def score(self, model: Any, walk: Walk) -> dict[str, Any]:
        """Means over sentences with standard errors, and the worst cosine.

        nearest_agreement: the same sentence is nearest; neighbours_agreement: share of the five nearest in common.
        """
        if self._kept is None and model is not self._reference:
            self._kept = self._vectors(self._reference, iter)
        found = self._vectors(model, walk)
        if self._kept is None:
            self._kept = found
        return agreement(found, self._kept) | {"tokens_scored": sum(map(len, self._sentences))}

    def _vectors(self, model: Any, walk: Walk) -> NDArray[np.float64]:
        """Unit vectors ``[sentences, channels]``."""
        rows = []
        for ids in walk(self._sentences):
            with torch.no_grad():
                states = model(torch.tensor([ids])).last_hidden_state[0]
            rows.append(self._pooling(states.double()).numpy())
        vectors = np.stack(rows)
        unit: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit


def agreement(found: NDArray[np.float64], expected: NDArray[np.float64]) -> dict[str, Any]:
    """How alike two sets of unit vectors ``[sentences, channels]`` are."""
    cosines = np.einsum("ij,ij->i", found, expected)
    nearest, wanted = _neighbours(found), _neighbours(expected)
    common = [len(set(a) & set(b)) / len(b) for a, b in zip(nearest.tolist(), wanted.tolist(), strict=True)]
    figures = {
        "embedding_cosine": estimate(cosines),
        "nearest_agreement": estimate((nearest[:, 0] == wanted[:, 0]).astype(np.float64)),
        "neighbours_agreement": estimate(np.array(common)),
    }
    return {"sentences": len(found), **with_errors(figures), "worst_embedding_cosine": float(cosines.min())}


def _neighbours(vectors: NDArray[np.float64]) -> NDArray[np.intp]:
    """The nearest others of each by cosine, nearest first: [sentences, at most five]."""
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -math.inf)
    return np.argsort(-cosines, axis=1, kind="stable")[:, : min(NEIGHBOURS, len(vectors) - 1)]


def split_sentences(text: str) -> list[str]:
    """At ends of sentences and of clauses with a semicolon, and at blank lines."""
    return [" ".join(part.split()) for part in _SENTENCE_END.split(text) if part.strip()]


def read_pooling(folder: Path) -> Pooling:
    """What the folder's `1_Pooling/config.json` asks for, as sentence-transformers writes it; the mean without one.

    Raises ConfigError for a way of pooling that is not known here.
    """
    path = folder / "1_Pooling" / "config.json"
    if not path.is_file():
        return _POOLINGS["pooling_mode_mean_tokens"]
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
        (chosen,) = (name for name, on in written.items() if name.startswith("pooling_mode_") and on)
        return _POOLINGS[chosen]
    except (ValueError, LookupError, AttributeError) as error:
        raise ConfigError(f"{path}: expected one of {', '.join(_POOLINGS)} to be true") from error
