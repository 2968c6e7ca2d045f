"""The public ports of a unit: names and widths, read by the generator, the bench and the user."""

from dataclasses import dataclass
from typing import Literal

from densimeter.formats import Datapath


@dataclass(frozen=True)
class Port:
    """One port of a unit; `bits` 1 is a scalar."""

    name: str
    direction: Literal["input", "output"]
    bits: int
    meaning: str


def ports(datapath: Datapath) -> list[Port]:
    """Every port of the unit, in order. Optional ones stand only where the formats need them."""
    lanes = datapath.lanes
    found = [
        Port("clk", "input", 1, "rising edge"),
        Port("en", "input", 1, "take a group in at this edge; 0: hold"),
        Port("clear", "input", 1, "start anew from zero with this group; there is no reset"),
    ]
    for side, operand in (("activation", datapath.activation), ("weight", datapath.weight)):
        found.append(
            Port(side, "input", lanes * operand.element.bits, f"{operand.name} codes, {operand.element.bits} bits each")
        )
    for side, operand in (("activation", datapath.activation), ("weight", datapath.weight)):
        if operand.has_unit_scale and operand.scale is not None:
            meaning = f"{operand.name} scale code of the group"
            found.append(Port(f"{side}_scale", "input", operand.scale.code_bits, meaning))
    found.append(Port("accumulator", "output", datapath.register_bits, "the register"))
    if datapath.has_invalid_flag:
        found.append(
            Port("invalid", "output", 1, "a NaN or Inf, which the register cannot hold, came since the last clear")
        )
    return found
