"""What a format does to each operand of each layer, added up while a model runs."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from densimeter.kernels import QuantizedTensor
from densimeter.simulator.accuracy.outliers import NOTHING as NO_VALUES
from densimeter.simulator.accuracy.outliers import Spread, spread
from densimeter.simulator.numerics import NOTHING, ErrorStatistics, error_statistics

Place = tuple[str, str]


class LayerErrors:
    """An observer for `kernels.torch.quantize_model`. watching: whether it counts what it sees."""

    def __init__(self) -> None:
        self.watching = True
        self._errors: dict[Place, ErrorStatistics] = {}
        self._spreads: dict[Place, Spread] = {}
        self._formats: dict[Place, str] = {}
        self._weight_bits: dict[str, float] = {}
        self._last: tuple[QuantizedTensor, tuple[ErrorStatistics, Spread]] | None = None

    def __call__(self, path: str, operand: str, values: NDArray[np.float32], quantized: QuantizedTensor) -> None:
        if not self.watching:
            return
        place = path, operand
        errors, spread_out = self._look_at(operand, values, quantized)
        self._errors[place] = self._errors.get(place, NOTHING) + errors
        self._spreads[place] = self._spreads.get(place, NO_VALUES) + spread_out
        self._formats[place] = quantized.format.name
        if operand == "weight":
            self._weight_bits[path] = 8 * quantized.nbytes / values.size

    def _look_at(
        self, operand: str, values: NDArray[np.float32], quantized: QuantizedTensor
    ) -> tuple[ErrorStatistics, Spread]:
        """What layers that share an input are told of one after the other is looked at once."""
        if self._last is None or self._last[0] is not quantized:
            found = error_statistics(values, quantized), spread(values, by_channel=operand == "activation")
            self._last = quantized, found
        return self._last[1]

    def rows(self) -> list[dict[str, Any]]:
        """One a layer and operand: its format, QSNR (null where nothing changed), shares, and how values spread."""
        return [
            {
                "layer": path,
                "operand": operand,
                "format": self._formats[path, operand],
                "values": errors.values,
                "qsnr_db": errors.qsnr_db if math.isfinite(errors.qsnr_db) else None,
                "saturated": errors.saturated,
                "saturated_share": errors.saturated_share,
                "flushed_share": errors.flushed_share,
                **self._spreads[path, operand].to_json(),
            }
            for (path, operand), errors in self._errors.items()
        ]

    @property
    def weight_bits(self) -> dict[str, float]:
        """Bits a weight of every layer whose weight has a format, scales included."""
        return dict(self._weight_bits)

    def summary(self) -> dict[str, Any]:
        """Mean over layers of each operand's QSNR, and the saturated share of all values."""
        operands = sorted({operand for _, operand in self._errors})
        means = {f"{operand}_qsnr_db": self._mean_qsnr_db(operand) for operand in operands}
        total = sum(self._errors.values(), NOTHING)
        return {**means, "saturated_share": total.saturated_share}

    def _mean_qsnr_db(self, operand: str) -> float | None:
        """None where a format changes nothing: the mean is then infinite."""
        return _finite_mean(errors.qsnr_db for (_, which), errors in self._errors.items() if which == operand)


def mean_bits(weights: Mapping[str, int], bits: Mapping[str, float]) -> float | None:
    """Mean over the weights of the layers in `bits`, of each of which `weights` says how many it has; None without."""
    total = sum(weights[path] for path in bits)
    return sum(each * weights[path] for path, each in bits.items()) / total if total else None


def declared(model: Any, paths: Iterable[str], name: str) -> dict[str, float]:
    """A figure of the layers that say it themselves, in a property of this name, by path.

    `bits_per_weight`: everything stored for a weight. `side_products`: float16 multiply-accumulates of a token beside
    those of the formats' unit.
    """
    found = ((path, getattr(model.get_submodule(path), name, None)) for path in paths)
    return {path: float(figure) for path, figure in found if figure is not None}


def _finite_mean(values: Iterable[float]) -> float | None:
    given = list(values)
    mean = sum(given) / len(given)
    return mean if math.isfinite(mean) else None
