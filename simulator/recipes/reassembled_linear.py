"""A linear layer on reassembled channels of its input, with a correction of low rank beside it if one is given."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray

from densimeter.kernels.torch import LayerFormats, Observe, OperandQuantizer, QuantizedLinear
from densimeter.simulator.recipes.low_rank_correction import Correction
from densimeter.simulator.recipes.reassembly import Reassembly
from densimeter.simulator.recipes.stored_linear import refuse_accumulator

Learn = Callable[[NDArray[np.float32]], Correction]
"""Makes the correction of a weight ``[outputs, inputs]`` as it is held."""

_FLOAT32_BITS = 32


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
        learn: Learn | None = None,
    ) -> None:
        """`learn`: makes the correction; without it there is none. ConfigError with it under an accumulator."""
        super().__init__()
        device = linear.weight.device
        for name in ("first", "second", "factors"):
            self.register_buffer(name, torch.from_numpy(getattr(reassembly, name)).to(device))
        joined = torch.from_numpy(reassembly.weight(linear.weight.detach().cpu().float().numpy())).to(device)
        if learn is None:
            self.linear: torch.nn.Module = QuantizedLinear(joined, linear.bias, formats, path, seed, observe)
        else:
            self.linear = CorrectedLinear(joined, linear.bias, learn, formats, path, seed, observe)

    @property
    def bits_per_weight(self) -> Fraction | None:
        """None where the format says it all."""
        return getattr(self.linear, "bits_per_weight", None)

    @property
    def side_products(self) -> int | None:
        """float16 multiply-accumulates of a token beside those of the formats; None without a correction."""
        return getattr(self.linear, "side_products", None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = x.float()
        return self.linear((values[..., self.first] + values[..., self.second]) * self.factors).to(x.dtype)


class CorrectedLinear(torch.nn.Module):  # type: ignore[misc]
    """``Q(x) @ (Q(W) + up @ down).T + bias``, the factors in float16 and both products summed in float32."""

    def __init__(
        self,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        learn: Learn,
        formats: LayerFormats,
        path: str = "",
        seed: int = 0,
        observe: Observe | None = None,
    ) -> None:
        super().__init__()
        refuse_accumulator(formats, "the input of a low-rank correction")
        self._activation = OperandQuantizer(path, "activation", formats.activation, -1, seed, observe)
        stored, bits = weight, _FLOAT32_BITS * weight.numel()
        if formats.weight is not None:
            stored = OperandQuantizer(path, "weight", formats.weight, seed=seed, observe=observe).codes(weight)
            bits = 8 * stored.nbytes
        self.linear = QuantizedLinear(stored, bias, replace(formats, activation=None)).to(weight.device)
        correction = learn(self.linear.weight.detach().cpu().float().numpy())
        for name in ("down", "up"):
            self.register_buffer(name, torch.from_numpy(getattr(correction, name)).to(weight.device))
        self.bits_per_weight = Fraction(bits + correction.bits, weight.numel())
        self.side_products = correction.products

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        given = self._activation(x)
        side = torch.nn.functional.linear(torch.nn.functional.linear(given, self.down), self.up)
        return self.linear(given) + side
