"""BlockFormat: an element type, a block shape and a scale composed into one number format."""

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from densimeter.formats.checks import check_amount, check_flag
from densimeter.formats.element import Element, FloatElement, IntElement
from densimeter.formats.errors import FormatError
from densimeter.formats.scale import FloatScale, PowerOfTwoScale, Scale

Block = int | Literal["row", "tensor"]


@dataclass(frozen=True)
class Quirks:
    """What a published implementation does that the clean definition does not; the defaults are the clean rule.

    epsilon: added to ``|x|``, and to x before its sign is taken, in float32 arithmetic. Integers and logarithms round
        the sum; floats, which must saturate their significand, take only the exponent from it.
    epsilon_of_smallest: epsilon counts in units of the block's smallest magnitude instead of in units of one.
    flush_at: ``|x|`` not above this becomes zero (the published code lets such x pass unquantised, which no code can
        hold).
    saturate_significand: a float's significand that rounds up to the next power of two is clipped instead of carried.
    """

    epsilon: float = 0.0
    epsilon_of_smallest: bool = False
    flush_at: float = 0.0
    saturate_significand: bool = False

    def __post_init__(self) -> None:
        check_amount("epsilon", self.epsilon)
        check_flag("epsilon_of_smallest", self.epsilon_of_smallest)
        check_amount("flush_at", self.flush_at)
        check_flag("saturate_significand", self.saturate_significand)


@dataclass(frozen=True)
class BlockFormat:
    """A number format. `block` values along one axis share a scale: a count, a whole "row", or the whole "tensor".

    Elements alone (float32, static fixed point) have no scale and block 1. Ragged last blocks are padded with zeros.
    """

    name: str
    element: Element
    scale: Scale | None = None
    block: Block = 1
    quirks: Quirks = Quirks()
    title: str = field(default="", compare=False)
    source: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise FormatError(f"name is {self.name!r}, expected text")
        size = self.block
        counted = isinstance(size, int) and not isinstance(size, bool) and size >= 1
        if not counted and not (isinstance(size, str) and size in ("row", "tensor")):
            raise FormatError(f"{self.name}: block is {size!r}, expected a positive integer, 'row' or 'tensor'")
        if self.scale is None and size != 1:
            raise FormatError(
                f"{self.name}: block {size} without a scale; a block exists to share one: name a scale or drop block"
            )
        if isinstance(self.scale, PowerOfTwoScale) and isinstance(size, str):
            raise FormatError(
                f"{self.name}: a power-of-two scale per {size} is not supported; give the block as a count"
            )
        if isinstance(self.scale, FloatScale) and not isinstance(self.element, FloatElement | IntElement):
            raise FormatError(
                f"{self.name}: a float scale needs an integer or float element, not {self.element.notation}"
            )
        if self.quirks.epsilon and isinstance(self.element, FloatElement) and not self.quirks.saturate_significand:
            raise FormatError(f"{self.name}: epsilon on a float element needs saturate_significand")
        if isinstance(self.scale, FloatScale) and self.scale.tensor_scale and not isinstance(size, int):
            raise FormatError(f"{self.name}: a tensor scale needs blocks of a fixed count, not block {size!r}")

    @property
    def bits_per_value(self) -> Fraction:
        """Stored bits per value, scale included; scales per row or tensor vanish as the row grows and count nothing
        here."""
        if self.scale is None or not isinstance(self.block, int):
            return Fraction(self.element.bits)
        return self.element.bits + Fraction(self.scale.bits, self.block)

    @property
    def memory_density(self) -> Fraction:
        """Values per bit relative to float32: ``32 / bits_per_value``."""
        return 32 / self.bits_per_value

    @property
    def has_unit_scale(self) -> bool:
        """Whether the scale changes inside a dot product, so that the arithmetic unit must apply it."""
        return self.scale is not None and isinstance(self.block, int)

    @property
    def has_tensor_scale(self) -> bool:
        return isinstance(self.scale, FloatScale) and self.scale.tensor_scale

    @property
    def scale_exponent_offset(self) -> int:
        """What the power-of-two rule subtracts from log2 of the block's largest magnitude."""
        if not isinstance(self.scale, PowerOfTwoScale):
            raise FormatError(f"{self.name} has no power-of-two scale")
        return self.element.emax if self.scale.offset is None else self.scale.offset

    @property
    def overflows_to_infinity(self) -> bool:
        """Plain IEEE-like elements overflow to Inf; everything with a scale, or without an Inf, saturates."""
        return self.scale is None and self.element.has_infinity and not self.quirks.saturate_significand

    @property
    def nan_block(self) -> bool:
        """Whether a NaN or an Inf makes its whole block NaN, through the scale's NaN code."""
        return self.scale is not None and self.scale.nan

    @property
    def holds_nan(self) -> bool:
        """Whether NaN can be stored at all; where it cannot, quantising one is refused."""
        return self.nan_block or self.element.has_nan

    def block_length(self, row_length: int) -> int:
        """Values along the axis that share one scale, for rows of this length."""
        return self.block if isinstance(self.block, int) else max(row_length, 1)

    def blocks_per_row(self, row_length: int) -> int:
        return math.ceil(row_length / self.block) if isinstance(self.block, int) else 1

    def padded_length(self, row_length: int) -> int:
        """Values of a row filled up with zeros to whole blocks."""
        return self.blocks_per_row(row_length) * self.block if isinstance(self.block, int) else row_length
