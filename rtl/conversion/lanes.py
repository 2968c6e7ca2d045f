"""The lanes of a quantiser and what stands around them: ports, the search for what a block shares, registers.

How a lane finds its code is the subclass's: by rounding a number (`rounding`), or by bounds of each level (`levels`).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from densimeter.formats import BlockFormat, FloatElement, Scale
from densimeter.rtl.conversion.floats import CLOCK, Step, decode_float, for_lanes, registers
from densimeter.rtl.ports import Port
from densimeter.rtl.syntax import instance, vector

_INFINITE_EXPONENT = 128
"""An infinity counts as 2^128, just above float32."""


@dataclass(frozen=True)
class Search:
    """A search for the largest key of a block: the wire with the lanes' keys, the wire that is found, an expression of
    a lane's key, 0 for zeros, and, in two passes, the wire with what earlier cycles found."""

    keys: str
    largest: str
    key: str
    held: str


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
    def scale(self) -> Scale | None:
        return self.target.scale

    @property
    def in_two_passes(self) -> bool:
        return self.scale is not None and self.target.block_values != self.lanes

    @property
    @abstractmethod
    def key_bits(self) -> int:
        """Width of what the largest values of a block are sought by."""

    @property
    @abstractmethod
    def lanes_title(self) -> str:
        """What a lane does, as a comment's words."""

    @property
    @abstractmethod
    def shared_title(self) -> str:
        """What the shared part finds, as a comment's words."""

    @abstractmethod
    def describe_widths(self) -> str:
        """In a line of the header."""

    @abstractmethod
    def shared_wires(self) -> str:
        """Declarations of what lanes read of the shared part."""

    @abstractmethod
    def number(self) -> str:
        """`source_code`, and what else a lane knows of its value."""

    @abstractmethod
    def searches(self) -> list[Search]:
        """What is sought among the keys of a block that has a scale."""

    @abstractmethod
    def code(self) -> str:
        """Statements that drive `rounded_code`."""

    @abstractmethod
    def shared(self) -> str:
        """The scale from what was found: `shared_code`, and what `shared_wires` declares."""

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

    @property
    def rounded_code(self) -> str:
        """The lane's part of the codes."""
        bits = self.target.element.bits
        return f"rounded[lane*{bits} +: {bits}]"

    def ports(self, source: BlockFormat) -> list[Port]:
        """In the order of the module's declaration."""
        value_bits, code_bits = source.element.bits, self.target.element.bits
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
            Step(self.lanes_title, self._lanes()),
            Step(self.shared_title, self._found() + self.shared()),
            Step("Registers.", self._registers()),
        ]

    def _lanes(self) -> str:
        declared = f"wire {vector(self.lanes * self.target.element.bits)} rounded;\n"
        if self.scale is not None:
            for search in self.searches():
                declared += f"wire {vector(self.lanes * self.key_bits)} {search.keys};\n"
        declared += self.shared_wires()
        if self.tells_refused:
            declared += f"wire {vector(self.lanes)} lane_refused;\n"
        return declared + for_lanes(self.lanes, "convert", list(self._lane()))

    def _lane(self) -> Iterator[str]:
        yield self.number()
        if self.scale is not None:
            for search in self.searches():
                yield f"assign {search.keys}[lane*{self.key_bits} +: {self.key_bits}] = {search.key};"
        yield self._refused()
        yield self.code()

    def source_code(self) -> str:
        """The lane's code."""
        bits = self.source.bits
        return f"wire {vector(bits)} source_code = value[lane*{bits} +: {bits}];\n"

    def decoded(self) -> str:
        """`source_significand` and `source_exponent`; NaN and Inf are told only where lanes need it."""
        flags = self.nan_in_lanes or self.target.nan_block
        return decode_float(self.source, "source", f"source_code[{self.source.bits - 2}:0]", flags=flags)

    def _refused(self) -> str:
        if not self.tells_refused:
            return ""
        return f"assign lane_refused[lane] = source_nan{' | source_infinite' if self.target.nan_block else ''};"

    def _found(self) -> str:
        return "" if self.scale is None else "".join(map(self._largest, self.searches()))

    def _largest(self, search: Search) -> str:
        """The largest key of a search."""
        found = search.largest if not self.in_two_passes else f"{search.largest}_here"
        maximum = instance(
            "dm_maximum",
            f"find_{search.largest}",
            {"LANES": self.lanes, "BITS": self.key_bits},
            {"value": search.keys, "largest": found},
        )
        text = f"wire {vector(self.key_bits)} {found};\n{maximum}\n"
        if not self.in_two_passes:
            return text
        return (
            f"{text}reg {vector(self.key_bits)} {search.largest};\n"
            f"wire {vector(self.key_bits)} {search.held} = {search.largest} & {{{self.key_bits}{{~clear}}}};\n"
            "always @(posedge clk)\n"
            f"    if (en & measure) {search.largest} <= {found} > {search.held} ? {found} : {search.held};\n"
        )

    def _registers(self) -> str:
        bits, poisons = self.lanes * self.target.element.bits, self.source.has_nan and self.target.nan_block
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
