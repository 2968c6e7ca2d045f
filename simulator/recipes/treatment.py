"""The interface of a recipe, and what calibration tells it. Imports no torch: recipes are named where it is missing."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

    from densimeter.kernels.torch import Builder


@dataclass(frozen=True, eq=False)
class InputRanges:
    """What a calibration text showed of the inputs of linear layers, by the layer's path.

    largest: max |x| of every input channel, float32 [inputs]. sharing: the paths of the layers that were given the very
    same input, the layer's own among them (query, key and value projections, say).
    """

    largest: Mapping[str, NDArray[np.float32]]
    sharing: Mapping[str, tuple[str, ...]]


class Treatment(Protocol):
    """What a recipe does to the linear layers of a model before their operands meet the formats."""

    @property
    def name(self) -> str:
        """As a row of the YAML names it."""

    @property
    def needs_calibration(self) -> bool:
        """Whether `builder` wants ranges."""

    @property
    def hardware(self) -> tuple[str, ...]:
        """What it needs beside the multiply-accumulate unit of the formats, a phrase each."""

    def builder(self, model: "torch.nn.Module", ranges: InputRanges | None) -> "Builder":
        """Makes the layers of the treated model; `ranges` are there if `needs_calibration`."""
