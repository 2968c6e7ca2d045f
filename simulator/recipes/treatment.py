"""The interface of a recipe, and what calibration tells it. Imports no torch: recipes are named where it is missing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

    from densimeter.kernels.torch import Builder

Calibration = Literal["none", "ranges", "moments"]
"""How much of `InputStatistics` a recipe wants; each level holds what those before it do."""


@dataclass(frozen=True, eq=False)
class InputStatistics:
    """What a calibration text showed of the inputs x of linear layers, by the layer's path.

    largest: max |x| of every input channel, float32 [inputs]. sharing: the paths of the layers that were given the very
    same input, the layer's own among them (query, key and value projections, say). moments: the mean of x x^T over
    tokens, float32 [inputs, inputs], one array for all that share an input; empty unless "moments" were asked for.
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
        """Makes the layers of the treated model; `statistics` are there unless `calibration` is "none"."""
