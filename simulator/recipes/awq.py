"""AWQ (Lin et al., arXiv:2306.00978): weights that meet large inputs are kept larger, and hence more precise.

Input channel j is divided by ``s_j = m_j^alpha`` and its column of the weight multiplied by it; then the weights of
each block are clipped where a smaller range gives the better output. alpha and the clipping are searched on the error
of the layer's output. m_j is the root mean square of the channel's input, where the paper takes the mean magnitude:
second moments give both this and the error.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from densimeter.formats.block import BlockFormat
from densimeter.formats.errors import ConfigError
from densimeter.kernels.tensor import QuantizedTensor, quantize
from densimeter.simulator.recipes.blocks import block_width, over_blocks, over_outputs, spread
from densimeter.simulator.recipes.output_error import block_errors, output_error
from densimeter.simulator.recipes.treatment import Calibration, InputStatistics

if TYPE_CHECKING:
    import torch

    from densimeter.kernels.torch import Builder, LayerFormats, Observe

Matrix = NDArray[np.float32]

_CLIP_STEP = 0.05  # the published code's


@dataclass(frozen=True)
class Awq:
    """steps: how many alphas from 0 on, below 1, are tried; 20 in the published code.

    smallest_clip: the smallest range tried, as a share of the block's own; 0.5 in the published code; 1 clips nothing.
    """

    name: Literal["awq"] = "awq"
    steps: int = 20
    smallest_clip: float = 0.5
    calibration: ClassVar[Calibration] = "moments"
    hardware: ClassVar[tuple[str, ...]] = (
        "nothing where the input comes from a normalisation or a linear layer, which takes the factors in",
        "elsewhere one multiplication an activation",
    )

    def __post_init__(self) -> None:
        if isinstance(self.steps, float) or self.steps < 1:
            raise ConfigError(f"steps is {self.steps}, expected a whole number above 0")
        if not 0 < self.smallest_clip <= 1:
            raise ConfigError(f"smallest_clip is {self.smallest_clip}, expected above 0, at most 1")

    def builder(self, model: "torch.nn.Module", statistics: InputStatistics | None) -> "Builder":
        """Layers that divide their input. Those that share an input share the factors, so that they can be folded;

        they are searched for in the weight format of the first of them.
        """
        from densimeter.kernels.torch import QuantizedLinear
        from densimeter.simulator.recipes.channel_factors import ScaledLinear

        assert statistics is not None
        known = statistics
        weights = _weights_of(model)
        factors: dict[tuple[str, ...], Matrix] = {}

        def build(
            linear: "torch.nn.Linear", formats: "LayerFormats", path: str, seed: int, observe: "Observe | None"
        ) -> "torch.nn.Module":
            if formats.weight is None or path not in known.moments:
                return QuantizedLinear.from_linear(linear, formats, path, seed, observe)
            group, moments = known.sharing[path], known.moments[path]
            if group not in factors:
                factors[group] = self.factors([weights(each) for each in group], formats.weight, moments, seed)
            scaled = weights(path) * factors[group]
            moments = moments / np.outer(factors[group], factors[group])
            codes = self.clipped(scaled, formats.weight, moments, seed)
            if observe is not None:
                observe(path, "weight", scaled, codes)
            return ScaledLinear(linear, factors[group], formats, path, seed, observe, codes=codes)

        return build

    def factors(self, weights: list[Matrix], fmt: BlockFormat, moments: Matrix, seed: int = 0) -> Matrix:
        """s of every input channel of weights [outputs, inputs] with one input; of those tried, the best for all."""
        size = np.sqrt(np.diag(moments).astype(np.float64))

        def error(factors: Matrix) -> float:
            held = [quantize(weight * factors, fmt, 1, seed=seed).dequantize() / factors for weight in weights]
            return sum(output_error(a - b, moments) for a, b in zip(held, weights, strict=True))

        return min((channel_factors(size, step / self.steps) for step in range(self.steps)), key=error)

    def clipped(self, weight: Matrix, fmt: BlockFormat, moments: Matrix, seed: int = 0) -> QuantizedTensor:
        """Codes of the weight, every block within the range that serves its outputs best."""
        plain = quantize(weight, fmt, 1, seed=seed)
        if fmt.scale is None:
            return plain
        width, largest = block_width(fmt, weight.shape[1]), over_blocks(np.maximum, np.abs(weight), fmt)

        def narrowed(share: Matrix | float) -> QuantizedTensor:
            bound = spread(np.asarray(share * largest, np.float32), fmt, weight.shape)
            return quantize(np.clip(weight, -bound, bound), fmt, 1, seed=seed)

        best, least = np.ones_like(largest), np.full(largest.shape, np.inf, np.float32)
        for share in np.arange(1, self.smallest_clip - _CLIP_STEP / 2, -_CLIP_STEP):
            difference = narrowed(float(share)).dequantize() - weight
            errors = over_outputs(np.add, block_errors(difference, moments, width), fmt)
            best, least = np.where(errors < least, np.float32(share), best), np.minimum(errors, least)
        narrow = narrowed(best)
        # Errors of blocks can add up where they were expected to be independent.
        return min((plain, narrow), key=lambda held: output_error(held.dequantize() - weight, moments))


def channel_factors(size: NDArray[np.float64], alpha: float) -> Matrix:
    """``size^alpha``, the largest times the smallest being 1; a channel that is always zero counts as one of size 1."""
    powers = np.where(size > 0, size, 1) ** alpha
    factors: Matrix = (powers / np.sqrt(powers.max() * powers.min())).astype(np.float32)
    return factors


def _weights_of(model: "torch.nn.Module") -> Callable[[str], Matrix]:
    """Finds the weight [outputs, inputs] of the linear layer at a path."""
    from densimeter.kernels.torch import Recipe, linear_layers

    layers = dict(linear_layers(model, Recipe(skip=())))

    def weight(path: str) -> Matrix:
        found: Matrix = layers[path].weight.detach().cpu().float().numpy()
        return found

    return weight
