"""Interfaces of recipes, and what calibration tells them. Imports no torch: recipes are named where it is missing."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

    from densimeter.kernels.torch import Builder, Recipe

Calibration = Literal["none", "text", "ranges", "moments"]
"""What a recipe wants of the calibration text: the text itself (`Tuning`), or how much of its `InputStatistics`; each
level of these holds what those before it do."""

Walk = Callable[[Sequence[int]], Iterable[int]]
"""Goes through the numbers of steps in order, showing progress."""


@dataclass(frozen=True, eq=False)
class InputStatistics:
    """What a calibration text showed of the inputs x of linear layers, by the layer's path.

    largest: max |x| of every input channel, float32 [inputs]. sharing: the paths of the layers that were given the very
    same input, the layer's own among them (query, key and value projections, say). moments: the mean of x x^T over
    tokens, float32 [inputs, inputs], the same for all that share an input; mapped read-only from a file whenever one is
    asked for, as all of them may not fit into memory. Empty unless "moments" were asked for.
    """

    largest: Mapping[str, NDArray[np.float32]]
    sharing: Mapping[str, tuple[str, ...]]
    moments: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def power(self, path: str, inputs: int) -> NDArray[np.float32]:
        """The mean of x_j^2, float32 [inputs]; ones for a layer that calibration never came by."""
        known = self.moments.get(path)
        return np.ones(inputs, np.float32) if known is None else np.diag(known)


class Treatment(Protocol):
    """What a recipe does to the linear layers of a model before their operands meet the formats."""

    @property
    def name(self) -> str:
        """As a row of the YAML names it."""

    @property
    def calibration(self) -> Calibration:
        """Which statistics `builder` wants."""

    @property
    def hardware(self) -> tuple[str, ...]:
        """What it needs beside the multiply-accumulate unit of the formats, a phrase each."""

    def builder(self, model: "torch.nn.Module", statistics: InputStatistics | None) -> "Builder":
        """Makes the layers of the treated model; `statistics` are there if `calibration` is "ranges" or "moments"."""


class Tuned(NamedTuple):
    """A model with weights of its own, and the loss of every step that led to them."""

    model: "torch.nn.Module"
    losses_nats: list[float]


@runtime_checkable
class Tuning(Treatment, Protocol):
    """A recipe that changes the model before its linear layers are built."""

    def tune(
        self, model: "torch.nn.Module", plan: "Recipe", windows: Sequence[Sequence[int]], kept: Path, walk: Walk
    ) -> Tuned:
        """The model that layers are then built of; the given one stays as it is.

        plan: the row's. windows: the calibration text's token ids. kept: a file for what has to outlive an
        interruption, the same for the same row and text.
        """
