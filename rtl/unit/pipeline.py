"""Registers between the steps of a unit: where N of them stand best, and the text with them in place.

All of a unit can be cut but its accumulator's own step, whose result the next group needs one cycle later: that step's
delay is the shortest period that any number of registers allows. What a later step reads of an earlier one, operands,
flags and enable included, goes through a register at every cut in between. These registers never stop: an edge with
en=0 sends a bubble through them, which the accumulator passes over when it arrives.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from densimeter.formats.errors import ConfigError
from densimeter.rtl.ports import Port
from densimeter.rtl.syntax import vector

_DECLARED = re.compile(r"^wire (signed )?(?:\[(\d+):0\] )?(\w+(?:, \w+)*)", re.MULTILINE)


@dataclass(frozen=True)
class Step:
    """A piece of the unit's text, at whose end a pipeline may be cut if `cut` names what stands there.

    title: of the comment above it; None continues the step before. levels: its estimated depth in gates.
    """

    title: str | None
    text: str
    levels: float
    cut: str = ""


def join(steps: Sequence[Step]) -> str:
    """The text of steps that nothing separates."""
    written = (("" if s.title is None else f"\n// {s.title}\n") + s.text.rstrip() + "\n" for s in steps if s.text)
    return "".join(written).removeprefix("\n")


def best_cuts(steps: Sequence[Step], number: int) -> tuple[str, ...]:
    """Where `number` cuts leave the shortest longest piece, and of equal ones the shortest second longest and so on.

    Raises ConfigError where there are fewer places than that.
    """
    places = [step.cut for step in steps if step.cut]
    if not 0 <= number <= len(places):
        told = ", ".join(places)
        raise ConfigError(f"pipeline is {number}, expected 0 to {len(places)}: this unit can be cut after {told}")
    return min(combinations(places, number), key=lambda cuts: sorted(_depths(steps, cuts), reverse=True))


def pipelined(steps: Sequence[Step], inputs: Sequence[Port], cuts: Sequence[str]) -> str:
    """The text of the steps with registers at the cuts, for everything that crosses them."""
    known = _taken_in(inputs)
    pieces = _pieces(steps, cuts)
    names: dict[str, str] = {}
    blocks = []
    for number, piece in enumerate(pieces, 1):
        blocks.append(join([replace(step, text=_renamed(step.text, names)) for step in piece]))
        if number == len(pieces):
            break
        known |= _declared(join(piece))
        crossing = _read(known, pieces[number:])
        into = {name: f"{name}_{number}" for name in crossing}
        blocks.append(_registers(cuts[number - 1], number, {into[n]: (names.get(n, n), known[n]) for n in crossing}))
        names |= into
    return "\n".join(blocks)


def last_piece(steps: Sequence[Step], inputs: Sequence[Port]) -> tuple[list[Port], str]:
    """The accumulator's own step, which no cut divides: the inputs that it reads of what comes before, and its text."""
    last = max((index for index, step in enumerate(steps) if step.cut), default=-1) + 1
    known = _taken_in(inputs) | _declared(join(steps[:last]))
    read = _read(known, [steps[last:]])
    return [known[name].port(name) for name in read], join(steps[last:])


@dataclass(frozen=True)
class _Wire:
    """`bits` is None for a scalar."""

    bits: int | None
    signed: bool = False

    def register(self, name: str) -> str:
        return " ".join(["reg", *["signed"] * self.signed, *([] if self.bits is None else [vector(self.bits)]), name])

    def port(self, name: str) -> Port:
        return Port(name, "input", self.bits or 1, "", vector=self.bits is not None)


def _taken_in(inputs: Sequence[Port]) -> dict[str, _Wire]:
    scalar = {port.name: port.bits == 1 and not port.vector for port in inputs}
    return {port.name: _Wire(None if scalar[port.name] else port.bits) for port in inputs if port.name != "clk"}


def _pieces(steps: Sequence[Step], cuts: Sequence[str]) -> list[list[Step]]:
    pieces: list[list[Step]] = [[]]
    for step in steps:
        pieces[-1].append(step)
        if step.cut and step.cut in cuts:
            pieces.append([])
    return pieces


def _depths(steps: Sequence[Step], cuts: Sequence[str]) -> Iterator[float]:
    return (sum(step.levels for step in piece) for piece in _pieces(steps, cuts))


def _declared(text: str) -> dict[str, _Wire]:
    """The wires of the module itself; those of its generate loops are indented."""
    return {
        name: _Wire(int(top) + 1 if top else None, bool(signed))
        for signed, top, names in _DECLARED.findall(text)
        for name in names.split(", ")
    }


def _read(known: Mapping[str, _Wire], pieces: Sequence[Sequence[Step]]) -> list[str]:
    """Which of the known wires these pieces use."""
    text = "\n".join(step.text for piece in pieces for step in piece)
    return [name for name in known if _use(name).search(text)]


def _renamed(text: str, names: Mapping[str, str]) -> str:
    for name, later in names.items():
        text = _use(name).sub(later, text)
    return text


def _use(name: str) -> re.Pattern[str]:
    """The wire itself, not a port of that name in an association."""
    return re.compile(rf"(?<![.\w]){name}\b")


def _registers(place: str, number: int, later: Mapping[str, tuple[str, _Wire]]) -> str:
    declared = "".join(f"{wire.register(name)};\n" for name, (_, wire) in later.items())
    moved = "".join(f"    {name} <= {before};\n" for name, (before, _) in later.items())
    return f"// Registers {number}: {place}.\n{declared}always @(posedge clk) begin\n{moved}end\n"
