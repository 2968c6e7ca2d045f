"""Gate-level simulation: a netlist in standard cells runs on a stream of words in Icarus, and counts what changes.

Every change of a cell's input pin is counted by the state that the cell is then in, and every edge of its outputs: all
that the power tables of a Liberty file can ask for. The counters are part of the generated Verilog, so that no waveform
is ever written. Each output follows by the mean delay of its arcs, its own for each edge, and swallows pulses shorter
than that. Where the nets stand at the end of each cycle is kept too: the changes between are those without glitches.
"""

import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from densimeter.formats.errors import ConfigError, ToolError
from densimeter.rtl.cells.activity import Activity, CellActivity, Settled
from densimeter.rtl.cells.electrical import Electrical
from densimeter.rtl.cells.netlist import Port, net_name
from densimeter.rtl.cells.standard_cell import StandardCell
from densimeter.rtl.engines.icarus import check_icarus

_FEMTOSECONDS = 1_000_000  # in a nanosecond
_PERIOD_MARGIN = 1.1  # for the setup time, which is no part of the longest path
_TIMEOUT_S = 1800
_CLOCK = "clk"


@dataclass(frozen=True)
class Simulated:
    """What a stream has moved, and the words that output ports showed at the end of each cycle."""

    activity: Activity
    settled: Settled
    outputs: Mapping[str, list[int]]


def period_ns(circuit: Electrical) -> float:
    """The clock period that is simulated: the longest path and 10 %."""
    return round(circuit.longest_path_ns * _PERIOD_MARGIN, 3)


def simulate(circuit: Electrical, words: Mapping[str, NDArray[np.uint8]]) -> Simulated:
    """Run `words` (little-endian bytes [cycles, bytes] of each input port but clk) and count.

    Operands change after the rising edge that takes the ones before in. The first words come twice before counting
    starts, so that registers hold what they make; the stream ends with them again. Raises `ConfigError` where words do
    not fit the ports, `ToolError` where Icarus is missing or fails, or where a net never gets a known value.
    """
    check_icarus()
    stream, cycles = _stream(circuit, words)
    layout = _Layout(circuit)
    with TemporaryDirectory(prefix="densimeter-gates-") as name:
        folder = Path(name)
        (folder / "words.hex").write_text(stream)
        (folder / "bench.v").write_text(_bench(circuit, layout, cycles))
        _run(["iverilog", "-g2012", "-o", "bench.vvp", "bench.v"], folder)
        _run(["vvp", "-n", "bench.vvp"], folder)
        counts = np.array([int(line, 16) for line in _memory(folder / "counts.hex")], np.int64)
        samples = _memory(folder / "samples.hex")
    if len(samples) != cycles + 1:
        raise ToolError(f"the gate-level simulation of {circuit.netlist.top} ended before its stream did")
    settled = _settled(circuit, samples)
    outputs = {name: _words(port, settled) for name, port in _data_ports(circuit.netlist.ports, "output").items()}
    return Simulated(Activity(cycles, layout.split(counts)), settled, outputs)


class _Layout:
    """Where each counter of each instance lies in the one array of them all."""

    def __init__(self, circuit: Electrical) -> None:
        self._cells = {name: circuit.cell(name) for name in circuit.netlist.instances}
        self._start: dict[str, int] = {}
        self.size = 0
        for name, cell in self._cells.items():
            self._start[name] = self.size
            self.size += len(cell.inputs) * self._states(cell) + 2 * len(cell.functions)

    @staticmethod
    def _states(cell: StandardCell) -> int:
        return 1 << len(cell.state)

    def input_counters(self, instance: str) -> Iterator[tuple[str, int]]:
        """Input pins and where their counters start."""
        cell = self._cells[instance]
        for number, pin in enumerate(cell.inputs):
            yield pin, self._start[instance] + number * self._states(cell)

    def output_counters(self, instance: str) -> Iterator[tuple[str, int]]:
        """Output pins and where their two counters, of falls and rises, start."""
        cell = self._cells[instance]
        first = self._start[instance] + len(cell.inputs) * self._states(cell)
        for number, pin in enumerate(cell.functions):
            yield pin, first + 2 * number

    def split(self, counts: NDArray[np.int64]) -> dict[str, CellActivity]:
        found = {}
        for name, cell in self._cells.items():
            inputs = {pin: counts[at : at + self._states(cell)] for pin, at in self.input_counters(name)}
            outputs = {pin: (int(counts[at]), int(counts[at + 1])) for pin, at in self.output_counters(name)}
            found[name] = CellActivity(inputs, outputs)
        return found


def _stream(circuit: Electrical, words: Mapping[str, NDArray[np.uint8]]) -> tuple[str, int]:
    """A line of hexadecimals a cycle, all ports in one word, the first one in the lowest bits; and their number."""
    ports = _data_ports(circuit.netlist.ports, "input")
    if set(words) != set(ports) or len({len(rows) for rows in words.values()}) != 1:
        raise ConfigError(f"words for {', '.join(words)}; expected as many for each of {', '.join(ports)}")
    bits = [np.unpackbits(words[name], axis=1, bitorder="little")[:, : len(port.bits)] for name, port in ports.items()]
    rows = np.packbits(np.concatenate(bits, axis=1), axis=1, bitorder="little")[:, ::-1]
    return "".join(row.tobytes().hex() + "\n" for row in rows), len(rows)


def _data_ports(ports: Mapping[str, Port], direction: str) -> dict[str, Port]:
    return {name: port for name, port in ports.items() if port.direction == direction and name != _CLOCK}


def _bench(circuit: Electrical, layout: _Layout, cycles: int) -> str:
    inputs = [bit for port in _data_ports(circuit.netlist.ports, "input").values() for bit in port.bits]
    half = round(period_ns(circuit) * _FEMTOSECONDS / 2)
    launch = round(circuit.launch_ns * _FEMTOSECONDS)
    lines = [f"  wire {net_name(net)};" for net in circuit.netlist.nets]
    lines += [f"  assign {net_name(bit)} = {_CLOCK};" for bit in circuit.netlist.ports[_CLOCK].bits]
    lines += [f"  assign {net_name(bit)} = word[{place}];" for place, bit in enumerate(inputs) if isinstance(bit, int)]
    for number, instance in enumerate(circuit.netlist.instances):
        lines += _instance(circuit, layout, instance, number)
    sampled = [*map(net_name, circuit.netlist.nets), *map(_register_name, _registers(circuit))]
    body = "\n".join(lines)
    return f"""`timescale 1fs / 1fs
module bench;
  reg {_CLOCK} = 0;
  reg [{len(inputs) - 1}:0] word, words [0:{cycles - 1}];
  reg [{len(sampled) - 1}:0] samples [0:{cycles}];
  reg [31:0] counts [0:{layout.size - 1}];
  integer i;
{body}
  initial begin
    $readmemh("words.hex", words);
    word = words[0];
    repeat (2) begin
      #{2 * half} {_CLOCK} = 1;
      #{half} {_CLOCK} = 0;
    end
    #{half} for (i = 0; i < {layout.size}; i = i + 1) counts[i] = 0;
    for (i = 0; i <= {cycles}; i = i + 1) begin
      samples[i] = {{{", ".join(sampled)}}};
      if (i < {cycles}) begin
        {_CLOCK} = 1;
        word <= #{launch} words[(i + 1) % {cycles}];
        #{half} {_CLOCK} = 0;
        #{half} ;
      end
    end
    $writememh("counts.hex", counts);
    $writememh("samples.hex", samples);
  end
endmodule
"""


def _instance(circuit: Electrical, layout: _Layout, name: str, number: int) -> list[str]:
    """What an instance computes, and its counters."""
    cell = circuit.cell(name)
    pins = {pin: net_name(bits[0]) for pin, bits in circuit.netlist.instances[name].pins.items() if bits}
    lines = []
    if register := cell.register:
        held = _register_name(number)
        pins |= {register.output: held, register.inverse: f"~{held}"}
        edge, taken = register.clocked_on.verilog(pins), register.next_state.verilog(pins)
        lines += [f"  reg {held}; always @(posedge {edge}) {held} <= {taken};"]
    for pin, counter in layout.output_counters(name):
        if pin not in pins:  # what the cell does inside counts also where nobody listens
            pins[pin] = f"open{number}_{pin}"
            lines += [f"  wire {pins[pin]};"]
        rise, fall = (round(delay * _FEMTOSECONDS) for delay in circuit.delays_ns[name, pin])
        lines += [f"  assign #({rise}, {fall}) {pins[pin]} = {cell.functions[pin].verilog(pins)};"]
        lines += [_count(pins[pin], counter, pins[pin])]
    state = ", ".join(pins[pin] for pin in cell.state)
    counted = [(pin, at) for pin, at in layout.input_counters(name) if circuit.net(name, pin) is not None]
    return lines + [_count(pins[pin], at, state) for pin, at in counted]


def _count(signal: str, counter: int, index: str) -> str:
    place = f"counts[{counter} + {{{index}}}]"
    return f"  always @({signal}) {place} = {place} + 1;"


def _registers(circuit: Electrical) -> list[int]:
    """Numbers of the instances that hold a bit."""
    return [n for n, name in enumerate(circuit.netlist.instances) if circuit.cell(name).register is not None]


def _register_name(number: int) -> str:
    return f"q{number}"


def _settled(circuit: Electrical, samples: list[str]) -> Settled:
    if any(set(sample.lower()) & set("xz") for sample in samples):
        raise ToolError("a net stayed unknown in gate-level simulation; the first cycle must clear every register")
    nets, registers = circuit.netlist.nets, _registers(circuit)
    size = len(nets) + len(registers)
    rows = np.array([list(int(sample, 16).to_bytes(-(-size // 8))) for sample in samples], np.uint8)
    bits = np.unpackbits(rows, axis=1)[:, -size:].T
    names = list(circuit.netlist.instances)
    held = {names[number]: bits[len(nets) + place] for place, number in enumerate(registers)}
    return Settled(dict(zip(nets, bits, strict=False)), held)


def _words(port: Port, settled: Settled) -> list[int]:
    """The words on a port after each cycle."""
    cycles = len(next(iter(settled.nets.values())))
    bits = [settled.nets[bit] if isinstance(bit, int) else np.full(cycles, bit == "1") for bit in port.bits]
    words = np.packbits(np.array(bits, np.uint8), axis=0, bitorder="little").T[1:]
    return [int.from_bytes(word.tobytes(), "little") for word in words]


def _memory(file: Path) -> list[str]:
    """What $writememh has left, without its comments."""
    return [line for line in file.read_text().splitlines() if not line.startswith("//")]


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise ToolError(f"{command[0]} did not end within {_TIMEOUT_S} s and was stopped") from None
    if done.returncode:
        raise ToolError(f"{command[0]} failed: {(done.stderr or done.stdout).strip()[-2000:]}")
