"""The published codebooks by name: "nf4", "fp4", and for k bits "int<k>", "float<k>", "dynamic<k>", "quantile<k>".

All lie in [-1, 1] and are rounded to float32. Sources: nf4, Dettmers et al., "QLoRA", arXiv 2305.14314, appendix E;
fp4, the table of bitsandbytes, read 2026-11; the k-bit families, Dettmers and Zettlemoyer, "The case for 4-bit
precision: k-bit inference scaling laws", arXiv 2212.09720, and for dynamic Dettmers, arXiv 1511.04561.
"""

import re
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from itertools import pairwise
from statistics import NormalDist
from struct import pack, unpack

from densimeter.formats.element import FloatElement
from densimeter.formats.errors import FormatError, nearest

_NF4 = (
    -1.0,
    -0.6961928009986877,
    -0.5250730514526367,
    -0.39491748809814453,
    -0.28444138169288635,
    -0.18477343022823334,
    -0.09105003625154495,
    0.0,
    0.07958029955625534,
    0.16093020141124725,
    0.24611230194568634,
    0.33791524171829224,
    0.44070982933044434,
    0.5626170039176941,
    0.7229568362236023,
    1.0,
)
_FP4_TWELFTHS = (0, Fraction(1, 16), 8, 12, 4, 6, 2, 3)
_FLOAT_EXPONENT_BITS = {2: 1, 3: 2, 4: 2, 5: 3, 6: 3, 7: 4, 8: 4}


def named_levels() -> list[str]:
    """Every name that `levels` takes."""
    return ["nf4", "fp4", *(f"{family}{bits}" for family in _FAMILIES for bits in _FLOAT_EXPONENT_BITS)]


@cache
def levels(name: str) -> tuple[float, ...]:
    """The levels of a published codebook in the order of their codes; FormatError for a name it does not know."""
    if name not in named_levels():
        raise FormatError(
            f"codebook levels {name!r} are unknown{nearest(name, named_levels())}; expected a list of numbers, nf4, "
            "fp4, or int, float, dynamic or quantile followed by the number of bits (quantile4)"
        )
    if name == "nf4":
        return _NF4
    if name == "fp4":
        return _signed([Fraction(n, 12) for n in _FP4_TWELFTHS])
    match = re.fullmatch(r"([a-z]+)(\d)", name)
    assert match
    return _FAMILIES[match[1]](int(match[2]))


def name_of(wanted: tuple[float, ...]) -> str | None:
    """The name under which these levels are published, or None."""
    return next((name for name in named_levels() if repr(levels(name)) == repr(wanted)), None)


def _int(bits: int) -> tuple[float, ...]:
    """i / (2^(k-1) - 1): evenly spaced, one code unused."""
    largest = (1 << (bits - 1)) - 1
    return tuple(_float32(Fraction(i, largest)) for i in range(-largest, largest + 1))


def _float(bits: int) -> tuple[float, ...]:
    """A float with subnormals and without Inf or NaN, divided by its largest value; sign in the top bit."""
    exponent_bits = _FLOAT_EXPONENT_BITS[bits]
    element = FloatElement(exponent_bits, bits - 1 - exponent_bits, 0)
    magnitudes = (element.decode(code).value for code in range(1 << (bits - 1)))
    return _signed([magnitude / element.largest for magnitude in magnitudes])


def _dynamic(bits: int) -> tuple[float, ...]:
    """Decades below one, the d-th from the top with 2^(k-2-d) fractions, the middles of as many parts of [0.1, 1]; with
    both signs, and 0 and 1 besides."""
    positive = [
        (Fraction(1, 10) + Fraction(9, 10) * Fraction(2 * j + 1, 2 << i)) / 10 ** (bits - 2 - i)
        for i in range(bits - 1)
        for j in range(1 << i)
    ]
    ascending = sorted([*(-value for value in positive), Fraction(0), *positive, Fraction(1)])
    return tuple(map(_float32, ascending))


def _quantile(bits: int) -> tuple[float, ...]:
    """Middles between neighbouring quantiles i/(2^k+1) of the normal distribution, i from 1, divided by the largest.

    Quantile 0 is minus infinity, so that 2^k - 1 middles remain, zero among them; one code is unused.
    """
    parts = (1 << bits) + 1
    above = [NormalDist().inv_cdf(i / parts) for i in range(parts // 2 + 1, parts)]  # the others mirror these
    middles = [(a + b) / 2 for a, b in pairwise(above)]
    positive = [Fraction(middle) / Fraction(middles[-1]) for middle in middles]
    return tuple(map(_float32, [*(-value for value in reversed(positive)), Fraction(0), *positive]))


_FAMILIES: dict[str, Callable[[int], tuple[float, ...]]] = {
    "int": _int,
    "float": _float,
    "dynamic": _dynamic,
    "quantile": _quantile,
}


def _signed(magnitudes: list[Fraction]) -> tuple[float, ...]:
    """Magnitudes, then the same with the sign bit set: zero stands twice."""
    positive = [_float32(magnitude) for magnitude in magnitudes]
    return (*positive, *(-value for value in positive))


def _float32(value: Fraction) -> float:
    """The nearest float32. Rounding twice, first to float64, cannot matter: no level is that near a middle."""
    rounded: float = unpack("<f", pack("<f", float(value)))[0]
    return rounded
