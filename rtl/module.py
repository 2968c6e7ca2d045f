"""A Verilog file: a header comment, the generated modules, and the library modules they use, in one text."""

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from densimeter.rtl.library import sources_for
from densimeter.rtl.ports import Port

_ONE_FILE = "/* verilator lint_off DECLFILENAME */ // one file holds every module\n"


@dataclass(frozen=True)
class EmittedModule:
    """A self-contained Verilog text and the name of its top module."""

    name: str
    text: str


def assemble(name: str, header: Iterable[str], modules: Sequence[str]) -> EmittedModule:
    """The file of top module `name`: `header` as comment lines, then `modules`, then what they need of the library."""
    comment = "\n".join(f"// {line}".rstrip() for line in header)
    generated = "\n".join(modules)
    library = "\n".join(sources_for(generated))
    text = f"{comment}\n{_ONE_FILE}`default_nettype none\n\n{generated}\n{library}\n`default_nettype wire\n"
    return EmittedModule(name, text)


def module(name: str, ports: Sequence[Port], body: str) -> str:
    """One module with these ports."""
    return f"module {name} (\n{_port_list(ports)}\n);\n{textwrap.indent(body, '    ')}endmodule\n"


def describe_ports(ports: Sequence[Port]) -> list[str]:
    """A line of a header for each port."""
    return [f"  {port.name + ':':<18}{port.meaning}" for port in ports]


def _port_list(ports: Sequence[Port]) -> str:
    def line(port: Port) -> str:
        width = f"[{port.bits - 1}:0]" if port.bits > 1 or port.vector else ""
        return f"    {port.direction:<6} wire {width:>8} {port.name}"

    return ",\n".join(line(port) for port in ports)
