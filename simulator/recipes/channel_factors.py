"""A linear layer whose input channels are divided by factors that its weight carries instead; for several recipes."""

import numpy as np
import torch
from numpy.typing import NDArray

from densimeter.kernels.tensor import QuantizedTensor
from densimeter.kernels.torch import LayerFormats, Observe, QuantizedLinear


class ScaledLinear(torch.nn.Module):  # type: ignore[misc]
    """``Q(x / s) @ Q(W * s).T + bias``: without formats the layer as it was, up to rounding."""

    def __init__(
        self,
        linear: torch.nn.Linear,
        factors: NDArray[np.float32],
        formats: LayerFormats,
        path: str = "",
        seed: int = 0,
        observe: Observe | None = None,
        *,
        codes: QuantizedTensor | None = None,
        input_scales: QuantizedTensor | None = None,
    ) -> None:
        """`factors`: s, one for every input channel.

        codes: of W * s, where they were chosen already. input_scales: as `QuantizedLinear` takes them.
        """
        super().__init__()
        self.register_buffer("factors", torch.from_numpy(factors).to(linear.weight.device))
        scaled = linear.weight.detach().float() * self.factors if codes is None else codes
        layer = QuantizedLinear(scaled, linear.bias, formats, path, seed, observe, input_scales)
        self.linear = layer.to(linear.weight.device)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x.float() / self.factors).to(x.dtype)
