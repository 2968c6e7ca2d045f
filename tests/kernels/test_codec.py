"""The codec kernel: equal to the reference for every input and every format, catalog or drawn."""

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import DTypeLike, NDArray

import densimeter.kernels as K
from densimeter.formats import (
    BlockFormat,
    DoubleScale,
    FloatElement,
    FormatError,
    IntElement,
    PowerOfTwoScale,
    Quirks,
    get,
    names,
    parse,
)
from support import oracle, reference_tensor
from support.decisions import decision_points
from support.strategies import float32_arrays, formats

ROWS, LENGTH = 2, 40  # a ragged last block for blocks of 16 and 32


def assert_equals_reference(x: NDArray[np.float32], fmt: BlockFormat) -> None:
    """Codes, scales, values and packed bytes of [rows, K]; or both refuse."""
    rows = x.reshape(1, -1) if fmt.block == "tensor" else x
    if np.isnan(x).any() and fmt.refuses_nan:
        for codec in (reference_tensor.quantize, K.quantize):
            with pytest.raises(FormatError, match="no code for NaN"):
                codec(rows, fmt)
        return
    actual, expected = K.quantize(x, fmt), reference_tensor.quantize(rows, fmt)
    assert actual.tensor_scale == expected.tensor_scale
    np.testing.assert_array_equal(actual.scale_rows(), expected.scales)
    np.testing.assert_array_equal(actual.code_rows(), expected.codes)
    reference_tensor.assert_same_floats(actual.dequantize(), expected.values.reshape(x.shape))


@pytest.mark.parametrize("name", names())
@settings(max_examples=10)
@given(x=float32_arrays(ROWS * LENGTH))
def test_catalog_formats_on_any_numbers(name: str, x: NDArray[np.float32]) -> None:
    assert_equals_reference(x.reshape(ROWS, LENGTH), get(name))


@pytest.mark.parametrize("name", names())
def test_every_rounding_decision(name: str) -> None:
    """Blocks that start with the element's largest value, which settles the scale."""
    fmt = get(name)
    points = decision_points(fmt.element)
    points = points[np.abs(points) <= float(oracle.largest(fmt.element))]
    width = fmt.block - 1 if isinstance(fmt.block, int) and fmt.block > 1 else 16
    rows = np.pad(points, (0, -len(points) % width)).reshape(-1, width)
    anchor = np.full((len(rows), 1), float(oracle.largest(fmt.element)), np.float32)
    assert_equals_reference(np.concatenate([anchor, rows], axis=1), fmt)


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
@settings(max_examples=500)
@given(x=float32_arrays(ROWS * LENGTH))
def test_catalog_formats_on_many_numbers(name: str, x: NDArray[np.float32]) -> None:
    assert_equals_reference(x.reshape(ROWS, LENGTH), get(name))


@settings(max_examples=80)
@given(x=float32_arrays(2 * 24), fmt=formats())
def test_formats_that_no_catalog_holds(x: NDArray[np.float32], fmt: BlockFormat) -> None:
    assert_equals_reference(x.reshape(2, 24), fmt)


@pytest.mark.slow
@settings(max_examples=3000)
@given(x=float32_arrays(2 * 24), fmt=formats())
def test_many_formats_that_no_catalog_holds(x: NDArray[np.float32], fmt: BlockFormat) -> None:
    assert_equals_reference(x.reshape(2, 24), fmt)


@pytest.mark.parametrize("name", [name for name in names() if get(name).block not in ("row", "tensor")])
def test_corners_of_blocks(name: str) -> None:
    """Rows of one block each: a power of two, halves and thirds of it and neighbours, over all exponents of float32."""
    fmt = get(name)
    exponents = np.arange(-149, 128, 9)
    shape = np.array([1, -1, 0.5, 0.75, -0.25, 1 / 3, 0.0, -0.0, 2.0**-7, 3 * 2.0**-9, 0.98, -0.96875], np.float32)
    x = np.ldexp(shape, exponents[:, None]).astype(np.float32)
    below = np.nextafter(x, np.float32(0))
    assert_equals_reference(np.concatenate([x, below]), fmt)


@pytest.mark.parametrize("special", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", names())
def test_one_special_in_the_second_of_three_blocks(name: str, special: float) -> None:
    x = np.linspace(-2, 2, 96, dtype=np.float32)[None]
    x[0, 40] = special
    assert_equals_reference(x, get(name))


@pytest.mark.parametrize(
    "fmt",
    [
        BlockFormat("e4m3 under a scale without NaN", FloatElement(4, 3, 7, specials="nan"), PowerOfTwoScale(), 16),
        BlockFormat("e5m2 under a scale without NaN", FloatElement(5, 2, 15, specials="ieee"), PowerOfTwoScale(), 16),
        BlockFormat("wide, one NaN", FloatElement(6, 12, 31, specials="nan")),
        BlockFormat("wide, no hidden bit", FloatElement(6, 12, 31, hidden_bit=False)),
        BlockFormat(
            "saturating, with NaN", FloatElement(4, 3, 7, specials="nan"), quirks=get("dmf8_as_published").quirks
        ),
        BlockFormat("pushed far", FloatElement(4, 3, 7), quirks=Quirks(epsilon=0.5, saturate_significand=True)),
        BlockFormat("int16", IntElement(16, fraction_bits=8)),
        BlockFormat("sign-magnitude int16", IntElement(16, "sign_magnitude"), PowerOfTwoScale(nan=True), 8),
    ],
    ids=lambda fmt: fmt.name,
)
def test_compositions_that_were_wrong_once(fmt: BlockFormat) -> None:
    x = np.array([[np.nan, 500, -3, 0.1, 1e-3, np.inf, -np.inf, 448, 0.3, -0.0, 2.0**-9, 1e30]], np.float32)
    assert_equals_reference(x[:, 1 if fmt.refuses_nan else 0 :], fmt)


@pytest.mark.parametrize(
    ("element", "dtype"),
    [
        ("e4m3", ml_dtypes.float8_e4m3fn),
        ("e5m2", ml_dtypes.float8_e5m2),
        ("e2m3", ml_dtypes.float6_e2m3fn),
        ("e3m2", ml_dtypes.float6_e3m2fn),
        ("e2m1", ml_dtypes.float4_e2m1fn),
        ("bf16", ml_dtypes.bfloat16),
        ("fp16", np.float16),
    ],
)
def test_plain_elements_agree_with_ml_dtypes(element: str, dtype: DTypeLike) -> None:
    fmt = parse({"element": element})
    spread = np.ldexp(np.random.default_rng(3).standard_normal(1 << 14), np.arange(1 << 14) % 40 - 30)
    x = spread[np.abs(spread) <= float(fmt.element.largest)].astype(np.float32)
    theirs = x.astype(dtype)
    np.testing.assert_array_equal(
        K.quantize(x, fmt).codes, theirs.view(np.uint8 if fmt.element.bits <= 8 else np.uint16)
    )
    reference_tensor.assert_same_floats(K.quantize(x, fmt).dequantize(), theirs.astype(np.float32))


@pytest.mark.parametrize(
    ("name", "dtype", "largest"),
    [
        ("mxfp8_e4m3", ml_dtypes.float8_e4m3fn, 448),
        ("mxfp8_e5m2", ml_dtypes.float8_e5m2, 57344),
        ("mxfp6_e2m3", ml_dtypes.float6_e2m3fn, 7.5),
        ("mxfp6_e3m2", ml_dtypes.float6_e3m2fn, 28),
        ("mxfp4", ml_dtypes.float4_e2m1fn, 6),
    ],
)
def test_microscaling_agrees_with_ml_dtypes_elements_and_scales(name: str, dtype: DTypeLike, largest: float) -> None:
    x = np.random.default_rng(4).standard_normal((256, 64)).astype(np.float32)
    q = K.quantize(x, get(name))
    scales = q.scales.astype(np.uint8).view(ml_dtypes.float8_e8m0fnu).astype(np.float32).repeat(32, axis=1)
    theirs = np.clip(x / scales, -largest, largest).astype(dtype)
    np.testing.assert_array_equal(q.codes, theirs.view(np.uint8))
    reference_tensor.assert_same_floats(q.dequantize(), theirs.astype(np.float32) * scales)


@pytest.mark.parametrize("name", [name for name in names() if not isinstance(get(name).scale, DoubleScale)])
def test_every_code_under_every_scale_dequantises_like_the_oracle(name: str) -> None:
    """Codes that no quantiser produces are values too: they can stand in memory."""
    fmt = get(name)
    rng = np.random.default_rng(5)
    length = fmt.block if isinstance(fmt.block, int) and fmt.block > 1 else 16
    codes = rng.integers(0, 1 << fmt.element.bits, (24, length), dtype=np.uint64).astype(np.uint32)
    scales = rng.integers(0, 128, (24, 1)).astype(np.uint32) if fmt.scale else np.zeros((24, length), np.uint32)
    q = K.QuantizedTensor(fmt, codes.shape, 1, codes, scales)
    expected = [oracle.dequantize_block(int(s), c, fmt) for s, c in zip(scales[:, 0], codes.tolist(), strict=True)]
    reference_tensor.assert_same_floats(q.dequantize(), np.array(expected, np.float32))
