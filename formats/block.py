"""BlockFormat: an element type, a block shape and a scale composed into one number format."""

import math
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Literal, get_args

from densimeter.formats.checks import check_amount, check_choice, check_flag
from densimeter.formats.codebook import CodebookElement
from densimeter.formats.element import FLOAT32, Element, FloatElement, IntElement, LogElement
from densimeter.formats.errors import FormatError
from densimeter.formats.rounding import NOISE_BITS, Rounding
from densimeter.formats.scale import AffineScale, DoubleScale, FloatScale, PowerOfTwoScale, Scale

Block = int | tuple[int, int] | Literal["row", "tensor"]
Overflow = Literal["saturate", "special"]
Specials = Literal["block", "element", "zero", "refuse"]
PackedLayout = Literal["planes", "ggml"]

_SECOND_LEVEL_BITS = 32  # a float32 per block of scales
_EXACT_BITS = 52  # significand bits that float64 keeps apart
_GGML_ELEMENT_BITS = (4, 5, 8)
_GGML_BLOCK = 32


@dataclass(frozen=True)
class Quirks:
    """What a published implementation does that the clean definition does not; the defaults are the clean rule.

    epsilon: added to ``|x|``, and to x before its sign is taken, in float32 arithmetic. Integers and logarithms round
        the sum; floats, which must saturate their significand, take only the exponent from it.
    epsilon_of_smallest: epsilon counts in units of the block's smallest magnitude instead of in units of one.
    flush_at: ``|x|`` not above this becomes zero (the published code lets such x pass unquantised, which no code can
        hold).
    saturate_significand: a float's significand that rounds up to the next power of two is clipped instead of carried.
    float32_reciprocal: the values are multiplied by the float32 reciprocal of the scale before its rounding to the
        stored form, each step rounded to float32; ties up are found by adding a half (and the code offset) and
        truncating (ggml).
    """

    epsilon: float = 0.0
    epsilon_of_smallest: bool = False
    flush_at: float = 0.0
    saturate_significand: bool = False
    float32_reciprocal: bool = False

    def __post_init__(self) -> None:
        check_amount("epsilon", self.epsilon)
        check_flag("epsilon_of_smallest", self.epsilon_of_smallest)
        check_amount("flush_at", self.flush_at)
        check_flag("saturate_significand", self.saturate_significand)
        check_flag("float32_reciprocal", self.float32_reciprocal)


@dataclass(frozen=True)
class BlockFormat:
    """A number format. The values of a block share a scale.

    block: a count of values along one axis; a tile ``(rows, columns)``, its columns along that axis and its rows along
        the axis before it; a whole "row"; or the whole "tensor". Ragged last blocks are padded with zeros. Elements
        alone (float32, static fixed point) have no scale and block 1.
    rounding: how an element is chosen (`formats.rounding`).
    overflow: what is beyond the largest value after rounding becomes. "saturate": the largest value; "special": Inf
        where the element has one, else NaN (rounding toward zero never gets there). None: "special" for elements with
        an Inf and no scale, else "saturate".
    specials: what a NaN does. "block": it, or an Inf, makes its block NaN through the scale's code; "element": it is
        kept, by an element that can; "zero": it becomes zero; "refuse": it is an error. None: the first of block,
        element and refuse that the format can do. An Inf that is not kept so counts as a number beyond float32: it
        overflows.
    layout: how the packed bytes stand (`formats.packing`).
    """

    name: str
    element: Element
    scale: Scale | None = None
    block: Block = 1
    rounding: Rounding = "nearest_even"
    overflow: Overflow | None = None
    specials: Specials | None = None
    layout: PackedLayout = "planes"
    quirks: Quirks = Quirks()
    title: str = field(default="", compare=False)
    source: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise FormatError(f"name is {self.name!r}, expected text")
        try:
            _check_block(self)
            _check_scale(self)
            _check_range(self)
            _check_rounding(self)
            _check_policies(self)
            _check_layout(self)
        except FormatError as error:
            raise FormatError(f"{self.name}: {error}") from error

    @property
    def block_values(self) -> int | None:
        """Values in one block; None for a whole row or tensor."""
        if isinstance(self.block, tuple):
            return self.block[0] * self.block[1]
        return self.block if isinstance(self.block, int) else None

    @property
    def block_columns(self) -> int | None:
        """Values along the blocked axis that share one scale; None for a whole row or tensor."""
        return self.block[1] if isinstance(self.block, tuple) else self.block if isinstance(self.block, int) else None

    @property
    def block_rows(self) -> int:
        """Rows that share one scale; 1 except for tiles ("tensor" takes the whole as one row)."""
        return self.block[0] if isinstance(self.block, tuple) else 1

    @property
    def bits_per_value(self) -> Fraction:
        """Stored bits per value, all scales included; scales per row or tensor vanish as the row grows and count
        nothing here."""
        if self.scale is None or self.block_values is None:
            return Fraction(self.element.bits)
        shared = Fraction(self.scale.code_bits)
        if isinstance(self.scale, DoubleScale):
            shared += Fraction(_SECOND_LEVEL_BITS, self.scale.block)
        return self.element.bits + shared / self.block_values

    @property
    def memory_density(self) -> Fraction:
        """Values per bit relative to float32: ``32 / bits_per_value``."""
        return 32 / self.bits_per_value

    @property
    def has_unit_scale(self) -> bool:
        """Whether the scale changes inside a dot product, so that the arithmetic unit must apply it."""
        return self.scale is not None and self.block_columns is not None

    @property
    def has_tensor_scale(self) -> bool:
        return isinstance(self.scale, FloatScale) and self.scale.tensor_scale

    @property
    def first_level(self) -> "BlockFormat":
        """This format before its scales are quantised in turn; itself where they are not."""
        if not isinstance(self.scale, DoubleScale):
            return self
        kept: Specials = "element" if self.keeps_nan else "refuse"
        return replace(self, scale=FloatScale(FLOAT32), specials=self.specials or kept)

    @property
    def scale_exponent_offset(self) -> int:
        """What the power-of-two rule subtracts from log2 of the block's largest magnitude."""
        if not isinstance(self.scale, PowerOfTwoScale):
            raise FormatError(f"{self.name} has no power-of-two scale")
        return self.element.emax if self.scale.offset is None else self.scale.offset

    @property
    def top_fraction_bits(self) -> int:
        """Bits of the largest element below its leading one: the precision to which the scale rule "even" rounds."""
        element = self.element
        if isinstance(element, IntElement):
            return element.emax - element.lsb_exponent
        return element.mantissa_bits - (not element.hidden_bit) if isinstance(element, FloatElement) else 0

    @property
    def overflows_to_special(self) -> bool:
        """Whether what is too large becomes Inf, or NaN where the element has no Inf, instead of saturating."""
        if self.overflow is None:
            return self.scale is None and self.element.has_infinity and not self.quirks.saturate_significand
        return self.overflow == "special"

    @property
    def nan_block(self) -> bool:
        """Whether a NaN or an Inf makes its whole block NaN, through the scale's NaN code."""
        return self.scale is not None and self.scale.nan and self.specials in (None, "block")

    @property
    def keeps_nan(self) -> bool:
        """Whether a NaN stays one in its own element."""
        return self.element.has_nan and not self.nan_block and self.specials in (None, "element")

    @property
    def refuses_nan(self) -> bool:
        """Whether quantising a NaN is an error."""
        return not (self.nan_block or self.keeps_nan or self.specials == "zero")

    def block_length(self, row_length: int) -> int:
        """Values along the axis that share one scale, for rows of this length."""
        return self.block_columns or max(row_length, 1)

    def blocks_per_row(self, row_length: int) -> int:
        return math.ceil(row_length / self.block_columns) if self.block_columns else 1

    def padded_length(self, row_length: int) -> int:
        """Values of a row filled up with zeros to whole blocks."""
        return self.blocks_per_row(row_length) * self.block_columns if self.block_columns else row_length

    def _repr_html_(self) -> str:
        """What a notebook shows: facts, bits and values."""
        from densimeter.formats.display import card  # which reads formats, this module among them

        return card(self)


def scale_format(scale: DoubleScale) -> BlockFormat:
    """The format in which double quantisation stores the scales, less their mean."""
    return BlockFormat("scales", scale.element, FloatScale(FLOAT32), scale.block)


def _check_block(fmt: BlockFormat) -> None:
    size = fmt.block
    counts = size if isinstance(size, tuple) else (size,)
    counted = all(isinstance(n, int) and not isinstance(n, bool) and n >= 1 for n in counts)
    whole = isinstance(size, str) and size in ("row", "tensor")
    if not (whole or (counted and (not isinstance(size, tuple) or len(size) == 2))):
        raise FormatError(f"block is {size!r}, expected a positive integer, a tile [rows, columns], 'row' or 'tensor'")
    if fmt.scale is None and size != 1:
        raise FormatError(f"block {size} without a scale; a block exists to share one: name a scale or drop block")


def _check_scale(fmt: BlockFormat) -> None:
    scale, element = fmt.scale, fmt.element
    if isinstance(scale, FloatScale | AffineScale | DoubleScale) and isinstance(element, LogElement):
        raise FormatError(f"a float scale needs an integer, float or codebook element, not {element.notation}")
    if isinstance(scale, FloatScale | DoubleScale):
        _check_float_scale(fmt, FloatScale(FLOAT32) if isinstance(scale, DoubleScale) else scale)
    if isinstance(scale, AffineScale) and not (
        isinstance(element, IntElement) and not element.signed and not element.fraction_bits
    ):
        raise FormatError(f"a scale with a zero needs an unsigned integer element (uint4), not {element.notation}")
    if isinstance(scale, DoubleScale) and fmt.block_values is None:
        raise FormatError(f"a doubly quantised scale needs blocks of a fixed count, not block {fmt.block!r}")
    if isinstance(scale, PowerOfTwoScale):
        _check_power_of_two_scale(fmt, scale)


def _check_float_scale(fmt: BlockFormat, scale: FloatScale) -> None:
    if scale.tensor_scale and (fmt.block_values is None or isinstance(fmt.element, CodebookElement)):
        raise FormatError(
            f"a tensor scale needs blocks of a fixed count, not block {fmt.block!r}, and an integer or float element"
        )
    if scale.anchor == "signed" and not (isinstance(fmt.element, IntElement) and fmt.element.smallest_integer < 0):
        raise FormatError(f"anchor 'signed' needs a signed integer element, not {fmt.element.notation}")
    smallest = scale.element.decode(1 if scale.element.subnormals else 1 << scale.element.mantissa_bits).value
    if not scale.tensor_scale and fmt.element.largest * smallest > 1:
        raise FormatError(
            f"element {fmt.element.notation} is wider than scale {scale.symbol} can serve: its largest value, "
            f"{float(fmt.element.largest):g}, times the smallest scale, {float(smallest):g}, is more than one, so that "
            "ordinary blocks would have scale zero; take a scale of wider range or a narrower element"
        )


def _check_power_of_two_scale(fmt: BlockFormat, scale: PowerOfTwoScale) -> None:
    if isinstance(fmt.element, CodebookElement) and scale.rule == "even":
        raise FormatError("scale rule 'even' rounds to the element's precision, which a codebook lacks; use rceil")
    if scale.microexponents and (not isinstance(fmt.block, int) or fmt.block % scale.microexponents):
        raise FormatError(
            f"{scale.microexponents} microexponents do not divide block {fmt.block!r}; expected a count they divide"
        )


def _check_range(fmt: BlockFormat) -> None:
    """The largest value of some block must be a float32 number other than zero."""
    low = high = fmt.element.emax
    if isinstance(fmt.scale, PowerOfTwoScale):
        low, high = low + fmt.scale.smallest_exponent, high + fmt.scale.largest_exponent
    elif fmt.scale is not None:
        return  # a float scale follows the data; _check_float_scale judges its range
    if low > FLOAT32.emax or high < FLOAT32.lsb_exponent:
        scaled = f" under scale {fmt.scale.notation}" if fmt.scale else ""
        raise FormatError(
            f"element {fmt.element.notation}{scaled} has its largest value between 2^{low} and 2^{high}, outside "
            f"float32 (2^{FLOAT32.lsb_exponent} to 2^{FLOAT32.emax}); change a bias"
        )


def _check_rounding(fmt: BlockFormat) -> None:
    check_choice("rounding", fmt.rounding, get_args(Rounding))
    if fmt.rounding == "nearest_even":
        return
    if isinstance(fmt.element, LogElement) and fmt.rounding == "stochastic":
        raise FormatError("rounding 'stochastic' is not defined for logarithms, whose exponent it would have to round")
    if fmt.quirks.saturate_significand:
        raise FormatError("quirk saturate_significand is defined for rounding 'nearest_even' alone")
    if fmt.rounding == "stochastic":
        _check_stochastic(fmt)


def _check_stochastic(fmt: BlockFormat) -> None:
    """Decisions must be exact in float64, which has to tell the quotient of value and scale from the threshold."""
    scale, element = fmt.first_level.scale, fmt.element
    stored = scale.element if isinstance(scale, FloatScale | AffineScale) else None
    scale_bits = stored.significand_bits if isinstance(stored, FloatElement) else 0
    scale_bits += FLOAT32.significand_bits * fmt.has_tensor_scale
    threshold_bits = FLOAT32.significand_bits + 1 if isinstance(element, CodebookElement) else element.significand_bits
    if scale_bits and threshold_bits + NOISE_BITS + scale_bits > _EXACT_BITS:
        raise FormatError(
            f"rounding 'stochastic' is not offered for {element.notation} under this scale: {threshold_bits} bits of a "
            f"threshold, {NOISE_BITS} of noise and {scale_bits} of the scale are more than {_EXACT_BITS}; "
            "take a narrower scale (fp16, e8m0) or element"
        )


def _check_policies(fmt: BlockFormat) -> None:
    if fmt.overflow is not None:
        check_choice("overflow", fmt.overflow, get_args(Overflow))
    if fmt.overflow == "special" and not fmt.element.has_nan:
        raise FormatError(f"overflow 'special' needs an element with Inf or NaN, which {fmt.element.notation} lacks")
    if fmt.specials is not None:
        check_choice("specials", fmt.specials, get_args(Specials))
    if fmt.specials == "block" and not (fmt.scale is not None and fmt.scale.nan):
        raise FormatError("specials 'block' needs a scale with a code for NaN, such as e8m0")
    if fmt.specials == "element" and not fmt.element.has_nan:
        raise FormatError(f"specials 'element' needs an element with a NaN, which {fmt.element.notation} lacks")
    quirks = fmt.quirks
    flushes = isinstance(fmt.element, FloatElement) and not fmt.element.subnormals
    if quirks.saturate_significand and flushes:
        raise FormatError("quirk saturate_significand is not defined for an element without subnormals")
    if quirks.saturate_significand and fmt.overflow == "special":
        raise FormatError("quirk saturate_significand saturates; it cannot stand with overflow 'special'")
    if quirks.epsilon and isinstance(fmt.element, FloatElement) and not quirks.saturate_significand:
        raise FormatError("epsilon on a float element needs saturate_significand")
    if quirks.epsilon and isinstance(fmt.element, CodebookElement):
        raise FormatError("epsilon on a codebook element is not defined")
    micro = isinstance(fmt.scale, PowerOfTwoScale) and fmt.scale.microexponents > 0
    if (quirks.epsilon or quirks.flush_at) and (micro or isinstance(fmt.scale, AffineScale)):
        raise FormatError("epsilon and flush_at under microexponents or a scale with a zero are not defined")
    if quirks.epsilon and isinstance(fmt.scale, FloatScale) and fmt.scale.anchor == "signed":
        raise FormatError("epsilon under a scale with anchor 'signed' is not defined")
    if quirks.float32_reciprocal and not (
        isinstance(fmt.element, IntElement)
        and isinstance(fmt.scale, FloatScale | AffineScale)
        and isinstance(fmt.scale.element, FloatElement)
        and not fmt.has_tensor_scale
        and not (isinstance(fmt.scale, AffineScale) and not fmt.scale.has_minimum)
        and fmt.rounding in ("nearest_up", "nearest_away")
        and not (quirks.epsilon or quirks.flush_at)
    ):
        raise FormatError(
            "quirk float32_reciprocal needs an integer element, a float scale or one with a minimum, rounding "
            "nearest_up or nearest_away, and neither epsilon nor flush_at"
        )


def _check_layout(fmt: BlockFormat) -> None:
    check_choice("layout", fmt.layout, get_args(PackedLayout))
    if fmt.layout == "ggml" and not (
        fmt.block == _GGML_BLOCK
        and fmt.element.bits in _GGML_ELEMENT_BITS
        and isinstance(fmt.scale, PowerOfTwoScale | FloatScale | AffineScale)
        and fmt.scale.code_bits % 8 == 0
        and not fmt.has_tensor_scale
    ):
        raise FormatError(
            f"layout 'ggml' needs block {_GGML_BLOCK}, elements of 4, 5 or 8 bits and one scale of whole bytes a block"
        )
