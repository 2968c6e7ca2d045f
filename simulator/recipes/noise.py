"""Controlled noise on operands, the study tool of "the lens of perturbation" (Gong et al., arXiv:2403.06408).

Noise of a known size and shape is added to weights or activations before they meet their format, if they have one:
which errors a model bears tells which formats it will. The size is relative; ``20 log10(1 / size)`` is the QSNR of a
format with as much noise.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from densimeter.formats.errors import ConfigError
from densimeter.simulator.recipes.treatment import Calibration, InputStatistics

if TYPE_CHECKING:
    import torch

    from densimeter.kernels.torch import Builder, LayerFormats, Observe

Shape = Literal["gaussian", "uniform", "rademacher"]
Placement = Literal["anywhere", "on_large", "on_small"]


@dataclass(frozen=True)
class Noise:
    """weight, activation: root mean square of the noise over that of the row (output channel, token) it is added to.

    shape: its distribution; rademacher is plus or minus one size. placement: anywhere, independent of the numbers;
    on_large, the largest of a row's noise meets its largest number in magnitude, and so on; on_small, the other way
    round. The same noise is drawn for the same seed.
    """

    name: Literal["noise"] = "noise"
    weight: float = 0.0
    activation: float = 0.0
    shape: Shape = "gaussian"
    placement: Placement = "anywhere"
    calibration: ClassVar[Calibration] = "none"
    hardware: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        for key, size in (("weight", self.weight), ("activation", self.activation)):
            if not size >= 0:
                raise ConfigError(f"{key} is {size}, expected 0 or more")
        for key, chosen, choices in (
            ("shape", self.shape, get_args(Shape)),
            ("placement", self.placement, get_args(Placement)),
        ):
            if chosen not in choices:
                raise ConfigError(f"{key} is {chosen!r}, expected one of {', '.join(choices)}")

    def builder(self, model: "torch.nn.Module", statistics: InputStatistics | None) -> "Builder":
        """Layers that add noise: to the weight once, to the input at every call."""
        from densimeter.simulator.recipes.noisy_linear import NoisyLinear

        def build(
            linear: "torch.nn.Linear", formats: "LayerFormats", path: str, seed: int, observe: "Observe | None"
        ) -> "torch.nn.Module":
            return NoisyLinear(linear, self, formats, path, seed, observe)

        return build

    def draw(self, x: NDArray[np.float32], size: float, generator: np.random.Generator) -> NDArray[np.float32]:
        """Noise for the rows of x, ``[..., n]``."""
        match self.shape:
            case "gaussian":
                noise = generator.standard_normal(x.shape, np.float32)
            case "uniform":
                noise = generator.uniform(-(3**0.5), 3**0.5, x.shape).astype(np.float32)
            case "rademacher":
                noise = generator.choice(np.array([-1, 1], np.float32), x.shape)
        if self.placement != "anywhere":
            noise = _by_rank(noise, np.abs(x) if self.placement == "on_large" else -np.abs(x))
        rms = np.sqrt(np.mean(np.square(x, dtype=np.float64), axis=-1, keepdims=True))
        sized: NDArray[np.float32] = noise * (size * rms).astype(np.float32)
        return sized


def _by_rank(noise: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """The noise of each row in another order: its magnitudes ascend as `weight` does."""
    ascending = np.take_along_axis(noise, np.argsort(np.abs(noise), axis=-1), axis=-1)
    placed = np.empty_like(noise)
    np.put_along_axis(placed, np.argsort(weight, axis=-1), ascending, axis=-1)
    return placed
