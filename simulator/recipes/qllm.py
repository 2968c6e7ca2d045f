"""QLLM (Liu et al., arXiv:2310.08041): channels with outliers are taken apart, others put together to make room.

A channel whose magnitude exceeds theta becomes as many copies as bring it below; the most alike channels are joined
until the layer is as wide as before (`reassembly`). theta is searched for layer by layer, for the smallest error of the
quantised product. Then a product of low rank may take back part of what is left (`low_rank_correction`).

The paper trains that product by gradient on the outputs of several blocks of the model at once, and its code folds it
into the weights before they are rounded for the last time. Here it is the best one for the layer's own output and stays
beside the layer, which costs bits and products that a row counts.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import BlockFormat
from densimeter.formats.errors import ConfigError
from densimeter.kernels import quantize
from densimeter.simulator.recipes.low_rank_correction import Correction, learn
from densimeter.simulator.recipes.reassembly import (
    Reassembly,
    assembly_error,
    copies_under,
    merging_errors,
    most_alike,
    reassemble,
)
from densimeter.simulator.recipes.treatment import Calibration, InputStatistics

if TYPE_CHECKING:
    import torch

    from densimeter.kernels.torch import Builder, LayerFormats, Observe

_PROBE_TOKENS = 64
_PAIRS_PER_CHANNEL = 16  # enough that pairs without channels in common are found among them


@dataclass(frozen=True)
class ChannelReassembly:
    """share: how many channels may be added before as many are joined, of all. steps: how many thetas are tried, from
    the largest magnitude (nothing is taken apart) down to the smallest for which `share` suffices. rank: of the
    correction; 4 in the published code, 0 for none."""

    name: Literal["qllm"] = "qllm"
    share: float = 0.1
    steps: int = 12
    rank: int = 0
    calibration: ClassVar[Calibration] = "moments"

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 0.5:
            raise ConfigError(f"share is {self.share}, expected 0 to 0.5")
        if not isinstance(self.steps, int) or self.steps < 1:
            raise ConfigError(f"steps is {self.steps}, expected a whole number above 0")
        if not isinstance(self.rank, int) or self.rank < 0:
            raise ConfigError(f"rank is {self.rank}, expected a whole number, 0 or more")

    @property
    def hardware(self) -> tuple[str, ...]:
        gather = (
            "a gather before the quantiser that repeats and averages channels, fixed at compile time; none where the "
            "layer before can produce the channels so"
        )
        side = "float16 multiply-accumulate units for the low-rank products, on activations read back from their format"
        return (gather, side) if self.rank else (gather,)

    def builder(self, model: "torch.nn.Module", statistics: InputStatistics | None) -> "Builder":
        """Layers on reassembled inputs; those that share an input share the reassembly, by the first one's formats."""
        from densimeter.kernels.torch import QuantizedLinear, Recipe, linear_layers
        from densimeter.simulator.recipes.reassembled_linear import ReassembledLinear

        assert statistics is not None
        layers = dict(linear_layers(model, Recipe(skip=())))
        found: dict[tuple[str, ...], Reassembly] = {}

        def build(
            linear: "torch.nn.Linear", formats: "LayerFormats", path: str, seed: int, observe: "Observe | None"
        ) -> "torch.nn.Module":
            if path not in statistics.moments:  # calibration never came by
                return QuantizedLinear.from_linear(linear, formats, path, seed, observe)
            group = statistics.sharing[path]
            if group not in found:
                weights = [layers[each].weight.detach().cpu().float().numpy() for each in group]
                found[group] = self.search(
                    np.concatenate(weights), statistics.largest[path], statistics.moments[path], formats, seed
                )
            if not self.rank:
                return ReassembledLinear(linear, found[group], formats, path, seed, observe)

            def corrected(held: NDArray[np.float32]) -> Correction:
                weight = layers[path].weight.detach().cpu().float().numpy()
                return self.correction(weight, held, found[group], statistics.moments[path])

            return ReassembledLinear(linear, found[group], formats, path, seed, observe, corrected)

        return build

    def search(
        self,
        weight: NDArray[np.float32],
        largest: NDArray[np.float32],
        moments: NDArray[np.float32],
        formats: "LayerFormats",
        seed: int = 0,
    ) -> Reassembly:
        """The reassembly with the smallest expected error of ``x W^T``; the identity where taking apart gains nothing.

        The error of joining follows from the moments. That of the formats is measured on tokens drawn channel by
        channel from normal distributions with those moments, clipped at the largest magnitude seen.
        """
        channels = len(largest)
        alike = most_alike(merging_errors(weight, moments), _PAIRS_PER_CHANNEL * channels)
        drawn = np.random.default_rng(seed).standard_normal((_PROBE_TOKENS, channels))
        probe = np.clip(drawn * np.sqrt(np.diag(moments)), -largest, largest).astype(np.float32)
        best, smallest = None, np.inf
        for copies in self._candidates(largest):
            made = reassemble(copies, alike)
            if made is None:
                continue
            joined, held = made.inputs(probe), made.weight(weight)
            product = _held(joined, formats.activation) @ _held(held, formats.weight).T
            # Joining is in both products, so that only the formats' part differs here.
            formats_error = float(np.sum((product - joined @ held.T).astype(np.float64) ** 2)) / len(probe)
            error = assembly_error(weight, moments, made) + formats_error
            if error < smallest:
                best, smallest = made, error
        assert best is not None  # the first candidate takes nothing apart
        return best

    def correction(
        self,
        weight: NDArray[np.float32],
        held: NDArray[np.float32],
        made: Reassembly,
        moments: NDArray[np.float32],
    ) -> Correction:
        """What is added to a layer's reassembled weight as it is held, for the least error of ``x W^T``."""
        gather = made.inputs(np.eye(len(moments), dtype=np.float32)).astype(np.float64)
        cross = moments.astype(np.float64) @ gather
        return learn(weight, held, cross, gather.T @ cross, self.rank)

    def _candidates(self, largest: NDArray[np.float32]) -> list[NDArray[np.int64]]:
        """Copies of every channel, for thetas in equal ratios; those that add more channels than `share` left out."""
        limit, top = int(self.share * len(largest)), float(largest.max(initial=0.0))
        found = [np.ones(len(largest), np.int64)]
        if top == 0:
            return found
        low, high = np.log(max(float(np.median(largest)), top * 1e-6)), np.log(top)
        while high - low > 1e-3:  # the smallest theta whose copies fit
            middle = (low + high) / 2
            fits = int(np.sum(copies_under(largest, np.exp(middle)) - 1)) <= limit
            low, high = (low, middle) if fits else (middle, high)
        for theta in np.exp(np.linspace(np.log(top), high, self.steps + 1)[1:]):
            copies = copies_under(largest, theta)
            if int(np.sum(copies - 1)) <= limit and not np.array_equal(copies, found[-1]):
                found.append(copies)
        return found


def _held(x: NDArray[np.float32], fmt: BlockFormat | None) -> NDArray[np.float32]:
    return x if fmt is None else quantize(x, fmt).dequantize()
