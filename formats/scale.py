"""Scales: the number that the elements of one block share, how it is chosen and how it is stored."""

from dataclasses import dataclass
from typing import Literal

from densimeter.formats.checks import check_choice, check_flag, check_integer
from densimeter.formats.element import FloatElement
from densimeter.formats.errors import FormatError


@dataclass(frozen=True)
class PowerOfTwoScale:
    """A shared exponent: scale ``2**exponent``, stored as the code ``exponent + bias`` in `bits` bits.

    The exponent follows from the block's largest magnitude: ``rule(log2 max) - offset``, clipped to what the code can
    hold; `offset` None means the element's emax, so that the largest value lands in the element's top binade.
    `nan` keeps the all-ones code for "the whole block is NaN" (OCP E8M0). `negated` flips the sign of the exponent
    before the clip: a published block-minifloat has it the wrong way round.
    """

    bits: int = 8
    bias: int = 127
    rule: Literal["floor", "ceil"] = "floor"
    offset: int | None = None
    nan: bool = False
    negated: bool = False

    def __post_init__(self) -> None:
        check_integer("scale bits", self.bits, 1, 8)
        check_integer("scale bias", self.bias, -512, 512)
        check_choice("scale rule", self.rule, ("floor", "ceil"))
        if self.offset is not None:
            check_integer("scale offset", self.offset, -512, 512)
        check_flag("scale nan", self.nan)
        check_flag("scale negated", self.negated)

    @property
    def nan_code(self) -> int:
        """The code of a NaN block; only where `nan`."""
        return (1 << self.bits) - 1

    @property
    def largest_code(self) -> int:
        return (1 << self.bits) - 1 - self.nan

    @property
    def smallest_exponent(self) -> int:
        return -self.bias

    @property
    def largest_exponent(self) -> int:
        return self.largest_code - self.bias

    @property
    def symbol(self) -> str:
        return f"e{self.bits}m0"

    @property
    def notation(self) -> str:
        return f"2^e, {self.bits}-bit e, {self.rule}"


@dataclass(frozen=True)
class FloatScale:
    """A scale stored as an unsigned float: ``largest magnitude of the block / largest element``, rounded to nearest
    even.

    With `tensor_scale` a float32 factor g of the whole tensor stands before it, chosen so that the block scales fill
    their
    range: ``g = largest magnitude of the tensor / (largest element * largest block scale)`` (NVFP4).
    """

    element: FloatElement
    tensor_scale: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.element, FloatElement):
            raise FormatError(f"scale element is {self.element!r}, expected a float element such as e4m3")
        check_flag("tensor_scale", self.tensor_scale)

    @property
    def bits(self) -> int:
        return self.element.bits

    @property
    def nan(self) -> bool:
        return self.element.has_nan

    @property
    def nan_code(self) -> int:
        return self.element.nan_code

    @property
    def symbol(self) -> str:
        return self.element.symbol

    @property
    def notation(self) -> str:
        second = ", float32 tensor scale" if self.tensor_scale else ""
        return f"{self.symbol} float{second}"


Scale = PowerOfTwoScale | FloatScale
