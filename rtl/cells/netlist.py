"""What synthesis has made of a design: instances of cells and the nets between them, and the Verilog that simulates it.

A netlist comes out of the very recipe that made the unit's figures. Simulated under the unit's bench it shows that what
was counted is what was designed.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from densimeter.formats.errors import ToolError
from densimeter.rtl import yosys
from densimeter.rtl.cells.liberty import Library
from densimeter.rtl.cells.standard_cell import StandardCell, standard_cell
from densimeter.rtl.synthesize import Flow, Recipe, cell_recipe, lut_recipe

Bit = int | Literal["0", "1", "x"]
"""A net's number, or a constant."""


@dataclass(frozen=True)
class Port:
    """A port of the design; bits from the lowest."""

    direction: Literal["input", "output"]
    bits: tuple[Bit, ...]


@dataclass(frozen=True)
class Instance:
    """One cell: `pins` from the lowest bit, `parameters` as Verilog constants."""

    cell: str
    pins: Mapping[str, tuple[Bit, ...]]
    parameters: Mapping[str, str]


@dataclass(frozen=True)
class Netlist:
    """The module `top` in cells."""

    top: str
    ports: Mapping[str, Port]
    instances: Mapping[str, Instance]

    @property
    def cells(self) -> list[str]:
        """Types of the cells used."""
        return sorted({instance.cell for instance in self.instances.values()})

    @property
    def nets(self) -> list[int]:
        pins = (bits for instance in self.instances.values() for bits in instance.pins.values())
        ports = (port.bits for port in self.ports.values())
        return sorted({bit for bits in (*pins, *ports) for bit in bits if isinstance(bit, int)})

    def verilog(self) -> str:
        """The module as instances of cells, the ports being those of the design."""
        lines = [f"module {self.top} ({', '.join(self.ports)});"]
        lines += [f"  {port.direction} {_range(port)}{name};" for name, port in self.ports.items()]
        lines += [f"  wire {net_name(net)};" for net in self.nets]
        for name, port in self.ports.items():
            outside = [f"{name}[{place}]" for place in range(len(port.bits))] if len(port.bits) > 1 else [name]
            inside = map(net_name, port.bits)
            pairs = (
                zip(inside, outside, strict=True) if port.direction == "input" else zip(outside, inside, strict=True)
            )
            lines += [f"  assign {left} = {right};" for left, right in pairs]
        lines += [_instance(number, instance) for number, instance in enumerate(self.instances.values())]
        return "\n".join([*lines, "endmodule\n"])


def net_name(bit: Bit) -> str:
    """A net in Verilog."""
    return f"n{bit}" if isinstance(bit, int) else f"1'b{bit}"


def lut_netlist(verilog: str, top: str, flow: Flow) -> str:
    """Self-contained Verilog of module `top` in LUTs, carry chains and flip-flops, with their models by Yosys.

    Raises `ConfigError` for an unknown flow, `ToolError` when pyosys is missing, fails or runs out of time.
    """
    netlist = synthesized(verilog, top, lut_recipe(top, flow))
    return _self_contained(netlist, _xilinx_models(netlist.cells))


def cell_netlist(verilog: str, top: str, flow: Flow, library: Library) -> str:
    """Self-contained Verilog of module `top` in standard cells, with models of what the library says they compute.

    Raises `ConfigError` for an unknown flow, `ToolError` when pyosys or the library is missing, Yosys fails or runs
    out of time, or a cell is neither logic nor a plain flip-flop.
    """
    netlist = mapped_netlist(verilog, top, flow, library)
    return _self_contained(netlist, [cell_model(standard_cell(library, cell)) for cell in netlist.cells])


def mapped_netlist(verilog: str, top: str, flow: Flow, library: Library) -> Netlist:
    """Module `top` in standard cells; raises as `cell_netlist` does."""
    return synthesized(verilog, top, cell_recipe(top, flow), library)


def synthesized(
    verilog: str, top: str, recipe: Recipe, library: Library | None = None, timeout_s: float = 1800
) -> Netlist:
    """What the recipe makes of module `top` of the self-contained text `verilog`."""
    inputs: dict[str, str | Path] = {**recipe.files, "design.v": verilog}
    if library is not None:
        inputs["cells.lib"] = library.file()
    _, text = yosys.run(recipe.script + "write_json netlist.json\n", inputs, "netlist.json", timeout_s)
    return _read(text, top)


def cell_model(cell: StandardCell) -> str:
    """A cell's function as a Verilog module, without delays."""
    names = {pin: pin for pin in cell.inputs}
    outputs = list(cell.functions)
    lines = [f"module {cell.name} ({', '.join([*cell.inputs, *outputs])});"]
    lines += [f"  input {pin};" for pin in cell.inputs] + [f"  output {pin};" for pin in outputs]
    if register := cell.register:
        names |= {register.output: register.output, register.inverse: f"~{register.output}"}
        edge, taken = register.clocked_on.verilog(names), register.next_state.verilog(names)
        lines += [f"  reg {register.output};", f"  always @(posedge {edge}) {register.output} <= {taken};"]
    lines += [f"  assign {pin} = {function.verilog(names)};" for pin, function in cell.functions.items()]
    return "\n".join([*lines, "endmodule\n"])


def _self_contained(netlist: Netlist, models: Iterable[str]) -> str:
    return "\n".join(["`default_nettype none\n", netlist.verilog(), *models, "`default_nettype wire\n"])


def _read(text: str, top: str) -> Netlist:
    """The netlist in Yosys' JSON."""
    module = json.loads(text)["modules"][top]
    ports = {name: Port(port["direction"], _bits(port["bits"])) for name, port in module["ports"].items()}
    instances = {
        name: Instance(
            cell["type"],
            {pin: _bits(bits) for pin, bits in cell["connections"].items()},
            {key: _constant(value) for key, value in cell["parameters"].items()},
        )
        for name, cell in module["cells"].items()
        if cell["type"] != "$scopeinfo"  # where flattening notes the hierarchy: no circuit
    }
    return Netlist(top, ports, instances)


def _bits(bits: Iterable[Any]) -> tuple[Bit, ...]:
    return tuple("x" if bit == "z" else bit for bit in bits)


def _constant(value: str) -> str:
    return f"{len(value)}'b{value}" if re.fullmatch("[01xz]+", value) else f'"{value}"'


def _range(port: Port) -> str:
    return f"[{len(port.bits) - 1}:0] " if len(port.bits) > 1 else ""


def _concatenated(bits: tuple[Bit, ...]) -> str:
    names = [net_name(bit) for bit in reversed(bits)]
    return names[0] if len(names) == 1 else f"{{{', '.join(names)}}}"


def _instance(number: int, instance: Instance) -> str:
    parameters = ", ".join(f".{key}({value})" for key, value in instance.parameters.items())
    pins = ", ".join(f".{pin}({_concatenated(bits)})" for pin, bits in instance.pins.items() if bits)
    return f"  {instance.cell} {f'#({parameters}) ' if parameters else ''}u{number} ({pins});"


def _xilinx_models(cells: Iterable[str]) -> list[str]:
    """The modules of Yosys' simulation models that are asked for."""
    package = find_spec("pyosys")
    assert package is not None
    assert package.origin is not None
    text = (Path(package.origin).parent / "share" / "xilinx" / "cells_sim.v").read_text()
    found = {
        match[1]: match[0] for match in re.finditer(r"^module (\w+).*?^endmodule\n", text, re.DOTALL | re.MULTILINE)
    }
    if missing := [cell for cell in cells if cell not in found]:
        raise ToolError(f"pyosys {yosys.installed_version()} has no simulation model of {', '.join(missing)}")
    return [found[cell] for cell in cells]
