"""Scales: what the elements of one block share, how it is chosen and how it is stored.

Whatever a block shares stands in one scale code of `code_bits` bits: an exponent and its microexponents, a float, a
float and a zero point.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from densimeter.formats.checks import check_choice, check_flag, check_integer
from densimeter.formats.codebook import CodebookElement
from densimeter.formats.element import FLOAT32, FloatElement, IntElement
from densimeter.formats.errors import FormatError

ScaleRule = Literal["floor", "ceil", "even", "rceil"]

MAX_CODE_BITS = 64


@dataclass(frozen=True)
class PowerOfTwoScale:
    """A shared exponent: scale ``2**exponent``, stored as the code ``exponent + bias`` in `bits` bits.

    The exponent follows from the block's largest magnitude, less `offset`, and is clipped to what the code can hold;
    `offset` None means the element's emax, so that the largest value lands in the element's top binade. `rule`:

        floor   floor(log2 max) - offset (OCP)
        ceil    ceil(log2 max) - offset
        even    floor(log2 max) - offset of max rounded to the element's precision, ties up
        rceil   ceil(log2(max / largest element)): the smallest scale under which nothing saturates; takes no offset

    `nan` keeps the all-ones code for "the whole block is NaN" (OCP E8M0). `negated` flips the sign of the exponent
    before the clip: a published block-minifloat has it the wrong way round.

    `microexponents` n divides the block into n equal parts with `microexponent_bits` bits each (shared microexponents,
    ISCA 2023): part i, of largest magnitude p, has the scale ``2**(exponent - t)`` with ``t = exponent + offset -
    floor(log2 p)``, which is ``floor(log2 max) - floor(log2 p)`` unless the exponent was clipped; from 0 to
    ``2**microexponent_bits - 1``, the largest for a part of zeros. It stands in the code from bit
    ``bits + i*microexponent_bits`` on.
    """

    bits: int = 8
    bias: int = 127
    rule: ScaleRule = "floor"
    offset: int | None = None
    nan: bool = False
    negated: bool = False
    microexponents: int = 0
    microexponent_bits: int = 1

    def __post_init__(self) -> None:
        check_integer("scale bits", self.bits, 1, 8)
        check_integer("scale bias", self.bias, -512, 512)
        check_choice("scale rule", self.rule, get_args(ScaleRule))
        if self.offset is not None:
            check_integer("scale offset", self.offset, -512, 512)
        check_flag("scale nan", self.nan)
        check_flag("scale negated", self.negated)
        check_integer("microexponents", self.microexponents, 0, MAX_CODE_BITS)
        check_integer("microexponent_bits", self.microexponent_bits, 1, 4)
        if self.code_bits > MAX_CODE_BITS:
            raise FormatError(
                f"an exponent of {self.bits} bits with {self.microexponents} of {self.microexponent_bits} below it "
                f"make {self.code_bits} bits a block, expected at most {MAX_CODE_BITS}; use fewer"
            )
        if self.rule == "rceil" and self.offset is not None:
            raise FormatError(
                f"scale rule 'rceil' with offset {self.offset}: it divides by the largest element and takes none"
            )
        if self.microexponents and (self.nan or self.negated or self.rule != "floor"):
            raise FormatError("microexponents need the rule 'floor', and neither nan nor negated")

    @property
    def code_bits(self) -> int:
        """Bits of all that a block shares."""
        return self.bits + self.microexponents * self.microexponent_bits

    @property
    def largest_shift(self) -> int:
        """The largest microexponent, 0 where there are none."""
        return (1 << self.microexponent_bits) - 1 if self.microexponents else 0

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
        micro = f"x{self.microexponents}" if self.microexponents else ""
        return f"e{self.bits}m0{micro}"

    @property
    def notation(self) -> str:
        micro = f", {self.microexponents} x {self.microexponent_bits}-bit microexponents" if self.microexponents else ""
        return f"2^e, {self.bits}-bit e, {self.rule}{micro}"


@dataclass(frozen=True)
class FloatScale:
    """A scale stored as a float: ``largest magnitude of the block / largest element``, rounded to nearest even.

    `anchor` "signed" divides the value of largest magnitude (the first of several), sign included, by the most negative
    integer instead, so that this one value is held exactly: the scale can be negative (GGUF Q4_0).
    With `tensor_scale` a float32 factor g of the whole tensor stands before it, chosen so that the block scales fill
    their range: ``g = largest magnitude of the tensor / (largest element * largest block scale)`` (NVFP4).
    """

    element: FloatElement
    tensor_scale: bool = False
    anchor: Literal["magnitude", "signed"] = "magnitude"

    def __post_init__(self) -> None:
        check_scale_element(self.element)
        check_flag("tensor_scale", self.tensor_scale)
        check_choice("anchor", self.anchor, ("magnitude", "signed"))
        if self.tensor_scale and self.anchor == "signed":
            raise FormatError("a tensor scale needs anchor 'magnitude', not 'signed'")

    @property
    def code_bits(self) -> int:
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
        signed = ", signed" if self.anchor == "signed" else ""
        return f"{self.symbol} float{signed}{second}"


@dataclass(frozen=True)
class AffineScale:
    """A scale and a zero: block values between their least and their greatest, for unsigned integer elements.

    `zero` an unsigned integer element, the zero point z: value ``scale * (q - z)``. The range is widened to hold zero;
    ``scale = float32(greatest - least) / largest integer``, rounded to `element`, ``z = round(-least / scale)``,
    ``q = round(x / scale) + z``; both saturate.
    `zero` a float element, the minimum m: value ``float32(float32(scale * q) + m)``. m is the least value rounded to
    `zero`, ``scale = float32(greatest - least) / largest integer`` and ``q = round(float32(x - m) / scale)``. All
    roundings are to nearest even but that of q, which is the format's. The code holds the scale in its low bits, the
    zero above.
    `element` a shared exponent with the rule "rceil" (``e8m0``): the scale is the smallest power of two that is not
    below ``float32(greatest - least) / largest integer``.
    """

    element: FloatElement | PowerOfTwoScale
    zero: IntElement | FloatElement

    def __post_init__(self) -> None:
        if not isinstance(self.element, PowerOfTwoScale):
            check_scale_element(self.element)
        elif self.element.rule != "rceil" or self.element.negated or self.element.microexponents:
            raise FormatError(
                f"scale element is {self.element.notation}, expected a float element or an exponent of rule 'rceil'"
            )
        if isinstance(self.zero, IntElement):
            if self.zero.signed or self.zero.fraction_bits:
                raise FormatError(f"zero point is {self.zero.notation}, expected an unsigned integer such as uint4")
        elif not isinstance(self.zero, FloatElement):
            raise FormatError(f"zero is {self.zero!r}, expected an unsigned integer (uint4) or a float element (fp16)")
        elif self.zero.emax > FLOAT32.emax or self.zero.lsb_exponent < FLOAT32.lsb_exponent:
            raise FormatError(
                f"minimum is {self.zero.notation}, whose values are not all float32 numbers; change its bias"
            )

    @property
    def has_minimum(self) -> bool:
        """Whether the zero is a value to add, and not an integer to subtract."""
        return isinstance(self.zero, FloatElement)

    @property
    def code_bits(self) -> int:
        return self.element.bits + self.zero.bits

    @property
    def nan(self) -> bool:
        return self.element.nan if isinstance(self.element, PowerOfTwoScale) else self.element.has_nan

    @property
    def nan_code(self) -> int:
        return self.element.nan_code

    @property
    def symbol(self) -> str:
        return f"{self.element.symbol}_{self.zero.symbol}"

    @property
    def notation(self) -> str:
        kind = "exponent" if isinstance(self.element, PowerOfTwoScale) else "float"
        return f"{self.element.symbol} {kind}, {'minimum' if self.has_minimum else 'zero point'} {self.zero.symbol}"


@dataclass(frozen=True)
class DoubleScale:
    """Double quantisation (QLoRA): float32 scales, themselves quantised in blocks of `block` with a codebook.

    First, ``s = float32(largest magnitude of the block / largest element)``; the elements are quantised under s.
    Then, with `centred`, the mean of all s (float64 sum, rounded, over their count, rounded to float32) is subtracted
    in float32; each run of `block` scales, row after row of blocks, is divided by its own largest magnitude and
    stored as the nearest level. Read back: ``float32(float32(level * largest) + mean)``.
    """

    element: CodebookElement
    block: int = 256
    centred: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.element, CodebookElement):
            raise FormatError(f"scale element is {self.element!r}, expected a codebook such as dynamic8")
        if self.element.largest != 1:
            raise FormatError(f"scale levels reach {float(self.element.largest):g}, expected a largest magnitude of 1")
        check_integer("scale block", self.block, 1, 1 << 20)
        check_flag("centred", self.centred)

    @property
    def code_bits(self) -> int:
        return self.element.bits

    @property
    def nan(self) -> bool:
        return False

    @property
    def nan_code(self) -> int:
        """No code stands for NaN; asked for only where `nan`."""
        return -1

    @property
    def symbol(self) -> str:
        return f"dq{self.element.bits}"

    @property
    def notation(self) -> str:
        return f"{self.element.notation} over float32 per {self.block}{', centred' if self.centred else ''}"


Scale = PowerOfTwoScale | FloatScale | AffineScale | DoubleScale


def check_scale_element(element: object) -> None:
    """Refuse what no scale can be stored as."""
    if not isinstance(element, FloatElement):
        raise FormatError(f"scale element is {element!r}, expected a float element such as e4m3")
    if element.specials == "fnuz":
        raise FormatError(f"scale element is {element.notation}, whose NaN is negative zero; expected another float")
