"""LLM.int8's mixed-precision decomposition (Dettmers et al., arXiv:2208.07339).

Input channels in which some token exceeds a threshold are multiplied in float16, with the weight's float16 columns; all
others in the row's formats (int8 per token and per output channel in the paper). Both products are added.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from densimeter.formats.errors import ConfigError
from densimeter.simulator.recipes.treatment import Calibration, InputStatistics

if TYPE_CHECKING:
    import torch

    from densimeter.kernels.torch import Builder, LayerFormats, Observe


@dataclass(frozen=True)
class OutlierSplit:
    """threshold: magnitude beyond which a channel is an outlier; 6 in the paper."""

    name: Literal["outlier_split"] = "outlier_split"
    threshold: float = 6.0
    calibration: ClassVar[Calibration] = "none"
    hardware: ClassVar[tuple[str, ...]] = (
        "a comparison for every activation before it is quantised",
        "float16 multiply-accumulate units, and a gather of the outliers' activations and weight columns",
        "the weights once more in float16, or of the columns that are ever outliers",
    )

    def __post_init__(self) -> None:
        if not self.threshold > 0:
            raise ConfigError(f"threshold is {self.threshold}, expected a number above 0")

    def builder(self, model: "torch.nn.Module", statistics: InputStatistics | None) -> "Builder":
        """Layers that split their input at every call."""
        from densimeter.simulator.recipes.split_linear import SplitLinear

        def build(
            linear: "torch.nn.Linear", formats: "LayerFormats", path: str, seed: int, observe: "Observe | None"
        ) -> "torch.nn.Module":
            return SplitLinear(linear, self.threshold, formats, path, seed, observe)

        return build
