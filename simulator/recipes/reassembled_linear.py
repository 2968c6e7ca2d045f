"""A linear layer on reassembled channels of its input."""

import torch

from densimeter.kernels.torch import LayerFormats, Observe, QuantizedLinear
from densimeter.simulator.recipes.reassembly import Reassembly


class ReassembledLinear(torch.nn.Module):  # type: ignore[misc]
    """``Q(x') @ Q(W').T + bias``: without formats, and where nothing is put together, the layer as it was."""

    def __init__(
        self,
        linear: torch.nn.Linear,
        reassembly: Reassembly,
        formats: LayerFormats,
        path: str = "",
        seed: int = 0,
        observe: Observe | None = None,
    ) -> None:
        super().__init__()
        device = linear.weight.device
        for name in ("first", "second", "factors"):
            self.register_buffer(name, torch.from_numpy(getattr(reassembly, name)).to(device))
        joined = torch.from_numpy(reassembly.weight(linear.weight.detach().cpu().float().numpy())).to(device)
        self.linear = QuantizedLinear(joined, linear.bias, formats, path, seed, observe)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = x.float()
        return self.linear((values[..., self.first] + values[..., self.second]) * self.factors).to(x.dtype)
