"""Quantisers whose scale is a float: lanes divide by it.

The scale is the block's largest magnitude over the largest element, and over the factor of the tensor where there is
one, rounded; lanes divide by what it was rounded to, times that factor. Both quotients are exact but for one bit that
tells whether anything lies below, so they round as the reference does. A lane has few digits to find, those of its code
and one more; that each takes a subtraction of the divisor's width is what such a format costs.
"""

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property

from densimeter.formats import FloatElement, FloatScale, IntElement, LogElement
from densimeter.formats.element import FLOAT32
from densimeter.rtl.conversion.lanes import Search
from densimeter.rtl.conversion.normal import Normal, Quotient, constant, decoded, divided, stored, times
from densimeter.rtl.conversion.rounding import Rounding, kept_bits, smallest_exponent, target_element
from densimeter.rtl.ports import Port
from densimeter.rtl.syntax import vector


@dataclass(frozen=True)
class Dividing(Rounding):
    """Lanes that divide: what they divide by, and how it was chosen, is the subclass's."""

    @property
    @abstractmethod
    def unit(self) -> Normal:
        """What lanes divide by, where it is found."""

    @property
    def key_bits(self) -> int:
        """A magnitude's code: it is the larger, the larger the magnitude."""
        return self.source.bits - 1

    @property
    def significand_bits(self) -> int:
        """Of a quotient: the bits kept, the half below them, and one for all below."""
        return kept_bits(self.element) + 2

    @property
    def distance_bits(self) -> int:
        return self._quotient.exponent_bits(smallest_exponent(self.element))

    @property
    def shared_title(self) -> str:
        return "Scale."

    @property
    def infinite_place(self) -> int:
        """That of an infinity, if not what its field says, else 0."""
        return self.infinite_exponent if self.widens_infinity else 0

    @cached_property
    def _value(self) -> Normal:
        code = f"source_code[{self.source.bits - 2}:0]"
        flags = self.nan_in_lanes or self.target.nan_block
        return decoded("source", self.source, code, infinite_place=self.infinite_place, flags=flags)

    @cached_property
    def _quotient(self) -> Quotient:
        unit = self.unit
        divisor = Normal("", "divisor", unit.bits, "divisor_place", unit.largest_place, unit.bias)
        return divided("significand", self._value, divisor, self.significand_bits)

    def describe_widths(self) -> str:
        return (
            f"significand {self.source.significand_bits}, divisor {self.unit.bits}, "
            f"quotient {self.significand_bits}, exponent under the scale {self.distance_bits}"
        )

    def shared_wires(self) -> str:
        unit = self.unit
        return f"wire {vector(unit.bits)} divisor;\nwire {vector(unit.place_bits)} divisor_place;\n"

    def divisor(self) -> str:
        """Statements that drive what `shared_wires` declares."""
        return f"{self.unit.text}assign divisor = {self.unit.normal};\nassign divisor_place = {self.unit.place};"

    def number(self) -> str:
        unread = "wire unused_infinite = source_infinite;\n" if self.ignores_infinity else ""
        return (self.source_code() + self._value.text + unread + self._quotient.text).rstrip()

    def distance(self) -> str:
        return self._quotient.exponent(smallest_exponent(self.element))


@dataclass(frozen=True)
class Division(Dividing):
    """The largest magnitude is divided by the largest element, and every value by what that was rounded to."""

    @property
    def element(self) -> IntElement | FloatElement | LogElement:
        return target_element(self.target)

    @property
    def scale(self) -> FloatScale:
        assert isinstance(self.target.scale, FloatScale)
        return self.target.scale

    @cached_property
    def _tensor(self) -> Normal | None:
        return decoded("tensor", FLOAT32, "tensor_scale[30:0]") if self.scale.tensor_scale else None

    @cached_property
    def unit(self) -> Normal:
        """The scale, times the tensor's factor."""
        element = self.scale.element
        scale = decoded("scale", element, f"shared_code[{element.bits - 2}:0]")
        if self._tensor is None:
            return scale
        unit = times("unit", scale, self._tensor)
        return Normal(scale.text + unit.text, unit.normal, unit.bits, unit.place, unit.largest_place, unit.bias)

    def factors(self) -> list[Port]:
        if not self.scale.tensor_scale:
            return []
        return [Port("tensor_scale", "input", FLOAT32.bits, "float32 factor of the whole tensor, not negative")]

    def searches(self) -> list[Search]:
        code = f"source_code[{self.key_bits - 1}:0]"
        key = f"{code} & {{{self.key_bits}{{~source_nan}}}}" if self.nan_in_lanes else code
        return [Search("lane_key", "largest", key, "held")]

    def code(self) -> str:
        return self.encoded(self.rounded_code)

    def shared(self) -> str:
        largest = decoded("largest_value", self.source, "largest", infinite_place=self.infinite_place)
        wanted, range_text = self._wanted(largest)
        return largest.text + range_text + stored("shared_code", self.scale.element, wanted) + self.divisor()

    def _wanted(self, largest: Normal) -> tuple[Quotient, str]:
        """The largest magnitude over the range of codes, and the Verilog of that range."""
        covered, text = constant(self.element.largest), ""
        if self._tensor is not None:
            covered = times("range", covered, self._tensor)
            text = f"wire unused_sign = tensor_scale[31];\n{self._tensor.text}{covered.text}"
        return divided("wanted", largest, covered, self.scale.element.significand_bits + 2), text
