"""Grid: how the blocks of a format lie over an array; who stores or walks a quantised array counts with it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from densimeter.formats.block import BlockFormat
from densimeter.formats.errors import FormatError


@dataclass(frozen=True)
class Grid:
    """An array seen as `matrices` matrices of [rows, length], the blocked axis last, and its blocks.

    A block is `block_rows` x `block_length` values; `row_groups` x `blocks` of them cover each matrix, the last ones
    ragged. "tensor" blocks see the whole array as one row. Whole rows and tensors have a scale even where they are
    empty.
    """

    matrices: int
    rows: int
    length: int
    block_rows: int
    block_length: int
    blocks: int

    @property
    def row_groups(self) -> int:
        """Blocks one below the other in one matrix."""
        return math.ceil(self.rows / self.block_rows)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the matrices."""
        return self.matrices, self.rows, self.length

    @property
    def scales_shape(self) -> tuple[int, int]:
        """Shape of the scales as [groups of rows, blocks]."""
        return self.matrices * self.row_groups, self.blocks

    @property
    def padded_shape(self) -> tuple[int, int, int]:
        """Shape of the matrices filled up to whole blocks."""
        return self.matrices, self.row_groups * self.block_rows, self.blocks * self.block_length


def grid(fmt: BlockFormat, shape: Sequence[int], axis: int) -> Grid:
    """The grid of a format over an array of this shape, blocked along `axis` (counted from the front).

    The rows of a tile run along the axis before the blocked one, once that stands last; an array of one axis is one
    row.
    """
    if fmt.block == "tensor":
        size = math.prod(shape)
        return Grid(1, 1, size, 1, size, 1)
    others = [*shape[:axis], *shape[axis + 1 :]]
    rows = others[-1] if others and fmt.block_rows > 1 else math.prod(others)
    matrices = math.prod(others[:-1]) if fmt.block_rows > 1 else 1
    length = shape[axis]
    columns = length if fmt.block_columns is None else fmt.block_columns
    blocks = 1 if fmt.block_columns is None else math.ceil(length / columns)
    return Grid(matrices, rows, length, fmt.block_rows, columns, blocks)


def scales_shape(fmt: BlockFormat, shape: Sequence[int], axis: int) -> tuple[int, ...]:
    """Shape of an array's scales: `axis` counts blocks, for tiles the axis before it counts tiles; "tensor": ()."""
    if fmt.block == "tensor":
        return ()
    over, found = grid(fmt, shape, axis), list(shape)
    found[axis] = over.blocks
    if fmt.block_rows > 1 and len(shape) > 1:
        found[axis - 1 if axis == len(shape) - 1 else -1] = over.row_groups
    return tuple(found)


def checked_axis(axis: int, shape: Sequence[int]) -> int:
    """The axis counted from the front; FormatError where the shape has no such axis."""
    if not -len(shape) <= axis < len(shape):
        raise FormatError(
            f"axis is {axis}, expected {-len(shape)} to {len(shape) - 1} for an array of shape {tuple(shape)}"
        )
    return axis % len(shape)
