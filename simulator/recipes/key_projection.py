"""A key projection that tells the attention around it in which order channels are held."""

import numpy as np
import torch
from numpy.typing import NDArray

from densimeter.kernels.torch import QuantizedLinear


class KeyProjection(torch.nn.Module):  # type: ignore[misc]
    """The layer as it is; `key_order` is read by `kernels.torch_attention`."""

    def __init__(self, linear: QuantizedLinear, order: NDArray[np.int64]) -> None:
        """`order`: [key heads, channels of a head]."""
        super().__init__()
        self.linear = linear
        self.register_buffer("key_order", torch.from_numpy(order))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x)
