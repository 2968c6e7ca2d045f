"""FPTQ (Li et al., arXiv:2308.15987): int4 weights in groups, int8 activations, each layer by the range of its input.

With R the largest magnitude that calibration showed of a layer's input: up to 15, one static scale for the tensor; from
there to 150, channels are divided by ``s_j = m_j / log2(2 + m_j)``, m_j their largest magnitude, which their columns of
the weight carry instead, and the scale is static too; from 150 on, every token has a scale of its own when it comes.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from densimeter.formats.block import BlockFormat
from densimeter.formats.errors import ConfigError
from densimeter.kernels.tensor import QuantizedTensor, quantize
from densimeter.simulator.recipes.treatment import Calibration, InputStatistics

if TYPE_CHECKING:
    import torch

    from densimeter.kernels.torch import Builder, LayerFormats, Observe


@dataclass(frozen=True)
class Fptq:
    """static_to, dynamic_from: between which ranges channels are equalised; 15 and 150 in the paper.

    The row's activation format is the dynamic one (int8_token); static scales are its own with a whole tensor a block.
    """

    name: Literal["fptq"] = "fptq"
    static_to: float = 15.0
    dynamic_from: float = 150.0
    calibration: ClassVar[Calibration] = "ranges"
    hardware: ClassVar[tuple[str, ...]] = (
        "a maximum over every token before it is quantised, where inputs range widely; elsewhere scales are constants",
        "nothing for equalised channels where a normalisation or a linear layer takes the factors in, elsewhere one "
        "multiplication an activation",
    )

    def __post_init__(self) -> None:
        if not 0 <= self.static_to <= self.dynamic_from:
            raise ConfigError(
                f"static_to is {self.static_to} and dynamic_from {self.dynamic_from}, expected 0 or more, in this order"
            )

    def builder(self, model: "torch.nn.Module", statistics: InputStatistics | None) -> "Builder":
        """Layers each with the activation scheme of its range; dynamic ones where calibration never came by."""
        from densimeter.kernels.torch import QuantizedLinear
        from densimeter.simulator.recipes.channel_factors import ScaledLinear

        assert statistics is not None
        known = statistics.largest

        def build(
            linear: "torch.nn.Linear", formats: "LayerFormats", path: str, seed: int, observe: "Observe | None"
        ) -> "torch.nn.Module":
            dynamic = formats.activation
            if dynamic is None or path not in known or known[path].max() >= self.dynamic_from:
                return QuantizedLinear.from_linear(linear, formats, path, seed, observe)
            largest = known[path]
            static = replace(formats, activation=per_tensor(dynamic))
            if largest.max() <= self.static_to:
                scales = static_scales(float(largest.max()), static.activation)
                return QuantizedLinear(linear.weight, linear.bias, static, path, seed, observe, scales)
            factors = equalising_factors(largest)
            scales = static_scales(float((largest / factors).max()), static.activation)
            return ScaledLinear(linear, factors, static, path, seed, observe, input_scales=scales)

        return build


def equalising_factors(largest: NDArray[np.float32]) -> NDArray[np.float32]:
    """s of every channel from its largest magnitude; 1 where it is zero."""
    m = np.where(largest > 0, largest, 1).astype(np.float64)
    return np.where(largest > 0, m / np.log2(2 + m), 1).astype(np.float32)


def per_tensor(fmt: BlockFormat) -> BlockFormat:
    """The format with one scale for a whole tensor; FormatError where its scale cannot be that."""
    return fmt if fmt.scale is None else replace(fmt, name=f"{fmt.name}, static", block="tensor")


def static_scales(largest: float, fmt: BlockFormat | None) -> QuantizedTensor | None:
    """What a tensor of this largest magnitude has for a scale; None where the format has none."""
    if fmt is None or fmt.scale is None:
        return None
    return quantize(np.array([[largest]], np.float32), fmt)
