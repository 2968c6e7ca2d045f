"""QLLM (Liu et al., arXiv:2310.08041): channels with outliers are taken apart, others put together to make room.

A channel whose magnitude exceeds theta becomes as many copies as bring it below; the most alike channels are joined
until the layer is as wide as before (`reassembly`). theta is searched for layer by layer, for the smallest error of the
quantised product. The low-rank correction that the paper trains afterwards is not part of this.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import BlockFormat
from densimeter.formats.errors import ConfigError
from densimeter.kernels import quantize
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
    the largest magnitude (nothing is taken apart) down to the smallest for which `share` suffices."""

    name: Literal["qllm"] = "qllm"
    share: float = 0.1
    steps: int = 12
    calibration: ClassVar[Calibration] = "moments"
    hardware: ClassVar[tuple[str, ...]] = (
        "a gather before the quantiser that repeats and averages channels, fixed at compile time; none where the layer "
        "before can produce the channels so",
    )

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 0.5:
            raise ConfigError(f"share is {self.share}, expected 0 to 0.5")
        if not isinstance(self.steps, int) or self.steps < 1:
            raise ConfigError(f"steps is {self.steps}, expected a whole number above 0")

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
            return ReassembledLinear(linear, found[group], formats, path, seed, observe)

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
        exact = probe @ weight.T
        best, smallest = None, np.inf
        for copies in self._candidates(largest):
            made = reassemble(copies, alike)
            if made is None:
                continue
            joined, held = made.inputs(probe), made.weight(weight)
            product = _held(joined, formats.activation) @ _held(held, formats.weight).T
            # Joining is in both products, so that only the formats' part differs here.
            formats_error = float(np.sum((product - joined @ held.T).astype(np.float64) ** 2)) / len(exact)
            error = assembly_error(weight, moments, made) + formats_error
            if error < smallest:
                best, smallest = made, error
        assert best is not None  # the first candidate takes nothing apart
        return best

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
