"""Encoding under scales that are already chosen: what calibration fixed beforehand, and weights that change meanwhile.

The feedback is that of optimal brain quantisation (GPTQ, Frantar et al., arXiv:2210.17323): what a column is off by is
spread over the columns after it, in proportions that a triangular matrix gives.
"""

from dataclasses import replace

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from densimeter.formats.block import BlockFormat
from densimeter.formats.errors import FormatError
from densimeter.formats.grid import grid
from densimeter.formats.scale import DoubleScale
from densimeter.kernels.bits import power_of_two
from densimeter.kernels.codec import quantize_rows
from densimeter.kernels.encode import decode_float, encode, noise
from densimeter.kernels.loops import get, put
from densimeter.kernels.parameters import STOCHASTIC, CodecFields, code_dtype, ladder, parameters, value_table
from densimeter.kernels.scales import read, read_microexponent
from densimeter.kernels.tensor import QuantizedTensor, quantize
from densimeter.kernels.threads import share_out

_PANEL = 128  # columns whose errors reach the rest in one matrix product

_NO_FEEDBACK = np.empty((0, 0), np.float32)


def quantize_under(x: ArrayLike, scales: QuantizedTensor, *, seed: int = 0) -> QuantizedTensor:
    """An array in the format and under the scales of another tensor, of the same shape or with one scale in all.

    What is beyond the largest value under its scale overflows as the format says.
    """
    fmt, values = scales.format, np.array(x, np.float32)
    if fmt.block != "tensor" and (values.shape, values.ndim - 1) != (scales.shape, scales.axis):
        raise FormatError(
            f"{fmt.name} scales of {scales.shape} along axis {scales.axis} for an array {values.shape}, expected block "
            "'tensor', or the same shape with blocks along the last axis"
        )
    rows = values.reshape(-1, values.shape[-1])
    codes = np.empty(rows.shape, code_dtype(fmt.element.bits))
    _encode(rows, np.arange(rows.shape[1]), scales, scales.first_level_scales(), _NO_FEEDBACK, seed, codes)
    return replace(scales, shape=values.shape, axis=values.ndim - 1, codes=codes.reshape(values.shape))


def quantize_with_feedback(
    weight: NDArray[np.float32],
    fmt: BlockFormat,
    feedback: NDArray[np.float32],
    *,
    order: NDArray[np.int64] | None = None,
    seed: int = 0,
) -> QuantizedTensor:
    """A weight [outputs, inputs] quantised along the inputs, column by column, each column's error fed to later ones.

    feedback: upper triangular U [inputs, inputs], its diagonal not zero: once column i holds values that are off by d,
    ``d * U[i, j] / U[i, i]`` is taken from every column j > i. With the identity this is `quantize`, but that codes
    are chosen under the scales as they are stored.
    order: in which the columns come, and those of `feedback` stand; by default as they are.
    Scales of blocks are chosen when their first column comes, of what the block then holds; all beforehand where that
    cannot be: under an `order`, for whole rows and tensors, and where scales are quantised in turn.
    """
    plain = quantize(weight, fmt, 1, seed=seed)
    width = fmt.block_columns
    early = order is not None or width is None or fmt.scale is None or isinstance(fmt.scale, DoubleScale)
    step = _PANEL if early or width is None else width
    columns = np.arange(weight.shape[1]) if order is None else order
    rest = np.ascontiguousarray(weight[:, columns], np.float32)
    codes, scales = np.empty(weight.shape, code_dtype(fmt.element.bits)), plain.first_level_scales().copy()
    for start in range(0, len(columns), step):
        panel, after = slice(start, start + step), slice(start + step, None)
        values = np.ascontiguousarray(rest[:, panel])
        if not early:
            over = grid(fmt, values.shape, 1)
            scales[:, start // step] = quantize_rows(values, fmt, over, plain.tensor_scale, seed)[1][:, 0]
        _encode(values, columns[panel], plain, scales, feedback[panel, panel], seed, codes)
        rest[:, after] -= values @ feedback[panel, after]
    return replace(plain, codes=codes, scales=plain.scales if early else scales)


def _encode(
    x: NDArray[np.float32],
    columns: NDArray[np.int64],
    like: QuantizedTensor,
    scales: NDArray[np.unsignedinteger],
    feedback: NDArray[np.float32],
    seed: int,
    codes: NDArray[np.unsignedinteger],
) -> None:
    """Codes of some columns of `codes`, under scales [groups of rows, blocks]; with feedback, x becomes the errors."""
    fmt = like.format.first_level
    rows_of_scale = fmt.block_rows if fmt.scale is not None and fmt.block != "tensor" else len(codes)
    width = fmt.block_columns if fmt.scale is not None and fmt.block_columns else codes.shape[1]
    narrow = scales.astype(code_dtype(fmt.scale.code_bits if fmt.scale is not None else 8), order="C", copy=False)
    raw = [a.view(np.uint8).reshape(len(a), a.shape[1] * a.itemsize) for a in (narrow, codes)]
    fields, steps, table = parameters(fmt), ladder(fmt), value_table(fmt.element)
    upper = np.ascontiguousarray(feedback, np.float32)
    noise_seed = np.uint64(seed & ((1 << 64) - 1))
    shared = rows_of_scale, width, like.tensor_scale, noise_seed, *fields, steps, table, upper
    share_out(lambda first, last: _encode_loop(first, last, x, columns, *shared, *raw), len(x), x.size)


@njit(nogil=True, cache=True, error_model="numpy")
def _encode_loop(  # type: ignore[no-untyped-def]
    first,
    last,
    x,
    columns,
    rows_of_scale,
    width,
    factor,
    seed,
    e,
    f,
    s,
    stored,
    minimum,
    ladder,
    table,
    feedback,
    scales,
    codes,
):
    """Rows from `first` up to `last`."""
    p = CodecFields(e, f, s, stored, minimum)
    for row in range(first, last):
        values, shared, out = x[row], scales[row // rows_of_scale], codes[row]
        length = out.size // e.code_bytes
        for i in range(columns.size):
            column = columns[i]
            block = column // width
            scale_code = get(shared, block, s.code_bytes)
            unit, zero, added = read(scale_code, factor, p)
            if s.micro_parts > 0:
                part = (column - block * width) // (width // s.micro_parts)
                unit *= power_of_two(-read_microexponent(scale_code, part, s))
            chance = noise(seed, row * length + column) if e.rounding == STOCHASTIC else 0.0
            code = encode(values[i], unit, zero, added, chance, p, ladder)
            put(out, column, e.code_bytes, code)
            if feedback.size > 0:
                level = table[code] if table.size > 0 else decode_float(code, f)
                held = np.float32((level - zero) * unit) + np.float32(added)
                error = (values[i] - held) / feedback[i, i]
                values[i] = error
                for j in range(i + 1, columns.size):
                    values[j] -= error * feedback[i, j]
