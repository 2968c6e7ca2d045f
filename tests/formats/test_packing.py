"""The packed layout, bit by bit, worked out by hand."""

import pytest

from densimeter.formats import BlockFormat, get, resolve
from densimeter.formats.grid import grid
from densimeter.formats.packing import Layout, layout, pack_bits, pack_ggml_block


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
TILES = resolve("{element: e2m1, block: [4, 16], scale: e4m3}")


@pytest.mark.parametrize(
    ("fmt", "shape", "planes"),
    [
        (get("bfp6"), (3, 32), (3 * 32 * 6 // 8, 3 * 2 * 1, 0)),
        (get("bfp6"), (3, 17), (3 * 32 * 6 // 8, 3 * 2 * 1, 0)),  # ragged: each row padded to two blocks
        (get("mxfp4"), (1, 1), (32 * 4 // 8, 1, 0)),
        (get("nvfp4"), (2, 16), (2 * 16 * 4 // 8, 2, 4)),  # one float32 for the whole tensor
        (get("float32"), (2, 3), (24, 0, 0)),
        (get("tf32"), (1, 3), (8, 0, 0)),  # 3 * 19 = 57 bits
        (INT3_PER_ROW, (2, 5), (4, 2 * 4, 0)),  # 2 * 5 * 3 = 30 bits
        (INT3_PER_TENSOR, (10,), (4, 2, 0)),
        (TILES, (8, 32), (8 * 32 // 2, 2 * 2, 0)),
        (TILES, (5, 17), (8 * 32 // 2, 2 * 2, 0)),  # ragged both ways
        (TILES, (2, 5, 17), (2 * 8 * 32 // 2, 2 * 2 * 2, 0)),  # tiles end with their matrix
        (get("mx9"), (1, 32), (32, 2 * 2, 0)),  # exponent and eight microexponents
        (get("int4_g32_affine"), (1, 64), (32, 5, 0)),  # 2 * 20 bits
        (get("gguf_q4_1"), (1, 64), (32, 2 * 4, 0)),
        (get("gguf_q5_0"), (2, 33), (2 * 64 * 5 // 8, 2 * 2 * 2, 0)),
        (get("nf4_dq"), (1, 64), (32, 1, 4 + 4)),  # one run of scales, and the mean
        (get("nf4_dq"), (257, 64), (257 * 32, 257, 2 * 4 + 4)),  # 256 scales and one more
        (get("nf4_dq"), (0, 64), (0, 0, 4)),
        (get("bfp6"), (0, 32), (0, 0, 0)),
        (get("bfp6"), (4, 0), (0, 0, 0)),
        (get("nvfp4"), (0, 0), (0, 0, 4)),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_planes_start_at_bytes(fmt: BlockFormat, shape: tuple[int, ...], planes: tuple[int, int, int]) -> None:
    counted = layout(fmt, grid(fmt, shape, len(shape) - 1))
    assert counted == Layout(*planes)
    assert counted.total_bytes == sum(planes)


def test_double_scales_without_a_mean_store_none() -> None:
    written = (
        "{element: int4, block: 64, scale: {kind: double, element: {kind: codebook, levels: int8}, centred: false}}"
    )
    fmt = resolve(written)
    assert layout(fmt, grid(fmt, (4, 64), 1)).float32_bytes == 4


@pytest.mark.parametrize(
    "name",
    [
        "bfp4",
        "bfp6",
        "bfp8",
        "mxfp4",
        "mxfp6_e3m2",
        "bl8",
        "float16",
        "mx6",
        "msfp11",
        "kint3",
        "gguf_q5_1",
        "bfp6_b8x8",
    ],
)
def test_whole_blocks_cost_their_bits_per_value(name: str) -> None:
    rows, length = 8, 64  # whole blocks and whole bytes
    fmt = get(name)
    assert layout(fmt, grid(fmt, (rows, length), 1)).total_bytes * 8 == rows * length * fmt.bits_per_value


# The layout of GGUF files


CODES = [*range(16), *range(15, -1, -1)]  # code j + 16 is 15 - j


def test_ggml_nibbles_pair_the_halves_of_a_block() -> None:
    """Q4_0: fp16 1.0 is 0x3C00; byte j holds code j below and code j + 16 above: 0xF0, 0xE1, 0xD2 and so on."""
    expected = bytes([0x00, 0x3C, *(j | (15 - j) << 4 for j in range(16))])
    assert pack_ggml_block(0x3C00, CODES, get("gguf_q4_0")) == expected
    assert expected[2:5] == bytes([0xF0, 0xE1, 0xD2])


def test_ggml_minima_follow_the_scale() -> None:
    packed = pack_ggml_block(0xC000_3C00, CODES, get("gguf_q4_1"))
    assert packed[:4] == bytes([0x00, 0x3C, 0x00, 0xC0])
    assert len(packed) == 2 + 2 + 16


def test_ggml_keeps_fifth_bits_apart() -> None:
    """Q5_0: codes 0, 16 and 31 at places 0, 1 and 31; bits 1 and 31 of the word are set."""
    codes = [0] * 32
    codes[1], codes[31] = 16, 31
    packed = pack_ggml_block(0x3C00, codes, get("gguf_q5_0"))
    assert packed[2:6] == bytes([0b10, 0, 0, 0b1000_0000])
    assert packed[6:] == bytes([0] * 15 + [0xF0])  # place 31 is the upper nibble of byte 15
    assert len(pack_ggml_block(0xC000_3C00, codes, get("gguf_q5_1"))) == 2 + 2 + 4 + 16


def test_ggml_bytes_stand_in_order() -> None:
    codes = [*range(0x70, 0x90)]
    assert pack_ggml_block(0x3C00, codes, get("gguf_q8_0")) == bytes([0x00, 0x3C, *codes])
