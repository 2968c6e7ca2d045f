"""Quantisers whose scale has a zero point: lanes divide by the scale and add the zero point.

A block's range, widened to hold zero, is the sum of two magnitudes: the largest above zero and the largest below it.
The sum is rounded to float32, as the format is defined; the rest is as in `division`.
"""

from dataclasses import dataclass
from functools import cached_property

from densimeter.formats import AffineScale, IntElement, PowerOfTwoScale
from densimeter.formats.element import FLOAT32
from densimeter.formats.number import power_of_two
from densimeter.rtl.conversion.division import Dividing
from densimeter.rtl.conversion.floats import encode_float, plus, signed_bits
from densimeter.rtl.conversion.lanes import Search
from densimeter.rtl.conversion.normal import Normal, decoded, divided, over, stored
from densimeter.rtl.conversion.rounding import kept_bits, smallest_exponent
from densimeter.rtl.syntax import instance, vector, widened


@dataclass(frozen=True)
class Affine(Dividing):
    """Not for a source whose infinities count as numbers: lanes would have to take them for the largest float32."""

    @property
    def scale(self) -> AffineScale:
        assert isinstance(self.target.scale, AffineScale)
        return self.target.scale

    @property
    def zero(self) -> IntElement:
        assert isinstance(self.scale.zero, IntElement)
        return self.scale.zero

    @property
    def element(self) -> IntElement:
        """Steps from zero. What is more of them than codes or zero points saturates whatever the zero point is."""
        return IntElement(max(self.target.element.bits, self.zero.bits) + 1, "sign_magnitude")

    @cached_property
    def unit(self) -> Normal:
        stored = self.scale.element
        if isinstance(stored, PowerOfTwoScale):
            return Normal("", "1'd1", 1, "scale_code", max(stored.largest_code, 1), stored.bias)
        return decoded("scale", stored, f"scale_code[{stored.bits - 2}:0]")

    def shared_wires(self) -> str:
        return f"{super().shared_wires()}wire {vector(self.zero.bits)} zero_point;\n"

    def searches(self) -> list[Search]:
        bits = self.key_bits
        code, sign = f"source_code[{bits - 1}:0]", f"source_code[{bits}]"
        known = " & ~source_nan" if self.nan_in_lanes else ""
        return [
            Search("lane_above", "greatest", f"{code} & {{{bits}{{~{sign}{known}}}}}", "held_greatest"),
            Search("lane_below", "least", f"{code} & {{{bits}{{{sign}{known}}}}}", "held_least"),
        ]

    def code(self) -> str:
        steps = self.element.bits
        add = instance(
            "dm_add_zero_point",
            "add",
            {"STEP_BITS": steps - 1, "ZERO_BITS": self.zero.bits, "BITS": self.target.element.bits},
            {"steps": "steps", "zero": "zero_point", "code": self.rounded_code},
        )
        return f"wire {vector(steps)} steps;\n{self.encoded('steps')}\n{add}"

    def shared(self) -> str:
        greatest, least = (decoded(f"{name}_value", self.source, name) for name in ("greatest", "least"))
        bits = self.scale.code_bits
        return (
            f"{greatest.text}{least.text}{self._range(greatest, least)}{self._scale_code()}{self.divisor()}\n"
            f"{self._zero_point(least)}wire {vector(bits)} shared_code = {{zero_point, scale_code}};"
        )

    def _range(self, greatest: Normal, least: Normal) -> str:
        """`range_code`, the magnitude code of a float32: the sum of both, saturating."""
        add = instance(
            "dm_fp32_add",
            "add_range",
            {"FLUSH": 0},
            {
                "a_negative": "1'b0",
                "a_exponent": "greatest_float32[30:23]",
                "a_fraction": "greatest_float32[22:0]",
                "a_discard": "1'b0",
                "b_negative": "1'b0",
                "b_exponent": "least_float32[30:23]",
                "b_fraction": "least_float32[22:0]",
                "negative": "unused_range_negative",
                "exponent": "sum_exponent",
                "fraction": "sum_fraction",
                "overflow": "sum_overflow",
            },
        )
        return (
            f"{self._float32('greatest', greatest)}{self._float32('least', least)}"
            f"wire unused_range_negative, sum_overflow;\nwire [7:0] sum_exponent;\nwire [22:0] sum_fraction;\n{add}\n"
            f"wire [30:0] range_code = sum_overflow ? 31'd{FLOAT32.largest_magnitude_code}"
            " : {sum_exponent, sum_fraction};\n"
        )

    def _float32(self, name: str, number: Normal) -> str:
        """`<name>_float32`: a number of the source, all of which float32 has."""
        smallest = 1 - FLOAT32.bias
        shift = -number.bias - smallest
        bits = max(signed_bits(min(shift, -1), max(shift + number.largest_place, 0)), number.place_bits + 1)
        encode = encode_float(
            FLOAT32,
            f"widen_{name}",
            number.bits,
            bits,
            {
                "negative": "1'b0",
                "significand": number.normal,
                "exponent": f"{name}_exponent_of_top",
                "infinite": "1'b0",
                "nan": "1'b0",
                "code": f"{name}_float32",
            },
        )
        place = widened(number.place, number.place_bits, bits)
        return (
            f"wire signed {vector(bits)} {name}_exponent_of_top = {place}{plus(shift, bits)};\n"
            f"wire [31:0] {name}_float32;\n{encode}\nwire unused_{name}_sign = {name}_float32[31];\n"
        )

    def _scale_code(self) -> str:
        """`scale_code`: the range over the largest code, rounded as the scale is stored."""
        found = decoded("range", FLOAT32, "range_code")
        element, largest = self.scale.element, self.target.element.largest
        if not isinstance(element, PowerOfTwoScale):
            wanted = over("wanted", found, largest, element.significand_bits + 2)
            return found.text + stored("scale_code", element, wanted)
        emax = self.target.element.emax
        leading = int(largest / power_of_two(emax) * (1 << (found.bits - 1)))
        parameters = {
            "EXPONENT_BITS": found.place_bits,
            "OFFSET": element.bias - found.bias - emax,
            "CODE_BITS": element.bits,
            "LARGEST_CODE": element.largest_code,
        }
        connections = {
            "exponent": f"{found.place} & {{{found.place_bits}{{{found.normal}[{found.bits - 1}]}}}}",
            "next": f"{found.normal} > {found.bits}'d{leading}",
            "code": "scale_code",
        }
        share = instance("dm_shared_exponent", "share", parameters, connections)
        return f"{found.text}wire {vector(element.bits)} scale_code;\n{share}\n"

    def _zero_point(self, least: Normal) -> str:
        """`zero_point`: the least value under the scale, to nearest even."""
        zero = self.zero
        quotient = divided("zero_quotient", least, self.unit, kept_bits(zero) + 2)
        smallest = smallest_exponent(zero)
        bits = quotient.exponent_bits(smallest)
        parameters = {"SIGNIFICAND_BITS": quotient.bits, "EXPONENT_BITS": bits, "BITS": zero.bits, "ENCODING": 3}
        connections = {
            "negative": "1'b0",
            "significand": quotient.significand,
            "exponent": "zero_exponent",
            "code": "zero_point",
        }
        encode = instance("dm_encode_int", "round_zero", parameters, connections)
        return f"{quotient.text}wire signed {vector(bits)} zero_exponent = {quotient.exponent(smallest)};\n{encode}\n"
