"""What a format does to real numbers: error statistics of one tensor, and their mean over many."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import BlockFormat
from densimeter.kernels import QuantizedTensor, quantize
from densimeter.kernels.codec import value_table


@dataclass(frozen=True)
class ErrorStatistics:
    """Quantisation errors of one tensor.

    qsnr_db: signal to quantisation noise, ``10 log10(sum x^2 / sum (x - q)^2)``; infinite where nothing changed.
    max_abs_error: in the tensor's own unit. saturated_share: values beyond the largest their block can hold, by more
    than half a step. flushed_share: values that were not zero and became zero.
    """

    values: int
    qsnr_db: float
    max_abs_error: float
    saturated_share: float
    flushed_share: float

    def to_json(self) -> dict[str, float | int | None]:
        """As a JSON object; an infinite QSNR, which JSON cannot hold, is null."""
        return asdict(self) | {"qsnr_db": self.qsnr_db if math.isfinite(self.qsnr_db) else None}


def error_statistics(x: NDArray[np.float32], quantized: QuantizedTensor) -> ErrorStatistics:
    """Compare a float32 array without NaN or Inf with what its quantised form holds."""
    values = quantized.dequantize()
    error = np.subtract(x, values, dtype=np.float64)
    magnitude, held, at_largest = np.abs(x), np.abs(values), _at_largest(quantized)
    half_step = _half_top_step(quantized.format) if at_largest.any() else 0.0
    return ErrorStatistics(
        values=x.size,
        qsnr_db=_decibels(float(np.square(x, dtype=np.float64).sum()), float(np.square(error).sum())),
        max_abs_error=float(np.abs(error).max(initial=0.0)),
        saturated_share=_share(at_largest & (magnitude - held > held * half_step)),
        flushed_share=_share((held == 0) & (magnitude > 0)),
    )


def mean_qsnr_db(tensors: Iterable[NDArray[np.float32]], fmt: BlockFormat) -> float:
    """Mean over the tensors of each one's QSNR in dB; infinite where the format changes none of them."""
    ratios = [error_statistics(x, quantize(x, fmt)).qsnr_db for x in tensors]
    return sum(ratios) / len(ratios) if ratios else math.nan


def _decibels(signal: float, noise: float) -> float:
    if noise == 0.0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0.0 else -math.inf


def _share(chosen: NDArray[np.bool_]) -> float:
    return float(chosen.mean()) if chosen.size else 0.0


def _at_largest(quantized: QuantizedTensor) -> NDArray[np.bool_]:
    """Where the element code is one of the largest magnitude."""
    table = np.abs(value_table(quantized.format.element))
    if not table.size:  # elements this wide saturate nowhere near real data
        return np.zeros(quantized.shape, bool)
    is_largest: NDArray[np.bool_] = table == float(quantized.format.element.largest)
    chosen: NDArray[np.bool_] = is_largest[quantized.codes]
    return chosen


def _half_top_step(fmt: BlockFormat) -> float:
    """Half the distance between the two largest magnitudes of the element, relative to the largest."""
    magnitudes = np.unique(np.abs(value_table(fmt.element)))
    below, largest = magnitudes[np.isfinite(magnitudes) & (magnitudes <= float(fmt.element.largest))][-2:]
    return float((largest - below) / largest / 2)
