"""The lanes of a quantiser: each brings a float to a significand and an exponent, and rounds it under a shared scale.

What scale, and how a lane's number comes under it, is the subclass's: `shared_exponent` shifts, `division` divides.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from densimeter.formats import BlockFormat, CodebookElement, FloatElement, IntElement, LogElement, Scale
from densimeter.rtl.conversion.floats import (
    CLOCK,
    ROUNDINGS,
    Step,
    decode_float,
    encode_float,
    for_lanes,
    registers,
)
from densimeter.rtl.ports import Port
from densimeter.rtl.syntax import instance, vector

_ENCODINGS = {"twos_complement": 0, "sign_magnitude": 1, "offset": 2, "unsigned": 3}
_INFINITE_EXPONENT = 128
"""An infinity counts as 2^128, just above float32."""


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


@dataclass(frozen=True)
class Lanes(ABC):
    """The body of a quantiser from `source` to `target`, `lanes` values a cycle.

    In two passes, where a block is longer than what comes in a cycle: cycles with `measure` find what the block shares,
    and the others convert.
    """

    source: FloatElement
    target: BlockFormat
    lanes: int

    @property
    def element(self) -> IntElement | FloatElement | LogElement:
        element = self.target.element
        assert not isinstance(element, CodebookElement)
        return element

    @property
    def scale(self) -> Scale | None:
        return self.target.scale

    @property
    def in_two_passes(self) -> bool:
        return self.scale is not None and self.target.block_values is None

    @property
    @abstractmethod
    def significand_bits(self) -> int:
        """Width of the significand that a lane rounds."""

    @property
    @abstractmethod
    def distance_bits(self) -> int:
        """Signed width of the exponent that it rounds it under."""

    @property
    @abstractmethod
    def key_bits(self) -> int:
        """Width of what the largest value of a block is sought by."""

    @abstractmethod
    def describe_widths(self) -> str:
        """In a line of the header."""

    @abstractmethod
    def shared_wires(self) -> str:
        """Declarations of what lanes read of the shared part."""

    @abstractmethod
    def number(self) -> str:
        """`source_code`, its parts, and `significand`, of `significand_bits`: what is rounded."""

    @abstractmethod
    def distance(self) -> str:
        """Expression of `distance_bits` bits: the exponent to round under, as the library's encoders count it."""

    @abstractmethod
    def key(self) -> str:
        """Expression of `key_bits` bits: what the largest of the block is sought by, 0 for zeros."""

    @abstractmethod
    def shared(self) -> str:
        """The scale from `largest`: `shared_code`, and what `shared_wires` declares."""

    @property
    def infinite_exponent(self) -> int:
        """Biased exponent of an infinity."""
        return _INFINITE_EXPONENT + self.source.bias

    @property
    def widens_infinity(self) -> bool:
        """Whether the exponent of an infinity is not the field it comes with."""
        natural = (1 << self.source.exponent_bits) - 1
        return self.source.has_infinity and not self.target.nan_block and natural != self.infinite_exponent

    @property
    def nan_in_lanes(self) -> bool:
        """Whether a lane must tell a NaN: one that its whole block does not share."""
        return self.source.has_nan and not self.target.nan_block

    @property
    def has_invalid_flag(self) -> bool:
        return self.source.has_nan and self.target.refuses_nan

    @property
    def tells_refused(self) -> bool:
        """Whether lanes tell what makes a block NaN, or has no code."""
        return self.source.has_nan and (self.target.nan_block or self.has_invalid_flag)

    def ports(self, source: BlockFormat) -> list[Port]:
        """In the order of the module's declaration."""
        value_bits, code_bits = source.element.bits, self.element.bits
        passes = [
            Port("measure", "input", 1, "1: the values count toward their block's scale; 0: convert them under it"),
            Port("clear", "input", 1, "with measure: these values begin a block"),
        ]
        found = [
            *CLOCK,
            *(passes if self.in_two_passes else []),
            Port("value", "input", self.lanes * value_bits, f"{source.name} values, {value_bits} bits each"),
            *self.factors(),
            Port("code", "output", self.lanes * code_bits, f"{self.target.name} codes, {code_bits} bits each"),
        ]
        if self.scale is not None:
            found.append(Port("scale", "output", self.scale.code_bits, "scale code of the block"))
        if self.has_invalid_flag:
            found.append(Port("invalid", "output", 1, "a NaN, for which there is no code, was taken for zero"))
        return found

    def factors(self) -> list[Port]:
        """Inputs beside the values."""
        return []

    def steps(self) -> list[Step]:
        """The body, from ports to registers."""
        return [
            Step("Decode, and round under the shared exponent.", self._lanes()),
            Step(self.shared_title, self._largest() + self.shared()),
            Step("Registers.", self._registers()),
        ]

    @property
    def shared_title(self) -> str:
        return "Shared exponent."

    def _lanes(self) -> str:
        declared = f"wire {vector(self.lanes * self.element.bits)} rounded;\n"
        if self.scale is not None:
            declared += f"wire {vector(self.lanes * self.key_bits)} lane_key;\n" + self.shared_wires()
        if self.tells_refused:
            declared += f"wire {vector(self.lanes)} lane_refused;\n"
        return declared + for_lanes(self.lanes, "convert", list(self._lane()))

    def _lane(self) -> Iterator[str]:
        yield self.number()
        if self.scale is not None:
            yield f"assign lane_key[lane*{self.key_bits} +: {self.key_bits}] = {self.key()};"
        yield self._refused()
        yield f"wire signed {vector(self.distance_bits)} distance = {self.distance()};\n{self._encode()}"

    def source_code(self) -> str:
        """The lane's code."""
        bits = self.source.bits
        return f"wire {vector(bits)} source_code = value[lane*{bits} +: {bits}];\n"

    def decoded(self) -> str:
        """`source_significand` and `source_exponent`; NaN and Inf are told only where lanes need it."""
        flags = self.nan_in_lanes or self.target.nan_block
        return decode_float(self.source, "source", f"source_code[{self.source.bits - 2}:0]", flags=flags)

    @property
    def ignores_infinity(self) -> bool:
        """Whether an infinity is decoded but is a number like any other to the lane."""
        return self.nan_in_lanes and not (self.widens_infinity or isinstance(self.element, FloatElement))

    def _refused(self) -> str:
        if not self.tells_refused:
            return ""
        return f"assign lane_refused[lane] = source_nan{' | source_infinite' if self.target.nan_block else ''};"

    def _encode(self) -> str:
        """The lane's code in `rounded`."""
        element = self.element
        keeps = self.target.keeps_nan
        zeroed = self.nan_in_lanes and not keeps  # a NaN stands for +0
        sign, significand = f"source_code[{self.source.bits - 1}]", "significand"
        if zeroed:
            sign += " & ~source_nan"
            significand += f" & {{{self.significand_bits}{{~source_nan}}}}"
        connections = {"negative": sign, "significand": significand, "exponent": "distance"}
        code = {"code": f"rounded[lane*{element.bits} +: {element.bits}]"}
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

    def _largest(self) -> str:
        """`largest`: the key of the block's largest value."""
        if self.scale is None:
            return ""
        found = "largest" if not self.in_two_passes else "largest_here"
        maximum = instance(
            "dm_maximum",
            "find_largest",
            {"LANES": self.lanes, "BITS": self.key_bits},
            {"value": "lane_key", "largest": found},
        )
        text = f"wire {vector(self.key_bits)} {found};\n{maximum}\n"
        if not self.in_two_passes:
            return text
        return (
            f"{text}reg {vector(self.key_bits)} largest;\n"
            f"wire {vector(self.key_bits)} held = largest & {{{self.key_bits}{{~clear}}}};\n"
            "always @(posedge clk)\n    if (en & measure) largest <= largest_here > held ? largest_here : held;\n"
        )

    def _registers(self) -> str:
        bits, poisons = self.lanes * self.element.bits, self.source.has_nan and self.target.nan_block
        declared, refused = "", "|lane_refused"
        if poisons and self.in_two_passes:
            refused = "refused"
            declared = (
                "reg refused;\nalways @(posedge clk)\n"
                "    if (en & measure) refused <= |lane_refused | (refused & ~clear);\n"
            )
        outputs = {"code": (bits, f"{refused} ? {bits}'d0 : rounded" if poisons else "rounded")}
        if self.scale is not None:
            nan = f"{refused} ? {self.scale.code_bits}'d{self.scale.nan_code} : " if poisons else ""
            outputs["scale"] = (self.scale.code_bits, f"{nan}shared_code")
        if self.has_invalid_flag:
            outputs["invalid"] = (1, "|lane_refused")
        return declared + registers(outputs, "en & ~measure" if self.in_two_passes else "en")
