"""Rounding: how a number between two neighbours chooses one of them, chance included.

nearest_even            ties to the even integer; in a codebook, to the level of even rank
nearest_away            ties away from zero
nearest_up              ties toward plus infinity
toward_zero             the neighbour of smaller magnitude (truncation)
toward_minus_infinity   the lower neighbour (floor)
stochastic              the upper neighbour with the probability of the distance from the lower one: up (in a codebook)
                        or away from zero (all others) where noise / 2**16 is less than that distance

Neighbours of equal magnitude, in a codebook without zero: toward_zero takes the upper one, nearest_away at a tie the
lower one. A logarithm rounds its exponent: every nearest mode decides at the geometric mean, and exponents below the
smallest become field 0.
"""

from fractions import Fraction
from typing import Literal

Rounding = Literal["nearest_even", "nearest_away", "nearest_up", "toward_zero", "toward_minus_infinity", "stochastic"]

NOISE_BITS = 16
"""Random bits of one stochastic decision: probabilities are multiples of 2**-16."""

_MASK = (1 << 64) - 1
_GAMMA = 0x9E3779B97F4A7C15
_MULTIPLIERS = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


def noise(seed: int, index: int) -> int:
    """The random bits of the value at `index`: a function of both alone, so that threads cannot change it.

    SplitMix64 (Steele, Lea, Flood 2014) as a counter: its state number `index` after `seed`, upper bits.
    """
    state = (seed + (index + 1) * _GAMMA) & _MASK
    state = ((state ^ (state >> 30)) * _MULTIPLIERS[0]) & _MASK
    state = ((state ^ (state >> 27)) * _MULTIPLIERS[1]) & _MASK
    return (state ^ (state >> 31)) >> (64 - NOISE_BITS)


def round_magnitude(magnitude: Fraction, negative: bool, rounding: Rounding, chance: int = 0) -> int:
    """The integer magnitude to which a number given as magnitude and sign rounds; `chance`: its `noise`."""
    floor = magnitude.numerator // magnitude.denominator
    return floor + _up(magnitude - floor, floor % 2 == 1, negative, rounding, chance)


def round_between(position: Fraction, odd: bool, rounding: Rounding, below_zero: bool, chance: int = 0) -> bool:
    """Whether a number at `position` (0 to 1, excluded) of the way from a lower to an upper level takes the upper one.

    `odd`: the lower level's rank is odd. `below_zero`: the upper level is the one of smaller magnitude.
    """
    if rounding == "toward_zero":
        return below_zero
    if rounding == "nearest_away" and below_zero:
        return position > Fraction(1, 2)
    return _up(position, odd, False, rounding, chance)


def _up(fraction: Fraction, odd: bool, negative: bool, rounding: Rounding, chance: int) -> bool:
    """Whether a magnitude with this fraction above an even or odd integer rounds to the next magnitude."""
    half = Fraction(1, 2)
    if rounding == "toward_zero":
        return False
    if rounding == "toward_minus_infinity":
        return negative and fraction > 0
    if rounding == "stochastic":
        # Of the magnitude: the distribution is the same as that of the value, and the sign takes no part.
        return Fraction(chance, 1 << NOISE_BITS) < fraction
    tie_up = {"nearest_even": odd, "nearest_away": True, "nearest_up": not negative}[rounding]
    return fraction > half or (fraction == half and tie_up)
