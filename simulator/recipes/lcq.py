"""LCQ (Cai et al., arXiv:2405.20973): each group of weights has a codebook, and all of them are one low-rank product.

Between one grid that is scaled (rank one) and a table for every group lies `low_rank_codebooks`. Here they are learned
on the error of each layer's output, inputs taken as uncorrelated, by least squares in turns; the paper trains them by
gradient on the output of a whole transformer block.
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import BlockFormat, IntElement
from densimeter.formats.errors import ConfigError
from densimeter.simulator.recipes.low_rank_codebooks import STORED, Codebooks, even, learn, refit_shapes
from densimeter.simulator.recipes.treatment import Calibration, InputStatistics

if TYPE_CHECKING:
    import torch

    from densimeter.kernels.torch import Builder

_SHAPE_BITS, _FACTOR_BITS = 16, 32


@dataclass(frozen=True)
class LowRankCodebooks:
    """The row's weight format says how many bits a code has and how many weights a group.

    rank: of the product. iterations: of learning; without any, levels are spread evenly over each group's range.
    """

    name: Literal["lcq"] = "lcq"
    rank: int = 2
    iterations: int = 20
    calibration: ClassVar[Calibration] = "moments"
    hardware: ClassVar[tuple[str, ...]] = (
        "a table of 2^bits numbers for the group at hand, made by rank multiply-accumulates a number, and a look-up a "
        "weight; products are of dequantised numbers",
    )

    def __post_init__(self) -> None:
        for key, value, least in (("rank", self.rank, 1), ("iterations", self.iterations, 0)):
            if not isinstance(value, int) or value < least:
                raise ConfigError(f"{key} is {value}, expected a whole number, {least} or more")

    def builder(self, model: "torch.nn.Module", statistics: InputStatistics | None) -> "Builder":
        """Layers with weights from codebooks; where calibration never came by, every input counts the same."""
        from densimeter.simulator.recipes.stored_linear import Stored, stored_layers

        assert statistics is not None

        def hold(weight: NDArray[np.float32], fmt: BlockFormat, path: str) -> Stored:
            found = self.learn(weight, statistics.power(path, weight.shape[1]), fmt)
            return Stored(found.held, found.bits_per_weight, f"{fmt.element.bits}-bit codebooks of rank {self.rank}")

        return stored_layers(hold)

    def learn(self, weight: NDArray[np.float32], hessian: NDArray[np.float32], fmt: BlockFormat) -> "Learned":
        """Codebooks for a weight ``[outputs, inputs]``. hessian: the diagonal of E[x x^T], ``[inputs]``.

        Raises:
            ConfigError: the format has no integers in groups along the inputs, or they do not divide them.
        """
        width = fmt.block
        if not isinstance(fmt.element, IntElement) or not isinstance(width, int) or weight.shape[1] % width:
            raise ConfigError(
                f"weight is {fmt.name} over {weight.shape[1]} inputs, expected integers in groups that divide them, "
                "such as int2_g64_affine"
            )
        groups = np.ascontiguousarray(weight, np.float32).reshape(-1, width)
        importance = np.tile(hessian.reshape(-1, width).astype(np.float32), (len(weight), 1))
        start = even(groups, 1 << fmt.element.bits, self.rank)
        books = learn(groups, importance, start, self.iterations).stored()
        if self.iterations:
            books = refit_shapes(groups, importance, books)
        books = books.stored_shapes()
        return Learned(books.held(groups).reshape(weight.shape), books, self.stored_bits(fmt, weight.size))

    def stored_bits(self, fmt: BlockFormat, weights: int) -> Fraction:
        """Bits a weight: the code, S and B of its group, and its share of V and of their factors and means."""
        assert isinstance(fmt.block, int)
        group = (self.rank + 1) * (STORED.code_bits + Fraction(_FACTOR_BITS, STORED.block))
        matrix = (self.rank << fmt.element.bits) * _SHAPE_BITS + (self.rank + 1) * _FACTOR_BITS
        return fmt.element.bits + group / fmt.block + Fraction(matrix, weights)


class Learned(NamedTuple):
    """A weight as it is held, and the codebooks that hold it."""

    held: NDArray[np.float32]
    codebooks: Codebooks
    bits_per_weight: Fraction
