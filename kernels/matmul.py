"""The bit-exact matrix product: what an accelerator of one kind of multiply-accumulate unit would return."""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densimeter.formats.accumulator import Accumulator, Fp32Accumulator, IntAccumulator
from densimeter.formats.block import BlockFormat
from densimeter.formats.datapath import Datapath, default_lanes, derive
from densimeter.formats.errors import FormatError
from densimeter.formats.scale import FloatScale
from densimeter.kernels.accumulator import parameters
from densimeter.kernels.codec import dequantize_rows
from densimeter.kernels.dot import matmul_float_mac, matmul_groups
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
    if datapath.float_mac:
        subnormals = _keeps_subnormals(datapath)
        matmul_float_mac(element_values(left), np.ascontiguousarray(element_values(right).T), subnormals, out)
    else:
        wide = datapath.sum_bits > LARGEST_SINGLE_SUM_BITS
        operands = _operand(left, datapath), _operand(right, datapath)
        lsb = datapath.product_lsb_exponent
        matmul_groups(*operands, datapath.lanes, wide, lsb, parameters(datapath), out)
    if any(_has_outer_scale(fmt) for fmt in datapath.operands):
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            out *= _outer_scale(left)[:, None] * _outer_scale(right)[None, :]
    out[np.isnan(out)] = _CANONICAL_NAN
    return out


def _longest_groups(datapath: Datapath) -> Datapath:
    """Where the register wraps, addition is associative and groups may be as long as is fastest.

    Logarithms are left alone: the code zero that fills a last group need not be worth zero.
    """
    wraps = (
        not datapath.windowed
        and isinstance(datapath.accumulator, IntAccumulator)
        and datapath.accumulator.overflow == "wrap"
    )
    longer = replace(datapath, lanes=_WRAPPING_GROUP)
    return longer if wraps and longer.sum_bits <= LARGEST_SINGLE_SUM_BITS else datapath


def element_values(tensor: QuantizedTensor) -> NDArray[np.float32]:
    """Element values [rows, K] without any scale."""
    codes = tensor.code_rows().reshape(tensor.shape)
    bare = BlockFormat(tensor.format.name, tensor.format.element)
    values = np.empty(codes.shape, np.float32)
    dequantize_rows(codes, np.zeros(codes.shape, np.uint8), bare, 1, 1.0, values)
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
    return unpack_operand(tensor.code_rows().reshape(tensor.shape), tensor.scale_rows(), tensor.format, datapath)


def _keeps_subnormals(datapath: Datapath) -> bool:
    return isinstance(datapath.accumulator, Fp32Accumulator) and datapath.accumulator.subnormals


def _has_outer_scale(fmt: BlockFormat) -> bool:
    return fmt.has_tensor_scale or (fmt.scale is not None and not fmt.has_unit_scale)


def _outer_scale(tensor: QuantizedTensor) -> NDArray[np.float32]:
    """The float32 factor of every row: its row, tensor or second-level scale, or 1."""
    fmt, rows = tensor.format, tensor.shape[0]
    if fmt.has_tensor_scale:
        return np.full(rows, tensor.tensor_scale, np.float32)
    if fmt.has_unit_scale or not isinstance(fmt.scale, FloatScale):
        return np.ones(rows, np.float32)
    codes = tensor.scale_rows().reshape(-1, 1)
    values = np.empty(codes.shape, np.float32)
    dequantize_rows(codes, np.zeros(codes.shape, np.uint8), BlockFormat("scale", fmt.scale.element), 1, 1.0, values)
    return np.broadcast_to(values[:, 0], (rows,))
