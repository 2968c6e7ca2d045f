"""EasyQuant (Tang et al., arXiv:2403.02775): no data; the few weights far out stay apart, then scales fit the others.

Weights with ``|w - mean| >= n * sigma`` of their matrix are kept in float16 beside their positions. Every scale s of
the others is then moved to lessen ``|s q - w|^2``, whose gradient is ``2 * sum((s q - w) * q)`` while the codes q stay:
a step goes to where it vanishes, and codes are chosen anew under the scale found, until none gains.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from densimeter.formats.block import BlockFormat
from densimeter.formats.errors import ConfigError
from densimeter.formats.scale import FloatScale
from densimeter.kernels.given_scales import quantize_under
from densimeter.kernels.parameters import value_table
from densimeter.kernels.tensor import QuantizedTensor, quantize
from densimeter.simulator.recipes.blocks import over_blocks, spread
from densimeter.simulator.recipes.treatment import Calibration, InputStatistics

if TYPE_CHECKING:
    import torch

    from densimeter.kernels.torch import Builder

_VALUE_BITS, _POINTER_BITS = 16, 32
_SHORT_INDEX = 1 << 16


@dataclass(frozen=True)
class EasyQuant:
    """Weight formats with a float scale. sigmas: n, 2.5 to 3 in the paper; steps: how often scales move at most."""

    name: Literal["easyquant"] = "easyquant"
    sigmas: float = 3.0
    steps: int = 100
    calibration: ClassVar[Calibration] = "none"
    hardware: ClassVar[tuple[str, ...]] = (
        "float16 multiply-accumulate units for a sparse matrix: a column index and a float16 for every outlier, a "
        "pointer for every output",
    )

    def __post_init__(self) -> None:
        if not self.sigmas > 0:
            raise ConfigError(f"sigmas is {self.sigmas}, expected a number above 0")
        if isinstance(self.steps, float) or self.steps < 0:
            raise ConfigError(f"steps is {self.steps}, expected a whole number, 0 or more")

    def builder(self, model: "torch.nn.Module", statistics: InputStatistics | None) -> "Builder":
        """Layers that hold outliers apart and the other weights under fitted scales."""
        from densimeter.simulator.recipes.stored_linear import Stored, stored_layers

        def hold(weight: NDArray[np.float32], fmt: BlockFormat, path: str) -> Stored:
            return Stored(*self.hold(weight, fmt), f"{fmt.name} and outliers")

        return stored_layers(hold)

    def hold(self, weight: NDArray[np.float32], fmt: BlockFormat) -> tuple[NDArray[np.float32], Fraction]:
        """What is held of a weight [outputs, inputs], and bits a weight, outliers with their positions included."""
        outliers = far_out(weight, self.sigmas)
        regular = fitted(np.where(outliers, np.float32(0), weight), fmt, self.steps)
        held = np.where(outliers, weight.astype(np.float16).astype(np.float32), regular.dequantize())
        index_bits = 16 if weight.shape[1] <= _SHORT_INDEX else 32
        sparse_bits = int(outliers.sum()) * (_VALUE_BITS + index_bits) + len(weight) * _POINTER_BITS
        return held, Fraction(8 * regular.nbytes + sparse_bits, weight.size)


def far_out(weight: NDArray[np.float32], sigmas: float) -> NDArray[np.bool_]:
    """Which weights are at least so many standard deviations from the mean of all."""
    mean, sigma = weight.mean(dtype=np.float64), weight.std(dtype=np.float64)
    found: NDArray[np.bool_] = (np.abs(weight - mean) >= sigmas * sigma) & (sigma > 0)
    return found


def fitted(weight: NDArray[np.float32], fmt: BlockFormat, steps: int) -> QuantizedTensor:
    """The weight under scales moved, at most `steps` times, towards the smallest squared error of every block.

    Raises:
        ConfigError: the format has no float scale of its own for every block, or its elements are wider than 16 bits.
    """
    scale, levels = fmt.scale, value_table(fmt.element)
    if not isinstance(scale, FloatScale) or scale.tensor_scale or scale.anchor != "magnitude" or not levels.size:
        raise ConfigError(f"weight is {fmt.name}, expected one with a float scale a block, such as int4_channel")
    stored = BlockFormat("scale", scale.element)

    def block_sums(values: NDArray[np.floating]) -> NDArray[np.float64]:
        return over_blocks(np.add, values.astype(np.float64), fmt)

    best = quantize(weight, fmt, 1)
    errors = block_sums(np.square(best.dequantize() - weight))
    for _ in range(steps):
        q = levels[best.codes]
        squares = block_sums(q * q)
        wanted = np.divide(block_sums(q * weight), squares, out=np.zeros_like(squares), where=squares > 0)
        scales = quantize(wanted.astype(np.float32), stored).codes.astype(best.scales.dtype).reshape(best.scales.shape)
        found = quantize_under(weight, replace(best, scales=scales))
        found_errors = block_sums(np.square(found.dequantize() - weight))
        better = found_errors < errors
        if not better.any():
            break
        best = replace(
            best,
            codes=np.where(spread(better, fmt, weight.shape), found.codes, best.codes),
            scales=np.where(better.reshape(best.scales.shape), scales, best.scales),
        )
        errors = np.where(better, found_errors, errors)
    return best
