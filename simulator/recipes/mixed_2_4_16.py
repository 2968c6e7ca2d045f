"""Weights in 2, 4 and 16 bits in one matrix (Li et al., "Asynchronous Dequantization", arXiv:2311.16442).

Groups are ranked by the Hessian's diagonal times their range. The most sensitive few are held in four bits, the others
in two, and of those others the largest weights apart from them, in float16. Dequantising overlaps the products in the
paper; `simulator/configs/asynchronous_dequantisation.yaml` is that machine.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import AffineScale, BlockFormat, IntElement
from densimeter.formats.errors import ConfigError
from densimeter.kernels import quantize
from densimeter.simulator.recipes.treatment import Calibration, InputStatistics

if TYPE_CHECKING:
    import torch

    from densimeter.kernels.torch import Builder

_OUTLIER_BITS = 16


@dataclass(frozen=True)
class MixedPrecision:
    """The row's weight format is that of the insensitive groups: integers with a scale, or scale and zero, a group.

    wide_share: how many of the groups are sensitive; wide_bits: their elements' bits, under scales as the row's.
    outlier_share: how many of all weights are float16; index_bits: what the place of one of them takes.
    """

    name: Literal["mixed_2_4_16"] = "mixed_2_4_16"
    wide_share: float = 0.25
    wide_bits: int = 4
    outlier_share: float = 0.003125
    index_bits: int = 16
    calibration: ClassVar[Calibration] = "moments"
    hardware: ClassVar[tuple[str, ...]] = (
        "two dequantisers chosen by a bit a group, ahead of multiply-accumulate units in floating point",
        "a sparse product with the outliers, or their scatter into the dequantised weights",
    )

    def __post_init__(self) -> None:
        for key, share in (("wide_share", self.wide_share), ("outlier_share", self.outlier_share)):
            if not 0 <= share <= 1:
                raise ConfigError(f"{key} is {share}, expected 0 to 1")
        for key, bits in (("wide_bits", self.wide_bits), ("index_bits", self.index_bits)):
            if not isinstance(bits, int) or bits < 0:
                raise ConfigError(f"{key} is {bits}, expected a whole number, 0 or more")

    def builder(self, model: "torch.nn.Module", statistics: InputStatistics | None) -> "Builder":
        """Layers with mixed weights; where calibration never came by, every input counts the same."""
        from densimeter.simulator.recipes.stored_linear import Stored, stored_layers

        assert statistics is not None

        def hold(weight: NDArray[np.float32], fmt: BlockFormat, path: str) -> Stored:
            mixed = self.mix(weight, statistics.power(path, weight.shape[1]), fmt)
            return Stored(mixed.held, mixed.bits_per_weight, f"{fmt.name} and {self.wide_bits} bits")

        return stored_layers(hold)

    def mix(self, weight: NDArray[np.float32], hessian: NDArray[np.float32], narrow: BlockFormat) -> "Mixed":
        """Hold a weight ``[outputs, inputs]``. hessian: the diagonal of E[x x^T], ``[inputs]``.

        Raises:
            ConfigError: `narrow` has no integers in groups along the inputs, or they do not divide them.
        """
        width, wide = self._check(narrow, weight.shape[1])
        groups = np.ascontiguousarray(weight, np.float32).reshape(-1, width)
        importance = np.tile(hessian.reshape(-1, width).mean(axis=1), len(weight))
        sensitivity = importance * (groups.max(axis=1) - groups.min(axis=1))
        chosen = _largest(sensitivity, round(self.wide_share * len(groups)))
        insensitive = np.where(chosen[:, None], 0, np.abs(groups))
        outliers = _largest(insensitive.ravel(), round(self.outlier_share * groups.size)).reshape(groups.shape)
        outliers &= ~chosen[:, None]
        held = quantize(np.where(outliers, np.float32(0), groups), narrow).dequantize()
        held[chosen] = quantize(groups[chosen], wide).dequantize()
        held[outliers] = groups[outliers].astype(np.float16)
        share = Fraction(int(chosen.sum()), len(groups))
        apart = Fraction(int(outliers.sum()), groups.size)
        bits = (1 - share) * narrow.bits_per_value + share * wide.bits_per_value
        bits += apart * (_OUTLIER_BITS + self.index_bits)
        return Mixed(held.reshape(weight.shape), chosen.reshape(len(weight), -1), outliers.reshape(weight.shape), bits)

    def _check(self, narrow: BlockFormat, inputs: int) -> tuple[int, BlockFormat]:
        """Values in a group, and the format of the sensitive ones."""
        element, block = narrow.element, narrow.block
        if not isinstance(element, IntElement) or not isinstance(block, int) or narrow.scale is None or inputs % block:
            raise ConfigError(
                f"weight is {narrow.name} over {inputs} inputs, expected integers in groups that divide them, such as "
                "int2_g64"
            )
        scale, bits = narrow.scale, self.wide_bits
        if isinstance(scale, AffineScale) and isinstance(scale.zero, IntElement):  # a zero point is one of the codes
            scale = replace(scale, zero=replace(scale.zero, bits=bits))
        return block, replace(narrow, name=f"int{bits}", element=replace(element, bits=bits), scale=scale)


class Mixed(NamedTuple):
    """A weight as it is held, its sensitive groups ``[outputs, groups]`` and its outliers ``[outputs, inputs]``.

    bits_per_weight leaves out the bit a group that tells its width."""

    held: NDArray[np.float32]
    sensitive: NDArray[np.bool_]
    outliers: NDArray[np.bool_]
    bits_per_weight: Fraction


def _largest(values: NDArray[np.float32], count: int) -> NDArray[np.bool_]:
    """Marks the `count` largest, the first of equal ones."""
    marks = np.zeros(len(values), bool)
    marks[np.argsort(-values, kind="stable")[:count]] = True
    return marks
