"""A linear layer with noise on its operands."""

import zlib

import numpy as np
import torch

from densimeter.kernels.torch import LayerFormats, Observe, QuantizedLinear
from densimeter.simulator.recipes.noise import Noise


class NoisyLinear(torch.nn.Module):  # type: ignore[misc]
    """``Q(x + noise) @ Q(W + noise).T + bias``. An operand whose noise has size zero is untouched."""

    def __init__(
        self,
        linear: torch.nn.Linear,
        noise: Noise,
        formats: LayerFormats,
        path: str = "",
        seed: int = 0,
        observe: Observe | None = None,
    ) -> None:
        super().__init__()
        self._noise = noise
        # Alike for all layers, the noise of layers of one shape would be correlated.
        self._generator = np.random.default_rng([seed, zlib.crc32(path.encode())])
        weight = self._noisy(linear.weight, noise.weight) if noise.weight else linear.weight
        self.linear = QuantizedLinear(weight, linear.bias, formats, path, seed, observe)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(self._noisy(x, self._noise.activation) if self._noise.activation else x)

    def _noisy(self, x: torch.Tensor, size: float) -> torch.Tensor:
        drawn = self._noise.draw(x.detach().cpu().float().numpy(), size, self._generator)
        return x.detach() + torch.from_numpy(drawn).to(x.device, x.dtype)
