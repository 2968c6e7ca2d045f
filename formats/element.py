"""Element types: what the code of one value means.

An element is a frozen declaration; every derived fact (widths, largest value, exponents) is a property. Codes are
unsigned integers of `bits` bits. `CodebookElement`, whose values are a list, stands in `codebook.py`.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Literal, get_args

from densimeter.formats.checks import check_choice, check_flag, check_integer
from densimeter.formats.codebook import CodebookElement
from densimeter.formats.errors import FormatError
from densimeter.formats.number import Kind, Number, floor_log2, power_of_two

_MAX_BITS = 32

FloatSpecials = Literal["none", "ieee", "nan", "fnuz"]
IntEncoding = Literal["twos_complement", "sign_magnitude", "offset", "unsigned"]

_INT_SYMBOLS = {"twos_complement": "int", "sign_magnitude": "sm", "offset": "off", "unsigned": "uint"}


@dataclass(frozen=True)
class IntElement:
    """An integer times ``2**-fraction_bits``.

    `encoding`: "twos_complement"; "sign_magnitude" (with a negative zero); "offset", the code of -2**(bits-1) being 0
    (GGUF); "unsigned", for affine formats and for values that are never negative: others saturate at zero.
    `symmetric` elements never produce their most negative code; sign-magnitude ones have no such code.
    """

    bits: int
    encoding: IntEncoding = "twos_complement"
    fraction_bits: int = 0
    symmetric: bool = False

    def __post_init__(self) -> None:
        check_integer("bits", self.bits, 2, _MAX_BITS // 2)
        check_choice("encoding", self.encoding, get_args(IntEncoding))
        check_integer("fraction_bits", self.fraction_bits, -64, 64)
        check_flag("symmetric", self.symmetric)

    @property
    def sign_magnitude(self) -> bool:
        return self.encoding == "sign_magnitude"

    @property
    def signed(self) -> bool:
        return self.encoding != "unsigned"

    @property
    def largest_integer(self) -> int:
        return (1 << (self.bits - self.signed)) - 1

    @property
    def smallest_integer(self) -> int:
        if not self.signed:
            return 0
        return -self.largest_integer - (0 if self.sign_magnitude or self.symmetric else 1)

    @property
    def code_offset(self) -> int:
        """What an "offset" code stands above its integer."""
        return 1 << (self.bits - 1) if self.encoding == "offset" else 0

    @property
    def padding_code(self) -> int:
        """The code that fills a ragged block up: that of zero."""
        return self.code_offset

    @property
    def lsb_exponent(self) -> int:
        """Every value is a multiple of ``2**lsb_exponent``."""
        return -self.fraction_bits

    @property
    def top_exponent(self) -> int:
        """Exponent of the significand's lowest bit in the topmost binade: for an integer, always the same."""
        return self.lsb_exponent

    @property
    def largest(self) -> Fraction:
        return self.largest_integer * power_of_two(self.lsb_exponent)

    @property
    def emax(self) -> int:
        """Exponent of the largest power of two that is not above the largest value."""
        return floor_log2(self.largest)

    @property
    def significand_bits(self) -> int:
        """Width of the magnitude that enters the multiplier (two's complement counts its most negative code)."""
        return self.bits - 1 if self.sign_magnitude else self.bits

    @property
    def has_nan(self) -> bool:
        return False

    @property
    def has_infinity(self) -> bool:
        return False

    @property
    def symbol(self) -> str:
        return f"{_INT_SYMBOLS[self.encoding]}{self.bits}"

    @property
    def notation(self) -> str:
        suffix = f" x 2^-{self.fraction_bits}" if self.fraction_bits else ""
        return f"{self.encoding.replace('_', '-')} int{self.bits}{suffix}"

    def decode(self, code: int) -> Number:
        sign_bit = 1 << (self.bits - 1)
        if self.sign_magnitude:
            return Number(bool(code & sign_bit), code & (sign_bit - 1), self.lsb_exponent)
        wrapped = (code & sign_bit) << 1 if self.encoding == "twos_complement" else 0
        integer = code - wrapped - self.code_offset
        return Number(integer < 0, abs(integer), self.lsb_exponent)

    def encode(self, magnitude: int, negative: bool) -> int:
        """The code of an integer given as magnitude and sign; what is out of range saturates."""
        if self.sign_magnitude:
            return min(magnitude, self.largest_integer) | negative << (self.bits - 1)
        integer = min(max(-magnitude if negative else magnitude, self.smallest_integer), self.largest_integer)
        return (integer + self.code_offset) % (1 << self.bits)


@dataclass(frozen=True)
class FloatElement:
    """Sign, exponent field E, mantissa field q.

    With a hidden bit: ``2**(E-bias) * (1 + q/2**mantissa_bits)``, and E=0 holds subnormals (or only zeros). Without one
    (the block-quantisation paper's DMF): ``2**(E-bias) * q/2**mantissa_bits`` for every E.
    `specials`: "ieee" reserves the largest E for Inf and NaN; "nan" makes only the all-ones magnitude a NaN (OCP E4M3);
    "fnuz" makes negative zero the only NaN ("finite, unsigned zero"); "none" uses every code for a number.
    """

    exponent_bits: int
    mantissa_bits: int
    bias: int
    hidden_bit: bool = True
    subnormals: bool = True
    specials: FloatSpecials = "none"

    def __post_init__(self) -> None:
        check_integer("exponent_bits", self.exponent_bits, 1, 8)
        check_integer("mantissa_bits", self.mantissa_bits, 0, 23)
        check_integer("bias", self.bias, -256, 512)
        check_choice("specials", self.specials, get_args(FloatSpecials))
        check_flag("hidden_bit", self.hidden_bit)
        check_flag("subnormals", self.subnormals)
        if self.specials == "ieee" and self.mantissa_bits == 0:
            raise FormatError(
                "specials 'ieee' needs at least one mantissa bit to tell NaN from Inf; got mantissa_bits 0"
            )
        if not self.hidden_bit and (self.mantissa_bits == 0 or self.specials != "none"):
            raise FormatError("an element without a hidden bit needs mantissa bits and specials 'none'")
        if self.largest == 0:
            raise FormatError(f"{self.notation}: no code has a value above zero; give it another bit")

    @property
    def padding_code(self) -> int:
        """The code that fills a ragged block up: that of zero."""
        return 0

    @property
    def bits(self) -> int:
        return 1 + self.exponent_bits + self.mantissa_bits

    @property
    def significand_bits(self) -> int:
        return self.mantissa_bits + self.hidden_bit

    @property
    def largest_exponent_field(self) -> int:
        return (1 << self.exponent_bits) - 1 - (self.specials == "ieee")

    @property
    def lsb_exponent(self) -> int:
        """Every finite value is a multiple of ``2**lsb_exponent``."""
        return (1 if self.hidden_bit else 0) - self.bias - self.mantissa_bits

    @property
    def top_exponent(self) -> int:
        """Exponent of the significand's lowest bit in the topmost binade."""
        return self.decode(self.largest_magnitude_code).exponent

    @property
    def largest_magnitude_code(self) -> int:
        return ((self.largest_exponent_field + 1) << self.mantissa_bits) - 1 - (self.specials == "nan")

    @cached_property
    def largest(self) -> Fraction:
        return self.decode(self.largest_magnitude_code).value

    @property
    def emax(self) -> int:
        """Exponent of the largest power of two that is not above the largest value."""
        return floor_log2(self.largest)

    @property
    def has_nan(self) -> bool:
        return self.specials != "none"

    @property
    def has_infinity(self) -> bool:
        return self.specials == "ieee"

    @property
    def infinity_code(self) -> int:
        """Magnitude code of +Inf; only where `has_infinity`."""
        return (self.largest_exponent_field + 1) << self.mantissa_bits

    @property
    def nan_code(self) -> int:
        """Code of the canonical NaN (quiet and positive in IEEE 754 terms); only where `has_nan`."""
        if self.specials == "ieee":
            return self.infinity_code | 1 << (self.mantissa_bits - 1)
        return (1 << (self.bits - 1)) - (self.specials == "nan")

    @property
    def has_negative_zero(self) -> bool:
        return self.specials != "fnuz"

    def with_sign(self, magnitude_code: int, negative: bool) -> int:
        """The code of a magnitude and a sign; where there is no negative zero, zero has none."""
        return magnitude_code | (negative and (self.has_negative_zero or magnitude_code > 0)) << (self.bits - 1)

    @property
    def symbol(self) -> str:
        return f"e{self.exponent_bits}m{self.mantissa_bits}"

    @property
    def notation(self) -> str:
        hidden = "" if self.hidden_bit else ", no hidden bit"
        flushed = "" if self.subnormals else ", subnormals flushed"
        finite = ", fnuz" if self.specials == "fnuz" else ""
        return f"{self.symbol} bias {self.bias}{hidden}{flushed}{finite}"

    def decode(self, code: int) -> Number:
        negative = bool(code >> (self.bits - 1))
        field = (code >> self.mantissa_bits) & ((1 << self.exponent_bits) - 1)
        mantissa = code & ((1 << self.mantissa_bits) - 1)
        if field > self.largest_exponent_field:
            return Number(negative, 0, 0, Kind.NAN if mantissa else Kind.INFINITE)
        if self.specials == "nan" and code & ((1 << (self.bits - 1)) - 1) == self.nan_code:
            return Number(negative, 0, 0, Kind.NAN)
        if self.specials == "fnuz" and code == self.nan_code:
            return Number(False, 0, 0, Kind.NAN)
        if not self.hidden_bit:
            return Number(negative, mantissa, field - self.bias - self.mantissa_bits)
        if field == 0:
            return Number(negative, mantissa if self.subnormals else 0, self.lsb_exponent)
        return Number(negative, mantissa | 1 << self.mantissa_bits, field - self.bias - self.mantissa_bits)


@dataclass(frozen=True)
class LogElement:
    """A sign and an exponent field: ``±2**(field-bias)``; with `zero`, field 0 means zero instead."""

    exponent_bits: int
    bias: int
    zero: bool = True

    def __post_init__(self) -> None:
        check_integer("exponent_bits", self.exponent_bits, 2, 8)
        check_integer("bias", self.bias, -256, 512)
        check_flag("zero", self.zero)

    @property
    def padding_code(self) -> int:
        """The code that fills a ragged block up: that of zero, where the element has one."""
        return 0

    @property
    def bits(self) -> int:
        return 1 + self.exponent_bits

    @property
    def significand_bits(self) -> int:
        return 1

    @property
    def smallest_field(self) -> int:
        """The exponent field of the smallest magnitude above zero."""
        return 1 if self.zero else 0

    @property
    def lsb_exponent(self) -> int:
        """Every value is a multiple of ``2**lsb_exponent``."""
        return self.smallest_field - self.bias

    @property
    def emax(self) -> int:
        return (1 << self.exponent_bits) - 1 - self.bias

    @property
    def top_exponent(self) -> int:
        """Exponent of the significand's lowest (and only) bit at the largest magnitude."""
        return self.emax

    @property
    def largest(self) -> Fraction:
        return power_of_two(self.emax)

    @property
    def has_nan(self) -> bool:
        return False

    @property
    def has_infinity(self) -> bool:
        return False

    @property
    def symbol(self) -> str:
        return f"log{self.exponent_bits}"

    @property
    def notation(self) -> str:
        return f"log e{self.exponent_bits} bias {self.bias}{'' if self.zero else ', no zero'}"

    def decode(self, code: int) -> Number:
        negative = bool(code >> self.exponent_bits)
        field = code & ((1 << self.exponent_bits) - 1)
        if self.zero and field == 0:
            return Number(negative, 0, self.lsb_exponent)
        return Number(negative, 1, field - self.bias)


Element = IntElement | FloatElement | LogElement | CodebookElement

FLOAT32 = FloatElement(8, 23, 127, specials="ieee")
"""IEEE 754 binary32, the type of every input and output."""


def largest_magnitude(element: Element) -> int:
    """The largest magnitude any code can hold, in units of ``2**lsb_exponent``: the element as a fixed-point
    integer."""
    if isinstance(element, IntElement) and element.encoding in ("twos_complement", "offset"):
        return 1 << (element.bits - 1)
    return int(element.largest / power_of_two(element.lsb_exponent))
