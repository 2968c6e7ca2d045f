"""A linear layer whose operands' cube roots are in formats."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray

from densimeter.kernels.operand_formats import Operand
from densimeter.kernels.tensor import QuantizedTensor
from densimeter.kernels.torch import LayerFormats, Observe, OperandQuantizer, QuantizedLinear
from densimeter.simulator.recipes.stored_linear import StoredLinear, refuse_accumulator, tell


class CubeRootLinear(torch.nn.Module):  # type: ignore[misc]
    """``held(x) @ held(W).T + bias`` with ``held(x) = Q(cbrt(x))^3``, without gradient; no format, no change."""

    def __init__(
        self,
        linear: torch.nn.Linear,
        formats: LayerFormats,
        path: str = "",
        seed: int = 0,
        observe: Observe | None = None,
    ) -> None:
        """ConfigError under an accumulator: cubes are no codes of the format."""
        super().__init__()
        refuse_accumulator(formats, "a cube root")
        self._activation = _CubeOfRoundedRoot("activation", formats, path, seed, observe)
        if formats.weight is None:
            self.linear = QuantizedLinear.from_linear(linear, LayerFormats(), path, seed)
            return
        # The weight is told of by the layer that stores it.
        held, codes = _CubeOfRoundedRoot("weight", formats, path, seed, None).of(linear.weight)
        form = f"{formats.weight.name} of the cube root"
        bits, rest = Fraction(8 * codes.nbytes, held.size), replace(formats, activation=None)
        self.linear = StoredLinear(linear, held, bits, rest, form=form, path=path, seed=seed, observe=observe)

    @property
    def bits_per_weight(self) -> Fraction | None:
        """None for a weight without a format."""
        return getattr(self.linear, "bits_per_weight", None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(self._activation(x).float()).to(x.dtype)


class _CubeOfRoundedRoot:
    """Of one operand of one layer."""

    def __init__(self, operand: Operand, formats: LayerFormats, path: str, seed: int, observe: Observe | None) -> None:
        self._format = formats.weight if operand == "weight" else formats.activation
        self._path, self._operand, self._observe = path, operand, observe
        self._quantizer = OperandQuantizer(path, operand, self._format, seed=seed)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return x if self._format is None else torch.from_numpy(self.of(x)[0]).to(x.device)

    def of(self, x: torch.Tensor) -> tuple[NDArray[np.float32], QuantizedTensor]:
        """What is held, and the codes of the roots."""
        assert self._format is not None
        values = x.detach().cpu().float().numpy()
        codes = self._quantizer.codes(torch.from_numpy(np.cbrt(values)))
        held: NDArray[np.float32] = codes.dequantize() ** 3
        tell(self._observe, self._path, self._operand, values, held, f"{self._format.name} of the cube root")
        return held, codes
