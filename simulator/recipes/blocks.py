"""A figure for every block of a weight [outputs, inputs], and one for every value again; for several recipes."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from densimeter.formats.block import BlockFormat

T = TypeVar("T", bound=np.generic)


def block_width(fmt: BlockFormat, inputs: int) -> int:
    """Inputs that share a scale."""
    return fmt.block_columns or inputs


def over_outputs(reduce: np.ufunc, figures: NDArray[T], fmt: BlockFormat) -> NDArray[T]:
    """Figures [outputs, blocks] as [groups of outputs that share a scale, blocks]."""
    found: NDArray[T] = reduce.reduceat(figures, np.arange(0, len(figures), _outputs(fmt, len(figures))), axis=0)
    return found


def over_blocks(reduce: np.ufunc, values: NDArray[T], fmt: BlockFormat) -> NDArray[T]:
    """Values [outputs, inputs] as [groups of outputs, blocks]."""
    inputs = values.shape[1]
    return over_outputs(reduce, reduce.reduceat(values, np.arange(0, inputs, block_width(fmt, inputs)), axis=1), fmt)


def spread(figures: NDArray[T], fmt: BlockFormat, shape: tuple[int, ...]) -> NDArray[T]:
    """The figure of each block for all of its values."""
    outputs, inputs = shape
    rows = figures.repeat(_outputs(fmt, outputs), axis=0)[:outputs]
    return rows.repeat(block_width(fmt, inputs), axis=1)[:, :inputs]


def _outputs(fmt: BlockFormat, outputs: int) -> int:
    return outputs if fmt.block == "tensor" else fmt.block_rows
