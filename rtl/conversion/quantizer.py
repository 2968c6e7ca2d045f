"""Quantisers in Verilog: floats to the codes and the scale code of a block format, one block a cycle.

The circuit of `formats.reference.quantize_block`, for formats whose scale is a power of two, or which have none. Each
lane brings its value to a significand and an exponent; the rule of the scale takes the largest exponent of the block;
each lane then shifts, rounds and clips its significand under the shared one.

Float32 numbers below 2^-126 have leading zeros, which each lane removes as far as the format can tell: some steps of a
shifter. A source that flushes them (float32_ftz) or is short (bfloat16) costs less.
"""

import math
from dataclasses import dataclass

from densimeter.formats import (
    AffineScale,
    BlockFormat,
    CodebookElement,
    DoubleScale,
    FloatElement,
    FloatScale,
    FormatError,
    IntElement,
    LogElement,
    PowerOfTwoScale,
    Quirks,
)
from densimeter.formats.element import FLOAT32
from densimeter.formats.number import power_of_two
from densimeter.rtl.conversion.floats import (
    CLOCK,
    ROUNDINGS,
    Step,
    check_lanes,
    convert_module,
    decode_float,
    describe,
    encode_float,
    for_lanes,
    identifier,
    plus,
    registers,
    signed_bits,
)
from densimeter.rtl.module import EmittedModule
from densimeter.rtl.ports import Port
from densimeter.rtl.syntax import instance, vector, widened

_ENCODINGS = {"twos_complement": 0, "sign_magnitude": 1, "offset": 2, "unsigned": 3}
_INFINITE_EXPONENT = 128
"""An infinity counts as 2^128, just above float32."""


def emit_converter(source: BlockFormat, target: BlockFormat, lanes: int | None = None) -> EmittedModule:
    """The Verilog that quantises `source` values (float32, bfloat16, float16: a float element alone) to `target`.

    One block a cycle: `lanes` is its count of values, the default. Without a block scale, `lanes` values (default 1),
    each by itself. Ports: clk, en, value, code, scale (where there is one), invalid (where the format refuses NaN: one
    was among the values, and was taken for zero). Raises FormatError for what has no such circuit, with the reason.
    """
    element = _source_element(source)
    _check_target(target)
    count = _lanes(target, lanes)
    converter = _Converter(element, target, count)
    name = identifier("convert", source.name, target.name, f"x{count}")
    rounding = target.rounding.replace("_", " ")
    declared = [
        f"values:      {describe(source)}",
        f"codes:       {describe(target)}",
        f"lanes:       {count}",
        f"rounding:    {rounding}; what is too large {'overflows' if target.overflows_to_special else 'saturates'}",
        f"widths:      {converter.describe_widths()}",
    ]
    return convert_module(name, "Converter", declared, converter.ports(source), converter.steps())


def _source_element(source: BlockFormat) -> FloatElement:
    element = source.element
    if not (
        isinstance(element, FloatElement)
        and source.scale is None
        and element.hidden_bit
        and element.mantissa_bits
        and element.specials != "fnuz"
        and element.emax <= FLOAT32.emax
        and element.lsb_exponent >= FLOAT32.lsb_exponent
    ):
        raise FormatError(f"{source.name} cannot be converted from; expected floats alone: float32, bfloat16, float16")
    return element


def _check_target(target: BlockFormat) -> None:
    scale = target.scale
    if isinstance(scale, FloatScale | DoubleScale):
        what = f"divides by its scale ({scale.notation}), and there is no divider"
    elif isinstance(scale, AffineScale):
        what = f"divides by its scale and finds a zero ({scale.notation}), and there is no divider"
    elif isinstance(target.element, CodebookElement):
        what = f"searches the nearest of {len(target.element.levels)} levels, and there is no search"
    elif isinstance(scale, PowerOfTwoScale) and scale.microexponents:
        what = "finds an exponent of each part of a block, and there are no microexponents in the circuit"
    elif target.rounding not in ROUNDINGS:
        what = "rounds at random, and there is no source of random numbers"
    elif target.quirks != Quirks():
        what = "follows the quirks of published code, of which there is no circuit"
    elif scale is not None and target.block_values is None:
        what = f"shares an exponent over a {target.block}, of which most is still to come; give it blocks of a count"
    else:
        return
    raise FormatError(f"{target.name} has no converter: it {what}")


def _lanes(target: BlockFormat, lanes: int | None) -> int:
    count = target.block_values if lanes is None else lanes
    assert count is not None
    check_lanes(count)
    if target.scale is not None and count != target.block_values:
        raise FormatError(
            f"{target.name}: lanes is {count}, expected {target.block_values}: a converter takes a block in at once"
        )
    return count


def _kept_bits(element: IntElement | FloatElement | LogElement) -> int:
    """Significand bits of a code, the leading one included."""
    return element.bits - element.signed if isinstance(element, IntElement) else element.significand_bits


def _smallest_exponent(element: IntElement | FloatElement | LogElement) -> int:
    """The exponent from which the library's encoders count: see dm_encode_float, dm_encode_int and dm_encode_log."""
    if isinstance(element, IntElement):
        return element.lsb_exponent + _kept_bits(element) - 1
    if isinstance(element, LogElement):
        return -element.bias
    return 1 - element.bias if element.hidden_bit else -1 - element.bias


@dataclass(frozen=True)
class _Converter:
    source: FloatElement
    target: BlockFormat
    lanes: int

    @property
    def element(self) -> IntElement | FloatElement | LogElement:
        element = self.target.element
        assert not isinstance(element, CodebookElement)
        return element

    @property
    def scale(self) -> PowerOfTwoScale | None:
        scale = self.target.scale
        assert scale is None or isinstance(scale, PowerOfTwoScale)
        return scale

    @property
    def smallest_code_exponent(self) -> int:
        """The scale's smallest exponent; 0 without a scale."""
        return self.scale.smallest_exponent if self.scale else 0

    @property
    def scale_offset(self) -> int:
        """What the scale's rule takes off the exponent of the largest magnitude."""
        assert self.scale is not None
        return self.element.emax if self.scale.rule == "rceil" else self.target.scale_exponent_offset

    @property
    def places(self) -> int:
        """Leading zeros that a lane can remove: as many as change a code, or all, rounded up to whole shifter steps."""
        if not self.source.subnormals:
            return 0
        # Unremoved, they must belong to a number below the encoder's smallest normal one, under the smallest scale.
        smallest_normal = 1 - self.source.bias
        needed = smallest_normal - self.smallest_code_exponent - _smallest_exponent(self.element)
        if self.scale is not None:
            needed = max(needed, self._binades_of_scale(smallest_normal, self.scale))
        return (1 << min(max(needed, 0), self.source.mantissa_bits).bit_length()) - 1

    def _binades_of_scale(self, smallest_normal: int, scale: PowerOfTwoScale) -> int:
        """Binades below the normal numbers whose shared exponent differs from that of a block of zeros."""
        zero_code = scale.largest_code if scale.negated else 0
        count = 0
        while count < self.source.mantissa_bits:
            # The rule may take the next exponent; none takes a smaller one.
            exponent = smallest_normal - (count + 1) + (scale.rule != "floor") - self.scale_offset
            code = scale.bias + (-exponent if scale.negated else exponent)
            if min(max(code, 0), scale.largest_code) == zero_code:
                break
            count += 1
        return count

    @property
    def significand_bits(self) -> int:
        """Width of a lane's significand: what rounding and rule look at, `places` more, and one bit for all below."""
        if isinstance(self.element, LogElement):
            return self.source.significand_bits
        looked_at = max(_kept_bits(self.element) + 1, self._rule_bits)
        return min(self.source.significand_bits, looked_at + self.places + 1)

    @property
    def _rule_bits(self) -> int:
        """Bits from the leading one down in which the scale's rule compares."""
        if self.scale is None or self.scale.rule == "floor":
            return 1
        if self.scale.rule == "even":
            return self.target.top_fraction_bits + 2
        return 1 if self.scale.rule == "ceil" else self.target.top_fraction_bits + 1

    @property
    def infinite_exponent(self) -> int:
        """Biased exponent of an infinity."""
        return _INFINITE_EXPONENT + self.source.bias

    @property
    def exponent_bits(self) -> int:
        """Width of a lane's exponent, biased by the source's bias and `places`."""
        largest = self.source.largest_exponent_field
        if self.source.has_infinity and not self.target.nan_block:
            largest = max(largest, self.infinite_exponent)
        return (largest + self.places).bit_length()

    @property
    def exponent_shift(self) -> int:
        """Add this to a lane's exponent, less the scale's code, for the exponent that encoders take."""
        return -self.source.bias - self.places - self.smallest_code_exponent - _smallest_exponent(self.element)

    @property
    def distance_bits(self) -> int:
        """Signed width of that exponent."""
        code = self.scale.largest_code if self.scale else 0
        low, high = self.exponent_shift - code, self.exponent_shift + (1 << self.exponent_bits) - 1
        code_bits = self.scale.bits if self.scale else 0
        return max(signed_bits(min(low, -1), max(high, 0)), self.exponent_bits + 1, code_bits + 1)

    @property
    def nan_in_lanes(self) -> bool:
        """Whether a lane must tell a NaN: one that its whole block does not share."""
        return self.source.has_nan and not self.target.nan_block

    @property
    def has_invalid_flag(self) -> bool:
        return self.source.has_nan and self.target.refuses_nan

    @property
    def rounds_up_exponent(self) -> bool:
        """Whether the rule looks at more than the exponent."""
        return self.scale is not None and bool(self._next_exponent())

    def describe_widths(self) -> str:
        return (
            f"significand {self.significand_bits}, of {self.source.significand_bits}, exponent {self.exponent_bits}, "
            f"exponent under the scale {self.distance_bits}, leading zeros removed {self.places}"
        )

    def ports(self, source: BlockFormat) -> list[Port]:
        value_bits, code_bits = source.element.bits, self.element.bits
        found = [
            *CLOCK,
            Port("value", "input", self.lanes * value_bits, f"{source.name} values, {value_bits} bits each"),
            Port("code", "output", self.lanes * code_bits, f"{self.target.name} codes, {code_bits} bits each"),
        ]
        if self.scale is not None:
            found.append(Port("scale", "output", self.scale.code_bits, "scale code of the block"))
        if self.has_invalid_flag:
            found.append(Port("invalid", "output", 1, "a NaN, for which there is no code, was taken for zero"))
        return found

    def steps(self) -> list[Step]:
        return [
            Step("Decode, and round under the shared exponent.", self._lanes()),
            Step("Shared exponent.", self._shared()),
            Step("Registers.", self._registers()),
        ]

    def _lanes(self) -> str:
        declared = f"wire {vector(self.lanes * self.element.bits)} rounded;\n"
        if self.scale is not None:
            declared += f"wire {vector(self.lanes * self._key_bits)} lane_key;\n"
            declared += f"wire {vector(self.distance_bits)} shared; // to subtract from each lane's exponent\n"
        if self.source.has_nan and (self.target.nan_block or self.has_invalid_flag):
            declared += f"wire {vector(self.lanes)} lane_refused;\n"
        inside = [self._decode(), self._normalize(), self._key(), self._flags(), self._encode()]
        return declared + for_lanes(self.lanes, "convert", inside)

    def _decode(self) -> str:
        """`source_code`, and its parts; NaN and Inf are told only where lanes need it."""
        bits = self.source.bits
        flags = self.nan_in_lanes or self.target.nan_block
        return (
            f"wire {vector(bits)} source_code = value[lane*{bits} +: {bits}];\n"
            + decode_float(self.source, "source", f"source_code[{bits - 2}:0]", flags=flags)
            + f"\nwire {vector(self.significand_bits)} compressed = {self._compressed()};\n"
            + (f"wire {vector(self._biased_bits)} biased = {self._biased()};\n" if self._widens_infinity else "")
            + ("wire unused_infinite = source_infinite;\n" if self._ignores_infinity else "")
        ).rstrip()

    def _compressed(self) -> str:
        """The significand, its low bits in one where they can only break a tie."""
        bits, kept = self.source.significand_bits, self.significand_bits - 1
        if kept + 1 == bits:
            return "source_significand"
        return f"{{source_significand[{bits - 1}:{bits - kept}], |source_significand[{bits - kept - 1}:0]}}"

    @property
    def _widens_infinity(self) -> bool:
        """Whether the exponent of an infinity is not the field it comes with."""
        natural = (1 << self.source.exponent_bits) - 1
        return self.source.has_infinity and not self.target.nan_block and natural != self.infinite_exponent

    @property
    def _biased_bits(self) -> int:
        return self.infinite_exponent.bit_length() if self._widens_infinity else self.source.exponent_bits

    @property
    def _ignores_infinity(self) -> bool:
        """Whether an infinity is decoded but is a number like any other to the lane."""
        return self.nan_in_lanes and not (self._widens_infinity or isinstance(self.element, FloatElement))

    def _biased(self) -> str:
        field = widened("source_exponent", self.source.exponent_bits, self._biased_bits)
        return f"source_infinite ? {self._biased_bits}'d{self.infinite_exponent} : {field}"

    def _normalize(self) -> str:
        """`significand` and `place`, the lane's exponent."""
        biased = "biased" if self._widens_infinity else "source_exponent"
        wide = widened(biased, self._biased_bits, self.exponent_bits)
        if not self.places:
            return (
                f"wire {vector(self.significand_bits)} significand = compressed;\n"
                f"wire {vector(self.exponent_bits)} place = {wide};"
            )
        amount_bits = self.places.bit_length()
        normalize = instance(
            "dm_normalize",
            "normalize",
            {"BITS": self.significand_bits, "LEADING_ZEROS": self.places, "LIMITED": 0},
            {
                "value": "compressed",
                "limit": f"{{{amount_bits}{{1'b1}}}}",
                "normal": "significand",
                "amount": "zeros",
            },
        )
        # places - zeros = ~zeros: all of them are ones.
        removed = widened("~zeros", amount_bits, self.exponent_bits)
        return (
            f"wire {vector(self.significand_bits)} significand;\nwire {vector(amount_bits)} zeros;\n{normalize}\n"
            f"wire {vector(self.exponent_bits)} place = {wide} + {removed};"
        )

    @property
    def _key_bits(self) -> int:
        return self.exponent_bits + self.rounds_up_exponent

    def _key(self) -> str:
        """What the largest of the block is sought by: the exponent, 0 for zeros, and whether the rule takes the next
        one."""
        if self.scale is None:
            return ""
        top = f"significand[{self.significand_bits - 1}]"
        counts = f"{top} & ~source_nan" if self.nan_in_lanes else top
        exponent = f"place & {{{self.exponent_bits}{{{counts}}}}}"
        key = exponent
        if self.rounds_up_exponent:
            known = " & ~source_nan" if self.nan_in_lanes else ""
            key = f"{{{exponent}, {self._next_exponent()}{known}}}"
        return f"assign lane_key[lane*{self._key_bits} +: {self._key_bits}] = {key};"

    def _next_exponent(self) -> str:
        """Expression: the rule takes the exponent above this significand's own; "" where it never does."""
        assert self.scale is not None
        bits, rule = self.significand_bits, self.scale.rule
        if rule == "floor":
            return ""
        if rule == "even":  # half a step below the next power of two or less
            ones = self.target.top_fraction_bits + 2
            return f"&significand[{bits - 1}:{bits - ones}]" if ones <= bits else ""
        # rceil compares with the largest element, of which the bits below the lane's lowest do not matter.
        leading = self.element.largest / power_of_two(self.element.emax) if rule == "rceil" else 1
        return f"(significand > {bits}'d{int(leading * (1 << (bits - 1)))})"

    def _flags(self) -> str:
        if not self.source.has_nan:
            return ""
        if self.target.nan_block:
            return "assign lane_refused[lane] = source_nan | source_infinite;"
        return "assign lane_refused[lane] = source_nan;" if self.has_invalid_flag else ""

    def _encode(self) -> str:
        """The lane's code in `rounded`."""
        bits, element = self.distance_bits, self.element
        place = widened("place", self.exponent_bits, bits)
        offset = " - shared" if self.scale is not None else plus(self.exponent_shift, bits)
        keeps = self.target.keeps_nan
        zeroed = self.nan_in_lanes and not keeps  # a NaN stands for +0
        sign, significand = f"source_code[{self.source.bits - 1}]", "significand"
        if zeroed:
            sign += " & ~source_nan"
            significand += f" & {{{self.significand_bits}{{~source_nan}}}}"
        connections = {"negative": sign, "significand": significand, "exponent": "distance"}
        code = {"code": f"rounded[lane*{element.bits} +: {element.bits}]"}
        if isinstance(element, FloatElement):
            infinite = "source_infinite" if self._knows_infinity else "1'b0"
            nan = "source_nan" if self.nan_in_lanes and keeps else "1'b0"
            encode = encode_float(
                element,
                "encode",
                self.significand_bits,
                bits,
                connections | {"infinite": infinite, "nan": nan} | code,
                rounding=self.target.rounding,
                overflow=self.target.overflows_to_special,
            )
        elif isinstance(element, LogElement):
            encode = self._encode_log(element, connections | code)
        else:
            encode = self._encode_int(element, connections | code)
        return f"wire signed {vector(bits)} distance = {place}{offset};\n{encode}"

    @property
    def _knows_infinity(self) -> bool:
        return self.source.has_infinity and not self.target.nan_block

    @property
    def _number(self) -> dict[str, int]:
        """Parameters of every encoder."""
        return {"SIGNIFICAND_BITS": self.significand_bits, "EXPONENT_BITS": self.distance_bits}

    def _encode_int(self, element: IntElement, connections: dict[str, str]) -> str:
        parameters = {
            "BITS": element.bits,
            "ENCODING": _ENCODINGS[element.encoding],
            "SYMMETRIC": int(element.symmetric),
            "ROUNDING": ROUNDINGS[self.target.rounding],
        }
        return instance("dm_encode_int", "encode", self._number | parameters, connections)

    def _encode_log(self, element: LogElement, connections: dict[str, str]) -> str:
        parameters = {
            "FIELD_BITS": element.exponent_bits,
            "SMALLEST_FIELD": element.smallest_field,
            "ROOT": math.isqrt(1 << (2 * self.significand_bits - 1)),
            "ROUNDING": ROUNDINGS[self.target.rounding],
        }
        return instance("dm_encode_log", "encode", self._number | parameters, connections)

    def _shared(self) -> str:
        scale = self.scale
        if scale is None:
            return ""
        find = instance(
            "dm_maximum",
            "find_largest",
            {"LANES": self.lanes, "BITS": self._key_bits},
            {"value": "lane_key", "largest": "largest"},
        )
        offset = -self.source.bias - self.places - self.scale_offset
        parameters = {
            "EXPONENT_BITS": self.exponent_bits,
            "OFFSET": scale.bias + (-offset if scale.negated else offset),
            "NEGATED": int(scale.negated),
            "CODE_BITS": scale.bits,
            "LARGEST_CODE": scale.largest_code,
        }
        above = int(self.rounds_up_exponent)
        connections = {
            "exponent": f"largest[{self._key_bits - 1}:{above}]",
            "next": "largest[0]" if above else "1'b0",
            "code": "shared_code",
        }
        bits = self.distance_bits
        code = widened("shared_code", scale.bits, bits)
        return (
            f"wire {vector(self._key_bits)} largest;\n{find}\nwire {vector(scale.bits)} shared_code;\n"
            + instance("dm_shared_exponent", "share", parameters, connections)
            + f"\nassign shared = {code}{plus(-self.exponent_shift, bits)};"
        )

    def _registers(self) -> str:
        refused = self.source.has_nan and self.target.nan_block
        bits = self.lanes * self.element.bits
        outputs = {"code": (bits, f"|lane_refused ? {bits}'d0 : rounded" if refused else "rounded")}
        if self.scale is not None:
            nan = f"|lane_refused ? {self.scale.bits}'d{self.scale.nan_code} : " if refused else ""
            outputs["scale"] = (self.scale.code_bits, f"{nan}shared_code")
        if self.has_invalid_flag:
            outputs["invalid"] = (1, "|lane_refused")
        return registers(outputs)
