"""How well a masked language model fills gaps in a text: every token in turn from all others of its window.

The exponential of the mean surprise is the pseudo-perplexity of Salazar et al., arXiv:1910.14659: comparable between
formats of one model, not with a causal model's perplexity. A forward pass a token.
"""

from collections.abc import Sequence
from typing import Any

import torch

from densimeter.simulator.accuracy.measure import Ids, Walk
from densimeter.simulator.accuracy.outputs import ReferenceOutputs
from densimeter.simulator.accuracy.scores import NOTHING, compare, to_json


class MaskedToken:
    """Pseudo-perplexity, and predictions beside the reference's."""

    def __init__(self, reference: Any, windows: Sequence[Ids], mask: int, around: tuple[Ids, Ids]) -> None:
        """`windows` of the text's own tokens; `mask`: the id that stands in for one; `around`: ids before and after."""
        self._reference, self._mask = reference, mask
        before, after = around
        self._gaps = [
            ([*before, *window[:i], mask, *window[i + 1 :], *after], window[i])
            for window in windows
            for i in range(len(window))
        ]
        self._expected = ReferenceOutputs(lambda ids: self._prediction(reference, ids))

    def score(self, model: Any, walk: Walk) -> dict[str, Any]:
        """See `scores.to_json`; perplexities are pseudo-perplexities."""
        scores = NOTHING
        walked = walk([ids for ids, _ in self._gaps])
        for ids, (_, token) in zip(walked, self._gaps, strict=True):
            expected = self._expected(ids)
            found = expected if model is self._reference else self._prediction(model, ids)
            scores += compare(found, expected, [token])
        return to_json(scores)

    def _prediction(self, model: Any, ids: Ids) -> torch.Tensor:
        """Logits ``[1, vocabulary]`` of the gap."""
        with torch.no_grad():
            found: torch.Tensor = model(torch.tensor([ids])).logits[0]
        at = ids.index(self._mask)
        return found[at : at + 1]
