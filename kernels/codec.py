"""The codec at speed, for arrays: quantise, dequantise, or both, equal to `formats.reference` bit for bit."""

from collections.abc import Iterator
from contextlib import contextmanager

import numba
import numpy as np
from numpy.typing import NDArray

from densimeter.formats.block import BlockFormat
from densimeter.formats.grid import Grid
from densimeter.formats.scale import FloatScale
from densimeter.kernels.announce import announce_compilation
from densimeter.kernels.loops import Geometry, dequantize_loop, largest_finite, quantize_loop
from densimeter.kernels.parameters import code_dtype, ladder, parameters, value_table
from densimeter.kernels.plain import quantize_plain
from densimeter.kernels.threads import FEWEST_VALUES

announce_compilation()


def tensor_scale(x: NDArray[np.float32], fmt: BlockFormat) -> float:
    """The float32 factor of a whole [rows, K] tensor: ``max|x| / (largest element * largest scale)``; 1 without one."""
    if not (isinstance(fmt.scale, FloatScale) and fmt.scale.tensor_scale):
        return 1.0
    largest = float(largest_finite(x).max(initial=0.0))
    with np.errstate(over="ignore"):
        factor = np.float32(largest / float(fmt.element.largest * fmt.scale.element.largest))
    return float(min(factor, np.finfo(np.float32).max))


def quantize_rows(
    x: NDArray[np.float32],
    fmt: BlockFormat,
    grid: Grid,
    tensor_factor: float = 1.0,
    seed: int = 0,
    codes: NDArray[np.unsignedinteger] | None = None,
    scales: NDArray[np.unsignedinteger] | None = None,
) -> tuple[NDArray[np.unsignedinteger], NDArray[np.unsignedinteger], int]:
    """Quantise a C-contiguous [rows, K] array under any scale but a double one.

    Returns codes [rows, K] and scale codes of `grid.scales_shape`, in the arrays given for them (of their `code_dtype`,
    C-contiguous) or in new ones, and how many NaN were refused.
    """
    geometry, scales_shape = _geometry(fmt, grid)
    codes = np.empty(x.shape, code_dtype(fmt.element.bits)) if codes is None else codes
    if scales is None or fmt.scale is None:
        scales = np.empty(scales_shape, code_dtype(_scale_bits(fmt)))
    refused = 0
    for part in quantize_plain(x, fmt, geometry, tensor_factor, _bytes(codes), _bytes(scales), to_values=False):
        rows, groups = part.rows, part.groups
        refused += _quantize(x[rows], fmt, part.geometry, tensor_factor, seed, codes[rows], scales[groups])
    if fmt.scale is None:
        scales = np.zeros(grid.scales_shape, np.uint8)
    return codes, scales, refused


def round_rows(
    x: NDArray[np.float32], fmt: BlockFormat, grid: Grid, tensor_factor: float, seed: int, out: NDArray[np.float32]
) -> int:
    """Write what [rows, K] becomes by `quantize_rows` and `dequantize_rows` into `out`; count refused NaN.

    Codes are kept of the rows at hand only, where the format allows.
    """
    geometry, (_, blocks) = _geometry(fmt, grid)
    scales = np.empty((1, blocks), code_dtype(_scale_bits(fmt)))
    refused = 0
    for part in quantize_plain(x, fmt, geometry, tensor_factor, out, _bytes(scales), to_values=True):
        rows = x[part.rows]
        codes = np.empty(rows.shape, code_dtype(fmt.element.bits))
        scales = np.empty((part.groups.stop - part.groups.start, blocks), code_dtype(_scale_bits(fmt)))
        refused += _quantize(rows, fmt, part.geometry, tensor_factor, seed, codes, scales)
        _dequantize(codes, scales, fmt, part.geometry, tensor_factor, out[part.rows])
    return refused


def _quantize(
    x: NDArray[np.float32],
    fmt: BlockFormat,
    geometry: Geometry,
    factor: float,
    seed: int,
    codes: NDArray[np.unsignedinteger],
    scales: NDArray[np.unsignedinteger],
) -> int:
    """Quantise value by value, with whatever specials there are; returns how many NaN were refused."""
    refused = np.zeros(len(scales), np.int64)
    noise_seed = np.uint64(seed & ((1 << 64) - 1))
    fields, steps = parameters(fmt), ladder(fmt)
    with _threads(x.size):
        quantize_loop(x, geometry, factor, noise_seed, *fields, steps, _bytes(codes), _bytes(scales), refused)
    return int(refused.sum())


def dequantize_rows(
    codes: NDArray[np.unsignedinteger],
    scales: NDArray[np.unsignedinteger],
    fmt: BlockFormat,
    grid: Grid,
    tensor_factor: float,
    out: NDArray[np.float32],
) -> None:
    """Dequantise [rows, K] codes into `out`, C-contiguous float32 of the same shape."""
    geometry, scales_shape = _geometry(fmt, grid)
    if fmt.scale is None:
        scales = np.zeros(scales_shape, np.uint8)
    narrow = scales.astype(code_dtype(_scale_bits(fmt)), order="C", copy=False)
    codes = codes.astype(code_dtype(fmt.element.bits), order="C", copy=False)
    _dequantize(codes, narrow, fmt, geometry, tensor_factor, out)


def _dequantize(
    codes: NDArray[np.unsignedinteger],
    scales: NDArray[np.unsignedinteger],
    fmt: BlockFormat,
    geometry: Geometry,
    factor: float,
    out: NDArray[np.float32],
) -> None:
    fields, table = parameters(fmt), value_table(fmt.element)
    with _threads(out.size):
        dequantize_loop(_bytes(codes), _bytes(scales), geometry, factor, *fields, table, out)


@contextmanager
def _threads(values: int) -> Iterator[None]:
    """One thread for few values: waking others would take longer than the work."""
    usual = numba.get_num_threads()
    numba.set_num_threads(usual if values >= FEWEST_VALUES else 1)
    try:
        yield
    finally:
        numba.set_num_threads(usual)


def _scale_bits(fmt: BlockFormat) -> int:
    return fmt.scale.code_bits if fmt.scale is not None else 8


def _bytes(codes: NDArray[np.unsignedinteger]) -> NDArray[np.uint8]:
    """The same memory as little-endian bytes: one compiled loop serves codes of every width."""
    return codes.view(np.uint8).reshape(len(codes), codes.shape[1] * codes.itemsize)


def _geometry(fmt: BlockFormat, grid: Grid) -> tuple[Geometry, tuple[int, int]]:
    """With the shape of the scales; a format without scales takes a whole row for one block."""
    rows, groups = max(grid.rows, 1), max(grid.row_groups, 1)
    if fmt.scale is None:
        return Geometry(rows, groups, 1, grid.length), (grid.scales_shape[0], 1)
    return Geometry(rows, groups, grid.block_rows, grid.block_length), grid.scales_shape
