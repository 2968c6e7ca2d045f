"""The error that a format makes, by magnitude, as a drawing; changes when the curve should show something else.

Two curves over octaves: the largest and the mean relative error of the magnitudes in each eighth of an octave. Where
values share a scale, the largest of them is one, and the others are drawn below it: this is what is left of a small
value beside a large one. Without a shared scale the axis is the value itself, past both ends of the format.
"""

import math

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import BlockFormat
from densimeter.formats.display.palette import BLUE, ORANGE
from densimeter.formats.display.svg import WIDTH, drawing, legend, line, text
from densimeter.kernels import quantize

_PER_OCTAVE, _SAMPLES = 8, 32
_LOWEST_ERROR = 2.0**-13
_BELOW_ONE = 20
"""Octaves below the block's largest value."""
_BEYOND, _WIDEST = 3, 40
"""Octaves past the ends of a format without a scale, and the farthest from one that is drawn."""
_LEFT, _TOP, _HEIGHT = 52, 28, 170


def error_curve(fmt: BlockFormat) -> str:
    """SVG of the relative error over the magnitude, both axes logarithmic."""
    low, high = _octaves(fmt)
    magnitudes = 2.0 ** (low + (np.arange((high - low) * _PER_OCTAVE * _SAMPLES) + 0.5) / (_PER_OCTAVE * _SAMPLES))
    errors = _errors(fmt, magnitudes.astype(np.float32)).reshape(-1, _SAMPLES)
    places = low + (np.arange(len(errors)) + 0.5) / _PER_OCTAVE
    parts = [*_axes(fmt, low, high)]
    for curve, color in ((errors.mean(axis=1), BLUE), (errors.max(axis=1), ORANGE)):
        points = " ".join(f"{_x(at, low, high):.1f},{_y(error):.1f}" for at, error in zip(places, curve, strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="1.6"/>')
    bottom = _TOP + _HEIGHT + 52
    parts.append(legend(bottom, [(ORANGE, "largest"), (BLUE, "mean")]))
    return drawing(bottom + 6, f"{fmt.name}: relative error by magnitude", parts)


def _octaves(fmt: BlockFormat) -> tuple[int, int]:
    if fmt.scale is not None:
        return -_BELOW_ONE, 0
    low, high = fmt.element.lsb_exponent, fmt.element.top_exponent
    return max(low - _BEYOND, -_WIDEST), min(high + 1 + _BEYOND, _WIDEST)


def _errors(fmt: BlockFormat, magnitudes: NDArray[np.float32]) -> NDArray[np.float64]:
    """Relative errors; a value under a shared scale stands in a block of its own with a one."""
    if fmt.scale is None:
        tensor, column = magnitudes[:, None], 0
    else:
        tensor, column = np.zeros((len(magnitudes), fmt.block_values or 2), np.float32), 1
        tensor[:, 0], tensor[:, 1] = 1, magnitudes
    held = quantize(tensor, fmt).dequantize()[:, column].astype(np.float64)
    errors: NDArray[np.float64] = np.abs(held - magnitudes) / magnitudes
    return np.clip(np.nan_to_num(errors, nan=1, posinf=1), _LOWEST_ERROR, 1)


def _x(octave: float, low: int, high: int) -> float:
    return _LEFT + (octave - low) / (high - low) * (WIDTH - _LEFT - 8)


def _y(error: float) -> float:
    return _TOP + _HEIGHT * math.log(error) / math.log(_LOWEST_ERROR)


def _axes(fmt: BlockFormat, low: int, high: int) -> list[str]:
    what = "magnitude" if fmt.scale is None else "magnitude beside a largest value of 1 under the same scale"
    bottom = _TOP + _HEIGHT
    parts = [text(0, 14, f"relative error over {what}", muted=True), line(_LEFT, bottom, WIDTH - 8, bottom)]
    for power in range(0, 13, 2):
        y = _y(2.0**-power)
        parts += [
            f'<g opacity=".2">{line(_LEFT, y, WIDTH - 8, y)}</g>',
            text(_LEFT - 6, y + 4, _power(-power), anchor="end"),
        ]
    step = max(2, (high - low) // 8)
    for octave in range(math.ceil(low / step) * step, high + 1, step):
        x = _x(octave, low, high)
        parts += [line(x, bottom, x, bottom + 4), text(x, bottom + 18, _power(octave), anchor="middle")]
    return parts


def _power(exponent: int) -> str:
    if -1 <= exponent <= 3:
        return f"{2.0**exponent:g}"
    return "2" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
