"""A linear layer in two products: channels with outliers in float16, the rest in formats."""

import torch

from densimeter.kernels.torch import LayerFormats, Observe, QuantizedLinear


class SplitLinear(torch.nn.Module):  # type: ignore[misc]
    """``Q(x without outlier channels) @ Q(W).T + bias + fp16(x) @ fp16(W).T over the outlier channels``.

    Channels are chosen anew for every input, over all its tokens. float16 products are summed in float32, as tensor
    cores do.
    """

    def __init__(
        self,
        linear: torch.nn.Linear,
        threshold: float,
        formats: LayerFormats,
        path: str = "",
        seed: int = 0,
        observe: Observe | None = None,
    ) -> None:
        super().__init__()
        self.threshold = threshold
        self.linear = QuantizedLinear.from_linear(linear, formats, path, seed, observe)
        self.register_buffer("half_weight", linear.weight.detach().half())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outliers = self.outlier_channels(x)
        if not outliers.any():
            return self.linear(x)
        aside, columns = x[..., outliers].half().float(), self.half_weight[:, outliers].float()
        regular = self.linear(x.masked_fill(outliers, 0)).float()
        return (regular + torch.nn.functional.linear(aside, columns)).to(x.dtype)

    def outlier_channels(self, x: torch.Tensor) -> torch.Tensor:
        """Which channels hold a magnitude beyond the threshold, bool [inputs]."""
        return (x.detach().abs() > self.threshold).reshape(-1, x.shape[-1]).any(dim=0)
