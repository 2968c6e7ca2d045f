"""A user's own Verilog in place of a generated unit: its ports are checked against the map, then wrapped."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from densimeter.formats import ConfigError, Datapath
from densimeter.formats.errors import nearest
from densimeter.rtl.comparison import Delay, Design
from densimeter.rtl.engines.icarus import FoundPort, module_ports
from densimeter.rtl.ports import ports
from densimeter.rtl.wrapper import WRAPPER, Connection, wrap
from densimeter.simulator.schema.document import Document, KeyPath, parse, read, validate
from densimeter.simulator.schema.port_map import PortMap, PortUse


def own_unit(datapath: Datapath, files: Sequence[Path], top: str, port_map: Path | None) -> Design:
    """The design that stands for the user's module; without a map, its ports are named as ours.

    ConfigError, a line for each problem: a file that cannot be read or does not compile, an unknown top, a port that is
    unknown, missing, driven by nothing, or of another direction or width.
    """
    for path in files:
        if not path.is_file():
            raise ConfigError(f"{path}: no such file, expected Verilog")
    document = parse("", "(no port map)") if port_map is None else read(port_map)
    chosen = validate(document, PortMap)
    sources = tuple(path.resolve() for path in files)
    found = module_ports(sources, top, chosen.parameters)
    uses = _uses(datapath, chosen)
    problems = _problems(document, datapath, chosen, uses, top, found)
    if problems:
        raise ConfigError("\n".join(problems))
    connections = {ours: Connection(use.port, use.invert, use.lanes == "reversed") for ours, use in uses.items()}
    constants = {name: f"{found[name].bits}'d{value}" for name, value in chosen.constants.items()}
    # A clock that stops holds the whole pipeline.
    delay = Delay(chosen.latency, stalls=chosen.stalls or "en" not in connections)
    return Design(wrap(datapath, top, connections, constants, chosen.parameters), WRAPPER, sources, delay)


def _uses(datapath: Datapath, chosen: PortMap) -> dict[str, PortUse]:
    """The use of each of our ports, but of `en` where it is null."""
    uses = {port.name: chosen.ports.get(port.name, PortUse(port=port.name)) for port in ports(datapath)}
    return {name: use for name, use in uses.items() if use is not None}


def _problems(
    document: Document,
    datapath: Datapath,
    chosen: PortMap,
    uses: Mapping[str, PortUse],
    top: str,
    found: Mapping[str, FoundPort],
) -> list[str]:
    def place(*path: str) -> str:
        keys: KeyPath = path
        return f"{document.name}:{document.line(keys)}: {'.'.join(path)}"

    declared = {port.name: port for port in ports(datapath)}
    problems = [
        f"{place('ports', name)}: the unit has no such port{nearest(name, declared)}; expected {', '.join(declared)}"
        for name in chosen.ports
        if name not in declared
    ]
    problems += [
        f"{place('ports', name)}: null, expected the name of a port; only en may be missing"
        for name in declared
        if name not in uses and name != "en"
    ]
    for name, use in uses.items():
        where, port = f"{place('ports', name)}: {use.port!r}", declared[name]
        if use.port not in found:
            problems.append(f"{where}: {top} has no such port{nearest(use.port, found)}; expected {', '.join(found)}")
        elif (found[use.port].direction, found[use.port].bits) != (port.direction, port.bits):
            theirs = f"{found[use.port].direction} of {found[use.port].bits} bits"
            problems.append(f"{where}: {theirs} in {top}, expected {port.direction} of {port.bits} bits")
        if use.invert and port.bits > 1:
            problems.append(f"{where}: inverted, expected invert only where a port has 1 bit")
        if use.lanes == "reversed" and name not in ("activation", "weight"):
            problems.append(f"{where}: lanes reversed, expected that only of activation and weight")
    driven = {use.port for use in uses.values()}
    for name, value in chosen.constants.items():
        where = f"{place('constants', name)}: {value}"
        if name not in found or found[name].direction != "input":
            problems.append(f"{where}: {top} has no such input{nearest(name, found)}; expected {', '.join(found)}")
        elif name in driven:
            problems.append(f"{where}: the port is mapped already, expected an input that no port of the unit drives")
        elif value >> found[name].bits:
            problems.append(f"{where}: expected at most {found[name].bits} bits")
    problems += [
        f"{place('constants')}: input {name!r} of {top} is driven by nothing, expected a value for it"
        for name, port in found.items()
        if port.direction != "output" and name not in driven and name not in chosen.constants
    ]
    return problems
