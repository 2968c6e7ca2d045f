"""What a format does to each operand of each layer, added up while a model runs."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from densimeter.kernels import QuantizedTensor
from densimeter.simulator.numerics import NOTHING, ErrorStatistics, error_statistics

Place = tuple[str, str]


class LayerErrors:
    """An observer for `kernels.torch.quantize_model`. watching: whether it counts what it sees."""

    def __init__(self) -> None:
        self.watching = True
        self._errors: dict[Place, ErrorStatistics] = {}
        self._formats: dict[Place, str] = {}
        self._largest: dict[Place, float] = {}
        self._weight_bits = 0
        self._weights = 0

    def __call__(self, path: str, operand: str, values: NDArray[np.float32], quantized: QuantizedTensor) -> None:
        if not self.watching:
            return
        place = path, operand
        self._errors[place] = self._errors.get(place, NOTHING) + error_statistics(values, quantized)
        self._formats[place] = quantized.format.name
        largest = float(np.abs(values).max(initial=0.0))
        self._largest[place] = max(self._largest.get(place, 0.0), largest)
        if operand == "weight":
            self._weight_bits += 8 * quantized.nbytes
            self._weights += values.size

    def rows(self) -> list[dict[str, Any]]:
        """One a layer and operand: its format, QSNR (null where nothing changed), shares, largest magnitude."""
        return [
            {
                "layer": path,
                "operand": operand,
                "format": self._formats[path, operand],
                "values": errors.values,
                "qsnr_db": errors.qsnr_db if math.isfinite(errors.qsnr_db) else None,
                "saturated_share": errors.saturated_share,
                "flushed_share": errors.flushed_share,
                "max_abs": self._largest[path, operand],
            }
            for (path, operand), errors in self._errors.items()
        ]

    def summary(self) -> dict[str, Any]:
        """Mean over layers of each operand's QSNR, saturated share of all values, bits a weight with scales."""
        operands = sorted({operand for _, operand in self._errors})
        means = {f"{operand}_qsnr_db": self._mean_qsnr_db(operand) for operand in operands}
        total = sum(self._errors.values(), NOTHING)
        bits = self._weight_bits / self._weights if self._weights else None
        return {"bits_per_weight": bits, **means, "saturated_share": total.saturated_share}

    def _mean_qsnr_db(self, operand: str) -> float | None:
        """None where a format changes nothing: the mean is then infinite."""
        return _finite_mean(errors.qsnr_db for (_, which), errors in self._errors.items() if which == operand)


def _finite_mean(values: Iterable[float]) -> float | None:
    given = list(values)
    mean = sum(given) / len(given)
    return mean if math.isfinite(mean) else None
