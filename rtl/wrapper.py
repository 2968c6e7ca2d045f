"""A wrapper with our port names around a module with others, so that every engine can hold it to the reference."""

from collections.abc import Mapping
from dataclasses import dataclass

from densimeter.formats import Datapath
from densimeter.rtl.ports import Port, ports
from densimeter.rtl.syntax import instance, vector

WRAPPER = "densimeter_wrapper"


@dataclass(frozen=True)
class Connection:
    """The port of the wrapped module that one of ours goes to; `reversed_lanes`: lane 0 in the high bits."""

    port: str
    invert: bool = False
    reversed_lanes: bool = False


def wrap(
    datapath: Datapath,
    top: str,
    connections: Mapping[str, Connection],
    constants: Mapping[str, str],
    parameters: Mapping[str, int],
) -> str:
    """The text of module `WRAPPER`.

    connections: by our port name; without one for `en`, the clock stops while en is low. constants: of further inputs,
    Verilog numbers by their names. Directions and widths must have been checked.
    """
    declared = ports(datapath)
    lines = [_declaration(port) for port in declared]
    clock = "clk" if "en" in connections else "clk & en"
    statements, joined = [], {}
    for port in declared:
        if port.name not in connections:
            continue
        connection = connections[port.name]
        inside = f"({clock})" if port.name == "clk" else port.name
        if connection.reversed_lanes:
            inside = _reversed(port.name, datapath.lanes, port.bits // datapath.lanes)
        if connection.invert and port.direction == "output":
            statements.append(f"wire inverted_{port.name};\nassign {port.name} = ~inverted_{port.name};")
            inside = f"inverted_{port.name}"
        elif connection.invert:
            inside = f"~{inside}"
        joined[connection.port] = inside
    body = "\n".join([*statements, _instance(top, parameters, joined | dict(constants))])
    header = ",\n".join(lines)
    return f"`default_nettype none\nmodule {WRAPPER} (\n{header}\n);\n{body}\nendmodule\n`default_nettype wire\n"


def _declaration(port: Port) -> str:
    return f"    {port.direction} wire {vector(port.bits) if port.bits > 1 else ''} {port.name}"


def _reversed(name: str, lanes: int, bits: int) -> str:
    return "{" + ", ".join(f"{name}[{lane * bits} +: {bits}]" for lane in range(lanes)) + "}"


def _instance(top: str, parameters: Mapping[str, int], connections: Mapping[str, str]) -> str:
    if parameters:
        return instance(top, "wrapped", parameters, connections)
    joined = ", ".join(f".{name}({expression})" for name, expression in connections.items())
    return f"{top} wrapped ({joined});"
