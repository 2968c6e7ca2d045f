"""IR-QLoRA's information calibration (Qin et al., arXiv:2402.05445): shift each block so that its codes tell the most.

A block of weights w is stored as Q(w - tau). tau is the one of 2n + 1 candidates about the block's median for which the
codes have the largest entropy, zero (plain Q) among them; it is stored as 8-bit codes with a float16 factor for every
256 blocks. Made for NF4 with double scales (`nf4_dq`); any format with blocks along the inputs will do.
"""

from dataclasses import dataclass
from fractions import Fraction
from statistics import NormalDist
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import BlockFormat, CodebookElement, DoubleScale
from densimeter.formats.errors import ConfigError
from densimeter.formats.levels import levels
from densimeter.kernels import quantize
from densimeter.kernels.double_scale import DoubleScales, compress, restore
from densimeter.simulator.recipes.treatment import Calibration, InputStatistics

if TYPE_CHECKING:
    import torch

    from densimeter.kernels.torch import Builder

_SHIFT = DoubleScale(CodebookElement(levels("dynamic8")), block=256, centred=False)
_SHIFT_FACTOR_BITS = 16
# The published code's sigma: the standard deviation of the normal distribution of which NF4's outermost level is a
# quantile, in units of that level.
_SIGMA = 1 / NormalDist().inv_cdf(0.9677083)


@dataclass(frozen=True)
class InformationCalibration:
    """candidates: n, how many on either side of the median. reach: how far they go, in sigmas of a normal distribution
    whose largest weight is the block's largest deviation from its median."""

    name: Literal["icq"] = "icq"
    candidates: int = 100
    reach: float = 0.1
    calibration: ClassVar[Calibration] = "none"
    hardware: ClassVar[tuple[str, ...]] = (
        "an addition a weight behind its dequantiser, or the sum of each block's activations and a product with tau",
    )

    def __post_init__(self) -> None:
        if not isinstance(self.candidates, int) or self.candidates < 0:
            raise ConfigError(f"candidates is {self.candidates}, expected a whole number, 0 or more")
        if not self.reach >= 0:
            raise ConfigError(f"reach is {self.reach}, expected 0 or more")

    def builder(self, model: "torch.nn.Module", statistics: InputStatistics | None) -> "Builder":
        """Layers with shifted weights; a layer without a weight format stays as it is."""
        from densimeter.simulator.recipes.stored_linear import Stored, stored_layers

        def hold(weight: NDArray[np.float32], fmt: BlockFormat, path: str) -> Stored:
            held = calibrate(weight, fmt, self.candidates, self.reach).held
            return Stored(held, stored_bits(fmt), f"{fmt.name} shifted")

        return stored_layers(hold)


class Shifted(NamedTuple):
    """A weight as it is held, float32 ``[outputs, inputs]``, with tau and the codes' entropy, in bits a weight, of
    every block ``[outputs, blocks]``."""

    held: NDArray[np.float32]
    shifts: NDArray[np.float32]
    entropy_bits: NDArray[np.float64]


def calibrate(weight: NDArray[np.float32], fmt: BlockFormat, candidates: int, reach: float) -> Shifted:
    """Choose and apply the shifts of all blocks of a weight ``[outputs, inputs]``.

    Raises:
        ConfigError: the format has no blocks along the inputs, or they do not divide them.
    """
    width = _block_length(fmt, weight.shape[1])
    blocks = np.ascontiguousarray(weight, np.float32).reshape(-1, width)
    shifts, plain_bits = _search(blocks, fmt, candidates, reach)
    stored = compress(shifts, _SHIFT)
    factors = stored.factors.astype(np.float16).astype(np.float32)
    kept = restore(DoubleScales(stored.codes, factors, 0.0), _SHIFT)
    # A tau that was rounded may serve worse than none; such blocks store the code of zero.
    bits = code_entropy_bits(_shifted(blocks, kept, fmt), 1 << fmt.element.bits)
    kept = np.where(bits < plain_bits, np.float32(0), kept)
    moved = kept.reshape(len(weight), -1).repeat(width, axis=1)
    quantized = quantize(weight - moved, fmt)
    entropy = code_entropy_bits(quantized.codes.reshape(-1, width), 1 << fmt.element.bits)
    by_row = (len(weight), -1)
    return Shifted(quantized.dequantize() + moved, kept.reshape(by_row), entropy.reshape(by_row))


def code_entropy_bits(codes: NDArray[np.unsignedinteger], levels: int) -> NDArray[np.float64]:
    """Shannon entropy of the codes of each row, in bits a code."""
    rows, width = codes.shape
    places = codes.astype(np.int64) + levels * np.arange(rows)[:, None]
    counts = np.bincount(places.ravel(), minlength=rows * levels).reshape(rows, levels)
    times_log = np.arange(width + 1) * np.log2(np.maximum(np.arange(width + 1), 1))
    entropy: NDArray[np.float64] = np.log2(width) - times_log[counts].sum(axis=1) / width
    return entropy


def stored_bits(fmt: BlockFormat) -> Fraction:
    """Bits a weight: the format's own, and tau's code and share of a factor over the block."""
    assert isinstance(fmt.block, int)
    return fmt.bits_per_value + (_SHIFT.code_bits + Fraction(_SHIFT_FACTOR_BITS, _SHIFT.block)) / fmt.block


def _search(
    blocks: NDArray[np.float32], fmt: BlockFormat, candidates: int, reach: float
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """tau of every block with the largest entropy, the first of several; and the entropy without tau."""
    levels = 1 << fmt.element.bits
    middle = np.median(blocks, axis=1)
    largest = np.abs(blocks - middle[:, None]).max(axis=1)
    best = np.zeros(len(blocks), np.float32)
    plain_bits = best_bits = code_entropy_bits(_shifted(blocks, best, fmt), levels)
    for factor in np.linspace(-reach * _SIGMA, reach * _SIGMA, 2 * candidates + 1):
        tau = (middle + factor * largest).astype(np.float32)
        bits = code_entropy_bits(_shifted(blocks, tau, fmt), levels)
        best, best_bits = np.where(bits > best_bits, tau, best), np.maximum(bits, best_bits)
    return best, plain_bits


def _shifted(blocks: NDArray[np.float32], tau: NDArray[np.float32], fmt: BlockFormat) -> NDArray[np.unsignedinteger]:
    """Codes of ``blocks - tau``."""
    return quantize(blocks - tau[:, None], fmt).codes


def _block_length(fmt: BlockFormat, inputs: int) -> int:
    if not isinstance(fmt.block, int) or fmt.scale is None or inputs % fmt.block:
        raise ConfigError(
            f"weight is {fmt.name} over {inputs} inputs, expected a format with scales for blocks that divide them"
        )
    return fmt.block
