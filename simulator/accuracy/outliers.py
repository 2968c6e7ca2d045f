"""How the values of an operand spread: largest magnitude, kurtosis, channels with outliers."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

OUTLIER_MAGNITUDE = 6.0
"""Beyond it LLM.int8 (arXiv:2208.07339) calls a channel of activations an outlier."""

_PARTS = 16
_NO_CHANNELS = np.empty(0, np.float32)


@dataclass(frozen=True, eq=False)
class Spread:
    """Of one tensor, or of several added up.

    powers: sums of the first to fourth power, float64. largest: max |x|, of every channel (the last axis) where they
    were told apart, else of all.
    """

    values: int
    powers: NDArray[np.float64]
    largest: NDArray[np.float32]
    by_channel: bool

    def __add__(self, other: "Spread") -> "Spread":
        if not self.values or not other.values:
            return self if self.values else other
        largest = np.maximum(self.largest, other.largest)
        return Spread(self.values + other.values, self.powers + other.powers, largest, self.by_channel)

    @property
    def kurtosis(self) -> float:
        """Fourth central moment over the squared second: 3 for a normal distribution, NaN where all are equal."""
        mean, second, third, fourth = (self.powers / self.values).tolist() if self.values else [math.nan] * 4
        variance = second - mean**2
        if not variance > 0:
            return math.nan
        return float((fourth - 4 * mean * third + 6 * mean**2 * second - 3 * mean**4) / variance**2)

    def to_json(self) -> dict[str, Any]:
        """outlier_channels: those with a magnitude beyond 6; null where channels were not told apart."""
        kurtosis = self.kurtosis
        return {
            "max_abs": float(self.largest.max(initial=0.0)),
            "kurtosis": kurtosis if math.isfinite(kurtosis) else None,
            "channels": self.largest.size if self.by_channel else None,
            "outlier_channels": int(np.count_nonzero(self.largest > OUTLIER_MAGNITUDE)) if self.by_channel else None,
        }


NOTHING = Spread(0, np.zeros(4), _NO_CHANNELS, False)


def spread(values: NDArray[np.float32], *, by_channel: bool) -> Spread:
    """Of one tensor."""
    rows = np.ascontiguousarray(values, np.float32).reshape(-1, values.shape[-1])
    powers = np.zeros((_PARTS, 4))
    largest = np.zeros((_PARTS, rows.shape[1]), np.float32)
    _add_up(rows, powers, largest)
    of_channels = largest.max(axis=0)
    return Spread(
        values.size,
        powers.sum(axis=0),
        of_channels if by_channel else of_channels.max(initial=0.0, keepdims=True),
        by_channel,
    )


@njit(parallel=True, cache=True, fastmath={"reassoc", "nsz"})
def _add_up(rows: NDArray[np.float32], powers: NDArray[np.float64], largest: NDArray[np.float32]) -> None:
    """Parts of the rows, as many as there are rows of the results: sums do not depend on the number of threads."""
    parts = len(powers)
    for part in prange(parts):
        own = largest[part]
        for i in range(part * len(rows) // parts, (part + 1) * len(rows) // parts):
            first, second, third, fourth = 0.0, 0.0, 0.0, 0.0
            for j in range(rows.shape[1]):
                value = rows[i, j]
                x = np.float64(value)
                square = x * x
                first += x
                second += square
                third += square * x
                fourth += square * square
                own[j] = max(own[j], abs(value))
            powers[part] += np.array((first, second, third, fourth))
