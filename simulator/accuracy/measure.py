"""The interface of what a model is scored by. Imports no torch."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

Ids = list[int]
"""Token ids that a model is fed at once."""

Walk = Callable[[Sequence[Ids]], Iterator[Ids]]
"""Goes through inputs in order, showing progress; the model is fed each before the next is asked for."""


class Measure(Protocol):
    """Scores models beside a reference, which it is made with."""

    def score(self, model: Any, walk: Walk) -> dict[str, Any]:
        """Figures by name, plain JSON values; the reference itself may be scored too."""
