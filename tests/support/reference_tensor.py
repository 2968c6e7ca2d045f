"""The reference codec, which knows one block, driven over whole [rows, K] arrays, and how to compare two codecs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import BlockFormat, reference


@dataclass(frozen=True)
class Quantized:
    """Codes [rows, K], scale codes [rows, blocks], values [rows, K] and the tensor scale."""

    codes: NDArray[np.uint32]
    scales: NDArray[np.uint32]
    values: NDArray[np.float32]
    tensor_scale: float


def quantize(x: NDArray[np.float32], fmt: BlockFormat) -> Quantized:
    """Quantise and dequantise [rows, K] block by block; for "tensor" blocks, [1, size]."""
    rows, length = x.shape
    block = fmt.block_length(length)
    factor = reference.tensor_scale(x.ravel().tolist(), fmt)
    codes, values = np.empty(x.shape, np.uint32), np.empty(x.shape, np.float32)
    scales = np.empty((rows, fmt.blocks_per_row(length)), np.uint32)
    for row, b in np.ndindex(scales.shape):
        part = slice(b * block, (b + 1) * block)
        scales[row, b], codes[row, part] = reference.quantize_block(x[row, part].tolist(), fmt, factor)
        values[row, part] = reference.dequantize_block(int(scales[row, b]), codes[row, part].tolist(), fmt, factor)
    return Quantized(codes, scales, values, factor)


def assert_same_floats(actual: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    """Equal bit for bit, the sign of zeros included; any NaN equals any other."""
    assert actual.dtype == expected.dtype == np.float32
    nan = np.isnan(expected)
    np.testing.assert_array_equal(np.isnan(actual), nan)
    np.testing.assert_array_equal(actual.view(np.uint32)[~nan], expected.view(np.uint32)[~nan])
