"""The packed layouts: the bytes that memory would hold for a quantised tensor, bit by bit.

**planes**, the layout of accelerators (MX, NVFP4, block floating point). Planes follow each other, each starting at a
byte:

1. element codes, row after row, every row padded to whole blocks and the rows of tiles to whole tiles, with the
element's
   `padding_code`; code i of `bits` bits occupies bits ``i*bits .. (i+1)*bits - 1`` of the plane, bit k of the plane
   being bit ``k % 8`` (from the lowest) of byte ``k // 8``;
2. scale codes of `code_bits` bits, block after block in the same order, packed likewise;
3. float32 numbers, little-endian: the tensor scale (NVFP4); or, of a double scale, the factor of every run, then the
mean.

Four-bit codes thus stand two to a byte, the first in the low nibble, and E8M0 or E4M3 scales one to a byte: what
compressed-tensors, TensorRT and torchao call packed weights and scales.

**ggml**, the layout of GGUF files. Blocks of 32 follow each other, row after row:

1. the scale code, little-endian: fp16 scale; then, where there is one, the fp16 minimum;
2. of 5-bit elements, the top bits: bit j of a little-endian 32-bit word is bit 4 of code j;
3. of 4-bit and 5-bit elements, 16 bytes: the low nibble of byte j is code j, the high nibble code j + 16 (their low
four
   bits); of 8-bit elements, 32 bytes, code by code.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from densimeter.formats.block import BlockFormat
from densimeter.formats.grid import Grid
from densimeter.formats.scale import DoubleScale

_FLOAT32_BYTES = 4
_GGML_HALF = 16


@dataclass(frozen=True)
class Layout:
    """Byte counts of a packed tensor's parts; in the ggml layout elements and scales alternate."""

    element_bytes: int
    scale_bytes: int
    float32_bytes: int

    @property
    def total_bytes(self) -> int:
        return self.element_bytes + self.scale_bytes + self.float32_bytes


def layout(fmt: BlockFormat, grid: Grid) -> Layout:
    """Sizes of the parts of a tensor."""
    matrices, rows, length = grid.padded_shape
    blocks = 0 if fmt.scale is None else grid.scales_shape[0] * grid.scales_shape[1]
    scale_bits = fmt.scale.code_bits if fmt.scale is not None else 0
    return Layout(
        _bytes(matrices * rows * length * fmt.element.bits),
        _bytes(blocks * scale_bits),
        _FLOAT32_BYTES * float32_count(fmt, blocks),
    )


def float32_count(fmt: BlockFormat, blocks: int) -> int:
    """float32 numbers that stand beside the scale codes of so many blocks."""
    if isinstance(fmt.scale, DoubleScale):
        return -(-blocks // fmt.scale.block) + fmt.scale.centred
    return int(fmt.has_tensor_scale)


def pack_bits(codes: Iterable[int], bits: int) -> bytes:
    """Pack codes of `bits` bits, lowest bit first: the exact, slow definition that the kernel must equal."""
    packed, count = 0, 0
    for code in codes:
        packed |= code << (count * bits)
        count += 1
    return packed.to_bytes(_bytes(count * bits), "little")


def pack_ggml_block(scale_code: int, codes: Sequence[int], fmt: BlockFormat) -> bytes:
    """One block of the ggml layout: the slow definition that the kernel must equal."""
    assert fmt.scale is not None
    packed = scale_code.to_bytes(fmt.scale.code_bits // 8, "little")
    if fmt.element.bits == 8:
        return packed + bytes(codes)
    if fmt.element.bits == 5:
        packed += pack_bits([code >> 4 for code in codes], 1)
    low = [code & 0xF for code in codes]
    return packed + bytes(low[j] | low[j + _GGML_HALF] << 4 for j in range(_GGML_HALF))


def _bytes(bits: int) -> int:
    return -(-bits // 8)
