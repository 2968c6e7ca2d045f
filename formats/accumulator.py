"""Accumulators: the register at the end of a multiply-accumulate unit, and what it does with what does not fit.

Text forms, as the command line and YAML take them (parentheses are optional: ``int(32)``, ``fixed(48,-24)``):

    int32, int32_saturate    two's complement, in units of the smallest product; wraps or saturates
    fixed48:-24              two's complement with its lowest bit worth 2^-24; shifts, truncates to minus infinity,
    saturates
    aligned24                a 24-bit significand and an exponent; the smaller operand is shifted right and truncated
    fp32, fp32_ftz           IEEE 754 binary32, nearest even; _ftz turns tiny results (below 2^-126 before rounding)
    to zero
"""

import re
from dataclasses import dataclass
from typing import Literal

from densimeter.formats.checks import check_integer
from densimeter.formats.errors import FormatError

_EXAMPLES = "int32, int32_saturate, fixed48:-24, aligned24, fp32 or fp32_ftz"
_MAX_REGISTER_BITS = 60
_MAX_SIGNIFICAND_BITS = 48


@dataclass(frozen=True)
class IntAccumulator:
    bits: int
    overflow: Literal["wrap", "saturate"] = "wrap"

    def __post_init__(self) -> None:
        _check_bits(self.bits)

    def __str__(self) -> str:
        return f"int{self.bits}" + ("_saturate" if self.overflow == "saturate" else "")


@dataclass(frozen=True)
class FixedAccumulator:
    bits: int
    lsb_exponent: int

    def __post_init__(self) -> None:
        _check_bits(self.bits)
        check_integer("accumulator's lowest bit, as a power of two,", self.lsb_exponent, -512, 512)

    def __str__(self) -> str:
        return f"fixed{self.bits}:{self.lsb_exponent}"


@dataclass(frozen=True)
class AlignedAccumulator:
    bits: int

    def __post_init__(self) -> None:
        _check_bits(self.bits, _MAX_SIGNIFICAND_BITS)

    def __str__(self) -> str:
        return f"aligned{self.bits}"


@dataclass(frozen=True)
class Fp32Accumulator:
    subnormals: bool = True

    def __str__(self) -> str:
        return "fp32" if self.subnormals else "fp32_ftz"


Accumulator = IntAccumulator | FixedAccumulator | AlignedAccumulator | Fp32Accumulator

_INTEGER = re.compile(r"int\(?(\d+)(?:[_,]\s*(wrap|saturate))?\)?")
_FIXED = re.compile(r"fixed\(?(\d+)[:,]\s*(-?\d+)\)?")
_ALIGNED = re.compile(r"aligned\(?(\d+)\)?")


def parse_accumulator(text: str) -> Accumulator:
    """Read an accumulator from its text form; raise FormatError naming the forms otherwise."""
    name = text.strip().lower()
    if name in ("fp32", "fp32_ftz"):
        return Fp32Accumulator(subnormals=name == "fp32")
    if match := _INTEGER.fullmatch(name):
        return IntAccumulator(int(match[1]), "saturate" if match[2] == "saturate" else "wrap")
    if match := _FIXED.fullmatch(name):
        return FixedAccumulator(int(match[1]), int(match[2]))
    if match := _ALIGNED.fullmatch(name):
        return AlignedAccumulator(int(match[1]))
    raise FormatError(f"accumulator is {text!r}, expected something like {_EXAMPLES}")


def _check_bits(bits: int, largest: int = _MAX_REGISTER_BITS) -> None:
    if not 2 <= bits <= largest:
        raise FormatError(f"accumulator is {bits} bits wide, expected 2 to {largest}")
