"""SmoothQuant (Xiao et al., arXiv:2211.10438): what is hard about activations moves into the weights.

Every input channel j is divided by s_j and its column of the weight multiplied by it, which changes no product. With
``s_j = max|X_j|^alpha / max|W_j|^(1 - alpha)``, alpha at one half gives both the same range, channel by channel.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from densimeter.formats.errors import ConfigError
from densimeter.simulator.recipes.treatment import Calibration, InputStatistics

if TYPE_CHECKING:
    import torch

    from densimeter.kernels.torch import Builder, LayerFormats, Observe


@dataclass(frozen=True)
class SmoothQuant:
    """alpha: how much of the difficulty goes to the weights, 0 to 1; 0.5 in the paper, 0.8 and more on hard models."""

    name: Literal["smoothquant"] = "smoothquant"
    alpha: float = 0.5
    calibration: ClassVar[Calibration] = "ranges"
    hardware: ClassVar[tuple[str, ...]] = (
        "nothing where the input comes from a normalisation or a linear layer, which takes the factors in",
        "elsewhere one multiplication an activation",
    )

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise ConfigError(f"alpha is {self.alpha}, expected 0 to 1")

    def builder(self, model: "torch.nn.Module", statistics: InputStatistics | None) -> "Builder":
        """Layers that divide their input; those that share an input share the factors, so that they can be folded."""
        from densimeter.kernels.torch import QuantizedLinear
        from densimeter.simulator.recipes.channel_factors import ScaledLinear

        assert statistics is not None
        factors = self._factors(model, statistics)

        def build(
            linear: "torch.nn.Linear", formats: "LayerFormats", path: str, seed: int, observe: "Observe | None"
        ) -> "torch.nn.Module":
            if path not in factors:  # calibration never came by, as in an expert that no token was sent to
                return QuantizedLinear.from_linear(linear, formats, path, seed, observe)
            return ScaledLinear(linear, factors[path], formats, path, seed, observe)

        return build

    def _factors(self, model: "torch.nn.Module", statistics: InputStatistics) -> dict[str, NDArray[np.float32]]:
        from densimeter.kernels.torch import Recipe, linear_layers

        every = Recipe(skip=())
        columns = {
            path: column_maxima(linear) for path, linear in linear_layers(model, every) if path in statistics.largest
        }
        return {
            path: smoothing_factors(
                statistics.largest[path],
                np.max([columns[each] for each in statistics.sharing[path]], axis=0),
                self.alpha,
            )
            for path in columns
        }


def column_maxima(linear: "torch.nn.Linear") -> NDArray[np.float32]:
    """max |W_j| of every input channel."""
    largest: NDArray[np.float32] = linear.weight.detach().abs().amax(dim=0).float().numpy()
    return largest


def smoothing_factors(
    activation: NDArray[np.float32], weight: NDArray[np.float32], alpha: float
) -> NDArray[np.float32]:
    """s of every channel from its largest magnitudes; 1 where a channel of either is zero throughout."""
    usable = (activation > 0) & (weight > 0)
    x, w = np.where(usable, activation, 1).astype(np.float64), np.where(usable, weight, 1).astype(np.float64)
    return (x**alpha / w ** (1 - alpha)).astype(np.float32)
