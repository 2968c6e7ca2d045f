"""The public ports of a unit: names and widths, read by the generator, the bench and the user."""

from dataclasses import dataclass
from typing import Literal

from densimeter.formats import BlockFormat, Datapath, PowerOfTwoScale


@dataclass(frozen=True)
class Port:
    """One port; `bits` 1 is a scalar, but for a vector that happens to have one element."""

    name: str
    direction: Literal["input", "output"]
    bits: int
    meaning: str
    vector: bool = False


def ports(datapath: Datapath, *, chained: bool = False) -> list[Port]:
    """Every port of the unit, in order. Optional ones stand only where the formats need them."""
    found = [
        Port("clk", "input", 1, "rising edge"),
        Port("en", "input", 1, "take a group in at this edge; 0: hold"),
    ]
    if not chained:
        found.append(Port("clear", "input", 1, "start anew from zero with this group; there is no reset"))
    found += operand_ports(datapath)
    if chained:
        found.append(Port("previous", "input", datapath.register_bits, "the sum that the group is added to"))
        if datapath.has_invalid_flag:
            found.append(Port("previous_invalid", "input", 1, "its invalid flag"))
    found.append(Port("accumulator", "output", datapath.register_bits, "the register"))
    if datapath.has_invalid_flag:
        since = "or before" if chained else "came since the last clear"
        found.append(Port("invalid", "output", 1, f"a NaN or Inf, which the register cannot hold, {since}"))
    return found


def operand_ports(datapath: Datapath) -> list[Port]:
    """The codes of one group, and its scale codes."""
    sides = ("activation", datapath.activation), ("weight", datapath.weight)
    codes = [
        Port(side, "input", datapath.lanes * f.element.bits, f"{f.name} codes, {f.element.bits} bits each")
        for side, f in sides
    ]
    scales = [
        Port(f"{side}_scale", "input", datapath.scale_code_bits(f), _scale_meaning(datapath, f))
        for side, f in sides
        if f.has_unit_scale and f.scale is not None
    ]
    return codes + scales


def _scale_meaning(datapath: Datapath, fmt: BlockFormat) -> str:
    told = f"{fmt.name} scale code of the group"
    if isinstance(fmt.scale, PowerOfTwoScale) and fmt.scale.microexponents:
        told += f", and from bit {fmt.scale.bits} on the {fmt.scale.microexponent_bits}-bit microexponents of its lanes"
    return told
