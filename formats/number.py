"""The unpacked number that every element decodes to: sign, integer significand, power-of-two exponent."""

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from functools import cache


class Kind(Enum):
    """What a code stands for."""

    FINITE = "finite"
    INFINITE = "infinite"
    NAN = "nan"


@dataclass(frozen=True, slots=True)
class Number:
    """``(-1)**negative * significand * 2**exponent``, or an infinity, or a NaN.

    The sign is kept apart from the significand so that negative zero stays itself.
    """

    negative: bool
    significand: int
    exponent: int
    kind: Kind = Kind.FINITE

    @property
    def value(self) -> Fraction:
        """The exact value of a finite number."""
        if self.kind is not Kind.FINITE:
            raise ValueError(f"{self.kind.value} has no exact value")
        magnitude = self.significand * power_of_two(self.exponent)
        return -magnitude if self.negative else magnitude

    def __float__(self) -> float:
        if self.kind is Kind.NAN:
            return float("nan")
        magnitude = (
            float("inf") if self.kind is Kind.INFINITE else float(self.significand * power_of_two(self.exponent))
        )
        return -magnitude if self.negative else magnitude


@cache
def power_of_two(exponent: int) -> Fraction:
    """``2**exponent`` exactly, for exponents of either sign."""
    return Fraction(1 << exponent) if exponent >= 0 else Fraction(1, 1 << -exponent)


def floor_log2(value: Fraction) -> int:
    """The largest k with ``2**k <= value``, exactly; `value` must be positive."""
    above, below = value.numerator, value.denominator
    estimate = above.bit_length() - below.bit_length()
    reached = below << estimate <= above if estimate >= 0 else below <= above << -estimate
    return estimate if reached else estimate - 1


def ceil_log2(value: Fraction) -> int:
    """The smallest k with ``value <= 2**k``, exactly; `value` must be positive."""
    k = floor_log2(value)
    return k if power_of_two(k) == value else k + 1


def lsb_exponent(value: Fraction) -> int:
    """The largest k of which ``2**k`` divides a dyadic fraction that is not zero."""
    trailing_zeros = (value.numerator & -value.numerator).bit_length() - 1
    return trailing_zeros - (value.denominator.bit_length() - 1)


def significant_bits(value: Fraction) -> int:
    """Bits from the highest to the lowest that is set in a dyadic fraction; 0 for zero."""
    return floor_log2(abs(value)) - lsb_exponent(value) + 1 if value else 0


def round_half_even(value: Fraction) -> int:
    """The nearest integer, ties to even: what Python's ``round`` does on a Fraction, named."""
    return round(value)
