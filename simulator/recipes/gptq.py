"""GPTQ (Frantar et al., arXiv:2210.17323): what rounding a weight breaks, the weights rounded after it mend.

For the inputs x of a layer, the second moments ``H = E[x x^T]`` say how much an error of the weight shows in its
output: ``E |D x|^2 = tr(D H D^T)`` with ``D = Q(W) - W``. Input by input, the error of a column of weights is spread
over the columns not yet rounded, by the rows of the upper Cholesky factor of H's inverse. Moments are of the model
before quantisation, from one pass; the published code measures each layer behind the quantised ones before it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from densimeter.formats.block import BlockFormat
from densimeter.formats.errors import ConfigError
from densimeter.kernels.given_scales import quantize_with_feedback
from densimeter.kernels.tensor import QuantizedTensor
from densimeter.simulator.recipes.treatment import Calibration, InputStatistics

if TYPE_CHECKING:
    import torch

    from densimeter.kernels.torch import Builder, LayerFormats, Observe


@dataclass(frozen=True)
class Gptq:
    """Any weight format. damping: what is added to H's diagonal, in units of its mean; 0.01 in the paper.

    act_order: columns in the order of falling input power instead of their own, all scales chosen beforehand (the
    published code's static groups). It matters where few inputs hold most of the power: they then come while there are
    still others to take up their errors.
    """

    name: Literal["gptq"] = "gptq"
    damping: float = 0.01
    act_order: bool = False
    calibration: ClassVar[Calibration] = "moments"
    hardware: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        if not self.damping > 0:
            raise ConfigError(f"damping is {self.damping}, expected a number above 0")

    def builder(self, model: "torch.nn.Module", statistics: InputStatistics | None) -> "Builder":
        """Layers whose weight codes were chosen for their output; those without statistics are rounded to nearest."""
        from densimeter.kernels.torch import QuantizedLinear

        assert statistics is not None
        moments = statistics.moments

        def build(
            linear: "torch.nn.Linear", formats: "LayerFormats", path: str, seed: int, observe: "Observe | None"
        ) -> "torch.nn.Module":
            if formats.weight is None or path not in moments:
                return QuantizedLinear.from_linear(linear, formats, path, seed, observe)
            weight = linear.weight.detach().cpu().float().numpy()
            codes = self.quantize(weight, formats.weight, moments[path], seed)
            if observe is not None:
                observe(path, "weight", weight, codes)
            return QuantizedLinear(codes, linear.bias, formats, path, seed, observe).to(linear.weight.device)

        return build

    def quantize(
        self, weight: NDArray[np.float32], fmt: BlockFormat, moments: NDArray[np.float32], seed: int = 0
    ) -> QuantizedTensor:
        """A weight [outputs, inputs] for inputs of these second moments."""
        power = np.diag(moments)
        order = np.argsort(-power, kind="stable") if self.act_order else np.arange(len(power))
        factor = feedback_factor(moments[np.ix_(order, order)], self.damping)
        return quantize_with_feedback(weight, fmt, factor, order=order if self.act_order else None, seed=seed)


def feedback_factor(moments: NDArray[np.float32], damping: float) -> NDArray[np.float32]:
    """U, upper triangular with ``U^T U = (H + damping * mean of H's diagonal)^-1``; the identity where H is zero."""
    import torch

    mean = float(np.diag(moments).mean(dtype=np.float64))
    if not mean > 0:
        return np.eye(len(moments), dtype=np.float32)
    identity = torch.eye(len(moments), dtype=torch.float64)
    damped = torch.from_numpy(moments).double() + damping * mean * identity
    # With both axes reversed, Cholesky's factor is upper triangular: damped = R R^T, and U is the inverse of R.
    upper = torch.linalg.cholesky(damped.flip(0, 1)).flip(0, 1)
    inverse: NDArray[np.float32] = torch.linalg.solve_triangular(upper, identity, upper=True).float().numpy()
    return inverse
