"""CodebookElement: an element whose values are a list."""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from densimeter.formats.errors import FormatError
from densimeter.formats.number import Number, floor_log2, lsb_exponent, power_of_two, significant_bits

_MAX_LEVELS = 1 << 8


@dataclass(frozen=True, eq=False)
class CodebookElement:
    """Code c stands for ``levels[c]``, each a float32 number; in any order, no value twice.

    Codes past the last level are never produced and read as zero. Zero may stand twice, as 0.0 and as -0.0; codebooks
    that differ in the sign of a zero are not equal.
    """

    levels: tuple[float, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.levels, tuple) or not 2 <= len(self.levels) <= _MAX_LEVELS:
            raise FormatError(f"codebook levels are {self.levels!r}, expected a list of 2 to {_MAX_LEVELS} numbers")
        for level in self.levels:
            if not isinstance(level, float) or not abs(level) < 2.0**128 or not _is_float32(Fraction(level)):
                raise FormatError(f"codebook level {level!r} is not a finite float32 number; round it first")
        object.__setattr__(
            self, "levels", tuple(map(float, self.levels))
        )  # numpy's float64 is a float, written otherwise
        written = self._written.split()
        for position, text in enumerate(written):
            if text in written[:position]:
                raise FormatError(f"codebook level {text} stands twice; expected each level once")
        if not any(self.levels):
            raise FormatError("codebook levels are all zero; expected one that is not")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CodebookElement) and self._written == other._written

    def __hash__(self) -> int:
        return hash(self._written)

    @cached_property
    def _written(self) -> str:
        """The levels in writing, which tells 0.0 from -0.0."""
        return " ".join(map(repr, self.levels))

    @property
    def bits(self) -> int:
        return (len(self.levels) - 1).bit_length()

    @cached_property
    def ladder(self) -> tuple[tuple[Fraction, int], ...]:
        """(value, code) in ascending order; zero once, as the first of its codes."""
        found: dict[Fraction, int] = {}
        for code, level in enumerate(self.levels):
            found.setdefault(Fraction(level), code)
        return tuple(sorted(found.items()))

    @cached_property
    def negative_zero_code(self) -> int | None:
        """The code of -0.0, where 0.0 has another; else None."""
        zeros = {repr(level): code for code, level in enumerate(self.levels) if level == 0}
        return zeros["-0.0"] if len(zeros) == 2 else None

    @property
    def positive_zero_code(self) -> int | None:
        """The code of 0.0, or of -0.0 where that is the only zero; None without a zero."""
        zeros = {repr(level): code for code, level in enumerate(self.levels) if level == 0}
        return zeros.get("0.0", zeros.get("-0.0"))

    @property
    def padding_code(self) -> int:
        """The code that fills a ragged block up: that of zero, or 0 where there is none."""
        return self.positive_zero_code or 0

    @cached_property
    def largest(self) -> Fraction:
        return max(abs(value) for value, _ in self.ladder)

    @property
    def emax(self) -> int:
        """Exponent of the largest power of two that is not above the largest value."""
        return floor_log2(self.largest)

    @cached_property
    def lsb_exponent(self) -> int:
        """Every value is a multiple of ``2**lsb_exponent``."""
        return min(lsb_exponent(value) for value, _ in self.ladder if value)

    @property
    def top_exponent(self) -> int:
        """Every value is an integer in units of the lowest bit, so this is the same."""
        return self.lsb_exponent

    @property
    def significand_bits(self) -> int:
        """Width of the largest magnitude in units of the lowest bit."""
        return int(self.largest / power_of_two(self.lsb_exponent)).bit_length()

    @property
    def has_nan(self) -> bool:
        return False

    @property
    def has_infinity(self) -> bool:
        return False

    @property
    def symbol(self) -> str:
        return f"codebook{len(self.levels)}"

    @property
    def notation(self) -> str:
        return f"codebook of {len(self.levels)} levels"

    def decode(self, code: int) -> Number:
        level = self.levels[code] if code < len(self.levels) else 0.0
        units = Fraction(level) / power_of_two(self.lsb_exponent)
        return Number(repr(level).startswith("-"), abs(int(units)), self.lsb_exponent)


def _is_float32(value: Fraction) -> bool:
    """Whether a float64 of float32's range has at most 24 significant bits, none below 2**-149."""
    return not value or (lsb_exponent(value) >= -149 and significant_bits(value) <= 24)
