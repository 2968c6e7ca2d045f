"""The cube root that "the lens of perturbation" ends with (Gong et al., arXiv:2403.06408).

Models bear errors that are small where numbers are small. So the cube root of every number is put into the row's
format, uniform in the paper (int4 weights; int8 weights and activations), and cubed when it is read.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from densimeter.simulator.recipes.treatment import Calibration, InputStatistics

if TYPE_CHECKING:
    import torch

    from densimeter.kernels.torch import Builder


@dataclass(frozen=True)
class CubeRoot:
    """Of both operands of linear layers, where they have a format."""

    name: Literal["cube_root"] = "cube_root"
    calibration: ClassVar[Calibration] = "none"
    hardware: ClassVar[tuple[str, ...]] = (
        "two multiplications for every weight that is dequantised",
        "where activations have a format, also a cube root before it; products are of dequantised numbers",
    )

    def builder(self, model: "torch.nn.Module", statistics: InputStatistics | None) -> "Builder":
        """Layers that hold cube roots."""
        from densimeter.simulator.recipes.cube_root_linear import CubeRootLinear

        return CubeRootLinear
