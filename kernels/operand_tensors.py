"""Operands of a matrix product as they are given: checked, quantised where they are arrays, and what of their scales
stands outside a unit."""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densimeter.formats.block import BlockFormat
from densimeter.formats.element import FLOAT32, IntElement
from densimeter.formats.errors import FormatError
from densimeter.formats.grid import grid
from densimeter.formats.scale import FloatScale, PowerOfTwoScale
from densimeter.kernels.codec import dequantize_rows
from densimeter.kernels.tensor import QuantizedTensor, quantize


def checked_operands(
    a: ArrayLike | QuantizedTensor, w: ArrayLike | QuantizedTensor, activation: BlockFormat, weight: BlockFormat
) -> tuple[QuantizedTensor, QuantizedTensor]:
    """[M, K] and [N, K] in their formats; arrays are quantised along K, FormatError where anything does not match."""
    left, right = _quantized(a, activation, "a"), _quantized(w, weight, "w")
    if left.shape[1] != right.shape[1]:
        raise FormatError(f"a is {left.shape} and w is {right.shape}; expected [M, K] and [N, K] with the same K")
    return left, right


def _quantized(x: ArrayLike | QuantizedTensor, fmt: BlockFormat, name: str) -> QuantizedTensor:
    tensor = x if isinstance(x, QuantizedTensor) else quantize(np.asarray(x), fmt)
    if len(tensor.shape) != 2 or tensor.axis != 1:
        raise FormatError(
            f"{name} has shape {tensor.shape}, quantised along axis {tensor.axis}; expected [rows, K] along K"
        )
    if tensor.format != fmt:
        raise FormatError(f"{name} is quantised as {tensor.format.name}, expected {fmt.name}")
    return tensor


def scales_of_rows(tensor: QuantizedTensor) -> NDArray[np.unsignedinteger]:
    """Scale codes [rows, blocks], of one row at least: the rows of a tile each get its scale."""
    return tensor.scale_rows().repeat(tensor.format.block_rows, axis=0)[: max(tensor.shape[0], 1)]


def has_outer_scale(fmt: BlockFormat) -> bool:
    """Whether a scale per row or tensor, or a second level, stands outside the unit."""
    return fmt.has_tensor_scale or (fmt.scale is not None and not fmt.has_unit_scale)


def outer_scale(tensor: QuantizedTensor) -> NDArray[np.float32]:
    """The float32 factor of every row: its row, tensor or second-level scale, or 1."""
    fmt, rows = tensor.format, tensor.shape[0]
    if fmt.has_tensor_scale:
        return np.full(rows, tensor.tensor_scale, np.float32)
    if fmt.has_unit_scale or fmt.scale is None:
        return np.ones(rows, np.float32)
    codes = tensor.scale_rows().reshape(-1, 1)
    if isinstance(fmt.scale, PowerOfTwoScale):
        ones = replace(fmt, element=IntElement(2), block=1, specials=None)
        values = np.empty(codes.shape, np.float32)
        dequantize_rows(np.ones_like(codes), codes, ones, grid(ones, codes.shape, 1), 1.0, values)
    else:
        assert isinstance(fmt.scale, FloatScale)
        values = _bare_values(codes, BlockFormat("scale", fmt.scale.element))
    return np.full(rows, values[:, 0], np.float32)


def element_values(tensor: QuantizedTensor) -> NDArray[np.float32]:
    """Element values [rows, K] without any scale."""
    codes = tensor.code_rows().reshape(tensor.shape)
    if tensor.format.element == FLOAT32:
        return codes.astype(np.uint32, copy=False).view(np.float32)
    return _bare_values(codes, BlockFormat(tensor.format.name, tensor.format.element))


def _bare_values(codes: NDArray[np.unsignedinteger], fmt: BlockFormat) -> NDArray[np.float32]:
    """Values of [rows, K] codes of a format without a scale."""
    values = np.empty(codes.shape, np.float32)
    dequantize_rows(codes, np.zeros(codes.shape, np.uint8), fmt, grid(fmt, codes.shape, 1), 1.0, values)
    return values
