"""The packed layout: the bytes that memory would hold for a quantised tensor, bit by bit.

Three planes follow each other, each starting at a byte:

1. element codes, row after row, every row padded with zero codes to whole blocks; code i of `bits` bits occupies bits
   ``i*bits .. (i+1)*bits - 1`` of the plane, bit k of the plane being bit ``k % 8`` (from the lowest) of byte ``k //
   8``;
2. scale codes, block after block in the same order, packed likewise;
3. the tensor scale, one little-endian float32, where the format has one.

Four-bit codes thus stand two to a byte, the first in the low nibble.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from densimeter.formats.block import BlockFormat


@dataclass(frozen=True)
class Layout:
    """Byte counts of the planes of a [rows, row_length] tensor."""

    element_bytes: int
    scale_bytes: int
    tensor_scale_bytes: int

    @property
    def total_bytes(self) -> int:
        return self.element_bytes + self.scale_bytes + self.tensor_scale_bytes


def layout(fmt: BlockFormat, rows: int, row_length: int) -> Layout:
    """Plane sizes of a tensor blocked along its rows."""
    values = rows * fmt.padded_length(row_length)
    scales = 0 if fmt.scale is None else 1 if fmt.block == "tensor" else rows * fmt.blocks_per_row(row_length)
    scale_bits = fmt.scale.bits if fmt.scale is not None else 0
    return Layout(-(-values * fmt.element.bits // 8), -(-scales * scale_bits // 8), 4 if fmt.has_tensor_scale else 0)


def pack_bits(codes: Iterable[int], bits: int) -> bytes:
    """Pack codes of `bits` bits, lowest bit first: the exact, slow definition that the kernel must equal."""
    packed, count = 0, 0
    for code in codes:
        packed |= code << (count * bits)
        count += 1
    return packed.to_bytes(-(-count * bits // 8), "little")
