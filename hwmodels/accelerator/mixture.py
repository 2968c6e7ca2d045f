"""Weights of one matrix stored in several formats: most groups in few bits, some in more, sparse outliers apart.

The scheme of arXiv 2311.16442 (2/4/16 bits): groups of weights take one of the formats, and the largest weights stand
in a list of (value, index) besides.
"""

from dataclasses import dataclass
from fractions import Fraction

from densimeter.formats import BlockFormat
from densimeter.formats.errors import ConfigError


@dataclass(frozen=True)
class Mixture:
    """Formats and the share of the values that each stores, outliers besides; ConfigError where shares are wrong.

    outlier_share: of all values, which stand in the list too; outlier_bits: of one entry, value and index.
    """

    shares: tuple[tuple[BlockFormat, Fraction], ...]
    outlier_share: Fraction = Fraction(0)
    outlier_bits: int = 32

    def __post_init__(self) -> None:
        total = sum(share for _, share in self.shares)
        if total != 1 or any(share <= 0 for _, share in self.shares):
            told = ", ".join(f"{fmt.name} {float(share):g}" for fmt, share in self.shares)
            raise ConfigError(f"shares of a mixture are {told}, expected shares above 0 that add up to 1")
        if not 0 <= self.outlier_share < 1 or self.outlier_bits < 1:
            raise ConfigError(
                f"outliers are {float(self.outlier_share):g} of all, {self.outlier_bits} bits each; "
                "expected a share from 0 to below 1, and 1 bit or more"
            )

    @property
    def formats(self) -> tuple[BlockFormat, ...]:
        return tuple(fmt for fmt, _ in self.shares)

    @property
    def bits_per_value(self) -> Fraction:
        """Stored bits, scales and outliers included."""
        dense = sum((share * fmt.bits_per_value for fmt, share in self.shares), Fraction(0))
        return dense + self.outlier_share * self.outlier_bits

    @property
    def name(self) -> str:
        parts = [f"{float(share):.3g} {fmt.name}" for fmt, share in self.shares]
        if self.outlier_share:
            parts.append(f"{float(self.outlier_share):.3g} outliers")
        return " + ".join(parts)


Stored = BlockFormat | Mixture


def formats_of(stored: Stored) -> tuple[BlockFormat, ...]:
    """The formats whose codes stand in memory."""
    return stored.formats if isinstance(stored, Mixture) else (stored,)
