"""A linear layer whose weight a recipe holds in a form that no single format declares; for several recipes."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

import densimeter.formats as formats_of
from densimeter.formats.block import BlockFormat
from densimeter.formats.errors import ConfigError
from densimeter.kernels.operand_formats import Operand
from densimeter.kernels.tensor import quantize
from densimeter.kernels.torch import Builder, LayerFormats, Observe, QuantizedLinear


class StoredLinear(torch.nn.Module):  # type: ignore[misc]
    """``Q(x) @ held.T + bias``. bits_per_weight: everything that is stored for a weight, on average."""

    def __init__(
        self,
        linear: torch.nn.Linear,
        held: NDArray[np.float32],
        bits_per_weight: Fraction,
        formats: LayerFormats,
        *,
        form: str,
        path: str = "",
        seed: int = 0,
        observe: Observe | None = None,
    ) -> None:
        """`held`: the numbers that the stored weight stands for, [outputs, inputs]; `form`: what `observe` calls it.

        Raises:
            ConfigError: `formats` have an accumulator.
        """
        super().__init__()
        refuse_accumulator(formats, form)
        self.bits_per_weight = bits_per_weight
        tell(observe, path, "weight", linear.weight.detach().cpu().float().numpy(), held, form)
        weight = torch.nn.Parameter(torch.from_numpy(held).to(linear.weight.device), requires_grad=False)
        self.linear = QuantizedLinear(weight, linear.bias, replace(formats, weight=None), path, seed, observe)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x)


class Stored(NamedTuple):
    """The numbers that a weight is held as, [outputs, inputs], the bits of one on average, and the form's name."""

    held: NDArray[np.float32]
    bits_per_weight: Fraction
    form: str


def stored_layers(hold: Callable[[NDArray[np.float32], BlockFormat, str], Stored]) -> Builder:
    """Layers whose weights are what `hold` makes of weight, format and path; without a format they stay as they are."""

    def build(
        linear: torch.nn.Linear, formats: LayerFormats, path: str, seed: int, observe: Observe | None
    ) -> torch.nn.Module:
        if formats.weight is None:
            return QuantizedLinear.from_linear(linear, formats, path, seed, observe)
        held, bits, form = hold(linear.weight.detach().cpu().float().numpy(), formats.weight, path)
        return StoredLinear(linear, held, bits, formats, form=form, path=path, seed=seed, observe=observe)

    return build


def refuse_accumulator(formats: LayerFormats, form: str) -> None:
    """ConfigError under an accumulator, whose unit takes codes of a declared format and nothing of this form."""
    if formats.accumulator is not None:
        raise ConfigError(
            f"accumulator is {formats.accumulator}, expected none: {form} is dequantised before it is multiplied"
        )


def tell(
    observe: Observe | None,
    path: str,
    operand: Operand,
    values: NDArray[np.float32],
    held: NDArray[np.float32],
    form: str,
) -> None:
    """Let an observer compare values with what they became, in a form without codes of its own."""
    if observe is not None:
        observe(path, operand, values, quantize(held, replace(formats_of.get("float32"), name=form)))
