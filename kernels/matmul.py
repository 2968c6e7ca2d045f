"""The bit-exact matrix product: what an accelerator of one kind of multiply-accumulate unit would return."""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densimeter.formats.accumulator import Accumulator, Fp32Accumulator, IntAccumulator
from densimeter.formats.block import BlockFormat
from densimeter.formats.datapath import Datapath, default_lanes, derive
from densimeter.formats.element import IntElement
from densimeter.formats.errors import FormatError
from densimeter.formats.grid import grid
from densimeter.formats.scale import FloatScale, PowerOfTwoScale
from densimeter.kernels.accumulator import parameters
from densimeter.kernels.codec import dequantize_rows
from densimeter.kernels.dot import matmul_float_mac, matmul_groups
from densimeter.kernels.gemm import multiply, multiply_floats, plan
from densimeter.kernels.operands import Operand, unpack_operand
from densimeter.kernels.tensor import QuantizedTensor, quantize

_WRAPPING_GROUP = 64
_CANONICAL_NAN = np.float32(np.nan)
LARGEST_SINGLE_SUM_BITS = 62
"""Group sums up to this width fit one int64."""


def matmul(
    a: ArrayLike | QuantizedTensor,
    w: ArrayLike | QuantizedTensor,
    *,
    activation: BlockFormat,
    weight: BlockFormat,
    accumulator: Accumulator | str = "fp32",
    lanes: int | None = None,
) -> NDArray[np.float32]:
    """``a[M, K] @ w[N, K].T`` in the given formats, bit for bit as the unit that `derive` describes.

    Arrays are quantised along K first; QuantizedTensors must have the format named. Groups of `lanes` products
    (default: one
    block, or one product where neither format has blocks) are summed exactly and go to the accumulator in ascending
    k. Scales
    per row or tensor stay outside the unit: the accumulated value, rounded to float32, is multiplied by the float32
    product of both. Returns float32 [M, N]; every NaN is the canonical one.
    """
    left, right = _quantized(a, activation, "a"), _quantized(w, weight, "w")
    if left.shape[1] != right.shape[1]:
        raise FormatError(f"a is {left.shape} and w is {right.shape}; expected [M, K] and [N, K] with the same K")
    datapath = _longest_groups(
        derive(activation, weight, default_lanes(activation, weight) if lanes is None else lanes, accumulator)
    )
    out = np.zeros((left.shape[0], right.shape[0]), np.float32)
    if datapath.float_mac and _keeps_subnormals(datapath):
        out[...] = multiply_floats(element_values(left), element_values(right))
    elif datapath.float_mac:
        matmul_float_mac(element_values(left), np.ascontiguousarray(element_values(right).T), out)
    else:
        _accumulate(_operand(left, datapath), _operand(right, datapath), datapath, out)
    if any(_has_outer_scale(fmt) for fmt in datapath.operands):
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            out *= _outer_scale(left)[:, None] * _outer_scale(right)[None, :]
    out[np.isnan(out)] = _CANONICAL_NAN
    return out


def _accumulate(a: Operand, w: Operand, datapath: Datapath, out: NDArray[np.float32]) -> None:
    """Fill `out` with the accumulated values: by floating-point units where these are exact, else group by group."""
    how = plan(a, w, datapath)
    if how is None:
        wide = datapath.sum_bits > LARGEST_SINGLE_SUM_BITS
        matmul_groups(a, w, datapath.lanes, wide, datapath.product_lsb_exponent, parameters(datapath), out)
        return
    registers = multiply(a, w, how, datapath)
    if isinstance(datapath.accumulator, IntAccumulator):
        unused = 64 - datapath.accumulator.bits
        registers = ((registers.astype(np.int64) << unused) >> unused).astype(np.float64)  # wraps
    if not isinstance(datapath.accumulator, Fp32Accumulator):
        registers = np.ldexp(registers, how.lsb_exponent)
    out[...] = registers


def _longest_groups(datapath: Datapath) -> Datapath:
    """Where the register wraps, addition is associative and groups may be as long as is fastest.

    Elements without a zero are left alone: the code that fills a last group is worth something.
    """
    wraps = isinstance(datapath.accumulator, IntAccumulator) and datapath.accumulator.overflow == "wrap"
    padding = [fmt.element.decode(fmt.element.padding_code) for fmt in datapath.operands]
    if datapath.windowed or any(number.significand for number in padding):
        return datapath
    longer = replace(datapath, lanes=_WRAPPING_GROUP)
    return longer if wraps and longer.sum_bits <= LARGEST_SINGLE_SUM_BITS else datapath


def element_values(tensor: QuantizedTensor) -> NDArray[np.float32]:
    """Element values [rows, K] without any scale."""
    codes = tensor.code_rows().reshape(tensor.shape)
    return _bare_values(codes, BlockFormat(tensor.format.name, tensor.format.element))


def _bare_values(codes: NDArray[np.unsignedinteger], fmt: BlockFormat) -> NDArray[np.float32]:
    """Values of [rows, K] codes of a format without a scale."""
    values = np.empty(codes.shape, np.float32)
    dequantize_rows(codes, np.zeros(codes.shape, np.uint8), fmt, grid(fmt, codes.shape, 1), 1.0, values)
    return values


def _quantized(x: ArrayLike | QuantizedTensor, fmt: BlockFormat, name: str) -> QuantizedTensor:
    tensor = x if isinstance(x, QuantizedTensor) else quantize(np.asarray(x), fmt)
    if len(tensor.shape) != 2 or tensor.axis != 1:
        raise FormatError(
            f"{name} has shape {tensor.shape}, quantised along axis {tensor.axis}; expected [rows, K] along K"
        )
    if tensor.format != fmt:
        raise FormatError(f"{name} is quantised as {tensor.format.name}, expected {fmt.name}")
    return tensor


def _operand(tensor: QuantizedTensor, datapath: Datapath) -> Operand:
    """Codes with a scale a row and block: the rows of a tile each get its scale."""
    scales = tensor.scale_rows().repeat(tensor.format.block_rows, axis=0)[: max(tensor.shape[0], 1)]
    return unpack_operand(tensor.code_rows().reshape(tensor.shape), scales, tensor.format, datapath)


def _keeps_subnormals(datapath: Datapath) -> bool:
    return isinstance(datapath.accumulator, Fp32Accumulator) and datapath.accumulator.subnormals


def _has_outer_scale(fmt: BlockFormat) -> bool:
    return fmt.has_tensor_scale or (fmt.scale is not None and not fmt.has_unit_scale)


def _outer_scale(tensor: QuantizedTensor) -> NDArray[np.float32]:
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
    return np.broadcast_to(values[:, 0], (rows,))
