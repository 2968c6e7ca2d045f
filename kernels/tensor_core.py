"""The matrix product as GPU tensor cores compute it: bits are lost of every product, and the sum is truncated.

MMA-Sim (Xie, Wang, Yang, Yang, arXiv:2511.10909, and its reference code) found by experiment what NVIDIA's tensor cores
do with a group of products and the accumulator, and calls it T-FDPA:

    1. a product is the exact product of the significands (each in [1, 2), subnormals below 1), its exponent the sum of
       theirs; block scales add their exponents
    2. products and accumulator are aligned to the largest of all these exponents, and each is cut off toward zero
       after `fraction_bits` bits
    3. these are added exactly
    4. the sum is cut off toward zero to float32, or to `result_bits` bits after the leading one

The `aligned<W>` accumulator of `formats` is another: it adds up the products of a group exactly, aligns that sum and
the register by the codes of block scales alone (not by the largest number at hand), cuts off toward minus infinity,
and keeps W bits without normalising them. A tensor core loses bits of single products; `aligned` never does.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import ArrayLike, NDArray

from densimeter.formats.block import BlockFormat
from densimeter.formats.checks import check_integer
from densimeter.formats.datapath import part_width
from densimeter.formats.element import FloatElement
from densimeter.formats.errors import FormatError
from densimeter.formats.scale import PowerOfTwoScale
from densimeter.kernels.accumulator import FINITE
from densimeter.kernels.bits import floor_log2, power_of_two
from densimeter.kernels.operand_tensors import checked_operands, outer_scale, scales_of_rows
from densimeter.kernels.operands import LARGEST_TABLE_BITS, NAN_SCALE, element_table, scale_table
from densimeter.kernels.tensor import QuantizedTensor

_NOTHING = -(1 << 20)  # an exponent that no number has
_SMALLEST_EXPONENT = -126  # of a normal float32
_COLUMNS = 64  # at once


@dataclass(frozen=True)
class TensorCore:
    """A tensor core's sum. group: products added at once. fraction_bits: kept of each after alignment. result_bits:
    kept of a sum after its leading one."""

    group: int
    fraction_bits: int
    result_bits: int = 23

    def __post_init__(self) -> None:
        check_integer("group", self.group, 1, 64)
        check_integer("fraction_bits", self.fraction_bits, 1, 25)
        check_integer("result_bits", self.result_bits, 1, 23)


HOPPER_FP8 = TensorCore(group=32, fraction_bits=13, result_bits=13)
ADA_FP8 = TensorCore(group=16, fraction_bits=13, result_bits=13)
RTX_BLACKWELL_FP8 = TensorCore(group=32, fraction_bits=25)
HOPPER_FP16 = TensorCore(group=16, fraction_bits=25)
"""As MMA-Sim has them (arXiv:2511.10909 and its code): instructions of a warp or warp group, with a float32 result."""


def tensor_core_matmul(
    a: ArrayLike | QuantizedTensor,
    w: ArrayLike | QuantizedTensor,
    *,
    activation: BlockFormat,
    weight: BlockFormat,
    core: TensorCore = HOPPER_FP8,
) -> NDArray[np.float32]:
    """``a[M, K] @ w[N, K].T`` as a tensor core returns it that starts at zero and goes through k group by group.

    Arrays are quantised along K first. Scales per row or tensor are applied to the result as in `matmul`. A product
    with an Inf or NaN follows IEEE 754, and every NaN is the canonical one.

    Raises FormatError for elements that are no floats of at most 16 bits, and for block scales that are no powers of
    two or change within a group.
    """
    left, right = checked_operands(a, w, activation, weight)
    for fmt in (activation, weight):
        _check(fmt, core)
    out = np.zeros((left.shape[0], right.shape[0]), np.float32)
    if out.size and left.shape[1]:
        values, exponents = _numbers(left, core)
        columns, column_exponents = _numbers(right, core)
        panels, panel_exponents = _panels(columns, 0), _panels(column_exponents, _NOTHING)
        sides = values, exponents, panels, panel_exponents
        _multiply(*sides, core.group, core.fraction_bits, core.result_bits, out)
        _set_specials(left, right, out)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            out *= outer_scale(left)[:, None] * outer_scale(right)[None, :]
        out[np.isnan(out)] = np.float32(np.nan)
    return out


def _check(fmt: BlockFormat, core: TensorCore) -> None:
    if not isinstance(fmt.element, FloatElement) or not fmt.element.hidden_bit or fmt.element.bits > LARGEST_TABLE_BITS:
        raise FormatError(f"{fmt.name} has elements {fmt.element.notation}, expected floats of at most 16 bits")
    if part_width(fmt):
        raise FormatError(f"{fmt.name} shifts parts of a block by microexponents; dequantise it first")
    if fmt.has_unit_scale and not isinstance(fmt.scale, PowerOfTwoScale):
        raise FormatError(f"{fmt.name} has block scales that are no powers of two; dequantise it first")
    if fmt.has_unit_scale and (fmt.block_columns or 0) % core.group:
        raise FormatError(f"{fmt.name} has blocks of {fmt.block_columns}, which groups of {core.group} do not divide")


def _numbers(tensor: QuantizedTensor, core: TensorCore) -> tuple[NDArray[np.float64], NDArray[np.int32]]:
    """Values and the exponents of their significands, block scales included; [rows, K], K in whole groups."""
    element = tensor.format.element
    assert isinstance(element, FloatElement)
    codes, table = tensor.code_rows().reshape(tensor.shape), element_table(element, False)
    finite = np.where(table.specials == FINITE, table.values, 0)
    padding = ((0, 0), (0, -codes.shape[1] % core.group))
    lowest = np.pad(table.exponents[codes] + _scale_exponents(tensor), padding)
    values = np.ldexp(np.pad(finite[codes], padding).astype(np.float64), lowest)
    return values, np.where(values == 0, _NOTHING, lowest + element.mantissa_bits).astype(np.int32)


def _panels(side: NDArray[Any], nothing: int) -> NDArray[Any]:
    """[N, K] as [panels, K, columns], the last panel filled up."""
    padded = np.pad(side, ((0, -len(side) % _COLUMNS), (0, 0)), constant_values=nothing)
    return np.ascontiguousarray(padded.reshape(-1, _COLUMNS, side.shape[1]).transpose(0, 2, 1))


def _scale_exponents(tensor: QuantizedTensor) -> NDArray[np.int64] | int:
    fmt, length = tensor.format, tensor.shape[1]
    if not fmt.has_unit_scale:
        return 0
    assert isinstance(fmt.scale, PowerOfTwoScale)
    codes = scale_table(scales_of_rows(tensor), fmt)
    exponents: NDArray[np.int64] = codes.exponents[codes.codes] - fmt.scale.bias
    return exponents.repeat(fmt.block_length(length), axis=1)[:, :length]


def _set_specials(left: QuantizedTensor, right: QuantizedTensor, out: NDArray[np.float32]) -> None:
    """What Inf and NaN make of the outputs of their rows."""
    rows, columns = _specials(left), _specials(right)
    with np.errstate(invalid="ignore"):
        for some, others in ((np.flatnonzero(rows), slice(None)), (slice(None), np.flatnonzero(columns))):
            exact = _kinds(left)[some] @ _kinds(right)[others].T
            out[some, others] = np.where(np.isfinite(exact), out[some, others], exact)


def _kinds(tensor: QuantizedTensor) -> NDArray[np.float64]:
    """Signs, zeros, infinities and NaN of a tensor, without its finite magnitudes."""
    values = np.array([float(tensor.format.element.decode(c)) for c in range(1 << tensor.format.element.bits)])
    kinds = np.where(np.isfinite(values), np.sign(values), values)[tensor.code_rows().reshape(tensor.shape)]
    return np.where(_nan_blocks(tensor), np.nan, kinds)


def _specials(tensor: QuantizedTensor) -> NDArray[np.bool_]:
    """Rows with an Inf or a NaN."""
    specials = element_table(tensor.format.element, False).specials != FINITE
    found: NDArray[np.bool_] = (specials[tensor.code_rows().reshape(tensor.shape)] | _nan_blocks(tensor)).any(axis=1)
    return found


def _nan_blocks(tensor: QuantizedTensor) -> NDArray[np.bool_]:
    """Values of blocks whose scale says NaN; [rows, K] or one of False."""
    fmt, length = tensor.format, tensor.shape[1]
    if not fmt.has_unit_scale:
        return np.zeros((1, 1), bool)
    table = scale_table(scales_of_rows(tensor), fmt)
    nan: NDArray[np.bool_] = (table.exponents == NAN_SCALE)[table.codes]
    return nan.repeat(fmt.block_length(length), axis=1)[:, :length]


@njit(parallel=True, nogil=True, cache=True)
def _multiply(a, a_exponents, w, w_exponents, group, fraction_bits, result_bits, out):  # type: ignore[no-untyped-def]
    """Values and exponents of both sides, [M, K] and [panels, K, columns]."""
    for task in prange(out.shape[0] * len(w)):
        row, panel = task // len(w), task % len(w)
        some = slice(panel * _COLUMNS, (panel + 1) * _COLUMNS)
        sides = a[row], a_exponents[row], w[panel], w_exponents[panel]
        _add_groups(*sides, group, fraction_bits, result_bits, out[row, some])


@njit
def _add_groups(a, a_exponents, w, w_exponents, group, fraction_bits, result_bits, out):  # type: ignore[no-untyped-def]
    """One row by some columns. Sums are exact in float64, at most 34 bits; int64 cuts off toward zero."""
    width = w.shape[1]
    held, totals, units, tops = np.zeros(width), np.empty(width), np.empty(width), np.empty(width, np.int32)
    for start in range(0, a.size, group):
        tops[:] = _SMALLEST_EXPONENT
        for k in range(start, start + group):
            own, others = a_exponents[k], w_exponents[k]
            for j in range(width):
                tops[j] = max(tops[j], np.int32(own + others[j]))
        for j in range(width):
            lowest = max(np.int64(tops[j]), floor_log2(abs(held[j]))) - fraction_bits
            units[j], totals[j] = power_of_two(-lowest), np.float64(np.int64(held[j] * power_of_two(-lowest)))
        for k in range(start, start + group):
            number, numbers = a[k], w[k]
            for j in range(width):
                totals[j] += np.float64(np.int64(number * numbers[j] * units[j]))
        for j in range(width):
            total = totals[j] / units[j]
            kept = result_bits - max(floor_log2(abs(total)), np.int64(_SMALLEST_EXPONENT))
            held[j] = np.float64(np.int64(total * power_of_two(kept))) * power_of_two(-kept)
    for j in range(out.size):
        out[j] = np.float32(held[j])
