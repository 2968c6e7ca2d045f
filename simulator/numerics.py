"""What a format does to real numbers: error statistics of one tensor, of a chunk of it, or of many together."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import (
    BlockFormat,
    CodebookElement,
    Element,
    FloatElement,
    IntElement,
    LogElement,
    PowerOfTwoScale,
)
from densimeter.formats.display import html_table
from densimeter.formats.grid import Grid
from densimeter.kernels import QuantizedTensor, quantize
from densimeter.kernels.codec import dequantize_rows
from densimeter.kernels.deviation import LARGEST_OCTAVE, SMALLEST_OCTAVE, measure
from densimeter.kernels.tensor_card import error_bars

OCTAVES = tuple(range(SMALLEST_OCTAVE, LARGEST_OCTAVE + 1))
"""k of each count in `ErrorStatistics.octaves`."""

_CHUNK_VALUES = 1 << 22


@dataclass(frozen=True)
class ErrorStatistics:
    """Quantisation errors of one tensor, or of several added up.

    Sums and counts leave out the values that are NaN or infinite before or after: `not_finite`. saturated: values
    beyond the largest their block can hold, by more than half a step (of unsigned elements, also negative values).
    flushed: values that were not zero and became zero. exact: unchanged. octaves: the other values by relative error,
    ``2^k <= |error / x| < 2^(k+1)`` for each k of OCTAVES; what lies beyond them in the outermost ones. A flushed value
    has a relative error of 1.
    """

    values: int
    signal: float
    noise: float
    max_abs_error: float
    saturated: int
    flushed: int
    not_finite: int
    exact: int
    octaves: tuple[int, ...]

    @property
    def qsnr_db(self) -> float:
        """Signal to quantisation noise, ``10 log10(sum x^2 / sum (x - q)^2)``; infinite where nothing changed."""
        return _decibels(self.signal, self.noise)

    @property
    def saturated_share(self) -> float:
        return self.saturated / self.values if self.values else 0.0

    @property
    def flushed_share(self) -> float:
        return self.flushed / self.values if self.values else 0.0

    def __add__(self, other: "ErrorStatistics") -> "ErrorStatistics":
        largest = max(self.max_abs_error, other.max_abs_error)
        octaves = tuple(a + b for a, b in zip(self.octaves, other.octaves, strict=True))
        totals = {name: value + getattr(other, name) for name, value in vars(self).items()}
        return ErrorStatistics(**{**totals, "max_abs_error": largest, "octaves": octaves})

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; an infinite QSNR, which JSON cannot hold, is null."""
        return {
            "values": self.values,
            "qsnr_db": self.qsnr_db if math.isfinite(self.qsnr_db) else None,
            "max_abs_error": self.max_abs_error,
            "saturated_share": self.saturated_share,
            "flushed_share": self.flushed_share,
            "not_finite": self.not_finite,
            "error_histogram": {
                "exact": self.exact,
                "log2_relative_error": list(OCTAVES),
                "values": list(self.octaves),
            },
        }

    def _repr_html_(self) -> str:
        """What a notebook shows: the figures, and the values by relative error."""
        facts = [
            ("values", f"{self.values:,}"),
            ("QSNR", "exact" if self.qsnr_db == math.inf else f"{self.qsnr_db:.2f} dB"),
            ("largest error", f"{self.max_abs_error:.4g}"),
            ("saturated", f"{self.saturated_share:.3%}"),
            ("flushed to zero", f"{self.flushed_share:.3%}"),
            ("unchanged", f"{self.exact:,}"),
        ]
        return f'<div class="densimeter">{html_table((), facts)}{error_bars(self.octaves)}</div>'


NOTHING = ErrorStatistics(0, 0.0, 0.0, 0.0, 0, 0, 0, 0, (0,) * len(OCTAVES))


def error_statistics(x: NDArray[np.float32], quantized: QuantizedTensor) -> ErrorStatistics:
    """Compare a float32 array with what its quantised form holds, some rows at a time."""
    total = NOTHING
    for chunk in _chunks(x, quantized):
        held = _dequantized(chunk.codes, chunk.scales, chunk.grid, quantized)
        sums, counts, octaves = measure(chunk.values, held, *_limits(chunk, quantized))
        signal, noise, largest = sums.tolist()
        saturated, flushed, not_finite, exact = counts.tolist()
        total += ErrorStatistics(
            values=chunk.values.size,
            signal=signal,
            noise=noise,
            max_abs_error=largest,
            saturated=saturated,
            flushed=flushed,
            not_finite=not_finite,
            exact=exact,
            octaves=tuple(octaves.tolist()),
        )
    return total


def mean_qsnr_db(tensors: Iterable[NDArray[np.float32]], fmt: BlockFormat) -> float:
    """Mean over the tensors of each one's QSNR in dB; infinite where the format changes none of them."""
    ratios = [error_statistics(x, quantize(x, fmt)).qsnr_db for x in tensors]
    return sum(ratios) / len(ratios) if ratios else math.nan


class _Chunk(NamedTuple):
    """Rows of a tensor: values and codes [rows, K], first-level scale codes [groups of rows, blocks]."""

    values: NDArray[np.float32]
    codes: NDArray[np.unsignedinteger]
    scales: NDArray[np.unsignedinteger]
    grid: Grid


def _chunks(x: NDArray[np.float32], quantized: QuantizedTensor) -> Iterator[_Chunk]:
    """Whole groups of rows, or parts of the one row of a "tensor" block."""
    over, codes, scales = quantized.grid, quantized.code_rows(), quantized.first_level_scales()
    if quantized.format.block == "tensor":
        row = np.ascontiguousarray(x).reshape(1, -1)
        for start in range(0, over.length, _CHUNK_VALUES):
            some = slice(start, min(start + _CHUNK_VALUES, over.length))
            size = some.stop - start
            yield _Chunk(row[:, some], codes[:, some], scales, replace(over, length=size, block_length=size))
        return
    rows_of_values = np.ascontiguousarray(np.moveaxis(x, quantized.axis, -1)).reshape(codes.shape)
    step = max(1, _CHUNK_VALUES // max(over.length * over.block_rows, 1))  # groups of rows
    for matrix in range(over.matrices):
        for first in range(0, over.row_groups, step):
            last = min(first + step, over.row_groups)
            top, bottom = first * over.block_rows, min(last * over.block_rows, over.rows)
            rows = slice(matrix * over.rows + top, matrix * over.rows + bottom)
            groups = slice(matrix * over.row_groups + first, matrix * over.row_groups + last)
            yield _Chunk(
                rows_of_values[rows], codes[rows], scales[groups], replace(over, matrices=1, rows=bottom - top)
            )


def _limits(
    chunk: _Chunk, quantized: QuantizedTensor
) -> tuple[tuple[NDArray[np.float64], NDArray[np.float64]], int, int]:
    """((least, greatest) that is not saturated for each part of a block, length of a part, rows that share them)."""
    scale, over, scales = quantized.format.scale, chunk.grid, chunk.scales
    parts = (isinstance(scale, PowerOfTwoScale) and scale.microexponents) or 1
    part, rows_per_limit = over.block_length // parts, over.block_rows
    if scale is None:  # one limit for all
        scales, part, rows_per_limit = scales[:1, :1], over.length, over.rows
    groups, blocks = scales.shape
    codes = _extreme_codes(quantized.format.element)
    wanted = np.empty((len(codes), groups, blocks * parts), quantized.codes.dtype)
    wanted[:] = np.reshape(codes, (-1, 1, 1))
    rows = wanted.reshape(-1, blocks * parts)
    samples = Grid(1, len(rows), blocks * parts, 1, parts, blocks)
    values = _dequantized(rows, np.tile(scales, (len(codes), 1)), samples, quantized)
    greatest, next_greatest, least, next_least = values.reshape(wanted.shape).astype(np.float64)
    with np.errstate(invalid="ignore"):  # infinities, of scales near the end of float32
        edges = greatest + (greatest - next_greatest) / 2, least + (least - next_least) / 2
    unlimited = ~(np.abs(edges[0] - edges[1]) > 0)  # a scale of zero or NaN
    low, high = np.minimum(*edges), np.maximum(*edges)  # a negative scale swaps them
    low[unlimited], high[unlimited] = -np.inf, np.inf
    return (low, high), part, rows_per_limit


def _dequantized(
    codes: NDArray[np.unsignedinteger], scales: NDArray[np.unsignedinteger], over: Grid, quantized: QuantizedTensor
) -> NDArray[np.float32]:
    values = np.empty(codes.shape, np.float32)
    dequantize_rows(codes, scales, quantized.format.first_level, over, quantized.tensor_scale, values)
    return values


def _extreme_codes(element: Element) -> list[int]:
    """Codes of the greatest value and the next one, then of the least and the next one."""
    match element:
        case IntElement():
            ends = element.largest_integer, element.smallest_integer
            integers = (ends[0], ends[0] - 1), (ends[1], ends[1] + 1)
            greatest, least = ([element.encode(abs(n), n < 0) for n in pair] for pair in integers)
        case FloatElement():
            top = element.largest_magnitude_code
            greatest, least = [top, top - 1], [element.with_sign(code, True) for code in (top, top - 1)]
        case LogElement():
            top, sign = (1 << element.exponent_bits) - 1, 1 << element.exponent_bits
            greatest, least = [top, top - 1], [sign | top, sign | (top - 1)]
        case CodebookElement():
            codes = [code for _, code in element.ladder]
            greatest, least = codes[:-3:-1], codes[:2]
    return [*greatest, *least]


def _decibels(signal: float, noise: float) -> float:
    if noise == 0.0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0.0 else -math.inf
