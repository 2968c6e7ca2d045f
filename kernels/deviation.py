"""How far values are from what a format holds in their place: sums, counts and a histogram in one compiled pass."""

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

SMALLEST_OCTAVE = -24
"""A float32 that differs from another one differs by more than 2^-25 of it."""

LARGEST_OCTAVE = 1

_OCTAVES = LARGEST_OCTAVE - SMALLEST_OCTAVE + 1
_SLICES = 32  # fixed, so that sums do not depend on the number of threads
_FRACTION_BITS, _EXPONENT_BIAS = 52, 1023  # of float64


@njit(inline="always")
def _octave(error, magnitude):  # type: ignore[no-untyped-def]
    """Index of the octave of an error above zero."""
    if magnitude == 0.0:
        return _OCTAVES - 1
    exponent = (np.float64(error / magnitude).view(np.int64) >> _FRACTION_BITS) - _EXPONENT_BIAS
    return min(max(exponent - SMALLEST_OCTAVE, 0), _OCTAVES - 1)


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def _measure(x, held, low, high, part, rows_per_limit, sums, counts, octaves):  # type: ignore[no-untyped-def]
    """sums[slice]: signal, noise, largest error; counts[slice]: saturated, flushed, not finite, exact."""
    rows = x.shape[0]
    for s in prange(_SLICES):
        for row in range(rows * s // _SLICES, rows * (s + 1) // _SLICES):
            limit = row // rows_per_limit
            for b in range(low.shape[1]):
                least, greatest = low[limit, b], high[limit, b]
                for i in range(b * part, min((b + 1) * part, x.shape[1])):
                    value, kept = np.float64(x[row, i]), np.float64(held[row, i])
                    if not (np.isfinite(value) and np.isfinite(kept)):
                        counts[s, 2] += 1
                        continue
                    error = abs(value - kept)
                    sums[s, 0] += value * value
                    sums[s, 1] += error * error
                    sums[s, 2] = max(sums[s, 2], error)
                    counts[s, 0] += value < least or value > greatest
                    counts[s, 1] += kept == 0.0 and value != 0.0
                    if error == 0.0:
                        counts[s, 3] += 1
                    else:
                        octaves[s, _octave(error, abs(value))] += 1


def measure(
    x: NDArray[np.float32],
    held: NDArray[np.float32],
    limits: tuple[NDArray[np.float64], NDArray[np.float64]],
    part: int,
    rows_per_limit: int,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Compare C-contiguous [rows, K] arrays.

    limits: below the first and above the second a value counts as saturated; [row groups, parts], one for each `part`
    values of `rows_per_limit` rows.
    Returns (sums, counts, octaves) over the values that are finite on both sides. sums: of x^2, of error^2, and the
    largest |error|. counts: saturated, flushed to zero, left out for not being finite, without an error. octaves: the
    others by relative error, 2^k to 2^(k+1), k from SMALLEST_OCTAVE to LARGEST_OCTAVE; a zero that is none any more is
    in the last.
    """
    sums, counts = np.zeros((_SLICES, 3)), np.zeros((_SLICES, 4), np.int64)
    octaves = np.zeros((_SLICES, _OCTAVES), np.int64)
    _measure(x, held, *limits, part, rows_per_limit, sums, counts, octaves)
    return np.append(sums[:, :2].sum(axis=0), sums[:, 2].max()), counts.sum(axis=0), octaves.sum(axis=0)
