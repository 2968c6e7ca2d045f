"""The packed layout, bit by bit, worked out by hand."""

import pytest

from densimeter.formats import BlockFormat, get, resolve
from densimeter.formats.packing import Layout, layout, pack_bits


@pytest.mark.parametrize(
    ("codes", "bits", "packed"),
    [
        ([0x1, 0x2, 0x3], 4, bytes([0x21, 0x03])),  # the first code in the low nibble, the last nibble is padding
        ([0b000001, 0b000010, 0b000011, 0b000100], 6, bytes([0b10_000001, 0b0011_0000, 0b000100_00])),
        ([0b101, 0b010, 0b111], 3, bytes([0b11_010_101, 0b1])),
        ([0x1FF, 0x001], 9, bytes([0xFF, 0b0000001_1, 0b00])),
        ([0x7F], 8, bytes([0x7F])),
        ([0xABCD], 16, bytes([0xCD, 0xAB])),
        ([0x3F800000], 32, bytes([0, 0, 0x80, 0x3F])),  # float32: its own little-endian bytes
        ([], 5, b""),
    ],
)
def test_bits_fill_bytes_from_the_lowest(codes: list[int], bits: int, packed: bytes) -> None:
    assert pack_bits(codes, bits) == packed


INT3_PER_ROW = resolve("{element: int3, block: row, scale: fp32}")
INT3_PER_TENSOR = resolve("{element: int3, block: tensor, scale: fp16}")


@pytest.mark.parametrize(
    ("fmt", "rows", "length", "planes"),
    [
        (get("bfp6"), 3, 32, (3 * 32 * 6 // 8, 3 * 2 * 1, 0)),
        (get("bfp6"), 3, 17, (3 * 32 * 6 // 8, 3 * 2 * 1, 0)),  # ragged: each row padded to two blocks
        (get("mxfp4"), 1, 1, (32 * 4 // 8, 1, 0)),
        (get("nvfp4"), 2, 16, (2 * 16 * 4 // 8, 2, 4)),  # one float32 for the whole tensor
        (get("float32"), 2, 3, (24, 0, 0)),
        (get("tf32"), 1, 3, (8, 0, 0)),  # 3 * 19 = 57 bits
        (INT3_PER_ROW, 2, 5, (4, 2 * 4, 0)),  # 2 * 5 * 3 = 30 bits
        (INT3_PER_TENSOR, 1, 10, (4, 2, 0)),
        (get("bfp6"), 0, 32, (0, 0, 0)),
        (get("bfp6"), 4, 0, (0, 0, 0)),
        (get("nvfp4"), 0, 0, (0, 0, 4)),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_planes_start_at_bytes(fmt: BlockFormat, rows: int, length: int, planes: tuple[int, int, int]) -> None:
    assert layout(fmt, rows, length) == Layout(*planes)
    assert layout(fmt, rows, length).total_bytes == sum(planes)


@pytest.mark.parametrize("name", ["bfp4", "bfp6", "bfp8", "mxfp4", "mxfp6_e3m2", "bl8", "float16"])
def test_whole_blocks_cost_their_bits_per_value(name: str) -> None:
    rows, length = 8, 64  # whole blocks and whole bytes
    assert layout(get(name), rows, length).total_bytes * 8 == rows * length * get(name).bits_per_value
