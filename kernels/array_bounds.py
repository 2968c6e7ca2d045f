"""How wide an accumulator can ever have to be: from the declared ranges alone, or from these weights and any inputs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from densimeter.formats.block import BlockFormat
from densimeter.formats.datapath import largest_shift
from densimeter.formats.element import IntElement

_NARROWEST = 2


@dataclass(frozen=True)
class SumRange:
    """Least and greatest value of a running sum that starts at zero."""

    least: int
    greatest: int

    @property
    def bits(self) -> int:
        """Width of the narrowest two's complement register, of at least two bits, that holds every such sum."""
        return max(max(self.greatest, -1 - self.least).bit_length() + 1, _NARROWEST)


def worst_case(activation: BlockFormat, weight: BlockFormat, length: int) -> SumRange:
    """Of `length` products of any integers that quantisation to these formats makes.

    Tight: the largest product of either sign, `length` times. Symmetric and sign-magnitude elements never hold
    ``-2**(bits-1)``; two unsigned ones have no negative products.
    """
    products = [a * w for a in _ends(activation) for w in _ends(weight)]
    return SumRange(length * min(0, *products), length * max(0, *products))


def of_weights(positive: NDArray[np.float64], negative: NDArray[np.float64], activation: BlockFormat) -> SumRange:
    """Of products of given weights with any activations; given the sums of their positive and of their negative ones.

    Tight. With symmetric activations it is ``max|x| * ||w||_1``, the bound of A2Q (Colbert et al., ICCV 2023,
    arXiv:2308.13504); with unsigned ones, positive and negative weights each drive sums to one side only.
    """
    low, high = _ends(activation)
    least, greatest = low * positive + high * negative, high * positive + low * negative
    return SumRange(int(least.min(initial=0)), int(greatest.max(initial=0)))


def _ends(fmt: BlockFormat) -> tuple[int, int]:
    assert isinstance(fmt.element, IntElement)
    places = largest_shift(fmt)
    return fmt.element.smallest_integer << places, fmt.element.largest_integer << places
