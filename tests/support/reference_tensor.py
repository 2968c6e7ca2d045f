"""The reference codec, which knows one block, driven over whole [rows, K] arrays, and how to compare two codecs."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import BlockFormat, DoubleScale, reference
from densimeter.formats.rounding import noise

NO_FACTORS: NDArray[np.float32] = np.empty(0, np.float32)


@dataclass(frozen=True)
class Quantized:
    """Codes [rows, K], scale codes [groups of rows, blocks] and values [rows, K] of an array.

    Second levels: the tensor scale; of a double scale the factor of every run of scales, and the mean.
    """

    codes: NDArray[np.uint32]
    scales: NDArray[np.uint64]
    values: NDArray[np.float32]
    tensor_scale: float
    factors: NDArray[np.float32] = field(default_factory=NO_FACTORS.copy)
    mean: float = 0.0


def quantize(x: NDArray[np.float32], fmt: BlockFormat, seed: int = 0) -> Quantized:
    """Quantise and dequantise [rows, K] block by block; for "tensor" blocks, [1, size].

    The rows of a tile run along the rows of the array. Value number ``row * K + column`` takes the noise of that index.
    """
    first, factor = fmt.first_level, reference.tensor_scale(x.ravel().tolist(), fmt)
    codes, values = np.empty(x.shape, np.uint32), np.empty(x.shape, np.float32)
    scales = np.empty((-(-len(x) // fmt.block_rows), fmt.blocks_per_row(x.shape[1])), np.uint64)
    chances = _noise(x.shape, seed) if fmt.rounding == "stochastic" else np.zeros(x.shape, np.int64)
    tiles = {index: _tile(index, x.shape, fmt) for index in np.ndindex(scales.shape)}
    for index, tile in tiles.items():
        block, drawn = x[tile].ravel().tolist(), chances[tile].ravel().tolist()
        scales[index], written = reference.quantize_block(block, first, factor, drawn)
        codes[tile] = np.reshape(written, x[tile].shape)
    stored, factors, mean = _compress(scales, fmt)
    read = _restore(stored, factors, mean, fmt)
    for index, tile in tiles.items():
        restored = reference.dequantize_block(int(read[index]), codes[tile].ravel().tolist(), first, factor)
        values[tile] = np.reshape(restored, x[tile].shape)
    return Quantized(codes, stored, values, factor, factors, mean)


def _noise(shape: tuple[int, ...], seed: int) -> NDArray[np.int64]:
    return np.array([noise(seed, i) for i in range(int(np.prod(shape)))], np.int64).reshape(shape)


def _tile(index: tuple[int, ...], shape: tuple[int, ...], fmt: BlockFormat) -> tuple[slice, slice]:
    row, column = index[0] * fmt.block_rows, index[1] * fmt.block_length(shape[1])
    return slice(row, row + fmt.block_rows), slice(column, column + fmt.block_length(shape[1]))


def _compress(scales: NDArray[np.uint64], fmt: BlockFormat) -> tuple[NDArray[np.uint64], NDArray[np.float32], float]:
    """Scale codes as stored; those of a double scale are float32 numbers up to here."""
    if not isinstance(fmt.scale, DoubleScale):
        return scales, NO_FACTORS, 0.0
    numbers = scales.astype(np.uint32).view(np.float32).ravel().tolist()
    stored = reference.compress_scales(numbers, fmt.scale)
    codes = np.array(stored.codes, np.uint64).reshape(scales.shape)
    return codes, np.array(stored.factors, np.float32), stored.mean


def _restore(stored: NDArray[np.uint64], factors: NDArray[np.float32], mean: float, fmt: BlockFormat) -> NDArray[Any]:
    """Scale codes as the first level reads them."""
    if not isinstance(fmt.scale, DoubleScale):
        return stored
    kept = reference.DoubleScales(stored.ravel().tolist(), factors.tolist(), mean)
    numbers = reference.restore_scales(kept, fmt.scale)
    return np.array(numbers, np.float32).view(np.uint32).reshape(stored.shape)


def assert_same_floats(actual: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    """Equal bit for bit, the sign of zeros included; any NaN equals any other."""
    assert actual.dtype == expected.dtype == np.float32
    nan = np.isnan(expected)
    np.testing.assert_array_equal(np.isnan(actual), nan)
    np.testing.assert_array_equal(actual.view(np.uint32)[~nan], expected.view(np.uint32)[~nan])
