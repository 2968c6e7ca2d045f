"""One operand of a unit in Verilog: how its codes, and its scale code, decode to sign, significand and exponent."""

import textwrap
from dataclasses import dataclass
from typing import Literal

from densimeter.formats import (
    BlockFormat,
    CodebookElement,
    FloatElement,
    FloatScale,
    IntElement,
    LogElement,
    PowerOfTwoScale,
)
from densimeter.formats.datapath import part_width
from densimeter.rtl.syntax import instance, vector, widened

_SPECIALS = {"none": 0, "ieee": 1, "nan": 2, "fnuz": 0}  # of fnuz, whose NaN has a sign, the decoder sees zero


@dataclass(frozen=True)
class Operand:
    """The activation or weight side of a unit, or the element of a converter. Text from here declares wires that start
    with `side`."""

    side: Literal["activation", "weight", "element"]
    format: BlockFormat
    shifted: bool = False
    """Whether lanes are shifted by the microexponents in the scale code, where the format has some: those of a unit."""

    @property
    def twos_complement(self) -> bool:
        """Whether the code is an integer of either sign in one piece (an offset one once its top bit is turned)."""
        element = self.format.element
        if self.microexponents:
            return False
        return isinstance(element, IntElement) and element.encoding in ("twos_complement", "offset")

    @property
    def microexponents(self) -> PowerOfTwoScale | None:
        """The scale whose microexponents shift the lanes; None where nothing does."""
        scale = self.format.scale
        return scale if self.shifted and isinstance(scale, PowerOfTwoScale) and scale.microexponents else None

    @property
    def significand_bits(self) -> int:
        return self.format.element.significand_bits

    @property
    def exponent_bits(self) -> int:
        """Width of the decoded exponent; integers have a constant one, of one bit."""
        element = self.format.element
        return element.exponent_bits if isinstance(element, FloatElement | LogElement) else 1

    @property
    def lane_exponent_bits(self) -> int:
        """Width of `lane_exponent`."""
        if not self.microexponents:
            return self.exponent_bits
        element = self.format.element
        largest = (1 << element.exponent_bits) - 1 if isinstance(element, FloatElement | LogElement) else 0
        return (largest + self.microexponents.largest_shift).bit_length()

    @property
    def lane_exponent(self) -> str:
        """The wire with the exponent of a lane, its microexponent included."""
        return f"{self.side}_lane_exponent" if self.microexponents else f"{self.side}_exponent"

    @property
    def smallest_exponent(self) -> int:
        """Smallest decoded exponent of a magnitude other than zero."""
        element = self.format.element
        if isinstance(element, FloatElement):
            return int(element.hidden_bit)
        return element.smallest_field if isinstance(element, LogElement) else 0

    @property
    def largest_exponent(self) -> int:
        element = self.format.element
        if isinstance(element, FloatElement):
            return element.largest_exponent_field
        return (1 << element.exponent_bits) - 1 if isinstance(element, LogElement) else 0

    @property
    def exponent_offset(self) -> int:
        """Add this to the lane's exponent to get the exponent of the significand's lowest bit."""
        places = self.microexponents.largest_shift if self.microexponents else 0
        return self.format.element.lsb_exponent - self.smallest_exponent - places

    @property
    def scale_exponent_bits(self) -> int:
        """Width of `<side>_scale_exponent`."""
        scale = self.format.scale
        return scale.element.exponent_bits if isinstance(scale, FloatScale) else scale.bits  # type: ignore[union-attr]

    @property
    def normalized(self) -> bool:
        """Whether every significand but zero has its top bit set."""
        element = self.format.element
        if isinstance(element, FloatElement):
            return element.hidden_bit and not element.subnormals
        return isinstance(element, LogElement)

    def slice(self) -> str:
        """The code of lane `lane`; an offset one with its top bit turned, which makes it a two's complement one."""
        element = self.format.element
        code = f"{self.side}[lane*{element.bits} +: {element.bits}]"
        if isinstance(element, IntElement) and element.code_offset:
            return f"({code} ^ {element.bits}'d{element.code_offset})"
        return code

    def decode(self) -> str:
        """Declarations of `<side>_negative`, `_significand` and `_exponent` of lane `lane`, of `_nan` and `_infinite`
        where the element has such codes."""
        return "\n".join(filter(None, [self._decode_element(), self._shift()]))

    def _shift(self) -> str:
        """`<side>_lane_exponent`, higher by as much as the lane's microexponent leaves of the largest shift."""
        scale = self.microexponents
        if not scale:
            return ""
        bits, place = scale.microexponent_bits, f"lane / {part_width(self.format)}"
        low = f"{scale.bits} + {place if bits == 1 else f'{place} * {bits}'}"
        left = widened(f"~{self.side}_scale[{low} +: {bits}]", bits, self.lane_exponent_bits)
        exponent = widened(f"{self.side}_exponent", self.exponent_bits, self.lane_exponent_bits)
        return f"wire {vector(self.lane_exponent_bits)} {self.lane_exponent} = {exponent} + {left};"

    def _decode_element(self) -> str:
        side, element = self.side, self.format.element
        declared = (
            f"wire {vector(element.bits)} {side}_code = {self.slice()};\n"
            f"wire {side}_negative;\n"
            f"wire {vector(self.significand_bits)} {side}_significand;\n"
            f"wire {vector(self.exponent_bits)} {side}_exponent;\n"
        )
        if isinstance(element, FloatElement):
            return declared + self._sign_bit() + self._decode_float(element)
        if isinstance(element, LogElement):
            return declared + self._sign_bit() + self._decode_log(element)
        if isinstance(element, CodebookElement):
            return declared + self._look_up(element)
        assert isinstance(element, IntElement)
        declared += f"assign {side}_exponent = 1'b0;\n"
        if element.sign_magnitude:
            return declared + self._sign_bit() + f"assign {side}_significand = {side}_code[{element.bits - 2}:0];"
        if not element.signed:
            return declared + f"assign {side}_negative = 1'b0;\nassign {side}_significand = {side}_code;"
        connections = {"code": f"{side}_code", "negative": f"{side}_negative", "significand": f"{side}_significand"}
        return declared + instance("dm_decode_twos_complement", f"decode_{side}", {"BITS": element.bits}, connections)

    def special(self, flag: Literal["nan", "infinite", "zero"]) -> str:
        """Expression of lane `lane`: the operand is that; call it only where one of the elements has specials."""
        if flag == "zero":
            return f"~|{self.side}_significand"
        element = self.format.element
        never = flag == "infinite" and isinstance(element, FloatElement) and element.specials == "fnuz"
        return f"{self.side}_{flag}" if element.has_nan and not never else "1'b0"

    def _sign_bit(self) -> str:
        return f"assign {self.side}_negative = {self.side}_code[{self.format.element.bits - 1}];\n"

    def _decode_log(self, element: LogElement) -> str:
        field = f"{self.side}_code[{element.exponent_bits - 1}:0]"
        significand = f"|{field}" if element.zero else "1'b1"
        return f"assign {self.side}_exponent = {field};\nassign {self.side}_significand = {significand};"

    def _look_up(self, element: CodebookElement) -> str:
        """A codebook's levels as sign and magnitude, in units of the lowest bit of any."""
        side, bits = self.side, element.bits
        entries = "".join(
            f"    {bits}'d{code}: {side}_level = {self._level(element, code)}; // {level!r}\n"
            for code, level in enumerate(element.levels)
        )
        return (
            f"assign {side}_exponent = 1'b0;\nreg {vector(self.significand_bits + 1)} {side}_level;\n"
            f"always @*\n    case ({side}_code)\n{textwrap.indent(entries, '    ')}"
            f"        default: {side}_level = {self.significand_bits + 1}'d0;\n    endcase\n"
            f"assign {{{side}_negative, {side}_significand}} = {side}_level;"
        )

    def _level(self, element: CodebookElement, code: int) -> str:
        number = element.decode(code)
        return f"{{1'b{int(number.negative)}, {self.significand_bits}'d{number.significand}}}"

    def _decode_float(self, element: FloatElement) -> str:
        parameters = {
            "EXPONENT_BITS": element.exponent_bits,
            "MANTISSA_BITS": element.mantissa_bits,
            "HIDDEN_BIT": int(element.hidden_bit),
            "SUBNORMALS": int(element.subnormals),
            "SPECIALS": _SPECIALS[element.specials],
        }
        flags = self.side if element.has_nan and element.specials != "fnuz" else f"unused_{self.side}"
        connections = {
            "code": f"{self.side}_code[{element.bits - 2}:0]",
            "significand": f"{self.side}_significand",
            "exponent": f"{self.side}_exponent",
            "nan": f"{flags}_nan",
            "infinite": f"{flags}_infinite",
        }
        decoder = instance("dm_decode_float", f"decode_{self.side}", parameters, connections)
        declared = f"wire {flags}_nan, {flags}_infinite;\n{decoder}"
        if element.specials == "fnuz":
            nan = f"{self.side}_code == {element.bits}'d{element.nan_code}"
            declared += f"\nwire {self.side}_nan = {nan};"
        return declared

    def decode_scale(self) -> str:
        """Declarations of `<side>_scale_exponent`, and of `_scale_significand` for a float scale, of `_scale_negative`
        for one with a sign; "" if unscaled."""
        side, scale = self.side, self.format.scale
        if not self.format.has_unit_scale or scale is None:
            return ""
        if isinstance(scale, PowerOfTwoScale):
            shared = f"[{scale.bits - 1}:0]" if self.microexponents else ""
            return f"wire {vector(scale.bits)} {side}_scale_exponent = {side}_scale{shared};"
        assert isinstance(scale, FloatScale)
        element = scale.element
        parameters = {"EXPONENT_BITS": element.exponent_bits, "MANTISSA_BITS": element.mantissa_bits}
        connections = {
            "code": f"{side}_scale[{element.bits - 2}:0]",
            "significand": f"{side}_scale_significand",
            "exponent": f"{side}_scale_exponent",
            "nan": f"unused_{side}_scale_nan",
            "infinite": f"unused_{side}_scale_infinite",
        }
        sign = ""
        if self.has_signed_scale:
            sign = f"wire {side}_scale_negative = {side}_scale[{element.bits - 1}];\n"
        elif element.has_infinity:  # where one code alone is NaN, comparing with it reads the sign
            sign = f"wire unused_{side}_scale_sign = {side}_scale[{element.bits - 1}];\n"
        return (
            f"wire unused_{side}_scale_nan, unused_{side}_scale_infinite;\n{sign}"
            f"wire {vector(element.significand_bits)} {side}_scale_significand;\n"
            f"wire {vector(element.exponent_bits)} {side}_scale_exponent;\n"
            + instance("dm_decode_float", f"decode_{side}_scale", parameters, connections)
        )

    @property
    def has_signed_scale(self) -> bool:
        """Whether the unit applies a scale that can be negative."""
        scale = self.format.scale
        return self.format.has_unit_scale and isinstance(scale, FloatScale) and scale.anchor == "signed"

    @property
    def scale_is_nan(self) -> str:
        """Expression: the scale code stands for a NaN block, as an infinite scale does; "" where none does."""
        if not (self.format.has_unit_scale and self.format.nan_block and self.format.scale is not None):
            return ""
        scale = self.format.scale
        if isinstance(scale, FloatScale) and scale.element.has_infinity:
            return f"(&{self.side}_scale[{scale.element.bits - 2}:{scale.element.mantissa_bits}])"
        if self.has_signed_scale:
            return f"(&{self.side}_scale[{scale.code_bits - 2}:0])"
        return f"{self.side}_scale == {scale.code_bits}'d{scale.nan_code}"
