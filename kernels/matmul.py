"""The bit-exact matrix product: what an accelerator of one kind of multiply-accumulate unit would return."""

from functools import lru_cache

import numpy as np
from numba import njit, prange
from numpy.typing import ArrayLike, NDArray

from densimeter.formats.accumulator import Accumulator, Fp32Accumulator
from densimeter.formats.block import BlockFormat
from densimeter.formats.datapath import Datapath, default_lanes, derive
from densimeter.kernels.accumulator import parameters
from densimeter.kernels.dot import matmul_groups
from densimeter.kernels.gemm import multiply, multiply_floats
from densimeter.kernels.operand_tensors import checked_operands, element_values, outer_scale, scales_of_rows
from densimeter.kernels.operands import Operand, codes_with_shifts, scale_table, unpack_operand
from densimeter.kernels.plan import Coded, plan, slow_rows
from densimeter.kernels.tensor import QuantizedTensor

LARGEST_SINGLE_SUM_BITS = 62
"""Group sums up to this width fit one int64."""


_derive = lru_cache(maxsize=64)(derive)  # a unit's widths take longer than a small product


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
    (default: one block, or one product where neither format has blocks) are summed exactly and go to the accumulator in
    ascending k. Scales per row or tensor stay outside the unit: the accumulated value, rounded to float32, is
    multiplied by the float32 product of both. Returns float32 [M, N]; every NaN is the canonical one.
    """
    left, right = checked_operands(a, w, activation, weight)
    lanes = default_lanes(activation, weight) if lanes is None else lanes
    datapath = _derive(activation, weight, lanes, accumulator)
    out = np.zeros((left.shape[0], right.shape[0]), np.float32)
    if out.size and left.shape[1]:
        if datapath.float_mac:
            multiply_floats(element_values(left), element_values(right), not _keeps_subnormals(datapath), out)
        else:
            _accumulate(left, right, datapath, out)
        _finish(out, outer_scale(left), outer_scale(right))
    return out


def _accumulate(left: QuantizedTensor, right: QuantizedTensor, datapath: Datapath, out: NDArray[np.float32]) -> None:
    """Fill `out` with the accumulated values: tile by tile where a plan is, its slow rows and all else one by one."""
    a, w = coded(left, datapath.lanes), coded(right, datapath.lanes)
    how = plan(a, w, datapath)
    if how is None:
        _accumulate_one_by_one(left, right, datapath, slice(None), slice(None), out)
        return
    multiply(a, w, how, datapath, out)
    rows, columns = map(np.flatnonzero, slow_rows(a, w, datapath, how))
    if rows.size:
        _accumulate_one_by_one(left, right, datapath, rows, slice(None), out)
    if columns.size:
        _accumulate_one_by_one(left, right, datapath, slice(None), columns, out)


Selection = NDArray[np.intp] | slice


def _accumulate_one_by_one(
    left: QuantizedTensor,
    right: QuantizedTensor,
    datapath: Datapath,
    rows: Selection,
    columns: Selection,
    out: NDArray[np.float32],
) -> None:
    a, w = _operand(left, datapath, rows), _operand(right, datapath, columns)
    wide = datapath.sum_bits > LARGEST_SINGLE_SUM_BITS
    part = np.empty((len(a.values), len(w.values)), np.float32)
    matmul_groups(a, w, datapath.lanes, wide, datapath.product_lsb_exponent, parameters(datapath), part)
    out[rows, columns] = part


@njit(parallel=True, nogil=True, cache=True)
def _finish(out, row_scales, column_scales):  # type: ignore[no-untyped-def]
    """Scales outside the unit, rounded to float32 twice, and one NaN for all."""
    for i in prange(out.shape[0]):
        for j in range(out.shape[1]):
            value = out[i, j] * (row_scales[i] * column_scales[j])
            out[i, j] = value if value == value else np.float32(np.nan)


def coded(tensor: QuantizedTensor, lanes: int) -> Coded:
    fmt, scales = tensor.format, tensor.scale_rows()
    codes = codes_with_shifts(tensor.code_rows().reshape(tensor.shape), scales, fmt, lanes)
    return Coded(fmt, codes, scale_table(scales, fmt))


def _operand(tensor: QuantizedTensor, datapath: Datapath, rows: Selection) -> Operand:
    """Codes of some rows with a scale a row and block: the rows of a tile each get its scale."""
    scales = scales_of_rows(tensor)
    codes = tensor.code_rows().reshape(tensor.shape)[rows]
    return unpack_operand(codes, scales[rows] if len(scales) > 1 else scales, tensor.format, datapath)


def _keeps_subnormals(datapath: Datapath) -> bool:
    return isinstance(datapath.accumulator, Fp32Accumulator) and datapath.accumulator.subnormals
