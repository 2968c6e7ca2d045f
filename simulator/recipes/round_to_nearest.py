"""Round to nearest: tensors go into their format as they are. The baseline of every other recipe."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from densimeter.simulator.recipes.treatment import Calibration, InputStatistics

if TYPE_CHECKING:
    import torch

    from densimeter.kernels.torch import Builder


@dataclass(frozen=True)
class RoundToNearest:
    """No treatment, whatever rounding the format itself declares."""

    name: Literal["round_to_nearest"] = "round_to_nearest"
    calibration: ClassVar[Calibration] = "none"
    hardware: ClassVar[tuple[str, ...]] = ()

    def builder(self, model: "torch.nn.Module", statistics: InputStatistics | None) -> "Builder":
        """Plain quantised layers."""
        from densimeter.kernels.torch import QuantizedLinear

        return QuantizedLinear.from_linear
