"""QuantizedTensor: shapes, axes, memory orders, input types, the way back to numbers and to packed bytes."""

import struct
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

import densimeter.kernels as K
from densimeter.formats import BlockFormat, DoubleScale, FormatError, get, names, parse, resolve
from densimeter.formats.packing import pack_bits, pack_ggml_block

PER_ROW = get("int8")
PER_TENSOR = resolve("{element: int4, block: tensor, scale: fp32}")
VARIANTS = [
    get("bfp6_b4x8"),
    get("int8_e8m0"),
    get("int4_g32_affine"),
    get("int4_g32_affine_e8m0"),
    get("int8_affine"),
    resolve("{element: e2m1, block: [2, 16], scale: e4m3}"),
    resolve("{element: uint5, block: 12, scale: {kind: affine, element: fp32, zero: fp32}}"),  # 64 bits a block
    resolve("{element: {kind: codebook, levels: [-2, -1, 0.5, 1, 4]}, block: tensor, scale: e8m0}"),
]
SHAPES = [(5,), (64,), (3, 40), (40, 3), (2, 3, 33), (33, 2, 3), (1, 1, 1)]


def numbers(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def assert_same(actual: K.QuantizedTensor, expected: K.QuantizedTensor) -> None:
    assert (actual.format, actual.shape, actual.axis) == (expected.format, expected.shape, expected.axis)
    assert (actual.tensor_scale, actual.scale_mean) == (expected.tensor_scale, expected.scale_mean)
    np.testing.assert_array_equal(actual.scale_factors, expected.scale_factors)
    for mine, theirs in ((actual.codes, expected.codes), (actual.scales, expected.scales)):
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)


# Shapes and axes


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("fmt", [get("bfp6"), get("nvfp4"), PER_ROW, get("float16")], ids=lambda fmt: fmt.name)
def test_blocking_an_axis_is_blocking_the_last_one_of_the_moved_array(shape: tuple[int, ...], fmt: BlockFormat) -> None:
    x = numbers(*shape)
    for axis in range(-len(shape), len(shape)):
        q, moved = K.quantize(x, fmt, axis), K.quantize(np.moveaxis(x, axis, -1), fmt)
        np.testing.assert_array_equal(np.moveaxis(q.codes, axis, -1), moved.codes)
        np.testing.assert_array_equal(np.moveaxis(q.scales, axis, -1), moved.scales)
        np.testing.assert_array_equal(np.moveaxis(q.dequantize(), axis, -1), moved.dequantize())


@pytest.mark.parametrize(
    ("fmt", "shape", "axis", "scales"),
    [
        (get("bfp6"), (3, 40), -1, (3, 3)),  # 16 + 16 + 8
        (get("bfp6"), (3, 40), 0, (1, 40)),
        (get("mxfp4"), (2, 70, 5), 1, (2, 3, 5)),
        (PER_ROW, (3, 40), -1, (3, 1)),
        (PER_ROW, (3, 40), 0, (1, 40)),
        (PER_TENSOR, (3, 40), -1, ()),
        (get("float16"), (3, 40), -1, (3, 40)),
        (get("bfp6_b4x8"), (6, 40), -1, (2, 5)),  # tiles of 4 rows over 6, of 8 columns over 40
        (get("bfp6_b4x8"), (6, 40), 0, (1, 10)),  # the other way round: 8 down, 4 across
        (get("bfp6_b4x8"), (3, 6, 40), -1, (3, 2, 5)),
        (get("bfp6_b4x8"), (3, 6, 40), 1, (3, 1, 10)),
        (get("bfp6_b4x8"), (40,), -1, (5,)),
    ],
    ids=str,
)
def test_shapes_of_scales(fmt: BlockFormat, shape: tuple[int, ...], axis: int, scales: tuple[int, ...]) -> None:
    q = K.quantize(numbers(*shape), fmt, axis)
    assert q.codes.shape == q.shape == shape
    assert q.scales.shape == scales


@pytest.mark.parametrize(
    ("name", "dtype"), [("bfp6", np.uint8), ("mxfp8_e4m3", np.uint8), ("float16", np.uint16), ("tf32", np.uint32)]
)
def test_codes_take_the_narrowest_type(name: str, dtype: type) -> None:
    assert K.quantize(numbers(4), get(name)).codes.dtype == dtype


def test_a_ragged_last_block_is_a_block_padded_with_zeros() -> None:
    x = numbers(3, 20)
    padded = np.pad(x, ((0, 0), (0, 12)))
    for name in ("bfp6", "mxfp4", "nvfp4", "bl8"):
        ragged, whole = K.quantize(x, get(name)), K.quantize(padded, get(name))
        np.testing.assert_array_equal(ragged.codes, whole.codes[:, :20])
        np.testing.assert_array_equal(ragged.scales, whole.scales)


def test_a_tile_is_a_block_of_its_values() -> None:
    """A tile [4, 8] is the same format's block of 32, its values row after row; ragged at the ends."""
    x = numbers(6, 20)
    tiled = K.quantize(x, get("bfp6_b4x8"))
    for top in (0, 4):
        for left in (0, 8, 16):
            tile = x[top : top + 4, left : left + 8]
            alone = K.quantize(tile.ravel(), get("bfp6_b32"))
            np.testing.assert_array_equal(tiled.codes[top : top + 4, left : left + 8].ravel(), alone.codes)
            assert tiled.scales[top // 4, left // 8] == alone.scales[0]


def test_tiles_stay_within_their_matrix() -> None:
    x = numbers(3, 5, 16)
    together, apart = K.quantize(x, get("bfp6_b4x8")), [K.quantize(matrix, get("bfp6_b4x8")) for matrix in x]
    np.testing.assert_array_equal(together.codes, np.stack([q.codes for q in apart]))
    np.testing.assert_array_equal(together.scales, np.stack([q.scales for q in apart]))
    np.testing.assert_array_equal(together.dequantize(), np.stack([q.dequantize() for q in apart]))


def test_one_scale_for_the_whole_tensor() -> None:
    x = numbers(3, 4, 5)
    q = K.quantize(x, PER_TENSOR)
    np.testing.assert_array_equal(q.codes.ravel(), K.quantize(x.ravel(), PER_TENSOR).codes)
    assert q.scales.view(np.float32) == np.float32(np.abs(x).max() / np.float32(7))


EMPTY = [(0,), (0, 16), (16, 0), (2, 0, 3), (0, 0)]


@pytest.mark.parametrize(
    "fmt",
    [get("bfp6"), get("nvfp4"), get("float32"), get("gguf_q5_1"), get("mx9"), get("nf4_dq"), PER_ROW, PER_TENSOR],
    ids=lambda f: f.name,
)
@pytest.mark.parametrize("shape", EMPTY, ids=str)
def test_empty_arrays(fmt: BlockFormat, shape: tuple[int, ...]) -> None:
    for axis in range(len(shape)):
        q = K.quantize(np.zeros(shape, np.float32), fmt, axis)
        assert q.codes.shape == q.dequantize().shape == shape
        assert len(q.pack()) == q.nbytes
        assert_same(K.unpack(q.pack(), fmt, shape, axis), q)


# Memory orders and types of the input


@pytest.mark.parametrize(
    "arrange",
    [
        np.asfortranarray,
        lambda x: np.repeat(x, 2, axis=1)[:, ::2],
        lambda x: x[::-1, ::-1][::-1, ::-1],
        lambda x: x.astype(">f4"),
        lambda x: x.tolist(),
    ],
    ids=["fortran", "strided", "reversed", "big-endian", "list"],
)
def test_any_memory_order(arrange: object) -> None:
    x = numbers(6, 40)
    assert callable(arrange)
    assert_same(K.quantize(arrange(x), get("bfp6")), K.quantize(x, get("bfp6")))


def test_the_input_is_left_alone() -> None:
    x = numbers(6, 40)
    before = x.copy()
    K.quantize(x, get("nvfp4"))
    np.testing.assert_array_equal(x, before)


@pytest.mark.slow  # compiles once more
def test_an_input_that_cannot_be_written() -> None:
    x = numbers(6, 40)
    x.setflags(write=False)
    assert_same(K.quantize(x, get("bfp6")), K.quantize(x.copy(), get("bfp6")))


@pytest.mark.parametrize(
    "dtype",
    [np.float16, np.float64, np.longdouble, np.int8, np.int64, np.uint16, ml_dtypes.bfloat16, ml_dtypes.float8_e5m2],
)
def test_other_types_become_float32_first(dtype: type) -> None:
    x: NDArray[Any] = (numbers(4, 40) * 50).astype(dtype)
    assert_same(K.quantize(x, get("mxfp8_e4m3")), K.quantize(x.astype(np.float32), get("mxfp8_e4m3")))


def test_float64_rounds_to_float32_before_it_is_quantised() -> None:
    """Just above a tie of bfloat16 in float64, but the tie itself in float32: to even."""
    x = np.array([1 + 2.0**-8 + 2.0**-40])
    assert K.quantize(x, get("bfloat16")).dequantize() == [1.0]
    assert np.isinf(K.quantize(np.array([1e300, -1e300]), get("float32")).dequantize()).all()


@pytest.mark.parametrize(
    ("x", "axis", "message"),
    [
        (np.array(["1"]), -1, "cannot quantise an array of <U1; expected real numbers"),
        (np.array([1j]), -1, "complex128"),
        (np.array([True]), -1, "bool"),
        (np.float32(1), -1, "cannot quantise a scalar"),
        (np.zeros((2, 3)), 2, r"axis is 2, expected -2 to 1 for an array of shape \(2, 3\)"),
        (np.zeros((2, 3)), -3, "axis is -3"),
        (np.array([np.nan, 1, np.nan]), -1, "2 NaN in the input, and bfp6 has no code for NaN; replace them"),
    ],
)
def test_inputs_that_are_refused(x: NDArray[np.float32], axis: int, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        K.quantize(x, get("bfp6"), axis)


@pytest.mark.parametrize("name", ["bfp6", "nvfp4", "int8", "float16", "nf4_dq", "int4_g32_affine", "bfp6_b4x8"])
@pytest.mark.parametrize("axis", [0, 1])
def test_an_earlier_result_is_written_again(name: str, axis: int) -> None:
    earlier = K.quantize(numbers(6, 64), get(name), axis)
    x = numbers(6, 64, seed=1)
    again = K.quantize(x, get(name), axis, out=earlier)
    assert_same(again, K.quantize(x, get(name), axis))
    assert np.shares_memory(again.codes, earlier.codes) or axis == 0


@pytest.mark.parametrize(
    ("out", "message"),
    [
        (K.quantize(numbers(4, 16), get("bfp4")), r"out is bfp4 \(4, 16\) along axis 1, expected bfp6 \(4, 16\)"),
        (K.quantize(numbers(4, 32), get("bfp6")), r"out is bfp6 \(4, 32\)"),
        (K.quantize(numbers(4, 16), get("bfp6"), 0), "along axis 0, expected bfp6 .* along axis 1"),
    ],
)
def test_an_unfit_earlier_result_is_refused(out: K.QuantizedTensor, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        K.quantize(numbers(4, 16), get("bfp6"), out=out)


# Back to numbers


@pytest.mark.parametrize(("shape", "axis"), [((6, 40), -1), ((6, 40), 0), ((2, 33, 4), 1)])
@pytest.mark.parametrize("order", ["C", "F", "strided"])
def test_out_is_filled_and_returned(shape: tuple[int, ...], axis: int, order: str) -> None:
    q = K.quantize(numbers(*shape), get("bfp6"), axis)
    if order == "strided":
        out = np.full((*shape[:-1], 2 * shape[-1]), np.nan, np.float32)[..., ::2]
    else:
        out = np.full(shape, np.nan, np.float32, order=order)  # type: ignore[call-overload]
    assert q.dequantize(out=out) is out
    np.testing.assert_array_equal(out, q.dequantize())


@pytest.mark.parametrize(
    ("out", "message"),
    [
        (np.zeros((4, 16), np.float64), r"out is float64 \(4, 16\), expected float32 \(4, 16\)"),
        (np.zeros((16, 4), np.float32), r"out is float32 \(16, 4\)"),
    ],
)
def test_an_unfit_out_is_refused(out: NDArray[np.float32], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        K.quantize(numbers(4, 16), get("bfp6")).dequantize(out=out)


@pytest.mark.parametrize("name", [name for name in names() if not name.endswith("_as_published")])
def test_quantising_again_changes_nothing(name: str) -> None:
    """The values of a format are fixed points of it, except where the largest one moves the scale."""
    x = numbers(8, 64)
    x[:, ::16] = 8.0  # keeps the shared exponent where it is
    once = K.quantize(x, get(name)).dequantize()
    again = K.quantize(once, get(name)).dequantize()
    np.testing.assert_allclose(again, once, rtol=0 if get(name).element.bits > 8 else 2.0**-3)
    np.testing.assert_array_equal(K.quantize(again, get(name)).dequantize(), again)


# Packed bytes


@pytest.mark.parametrize("fmt", [*map(get, names()), *VARIANTS, PER_TENSOR], ids=lambda fmt: fmt.name)
def test_packed_bytes_are_those_of_the_definition_and_read_back(fmt: BlockFormat) -> None:
    for shape, axis in (((3, 64), 1), ((3, 37), 1), ((37, 3), 0), ((5,), 0), ((2, 5, 33), 2), ((2, 33, 5), 1)):
        q = K.quantize(numbers(*shape), fmt, axis)
        raw = q.pack()
        assert len(raw) == q.nbytes
        assert raw == (blocks_by_definition(q) if fmt.layout == "ggml" else planes_by_definition(q))
        assert_same(K.unpack(raw, fmt, shape, axis), q)


def padded_codes(q: K.QuantizedTensor) -> NDArray[np.unsignedinteger]:
    """Codes [matrices, rows, K] filled up to whole blocks with the code of zero."""
    rows = q.code_rows().reshape(q.grid.shape)
    whole = np.full(q.grid.padded_shape, q.format.element.padding_code, rows.dtype)
    whole[:, : rows.shape[1], : rows.shape[2]] = rows
    return whole


def planes_by_definition(q: K.QuantizedTensor) -> bytes:
    planes = pack_bits(padded_codes(q).ravel().tolist(), q.format.element.bits)
    if q.format.scale is not None:
        planes += pack_bits(q.scale_rows().ravel().tolist(), q.format.scale.code_bits)
    floats = [q.tensor_scale] if q.format.has_tensor_scale else []
    if isinstance(q.format.scale, DoubleScale):
        floats = [*q.scale_factors.tolist(), q.scale_mean]
    return planes + struct.pack(f"<{len(floats)}f", *floats)


def blocks_by_definition(q: K.QuantizedTensor) -> bytes:
    blocks = padded_codes(q).reshape(-1, 32).tolist()
    return b"".join(map(pack_ggml_block, q.scale_rows().ravel().tolist(), blocks, [q.format] * len(blocks)))


@pytest.mark.parametrize("bits", [2, 3, 5, 7, 9, 11, 13, 16])
@pytest.mark.parametrize("scale", ["e8m0", "fp16"])
def test_odd_widths_read_back(bits: int, scale: str) -> None:
    fmt = parse({"element": f"int{bits}", "block": 6, "scale": scale})
    q = K.quantize(numbers(5, 19), fmt)
    assert_same(K.unpack(q.pack(), fmt, (5, 19)), q)


@pytest.mark.parametrize("name", ["bfp8", "bfp6", "mxfp4", "mxfp6_e3m2", "nvfp4", "bl8", "float32", "minifloat8"])
def test_packed_size_is_bits_per_value(name: str) -> None:
    rows, length = 8, 128  # whole blocks, whole bytes
    fmt = get(name)
    q = K.quantize(numbers(rows, length), fmt)
    assert q.nbytes * 8 == rows * length * fmt.bits_per_value + 32 * fmt.has_tensor_scale
    # One value more in each row costs a whole block.
    longer = K.quantize(numbers(rows, length + 1), fmt)
    block = fmt.block_length(length + 1)
    assert (longer.nbytes - q.nbytes) * 8 == rows * block * fmt.bits_per_value


@pytest.mark.parametrize("extra", [-1, 1])
def test_bytes_of_the_wrong_length_are_refused(extra: int) -> None:
    q = K.quantize(numbers(4, 16), get("bfp6"))
    expected = 4 * (16 * 6 + 8) // 8
    with pytest.raises(FormatError, match=rf"{expected + extra} bytes given, expected {expected} for bfp6 of shape"):
        K.unpack((q.pack() + b"\0")[: expected + extra], get("bfp6"), (4, 16))


@pytest.mark.parametrize(("shape", "axis"), [((), -1), ((4, 16), 2), ((4, 16), -3), ((-4, 16), -1)])
def test_shapes_that_no_tensor_has_are_refused(shape: tuple[int, ...], axis: int) -> None:
    with pytest.raises(FormatError, match=r"shape|axis"):
        K.unpack(b"", get("bfp6"), shape, axis)
