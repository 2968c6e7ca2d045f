"""How well a causal model predicts a text: every token of a window from those before it."""

from collections.abc import Sequence
from typing import Any

import torch

from densimeter.simulator.accuracy.measure import Ids, Walk
from densimeter.simulator.accuracy.outputs import ReferenceOutputs
from densimeter.simulator.accuracy.scores import NOTHING, compare, to_json


class NextToken:
    """Perplexity, and predictions beside the reference's; the first token of a window is given, not scored."""

    def __init__(self, reference: Any, windows: Sequence[Ids]) -> None:
        self._reference, self._windows = reference, windows
        self._expected = ReferenceOutputs(lambda ids: logits(reference, ids)[:-1])

    def score(self, model: Any, walk: Walk) -> dict[str, Any]:
        """See `scores.to_json`."""
        scores = NOTHING
        for ids in walk(self._windows):
            expected = self._expected(ids)
            found = expected if model is self._reference else logits(model, ids)[:-1]
            scores += compare(found, expected, ids[1:])
        return to_json(scores)


def logits(model: Any, ids: Ids) -> torch.Tensor:
    """Logits ``[tokens, vocabulary]`` of every position."""
    with torch.no_grad():
        found: torch.Tensor = model(torch.tensor([ids]), use_cache=False).logits[0]
    return found
