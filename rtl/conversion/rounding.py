"""Lanes that round: a number under the block's scale becomes the nearest code of an integer, float or logarithm.

The number stands in `significand` and an exponent, as the library's encoders take them.
"""

import math
from abc import abstractmethod
from dataclasses import dataclass

from densimeter.formats import BlockFormat, CodebookElement, FloatElement, IntElement, LogElement
from densimeter.rtl.conversion.floats import ROUNDINGS, encode_float
from densimeter.rtl.conversion.lanes import Lanes
from densimeter.rtl.syntax import instance, vector

_ENCODINGS = {"twos_complement": 0, "sign_magnitude": 1, "offset": 2, "unsigned": 3}


def kept_bits(element: IntElement | FloatElement | LogElement) -> int:
    """Significand bits of a code, the leading one included."""
    return element.bits - element.signed if isinstance(element, IntElement) else element.significand_bits


def smallest_exponent(element: IntElement | FloatElement | LogElement) -> int:
    """The exponent from which the library's encoders count: see dm_encode_float, dm_encode_int and dm_encode_log."""
    if isinstance(element, IntElement):
        return element.lsb_exponent + kept_bits(element) - 1
    if isinstance(element, LogElement):
        return -element.bias
    return 1 - element.bias if element.hidden_bit else -1 - element.bias


def target_element(target: BlockFormat) -> IntElement | FloatElement | LogElement:
    """A format's element, of which there is an encoder."""
    assert not isinstance(target.element, CodebookElement)
    return target.element


@dataclass(frozen=True)
class Rounding(Lanes):
    """What number a lane rounds, and under which exponent, is the subclass's: `shared_exponent` shifts, `division`
    divides."""

    @property
    @abstractmethod
    def element(self) -> IntElement | FloatElement | LogElement:
        """What a lane rounds to."""

    @property
    def lanes_title(self) -> str:
        return "Decode, and round under the shared exponent."

    @property
    @abstractmethod
    def significand_bits(self) -> int:
        """Width of the significand that a lane rounds."""

    @property
    @abstractmethod
    def distance_bits(self) -> int:
        """Signed width of the exponent that it rounds it under."""

    @abstractmethod
    def distance(self) -> str:
        """Expression of `distance_bits` bits: the exponent to round under, as the library's encoders count it."""

    def encoded(self, code: str) -> str:
        """Statements that drive `code` with what the lane's number rounds to."""
        return f"wire signed {vector(self.distance_bits)} distance = {self.distance()};\n{self._encode(code)}"

    @property
    def ignores_infinity(self) -> bool:
        """Whether an infinity is decoded but is a number like any other to the lane."""
        return self.nan_in_lanes and not (self.widens_infinity or isinstance(self.element, FloatElement))

    def _encode(self, into: str) -> str:
        element = self.element
        keeps = self.target.keeps_nan
        zeroed = self.nan_in_lanes and not keeps  # a NaN stands for +0
        sign, significand = f"source_code[{self.source.bits - 1}]", "significand"
        if zeroed:
            sign += " & ~source_nan"
            significand += f" & {{{self.significand_bits}{{~source_nan}}}}"
        connections = {"negative": sign, "significand": significand, "exponent": "distance"}
        code = {"code": into}
        if isinstance(element, FloatElement):
            knows_infinity = self.source.has_infinity and not self.target.nan_block
            infinite = "source_infinite" if knows_infinity else "1'b0"
            nan = "source_nan" if self.nan_in_lanes and keeps else "1'b0"
            return encode_float(
                element,
                "encode",
                self.significand_bits,
                self.distance_bits,
                connections | {"infinite": infinite, "nan": nan} | code,
                rounding=self.target.rounding,
                overflow=self.target.overflows_to_special,
            )
        number = {"SIGNIFICAND_BITS": self.significand_bits, "EXPONENT_BITS": self.distance_bits}
        if isinstance(element, LogElement):
            return self._encode_log(element, number, connections | code)
        parameters = {
            "BITS": element.bits,
            "ENCODING": _ENCODINGS[element.encoding],
            "SYMMETRIC": int(element.symmetric),
            "ROUNDING": ROUNDINGS[self.target.rounding],
        }
        return instance("dm_encode_int", "encode", number | parameters, connections | code)

    def _encode_log(self, element: LogElement, number: dict[str, int], connections: dict[str, str]) -> str:
        parameters = {
            "FIELD_BITS": element.exponent_bits,
            "SMALLEST_FIELD": element.smallest_field,
            "ROOT": math.isqrt(1 << (2 * self.significand_bits - 1)),
            "ROUNDING": ROUNDINGS[self.target.rounding],
        }
        return instance("dm_encode_log", "encode", number | parameters, connections)
