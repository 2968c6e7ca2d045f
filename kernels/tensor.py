"""QuantizedTensor: codes and scales of one array, with the way back to numbers and to packed bytes."""

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densimeter.formats.block import BlockFormat
from densimeter.formats.errors import FormatError
from densimeter.formats.packing import layout
from densimeter.kernels.codec import code_dtype, dequantize_rows, quantize_rows, tensor_scale
from densimeter.kernels.packing import pack_bits, unpack_bits

T = TypeVar("T", bound=np.generic)


@dataclass(frozen=True, eq=False)
class QuantizedTensor:
    """An array quantised along one axis.

    codes: unsigned integers (uint8, uint16 or uint32), the shape of the array.
    scales: unsigned scale codes; the shape of the array with `axis` replaced by the number of blocks ("tensor":
    shape ()).
    tensor_scale: the float32 factor of the whole tensor (NVFP4), else 1.
    """

    format: BlockFormat
    shape: tuple[int, ...]
    axis: int
    codes: NDArray[np.unsignedinteger]
    scales: NDArray[np.unsignedinteger]
    tensor_scale: float = 1.0

    def dequantize(self, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """The float32 array: each value is the exact product of element and scales, rounded once to nearest even.

        `out`, if given, is a float32 array of the tensor's shape; it is filled and returned.
        """
        if out is not None and (out.shape != self.shape or out.dtype != np.float32):
            raise FormatError(f"out is {out.dtype} {out.shape}, expected float32 {self.shape}")
        rows = self.code_rows()
        contiguous = out is not None and out.flags.c_contiguous and self.axis == len(self.shape) - 1
        values = out.reshape(rows.shape) if out is not None and contiguous else np.empty(rows.shape, np.float32)
        if values.size:
            block = self.format.block_length(rows.shape[1])
            dequantize_rows(rows, self.scale_rows(), self.format, block, self.tensor_scale, values)
        if out is not None and contiguous:
            return out
        restored = _from_rows(values, self.shape, self.axis, self.format)
        if out is None:
            return restored
        out[...] = restored
        return out

    def code_rows(self) -> NDArray[np.unsignedinteger]:
        """Codes as a C-contiguous [rows, K] array, blocks along K ("tensor" blocks: one row)."""
        return _to_rows(self.codes, self.axis, self.format)

    def scale_rows(self) -> NDArray[np.unsignedinteger]:
        """Scale codes as a C-contiguous [rows, blocks] array."""
        if self.format.block == "tensor":
            return self.scales.reshape(1, 1)
        return _to_rows(self.scales, self.axis, self.format)

    @property
    def nbytes(self) -> int:
        """Bytes of the packed form: elements, padding and every scale."""
        return layout(self.format, *_rows_shape(self.shape, self.axis, self.format)).total_bytes

    def pack(self) -> bytes:
        """The bytes that memory would hold; `formats.packing` describes the layout."""
        rows = self.code_rows()
        padding = self.format.padded_length(rows.shape[1]) - rows.shape[1]
        packed = pack_bits(np.pad(rows, ((0, 0), (0, padding))).ravel(), self.format.element.bits)
        if self.format.scale is not None:
            packed += pack_bits(self.scale_rows().ravel(), self.format.scale.bits)
        return packed + (struct.pack("<f", self.tensor_scale) if self.format.has_tensor_scale else b"")


def quantize(x: ArrayLike, fmt: BlockFormat, axis: int = -1) -> QuantizedTensor:
    """Quantise an array along `axis`, equal to `formats.reference` bit for bit.

    x: any real floating or integer array, converted to float32 first (float64 rounds to nearest even); any memory
    order.
    A NaN or an Inf makes its block NaN where the scale has a NaN code (MX, NVFP4, absmax integers); elements with
    codes for them (float32, bfloat16, float16) keep them; elsewhere Inf saturates and a NaN raises FormatError.
    """
    array = np.asarray(x)
    if array.dtype.kind not in "fiu":
        raise FormatError(f"cannot quantise an array of {array.dtype}; expected real numbers")
    if array.ndim == 0:
        raise FormatError("cannot quantise a scalar; expected an array with at least one axis")
    axis = _checked_axis(axis, array.shape)
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes Inf, whose meaning is defined above
        rows = _to_rows(array.astype(np.float32, copy=False), axis, fmt)
    factor = tensor_scale(rows, fmt)
    codes, scales, refused = quantize_rows(rows, fmt, fmt.block_length(rows.shape[1]), factor)
    if refused:
        raise FormatError(
            f"{refused} NaN in the input, and {fmt.name} has no code for NaN; replace them before quantising"
        )
    return _assemble(codes, scales, fmt, array.shape, axis, factor)


def unpack(raw: bytes, fmt: BlockFormat, shape: Sequence[int], axis: int = -1) -> QuantizedTensor:
    """Read back what `QuantizedTensor.pack` wrote; FormatError where the bytes are not as many as the shape needs."""
    shape = tuple(shape)
    if not shape or min(shape) < 0:
        raise FormatError(f"shape is {shape}, expected at least one axis and no negative length")
    axis = _checked_axis(axis, shape)
    rows, length = _rows_shape(shape, axis, fmt)
    sizes = layout(fmt, rows, length)
    if len(raw) != sizes.total_bytes:
        raise FormatError(f"{len(raw)} bytes given, expected {sizes.total_bytes} for {fmt.name} of shape {shape}")
    blocks, padded = fmt.blocks_per_row(length), fmt.padded_length(length)
    codes = unpack_bits(raw, fmt.element.bits, rows * padded, code_dtype(fmt.element.bits)).reshape(rows, padded)
    scale_bits = fmt.scale.bits if fmt.scale is not None else 8
    scales = np.zeros((rows, blocks), code_dtype(scale_bits))
    if fmt.scale is not None:
        plane = raw[sizes.element_bytes : sizes.element_bytes + sizes.scale_bytes]
        scales = unpack_bits(plane, scale_bits, scales.size, scales.dtype).reshape(scales.shape)
    factor = struct.unpack("<f", raw[-4:])[0] if fmt.has_tensor_scale else 1.0
    return _assemble(np.ascontiguousarray(codes[:, :length]), scales, fmt, shape, axis, factor)


def _checked_axis(axis: int, shape: tuple[int, ...]) -> int:
    """The axis counted from the front."""
    if not -len(shape) <= axis < len(shape):
        raise FormatError(f"axis is {axis}, expected {-len(shape)} to {len(shape) - 1} for an array of shape {shape}")
    return axis % len(shape)


def _assemble(
    codes: NDArray[np.unsignedinteger],
    scales: NDArray[np.unsignedinteger],
    fmt: BlockFormat,
    shape: tuple[int, ...],
    axis: int,
    factor: float,
) -> QuantizedTensor:
    scales_shape = () if fmt.block == "tensor" else (*shape[:axis], scales.shape[1], *shape[axis + 1 :])
    return QuantizedTensor(
        fmt,
        shape,
        axis,
        _from_rows(codes, shape, axis, fmt),
        _from_rows(scales, scales_shape, axis, fmt),
        factor,
    )


def _rows_shape(shape: tuple[int, ...], axis: int, fmt: BlockFormat) -> tuple[int, int]:
    if fmt.block == "tensor":
        return 1, math.prod(shape)
    return math.prod(shape[:axis]) * math.prod(shape[axis + 1 :]), shape[axis]


def _to_rows(array: NDArray[T], axis: int, fmt: BlockFormat) -> NDArray[T]:
    """The array as C-contiguous [rows, K], its blocked axis last."""
    if fmt.block == "tensor":
        return np.ascontiguousarray(array).reshape(1, -1)
    moved = np.moveaxis(array, axis, -1)
    return np.ascontiguousarray(moved).reshape(int(np.prod(moved.shape[:-1])), moved.shape[-1])


def _from_rows(rows: NDArray[T], shape: tuple[int, ...], axis: int, fmt: BlockFormat) -> NDArray[T]:
    """Undo `_to_rows` for an array of this shape."""
    if fmt.block == "tensor":
        return rows.reshape(shape)
    moved = (*shape[:axis], *shape[axis + 1 :], shape[axis])
    return np.moveaxis(rows.reshape(moved), -1, axis)
