"""Quantisers to a codebook: lanes compare with the bounds between its levels, which are as many in every block.

No value is divided. A bound is a middle between two levels, or for a rounding that has a direction a level, times the
scale: an exact product, formed once a block and cut to the precision of the values, so that lanes compare plain codes
of magnitudes. The reference divides instead; since the scale is not negative, both decide alike, ties included.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from densimeter.formats import CodebookElement, FloatScale, Rounding
from densimeter.formats.element import FloatElement
from densimeter.formats.number import power_of_two
from densimeter.formats.reference import encode_float
from densimeter.formats.rounding import round_between
from densimeter.rtl.conversion.floats import ROUNDINGS, plus, signed_bits
from densimeter.rtl.conversion.lanes import Lanes, Search
from densimeter.rtl.conversion.normal import Normal, constant, decoded, over, stored, times
from densimeter.rtl.syntax import instance, vector, widened


@dataclass(frozen=True)
class Bound:
    """A magnitude, before it is scaled, from which the next level is taken: from it on, or only above it."""

    magnitude: Fraction
    inclusive: bool


@dataclass(frozen=True)
class Side:
    """What becomes of values of one sign: the code of the level nearest zero, then for each bound that a magnitude
    reaches the code of the next one."""

    bounds: list[Bound]
    codes: list[int]


def sides(element: CodebookElement, rounding: Rounding) -> tuple[Side, Side]:
    """Bounds and codes of values that are not negative, and of those with a sign."""
    steps = [_step(element, rank, rounding) for rank in range(len(element.ladder) - 1)]
    up = [step for step in steps if step[0] >= 0]
    down = [(-threshold, not inclusive) for threshold, inclusive in reversed(steps) if threshold <= 0]
    return (
        _side(up, _codes(element, element.positive_zero_code)[len(steps) - len(up) :]),
        _side(down, _codes(element, element.negative_zero_code)[::-1][len(steps) - len(down) :]),
    )


def _step(element: CodebookElement, rank: int, rounding: Rounding) -> tuple[Fraction, bool]:
    """The number above which a level gives way to the next one, and whether that number itself does."""
    (lower, _), (upper, _) = element.ladder[rank : rank + 2]

    def takes_upper(position: Fraction) -> bool:
        return round_between(position, rank % 2 == 1, rounding, abs(upper) <= abs(lower))

    if takes_upper(Fraction(1, 4)):
        return lower, False
    if not takes_upper(Fraction(3, 4)):
        return upper, True
    return (lower + upper) / 2, takes_upper(Fraction(1, 2))


def _codes(element: CodebookElement, zero: int | None) -> list[int]:
    """Codes of ascending levels."""
    return [code if level or zero is None else zero for level, code in element.ladder]


def _side(steps: list[tuple[Fraction, bool]], codes: list[int]) -> Side:
    if steps and steps[0] == (Fraction(0), True):  # zero itself reaches it
        steps, codes = steps[1:], codes[1:]
    return Side([Bound(*step) for step in steps], codes)


def _cut(bound: Bound) -> Rounding:
    """How a negative number is rounded whose magnitude becomes the bound: what it cuts off decides no comparison."""
    return "toward_minus_infinity" if bound.inclusive else "toward_zero"


@dataclass(frozen=True)
class Levels(Lanes):
    """Every magnitude climbs as many levels as it reaches bounds."""

    @property
    def element(self) -> CodebookElement:
        assert isinstance(self.target.element, CodebookElement)
        return self.target.element

    @property
    def scale(self) -> FloatScale | None:
        assert self.target.scale is None or isinstance(self.target.scale, FloatScale)
        return self.target.scale

    @property
    def key_bits(self) -> int:
        """A magnitude's code: it is the larger, the larger the magnitude."""
        return self.source.bits - 1

    @property
    def lanes_title(self) -> str:
        return "Climb the levels."

    @property
    def shared_title(self) -> str:
        return "Scale, and bounds under it."

    @cached_property
    def _sides(self) -> dict[str, Side]:
        above, below = sides(self.element, self.target.rounding)
        return {"above": above, "below": below}

    @cached_property
    def _bounds(self) -> list[Bound]:
        """Each once: most codebooks are alike on both sides of zero."""
        found = {bound for side in self._sides.values() for bound in side.bounds}
        return sorted(found, key=lambda bound: (bound.magnitude, not bound.inclusive))

    @property
    def _infinity(self) -> int:
        """The code that an infinity would have, if the source went so far."""
        return self.infinite_exponent << self.source.mantissa_bits

    @cached_property
    def magnitude_bits(self) -> int:
        """Width that holds magnitudes and bounds as codes of the source, with as many exponents as that takes."""
        largest = self.source.largest
        if self.source.has_infinity and not self.target.nan_block:
            largest = power_of_two(128)
        unit = self._unit_of(largest)
        codes = [self._source_code(bound, unit) for bound in self._bounds]
        if self.widens_infinity:
            codes.append(self._infinity)
        return max([self.source.bits - 1, *(code.bit_length() for code in codes)])

    def _unit_of(self, largest: Fraction) -> Fraction:
        """The scale of a block with this largest magnitude."""
        if self.scale is None:
            return Fraction(1)
        element = self.scale.element
        code = encode_float(largest / self.element.largest, element)
        return element.decode(min(code, element.largest_magnitude_code)).value

    def _source_code(self, bound: Bound, unit: Fraction) -> int:
        """The code of the source's number at or above a scaled bound where that is inclusive, else at or below it."""
        element = FloatElement(self.source.exponent_bits, self.source.mantissa_bits, self.source.bias)
        return encode_float(bound.magnitude * unit, element, negative=True, rounding=_cut(bound))

    def describe_widths(self) -> str:
        return f"magnitude {self.magnitude_bits}, bounds {len(self._bounds)}"

    def shared_wires(self) -> str:
        return "".join(
            f"wire {vector(len(side.bounds) * self.magnitude_bits)} {name}_bounds;\n"
            for name, side in self._sides.items()
            if side.bounds
        )

    def number(self) -> str:
        source, bits = self.source, self.magnitude_bits
        code = f"source_code[{source.bits - 2}:0]"
        if not source.subnormals:
            code = f"{code} & {{{source.bits - 1}{{|source_code[{source.bits - 2}:{source.mantissa_bits}]}}}}"
        known = " & ~source_nan" if self.nan_in_lanes else ""
        if known:
            code = f"{code} & {{{source.bits - 1}{{~source_nan}}}}"
        magnitude = widened(code, source.bits - 1, bits)
        if self.widens_infinity:
            magnitude = f"source_infinite ? {bits}'d{self._infinity} : {magnitude}"
        return (
            f"{self.source_code()}{self._flags()}wire {vector(bits)} magnitude = {magnitude};\n"
            f"wire negative = source_code[{source.bits - 1}]{known};"
        )

    def _flags(self) -> str:
        """`source_nan` and `source_infinite`, where they are read."""
        source, text = self.source, ""
        bits = source.bits - 1
        if self.nan_in_lanes or (source.has_nan and self.target.nan_block):
            last = source.infinity_code if source.has_infinity else source.largest_magnitude_code
            text += f"wire source_nan = source_code[{bits - 1}:0] > {bits}'d{last};\n"
        if self.widens_infinity or (source.has_nan and self.target.nan_block):
            infinite = f"source_code[{bits - 1}:0] == {bits}'d{source.infinity_code}" if source.has_infinity else "1'b0"
            text += f"wire source_infinite = {infinite};\n"
        return text

    def searches(self) -> list[Search]:
        code = f"source_code[{self.key_bits - 1}:0]"
        key = f"{code} & {{{self.key_bits}{{~source_nan}}}}" if self.nan_in_lanes else code
        return [Search("lane_key", "largest", key, "held")]

    def code(self) -> str:
        bits = self.element.bits
        climbed = "".join(self._climb(name, side) for name, side in self._sides.items() if side.bounds)
        above, below = (
            f"code_{name}" if side.bounds else f"{bits}'d{side.codes[0]}" for name, side in self._sides.items()
        )
        return f"{climbed}assign {self.rounded_code} = negative ? {below} : {above};"

    def _climb(self, name: str, side: Side) -> str:
        bits, steps = self.element.bits, len(side.bounds)
        inclusive = sum(bound.inclusive << position for position, bound in enumerate(side.bounds))
        codes = sum(code << position * bits for position, code in enumerate(side.codes))
        climb = instance(
            "dm_encode_level",
            f"climb_{name}",
            {
                "MAGNITUDE_BITS": self.magnitude_bits,
                "STEPS": steps,
                "CODE_BITS": bits,
                "INCLUSIVE": f"{steps}'h{inclusive:x}",
                "CODES": f"{(steps + 1) * bits}'h{codes:x}",
            },
            {"magnitude": "magnitude", "bounds": f"{name}_bounds", "code": f"code_{name}"},
        )
        return f"wire {vector(bits)} code_{name};\n{climb}\n"

    def shared(self) -> str:
        unit = None if self.scale is None else decoded("scale", self.scale.element, self._scale_magnitude)
        text = [] if unit is None else [self._choose_scale(), unit.text]
        text += [self._bound(number, bound, unit) for number, bound in enumerate(self._bounds)]
        for name, side in self._sides.items():
            if side.bounds:
                numbers = [self._bounds.index(bound) for bound in reversed(side.bounds)]
                text.append(f"assign {name}_bounds = {{{', '.join(f'bound_{number}' for number in numbers)}}};\n")
        return "".join(text)

    @property
    def _scale_magnitude(self) -> str:
        assert self.scale is not None
        return f"shared_code[{self.scale.element.bits - 2}:0]"

    def _choose_scale(self) -> str:
        assert self.scale is not None
        element = self.scale.element
        place = self.infinite_exponent if self.widens_infinity else 0
        largest = decoded("largest_value", self.source, "largest", infinite_place=place)
        return largest.text + stored(
            "shared_code", element, over("wanted", largest, self.element.largest, element.significand_bits + 2)
        )

    def _bound(self, number: int, bound: Bound, unit: Normal | None) -> str:
        """`bound_<number>`: from magnitudes with this code on, or above it, the next level is taken."""
        bits, name = self.magnitude_bits, f"bound_{number}"
        if unit is None:
            return f"wire {vector(bits)} {name} = {bits}'d{self._source_code(bound, Fraction(1))};\n"
        # Under a scale of zero all are zeros, and reach no bound.
        unreached = f"{{{bits}{{~{unit.normal}[{unit.bits - 1}]}}}}"
        if not bound.magnitude:
            return f"wire {vector(bits)} {name} = {unreached};\n"
        return self._scaled(name, bound, unit, unreached)

    def _scaled(self, name: str, bound: Bound, unit: Normal, unreached: str) -> str:
        """The same as `_source_code`, in a circuit."""
        bits, kept = self.magnitude_bits, self.source.significand_bits
        product = times(name, constant(bound.magnitude), unit)
        shift = -product.bias - (1 - self.source.bias)
        exponent_bits = max(signed_bits(min(shift, -1), max(shift + product.largest_place, 0)), product.place_bits + 1)
        code_bits = exponent_bits + kept - 1
        exponent = widened(product.place, product.place_bits, exponent_bits) + plus(shift, exponent_bits)
        parameters = {
            "SIGNIFICAND_BITS": product.bits,
            "KEPT_BITS": kept,
            "EXPONENT_BITS": exponent_bits,
            "ROUNDING": ROUNDINGS[_cut(bound)],
        }
        connections = {
            "negative": "1'b1",
            "significand": product.normal,
            "exponent": f"{name}_exponent",
            "code": f"{name}_code",
        }
        code, unused = f"{name}_code", ""
        if code_bits > bits:
            code = f"{name}_code[{bits - 1}:0]"
            unused = f"wire {vector(code_bits - bits)} unused_{name} = {name}_code[{code_bits - 1}:{bits}];\n"
        wide = widened(code, min(code_bits, bits), bits)
        return (
            f"{product.text}wire signed {vector(exponent_bits)} {name}_exponent = {exponent};\n"
            f"wire {vector(code_bits)} {name}_code;\n"
            f"{instance('dm_round_significand', f'round_{name}', parameters, connections)}\n"
            f"{unused}wire {vector(bits)} {name} = {wide} | {unreached};\n"
        )
