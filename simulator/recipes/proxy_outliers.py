"""Proxy outliers (Dettmers and Zettlemoyer, "The case for 4-bit precision", arXiv:2212.09720): which inputs of a layer
will be outliers shows, without any data, in the layer before it.

Where the weights that make a hidden unit vary most, the unit is large: the share p of a layer's input dimensions with
the largest standard deviation keep their weights in float16, the others are quantised. That costs ``p * (16 - k)`` bits
a weight more than k.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from densimeter.formats.block import BlockFormat
from densimeter.formats.errors import ConfigError
from densimeter.kernels.tensor import quantize
from densimeter.simulator.recipes.treatment import Calibration, InputStatistics

if TYPE_CHECKING:
    import torch

    from densimeter.kernels.torch import Builder, LayerFormats, Observe

_KEPT_BITS = 16


@dataclass(frozen=True)
class ProxyOutliers:
    """share: p, of input dimensions that stay in float16; 0.02 in the paper.

    Of calibration only its order matters: which layers share an input, and who comes before whom. No index is counted:
    dimensions can be put in order beforehand, in this layer and the one before it.
    """

    name: Literal["proxy_outliers"] = "proxy_outliers"
    share: float = 0.02
    calibration: ClassVar[Calibration] = "ranges"
    hardware: ClassVar[tuple[str, ...]] = (
        "float16 multiply-accumulate units for a fixed share of the input dimensions",
    )

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ConfigError(f"share is {self.share}, expected 0 to 1")

    def builder(self, model: "torch.nn.Module", statistics: InputStatistics | None) -> "Builder":
        """Layers with some columns of the weight in float16; all of it quantised where no layer before is known."""
        from densimeter.kernels.torch import QuantizedLinear
        from densimeter.simulator.recipes.stored_linear import StoredLinear

        assert statistics is not None
        deviations = input_deviations(model, dict.fromkeys(statistics.sharing.values()))

        def build(
            linear: "torch.nn.Linear", formats: "LayerFormats", path: str, seed: int, observe: "Observe | None"
        ) -> "torch.nn.Module":
            if formats.weight is None or path not in deviations:
                return QuantizedLinear.from_linear(linear, formats, path, seed, observe)
            weight = linear.weight.detach().cpu().float().numpy()
            kept = largest_share(deviations[path], self.share)
            held, bits = hold_apart(weight, kept, formats.weight, seed)
            form = f"{formats.weight.name} and float16 columns"
            return StoredLinear(linear, held, bits, formats, form=form, path=path, seed=seed, observe=observe)

        return build


def largest_share(values: NDArray[np.float64], share: float) -> NDArray[np.bool_]:
    """Which of the values are the largest, as many as come nearest to the share."""
    kept = np.zeros(values.size, np.bool_)
    kept[np.argsort(-values, kind="stable")[: round(share * values.size)]] = True
    return kept


def hold_apart(
    weight: NDArray[np.float32], kept: NDArray[np.bool_], fmt: BlockFormat, seed: int = 0
) -> tuple[NDArray[np.float32], Fraction]:
    """The weight [outputs, inputs] with the kept columns in float16, the others side by side in the format; bits of it
    a weight."""
    held = weight.astype(np.float16).astype(np.float32)
    codes = quantize(weight[:, ~kept], fmt, 1, seed=seed)
    held[:, ~kept] = codes.dequantize()
    return held, Fraction(8 * codes.nbytes + _KEPT_BITS * len(weight) * int(kept.sum()), weight.size)


def input_deviations(model: "torch.nn.Module", groups: Iterable[tuple[str, ...]]) -> dict[str, NDArray[np.float64]]:
    """By a linear layer's path, the standard deviation of the weights that make each of its input dimensions.

    groups: layers that share an input, in the order of their execution. The layer before is the last one, from another
    group, whose outputs fit; before the first group, an embedding. Fewer outputs than inputs are heads of values that
    several query heads share; more are a fused projection, with the values last.
    """
    from densimeter.kernels.torch import Recipe, linear_layers

    layers = {path: linear.weight.detach() for path, linear in linear_layers(model, Recipe(skip=()))}
    tables = [part.weight.detach().T for part in model.modules() if type(part).__name__ == "Embedding"]
    head = _head_size(model)
    before = [_deviations(table) for table in tables[::-1]]
    found: dict[str, NDArray[np.float64]] = {}
    for group in groups:
        inputs = layers[group[0]].shape[1]
        fitting = (_as_inputs(each, inputs, head) for each in reversed(before))
        made_by = next((each for each in fitting if each is not None), None)
        if made_by is not None:
            found |= dict.fromkeys(group, made_by)
        before += [_deviations(layers[path]) for path in group]
    return found


def _deviations(weight: "torch.Tensor") -> NDArray[np.float64]:
    """Of every row of a weight [outputs, inputs]."""
    deviations: NDArray[np.float64] = weight.float().std(dim=1, correction=0).double().cpu().numpy()
    return deviations


def _as_inputs(outputs: NDArray[np.float64], inputs: int, head: int) -> NDArray[np.float64] | None:
    """A figure of every output for every input; None where they do not fit."""
    if outputs.size % inputs == 0:
        return outputs[-inputs:]
    if inputs % outputs.size == 0 and head and outputs.size % head == 0:
        return outputs.reshape(-1, head).repeat(inputs // outputs.size, axis=0).ravel()
    return None


def _head_size(model: "torch.nn.Module") -> int:
    """Dimensions of an attention head, 0 where the model's configuration does not say."""
    config = getattr(model, "config", None)
    heads, hidden = getattr(config, "num_attention_heads", 0), getattr(config, "hidden_size", 0)
    return getattr(config, "head_dim", None) or (hidden // heads if heads else 0)
