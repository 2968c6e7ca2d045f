"""QuantizedTensor: codes and scales of one array, with the way back to numbers and to packed bytes."""

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densimeter.formats.block import BlockFormat
from densimeter.formats.errors import FormatError
from densimeter.formats.grid import Grid, checked_axis, grid, scales_shape
from densimeter.formats.packing import layout
from densimeter.formats.scale import DoubleScale
from densimeter.kernels.codec import dequantize_rows, quantize_rows, round_rows, tensor_scale
from densimeter.kernels.double_scale import DoubleScales, compress, restore
from densimeter.kernels.packing import pack_bits, pack_ggml, unpack_bits, unpack_ggml
from densimeter.kernels.parameters import code_dtype

T = TypeVar("T", bound=np.generic)

_REAL_KINDS = "fiu"
_NO_FACTORS = np.empty(0, np.float32)


@dataclass(frozen=True, eq=False)
class QuantizedTensor:
    """An array quantised along one axis.

    codes: unsigned integers (uint8, uint16 or uint32), the shape of the array.
    scales: unsigned scale codes (up to uint64), all that a block shares; the shape of the array with `axis` replaced
    by the number of blocks, for tiles also the axis before it by the number of tiles ("tensor": shape ()).
    tensor_scale: the float32 factor of the whole tensor (NVFP4), else 1.
    scale_factors, scale_mean: second level of a double scale: float32 [runs of scales], and the mean; else empty and 0.
    """

    format: BlockFormat
    shape: tuple[int, ...]
    axis: int
    codes: NDArray[np.unsignedinteger]
    scales: NDArray[np.unsignedinteger]
    tensor_scale: float = 1.0
    scale_factors: NDArray[np.float32] = field(default_factory=_NO_FACTORS.copy)
    scale_mean: float = 0.0

    def dequantize(self, out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """The float32 array: each value is the exact product of element and scales, rounded once to nearest even.

        (An affine minimum is added to that, in float32.) `out`, if given, is a float32 array of the tensor's shape;
        it is filled and returned.
        """
        if out is not None and (out.shape != self.shape or out.dtype != np.float32):
            raise FormatError(f"out is {out.dtype} {out.shape}, expected float32 {self.shape}")
        rows = self.code_rows()
        contiguous = out is not None and out.flags.c_contiguous and self.axis == len(self.shape) - 1
        values = out.reshape(rows.shape) if out is not None and contiguous else np.empty(rows.shape, np.float32)
        if values.size:
            scales = self.first_level_scales()
            dequantize_rows(rows, scales, self.format.first_level, self.grid, self.tensor_scale, values)
        if out is not None and contiguous:
            return out
        restored = _from_rows(values, self.shape, self.axis, self.format)
        if out is None:
            return restored
        out[...] = restored
        return out

    @property
    def grid(self) -> Grid:
        """How the format's blocks lie over this tensor."""
        return grid(self.format, self.shape, self.axis)

    def code_rows(self) -> NDArray[np.unsignedinteger]:
        """Codes as a C-contiguous [rows, K] array, blocks along K ("tensor" blocks: one row)."""
        return _to_rows(self.codes, self.axis, self.format)

    def scale_rows(self) -> NDArray[np.unsignedinteger]:
        """Scale codes as a C-contiguous [groups of rows, blocks] array; a group is a row, for tiles several."""
        if self.format.block == "tensor":
            return self.scales.reshape(1, 1)
        return _to_rows(self.scales, self.axis, self.format)

    def first_level_scales(self) -> NDArray[np.unsignedinteger]:
        """`scale_rows` in the terms of `format.first_level`: of a double scale, the restored float32 bit patterns."""
        scales = self.scale_rows()
        if not isinstance(self.format.scale, DoubleScale):
            return scales
        stored = DoubleScales(scales.ravel(), self.scale_factors, self.scale_mean)
        return restore(stored, self.format.scale).view(np.uint32).reshape(scales.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the packed form: elements, padding and every scale."""
        return layout(self.format, self.grid).total_bytes

    def pack(self) -> bytes:
        """The bytes that memory would hold; `formats.packing` describes the layout."""
        return self.pack_into(np.empty(self.nbytes, np.uint8)).tobytes()

    def pack_into(self, out: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Write the bytes of `pack` into an array of `nbytes` bytes, and return it."""
        if out.shape != (self.nbytes,) or out.dtype != np.uint8 or not out.flags.c_contiguous:
            raise FormatError(f"out is {out.dtype} {out.shape}, expected contiguous uint8 {(self.nbytes,)}")
        fmt, sizes = self.format, layout(self.format, self.grid)
        codes = self.code_rows().reshape(self.grid.shape)
        if self.grid.padded_shape != codes.shape:
            padding = [(0, whole - given) for whole, given in zip(self.grid.padded_shape, codes.shape, strict=True)]
            codes = np.pad(codes, padding, constant_values=fmt.element.padding_code)
        if fmt.layout == "ggml":
            assert fmt.scale is not None
            blocks = codes.reshape(-1, self.grid.block_length)
            pack_ggml(blocks, self.scale_rows().ravel(), fmt.element.bits, fmt.scale.code_bits, out)
            return out
        pack_bits(codes.reshape(-1), fmt.element.bits, out[: sizes.element_bytes])
        after = sizes.element_bytes + sizes.scale_bytes
        if fmt.scale is not None:
            pack_bits(self.scale_rows().ravel(), fmt.scale.code_bits, out[sizes.element_bytes : after])
        out[after:] = self._float32s().astype("<f4").view(np.uint8)
        return out

    def _repr_html_(self) -> str:
        """What a notebook shows: shape, bytes, errors, and how often each value of the element occurs."""
        from densimeter.kernels.tensor_card import tensor_card

        return tensor_card(self)

    def _float32s(self) -> NDArray[np.float32]:
        """The float32 numbers beside the scale codes, in the order of the packed layout."""
        if isinstance(self.format.scale, DoubleScale):
            mean = [self.scale_mean] if self.format.scale.centred else []
            return np.append(self.scale_factors, np.array(mean, np.float32))
        return np.array([self.tensor_scale] if self.format.has_tensor_scale else [], np.float32)


_ORIGINALS: weakref.WeakKeyDictionary[QuantizedTensor, weakref.ref[NDArray[Any]]] = weakref.WeakKeyDictionary()
"""What tensors were made of, for their displays; nothing is kept alive."""


def quantize(
    x: ArrayLike, fmt: BlockFormat, axis: int = -1, *, seed: int = 0, out: QuantizedTensor | None = None
) -> QuantizedTensor:
    """Quantise an array along `axis`, equal to `formats.reference` bit for bit.

    x: any real floating (also bfloat16 and the 8-bit types of ml_dtypes) or integer array, converted to float32 first
    (float64 rounds to nearest even); any memory order.
    seed: of stochastic rounding; value number i, counted row after row with the blocked axis last, takes
    ``noise(seed, i)`` whatever the number of threads.
    out: an earlier result of this format, shape and axis, whose arrays are written again and shared by the new one: a
    fresh output costs more in page faults than the arithmetic.
    NaN, Inf and overflow: `BlockFormat.specials` and `.overflow`. By default a NaN or an Inf makes its block NaN where
    the scale has a NaN code (MX, NVFP4, absmax integers); elements with codes for them (float32, bfloat16, float16,
    FP8) keep them; elsewhere Inf saturates and a NaN raises FormatError.
    """
    array = _checked(x)
    axis = checked_axis(axis, array.shape)
    codes_out, scales_out = _rows_of(out, fmt, array.shape, axis)
    rows = _float32_rows(array, axis, fmt)
    factor, over = tensor_scale(rows, fmt), grid(fmt, array.shape, axis)
    codes, scales, refused = quantize_rows(rows, fmt.first_level, over, factor, seed, codes_out, scales_out)
    _refuse(refused, fmt)
    if isinstance(fmt.scale, DoubleScale):
        stored = compress(scales.view(np.float32).ravel(), fmt.scale)
        parts = stored.codes.reshape(scales.shape), 1.0, stored.factors, stored.mean
    else:
        parts = scales, factor, _NO_FACTORS, 0.0
    made = _assemble(codes, parts, fmt, array.shape, axis)
    if isinstance(x, np.ndarray):
        _ORIGINALS[made] = weakref.ref(x)
    return made


def original(tensor: QuantizedTensor) -> NDArray[Any] | None:
    """The array that `quantize` made it of, as long as that is still there and still gives the same codes."""
    found = _ORIGINALS.get(tensor)
    x = None if found is None else found()
    if x is None:
        return None
    again = quantize(x, tensor.format, tensor.axis)
    same = np.array_equal(again.codes, tensor.codes) and np.array_equal(again.scales, tensor.scales)
    return x if same else None


def quantize_dequantize(
    x: ArrayLike, fmt: BlockFormat, axis: int = -1, *, seed: int = 0, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """``quantize(x, fmt, axis, seed=seed).dequantize(out)``, bit for bit, in one pass that keeps no codes.

    (Formats with a double scale, of which all first scales must be known, keep them.)
    """
    array = _checked(x)
    axis = checked_axis(axis, array.shape)
    if isinstance(fmt.scale, DoubleScale):
        return quantize(array, fmt, axis, seed=seed).dequantize(out)
    if out is not None and (out.shape != array.shape or out.dtype != np.float32):
        raise FormatError(f"out is {out.dtype} {out.shape}, expected float32 {array.shape}")
    rows = _float32_rows(array, axis, fmt)
    contiguous = out is not None and out.flags.c_contiguous and axis == array.ndim - 1
    values = out.reshape(rows.shape) if out is not None and contiguous else np.empty(rows.shape, np.float32)
    _refuse(round_rows(rows, fmt, grid(fmt, array.shape, axis), tensor_scale(rows, fmt), seed, values), fmt)
    if out is not None and contiguous:
        return out
    restored = _from_rows(values, array.shape, axis, fmt)
    if out is None:
        return restored
    out[...] = restored
    return out


def _checked(x: ArrayLike) -> NDArray[Any]:
    """An array of real numbers with an axis."""
    array = np.asarray(x)
    if array.dtype.kind not in _REAL_KINDS and not _is_small_float(array.dtype):
        raise FormatError(f"cannot quantise an array of {array.dtype}; expected real numbers")
    if array.ndim == 0:
        raise FormatError("cannot quantise a scalar; expected an array with at least one axis")
    return array


def _float32_rows(array: NDArray[Any], axis: int, fmt: BlockFormat) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):  # a float64 beyond float32 becomes Inf, whose meaning is defined
        return _to_rows(array.astype(np.float32, copy=False), axis, fmt)


def _refuse(refused: int, fmt: BlockFormat) -> None:
    if refused:
        raise FormatError(
            f"{refused} NaN in the input, and {fmt.name} has no code for NaN; replace them before quantising"
        )


def _rows_of(
    out: QuantizedTensor | None, fmt: BlockFormat, shape: tuple[int, ...], axis: int
) -> tuple[NDArray[np.unsignedinteger] | None, NDArray[np.unsignedinteger] | None]:
    """Codes and scales of `out` as rows to write into; None where they are no rows in memory, or kept otherwise."""
    if out is None:
        return None, None
    if (out.format, out.shape, out.axis) != (fmt, shape, axis):
        raise FormatError(
            f"out is {out.format.name} {out.shape} along axis {out.axis}, expected {fmt.name} {shape} along axis {axis}"
        )
    codes, scales = out.code_rows(), out.scale_rows()
    kept_otherwise = isinstance(fmt.scale, DoubleScale)
    return (
        codes if np.shares_memory(codes, out.codes) else None,
        scales if np.shares_memory(scales, out.scales) and not kept_otherwise else None,
    )


def unpack(
    raw: bytes | NDArray[np.uint8],
    fmt: BlockFormat,
    shape: Sequence[int],
    axis: int = -1,
    *,
    out: QuantizedTensor | None = None,
) -> QuantizedTensor:
    """Read back what `QuantizedTensor.pack` wrote; FormatError where the bytes are not as many as the shape needs.

    out: an earlier tensor of this format, shape and axis, whose arrays are written again, as in `quantize`.
    """
    shape = tuple(shape)
    if not shape or min(shape) < 0:
        raise FormatError(f"shape is {shape}, expected at least one axis and no negative length")
    axis = checked_axis(axis, shape)
    over = grid(fmt, shape, axis)
    sizes = layout(fmt, over)
    packed = raw if isinstance(raw, np.ndarray) else np.frombuffer(raw, np.uint8)
    if packed.size != sizes.total_bytes:
        raise FormatError(f"{packed.size} bytes given, expected {sizes.total_bytes} for {fmt.name} of shape {shape}")
    codes_out, scales_out = _rows_of(out, fmt, shape, axis)
    padded = over.padded_shape
    scale_bits = fmt.scale.code_bits if fmt.scale is not None else 8
    scales = np.zeros(over.scales_shape, code_dtype(scale_bits)) if scales_out is None else scales_out
    whole = codes_out is not None and padded == over.shape
    codes = codes_out if codes_out is not None and whole else np.empty(padded, code_dtype(fmt.element.bits))
    if fmt.layout == "ggml":
        unpack_ggml(packed, fmt.element.bits, scale_bits, codes.reshape(-1, over.block_length), scales.reshape(-1))
    else:
        unpack_bits(packed[: sizes.element_bytes], fmt.element.bits, codes.reshape(-1))
        if fmt.scale is not None:
            plane = packed[sizes.element_bytes : sizes.element_bytes + sizes.scale_bytes]
            unpack_bits(plane, scale_bits, scales.reshape(-1))
    floats = packed[packed.size - sizes.float32_bytes :].copy().view("<f4").astype(np.float32)
    factor, factors, mean = 1.0, _NO_FACTORS, 0.0
    if isinstance(fmt.scale, DoubleScale):
        factors, mean = (floats[:-1], float(floats[-1])) if fmt.scale.centred else (floats, 0.0)
    elif fmt.has_tensor_scale:
        factor = float(floats[0])
    kept = codes.reshape(padded)[:, : over.rows, : over.length].reshape(over.matrices * over.rows, over.length)
    if codes_out is not None and not np.shares_memory(kept, codes_out):
        codes_out[...] = kept
        kept = codes_out
    return _assemble(np.ascontiguousarray(kept), (scales, factor, factors, mean), fmt, shape, axis)


def _is_small_float(dtype: np.dtype[np.generic]) -> bool:
    """Whether this is one of ml_dtypes' types, which NumPy does not count among the real ones."""
    return dtype.kind == "V" and dtype.names is None and type(dtype).__module__ != "numpy.dtypes"


def _assemble(
    codes: NDArray[np.unsignedinteger],
    parts: tuple[NDArray[np.unsignedinteger], float, NDArray[np.float32], float],
    fmt: BlockFormat,
    shape: tuple[int, ...],
    axis: int,
) -> QuantizedTensor:
    """`parts`: scale codes [groups of rows, blocks], tensor scale, scale factors and mean."""
    scales, factor, factors, mean = parts
    codes = _from_rows(codes, shape, axis, fmt)
    scales = _from_rows(scales, scales_shape(fmt, shape, axis), axis, fmt)
    return QuantizedTensor(fmt, shape, axis, codes, scales, factor, factors, mean)


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
