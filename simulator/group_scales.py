"""The scale codes that come with the groups of a tensor's rows."""

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import BlockFormat, Datapath
from densimeter.formats.datapath import part_width


def group_scales(
    scales: NDArray[np.unsignedinteger], length: int, fmt: BlockFormat, datapath: Datapath
) -> NDArray[np.unsignedinteger]:
    """[rows, groups] of the [rows, blocks] scale codes of rows of `length` values, an operand of the unit."""
    first = np.arange(-(-length // datapath.lanes)) * datapath.lanes
    block = fmt.block_length(length)
    of_block = scales[:, first // block]
    if not part_width(fmt):
        return of_block
    places = (first % block).tolist()
    codes = [
        [datapath.group_scale(fmt, code, place) for code, place in zip(row, places, strict=True)]
        for row in of_block.tolist()
    ]
    return np.array(codes, scales.dtype).reshape(of_block.shape)
