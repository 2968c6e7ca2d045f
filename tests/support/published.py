"""The block-quantisation paper's formats, formula by formula from its published code: values in, values out.

Source: the code of arXiv 2310.05079 (llm-mixed-q): its quantizers block_fp, minifloat, block_minifloat and block_log,
read 2026-11. Exact fractions throughout, float32 only where that code adds its small constants. Two departures that
densimeter declares: logarithms are exact, and what that code leaves as it is (numerically zero) becomes zero.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction

import numpy as np

from support.oracle import TWO, floor_log2, to_float32

EPSILON = np.float32(1e-9)
NUMERICALLY_ZERO = 1e-8  # the absolute tolerance of torch.isclose

Quantizer = Callable[[Sequence[float]], list[float]]


def bfp(width: int) -> Quantizer:
    """Block floating point: one sign and width-1 significand bits without a hidden one."""
    significand_bits = width - 1

    def quantize(block: Sequence[float]) -> list[float]:
        step = TWO ** (_clip(_ceil_log2(_largest(block)), -127, 128) - significand_bits)
        return [_signed(x, _clip(round(_with_epsilon(x) / step), 0, 2**significand_bits - 1) * step) for x in block]

    return _zeros_stay(quantize)


def minifloat(block: Sequence[float]) -> list[float]:
    """MiniFloat 1-4-3 with bias 7; every value for itself."""
    return _zeros_stay(lambda values: [_minifloat(x, bias=7) for x in values])(block)


def dmf(block: Sequence[float]) -> list[float]:
    """Denormalised MiniFloat 1-4-3 with bias 7: no hidden one at any exponent."""

    def one(x: float) -> float:
        exponent = _clip(_ceil_log2(_with_epsilon(x)), -7, 8)
        step = TWO ** (exponent - 3)
        return _signed(x, _clip(round(abs(Fraction(x)) / step), 0, 7) * step)

    return _zeros_stay(lambda values: [one(x) for x in values])(block)


def bm(block: Sequence[float]) -> list[float]:
    """Block minifloat: MiniFloat elements whose bias is floor(log2 max), the wrong way round for small blocks."""
    bias = _clip(floor_log2(_largest(block)), 0, 255) if any(block) else 0
    return _zeros_stay(lambda values: [_minifloat(x, bias) for x in values])(block)


def bl(block: Sequence[float]) -> list[float]:
    """Block logarithm: one sign, seven exponent bits, a shared bias of eight bits, no zero."""
    if not any(block):
        return [0.0] * len(block)
    bias = _clip(2**7 - 1 - _ceil_log2(_largest(block)), 0, 255)
    push = np.float32(to_float32(Fraction(float(np.float32(0.1))) * TWO**-bias))

    def one(x: float) -> float:
        magnitude = Fraction(float(np.float32(abs(x)) + push))
        exponent = _clip(_round_log2(magnitude) if magnitude else -bias, -bias, 127 - bias)
        return _signed(x, TWO**exponent, push)

    return [one(x) for x in block]


def _minifloat(x: float, bias: int) -> float:
    """The constant moves the choice of the exponent; the significand comes from |x| itself and never carries."""
    exponent = _clip(floor_log2(_with_epsilon(x)), -bias, 15 - bias)
    magnitude = abs(Fraction(x))
    if exponent == -bias:
        return _signed(x, _clip(round(magnitude / TWO ** (1 - bias) * 8), 0, 7) * TWO ** (1 - bias) / 8)
    return _signed(x, TWO**exponent * (1 + Fraction(_clip(round((magnitude / TWO**exponent - 1) * 8), 0, 7), 8)))


def _zeros_stay(quantize: Quantizer) -> Quantizer:
    """What is numerically zero passes the published code unquantised; no code can hold it, so here it becomes zero."""

    def wrapped(block: Sequence[float]) -> list[float]:
        if not any(block):
            return [0.0] * len(block)
        return [0.0 if abs(x) <= NUMERICALLY_ZERO else y for x, y in zip(block, quantize(block), strict=True)]

    return wrapped


def _with_epsilon(x: float) -> Fraction:
    return Fraction(float(np.float32(abs(x)) + EPSILON))


def _signed(x: float, magnitude: Fraction, push: np.float32 = EPSILON) -> float:
    """sign(x + push) times the magnitude, as float32."""
    return float(np.sign(np.float32(x) + push)) * to_float32(magnitude)


def _largest(block: Sequence[float]) -> Fraction:
    return max(abs(Fraction(x)) for x in block)


def _ceil_log2(positive: Fraction) -> int:
    exponent = floor_log2(positive)
    return exponent + (positive > TWO**exponent)


def _round_log2(positive: Fraction) -> int:
    exponent = floor_log2(positive)
    return exponent + (positive**2 > TWO ** (2 * exponent + 1))


def _clip(number: int, low: int, high: int) -> int:
    return min(max(number, low), high)
