"""Quantisers whose scale is a power of two, or that have none: lanes shift under the shared exponent.

Float32 numbers below 2^-126 have leading zeros, which each lane removes as far as the format can tell: some steps of a
shifter. A source that flushes them (float32_ftz) or is short (bfloat16) costs less. Under microexponents every lane
tells how near it is to the top of its block, and all of a part shift by what the nearest of them leaves.
"""

from dataclasses import dataclass

from densimeter.formats import FloatElement, IntElement, LogElement, PowerOfTwoScale
from densimeter.formats.number import power_of_two
from densimeter.rtl.conversion.floats import plus, signed_bits
from densimeter.rtl.conversion.lanes import Search
from densimeter.rtl.conversion.rounding import Rounding, kept_bits, smallest_exponent, target_element
from densimeter.rtl.syntax import instance, vector, widened


@dataclass(frozen=True)
class SharedExponent(Rounding):
    """The rule of the scale takes the largest exponent of the block, and perhaps the next one."""

    @property
    def element(self) -> IntElement | FloatElement | LogElement:
        return target_element(self.target)

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
        """As many leading zeros as change a code, or all."""
        if not self.source.subnormals:
            return 0
        # Unremoved, they must belong to a number below the encoder's smallest normal one, under the smallest scale.
        smallest_normal = 1 - self.source.bias
        needed = smallest_normal - self.smallest_code_exponent - smallest_exponent(self.element)
        if self._parts:
            needed += max(self._largest_shift, self._nearness_offset)
        if self.scale is not None:
            needed = max(needed, self._binades_of_scale(smallest_normal, self.scale))
        return (1 << min(max(needed, 0), self.source.mantissa_bits).bit_length()) - 1

    @property
    def _parts(self) -> int:
        """Parts of a block with a microexponent each."""
        return self.scale.microexponents if self.scale else 0

    @property
    def _largest_shift(self) -> int:
        return self.scale.largest_shift if self.scale else 0

    @property
    def _nearness_offset(self) -> int:
        """Add this to a lane's exponent under the scale: the result is the larger, the smaller its microexponent."""
        return self._largest_shift - self.target.scale_exponent_offset + smallest_exponent(self.element)

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
    def exponent_bits(self) -> int:
        """Width of a lane's exponent, biased by the source's bias and `places`."""
        largest = self.source.largest_exponent_field
        if self.source.has_infinity and not self.target.nan_block:
            largest = max(largest, self.infinite_exponent)
        return (largest + self.places).bit_length()

    @property
    def significand_bits(self) -> int:
        """What rounding and rule look at, `places` more, and one bit for all below."""
        if isinstance(self.element, LogElement):
            return self.source.significand_bits
        looked_at = max(kept_bits(self.element) + 1, self._rule_bits)
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
    def exponent_shift(self) -> int:
        """Add this to a lane's exponent, less the scale's code, for the exponent that encoders take."""
        return -self.source.bias - self.places - self.smallest_code_exponent - smallest_exponent(self.element)

    @property
    def distance_bits(self) -> int:
        code = self.scale.largest_code if self.scale else 0
        low, high = (
            self.exponent_shift - code,
            self.exponent_shift + (1 << self.exponent_bits) - 1 + self._largest_shift,
        )
        code_bits = self.scale.bits if self.scale else 0
        return max(signed_bits(min(low, -1), max(high, 0)), self.exponent_bits + 1, code_bits + 1)

    @property
    def rounds_up_exponent(self) -> bool:
        """Whether the rule looks at more than the exponent."""
        return self.scale is not None and bool(self._next_exponent())

    @property
    def key_bits(self) -> int:
        return self.exponent_bits + self.rounds_up_exponent

    def describe_widths(self) -> str:
        return (
            f"significand {self.significand_bits}, of {self.source.significand_bits}, exponent {self.exponent_bits}, "
            f"exponent under the scale {self.distance_bits}, leading zeros removed {self.places}"
        )

    @property
    def shared_title(self) -> str:
        return "Shared exponent."

    def shared_wires(self) -> str:
        if self.scale is None:
            return ""
        shared = f"wire {vector(self.distance_bits)} shared; // to subtract from each lane's exponent\n"
        if not self._parts:
            return shared
        bits = self.scale.microexponent_bits
        return (
            f"{shared}wire {vector(self.lanes * bits)} lane_nearness;\n"
            f"wire {vector(self._parts * bits)} microexponents; // to add to those of each part's lanes\n"
        )

    def number(self) -> str:
        return (
            self.source_code()
            + self.decoded()
            + f"\nwire {vector(self.significand_bits)} compressed = {self._compressed()};\n"
            + (f"wire {vector(self._biased_bits)} biased = {self._biased()};\n" if self.widens_infinity else "")
            + ("wire unused_infinite = source_infinite;\n" if self.ignores_infinity else "")
            + self._normalize()
            + (self._nearness(self.scale) if self.scale is not None and self._parts else "")
        )

    def _nearness(self, scale: PowerOfTwoScale) -> str:
        """`under_shared`, the lane's exponent before its part's microexponent, and what it says to that."""
        bits = scale.microexponent_bits
        top = f"significand[{self.significand_bits - 1}]"
        nearness = instance(
            "dm_microexponent",
            "compare",
            {"EXPONENT_BITS": self.distance_bits, "OFFSET": self._nearness_offset, "BITS": bits},
            {
                "counts": f"{top} & ~source_nan" if self.nan_in_lanes else top,
                "exponent": "under_shared",
                "nearness": f"lane_nearness[lane*{bits} +: {bits}]",
            },
        )
        place = widened("place", self.exponent_bits, self.distance_bits)
        return f"\nwire signed {vector(self.distance_bits)} under_shared = {place} - shared;\n{nearness}"

    def distance(self) -> str:
        if self.scale is not None and self._parts:
            bits = self.scale.microexponent_bits
            part = f"microexponents[lane/{self.lanes // self._parts}*{bits} +: {bits}]"
            return f"under_shared + {widened(part, bits, self.distance_bits)}"
        place = widened("place", self.exponent_bits, self.distance_bits)
        return place + (" - shared" if self.scale is not None else plus(self.exponent_shift, self.distance_bits))

    def _compressed(self) -> str:
        """The significand, its low bits in one where they can only break a tie."""
        bits, kept = self.source.significand_bits, self.significand_bits - 1
        if kept + 1 == bits:
            return "source_significand"
        return f"{{source_significand[{bits - 1}:{bits - kept}], |source_significand[{bits - kept - 1}:0]}}"

    @property
    def _biased_bits(self) -> int:
        return self.infinite_exponent.bit_length() if self.widens_infinity else self.source.exponent_bits

    def _biased(self) -> str:
        field = widened("source_exponent", self.source.exponent_bits, self._biased_bits)
        return f"source_infinite ? {self._biased_bits}'d{self.infinite_exponent} : {field}"

    def _normalize(self) -> str:
        """`significand` and `place`, the lane's exponent."""
        biased = "biased" if self.widens_infinity else "source_exponent"
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

    def code(self) -> str:
        return self.encoded(self.rounded_code)

    def searches(self) -> list[Search]:
        return [Search("lane_key", "largest", self._key(), "held")]

    def _key(self) -> str:
        """The exponent, 0 for zeros, and whether the rule takes the next one."""
        top = f"significand[{self.significand_bits - 1}]"
        counts = f"{top} & ~source_nan" if self.nan_in_lanes else top
        exponent = f"place & {{{self.exponent_bits}{{{counts}}}}}"
        if not self.rounds_up_exponent:
            return exponent
        known = " & ~source_nan" if self.nan_in_lanes else ""
        return f"{{{exponent}, {self._next_exponent()}{known}}}"

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

    def shared(self) -> str:
        scale = self.scale
        if scale is None:
            return ""
        offset = -self.source.bias - self.places - self.scale_offset
        parameters = {
            "EXPONENT_BITS": self.exponent_bits,
            "OFFSET": scale.bias + (-offset if scale.negated else offset),
            "NEGATED": int(scale.negated),
            "CODE_BITS": scale.bits,
            "LARGEST_CODE": scale.largest_code,
        }
        above = int(self.rounds_up_exponent)
        code = "shared_exponent_code" if self._parts else "shared_code"
        connections = {
            "exponent": f"largest[{self.key_bits - 1}:{above}]",
            "next": "largest[0]" if above else "1'b0",
            "code": code,
        }
        bits = self.distance_bits
        return (
            f"wire {vector(scale.bits)} {code};\n"
            + instance("dm_shared_exponent", "share", parameters, connections)
            + f"\nassign shared = {widened(code, scale.bits, bits)}{plus(-self.exponent_shift, bits)};"
            + (self._microexponents(scale, code) if self._parts else "")
        )

    def _microexponents(self, scale: PowerOfTwoScale, code: str) -> str:
        """`microexponents`, each what the nearest lane of its part leaves, and all in one `shared_code`."""
        bits, values = scale.microexponent_bits, self.lanes // self._parts * scale.microexponent_bits
        nearest = instance(
            "dm_maximum",
            "find_nearest",
            {"LANES": self.lanes // self._parts, "BITS": bits},
            {"value": f"lane_nearness[part*{values} +: {values}]", "largest": "nearest"},
        ).replace("\n", "\n    ")
        return (
            f"\ngenvar part;\ngenerate\nfor (part = 0; part < {self._parts}; part = part + 1) begin : share_part\n"
            f"    wire {vector(bits)} nearest;\n    {nearest}\n"
            f"    assign microexponents[part*{bits} +: {bits}] = ~nearest;\nend\nendgenerate\n"
            f"wire {vector(scale.code_bits)} shared_code = {{microexponents, {code}}};"
        )
