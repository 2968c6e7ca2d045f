"""Replaying words into a module in Icarus: a word a cycle on every input, every output recorded after each edge.

The bench is a generated Verilog text around `$readmemh`. It compares nothing: whoever asks for the replay does.
"""

import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from densimeter.formats.errors import ConfigError, ToolError
from densimeter.rtl.engines.icarus import check_icarus
from densimeter.rtl.module import EmittedModule
from densimeter.rtl.ports import Port
from densimeter.rtl.syntax import associations

_TIMEOUT_S = 1800


@dataclass(frozen=True, slots=True)
class Word:
    """What a port showed. Bits set in `unknown` were X or Z, and are 0 in `value`."""

    value: int
    unknown: int

    def field(self, low: int, bits: int) -> int | None:
        """The field of that width from bit `low` up; None where a bit of it is unknown."""
        mask = (1 << bits) - 1
        return None if self.unknown >> low & mask else self.value >> low & mask


def replay(module: EmittedModule, ports: Sequence[Port], words: Mapping[str, Sequence[int]]) -> dict[str, list[Word]]:
    """What each output port shows after each rising edge of `clk`: [cycles].

    `words` holds a word a cycle for every input port but clk, which changes at falling edges. Raises ConfigError where
    words do not fit the ports, ToolError where Icarus is missing or fails.
    """
    inputs = [port for port in ports if port.direction == "input" and port.name != "clk"]
    outputs = [port for port in ports if port.direction == "output"]
    check_icarus()
    cycles = _cycles(inputs, words)
    with tempfile.TemporaryDirectory(prefix="densimeter-") as name:
        folder = Path(name)
        for port in inputs:
            (folder / f"{port.name}.hex").write_text("".join(f"{word:x}\n" for word in words[port.name]))
        (folder / "module.v").write_text(module.text)
        (folder / "bench.v").write_text(_bench(module.name, inputs, outputs, cycles))
        _run(["iverilog", "-g2012", "-o", "bench.vvp", "bench.v", "module.v"], folder)
        _run(["vvp", "-n", "bench.vvp"], folder)
        lines = (folder / "outputs.txt").read_text().split("\n")[:-1]
    if len(lines) != cycles:
        raise ToolError(f"the simulation of {module.name} ended after {len(lines)} of {cycles} cycles")
    columns = zip(*(line.split() for line in lines), strict=True)
    return {port.name: [_word(text) for text in column] for port, column in zip(outputs, columns, strict=True)}


def _cycles(inputs: Sequence[Port], words: Mapping[str, Sequence[int]]) -> int:
    lengths = {port.name: len(words.get(port.name, ())) for port in inputs}
    cycles = max(lengths.values(), default=0)
    if not cycles:
        raise ToolError("a simulation of no cycles would prove nothing; give at least one word for each input")
    if wrong := [name for name, length in lengths.items() if length != cycles]:
        raise ConfigError(f"{wrong[0]} has {lengths[wrong[0]]} words, other inputs have {cycles}")
    if unknown := words.keys() - lengths.keys():
        raise ConfigError(f"words for {min(unknown)}, which is no input; inputs are {', '.join(lengths)}")
    for port in inputs:
        if max(words[port.name]) >> port.bits or min(words[port.name]) < 0:
            raise ConfigError(f"a word of {port.name} does not fit its {port.bits} bits")
    return cycles


def _bench(top: str, inputs: Sequence[Port], outputs: Sequence[Port], cycles: int) -> str:
    declared = [f"reg [{p.bits - 1}:0] {p.name}; reg [{p.bits - 1}:0] {p.name}_words [0:{cycles - 1}];" for p in inputs]
    declared += [f"wire [{p.bits - 1}:0] {p.name};" for p in outputs]
    loads = [f'$readmemh("{p.name}.hex", {p.name}_words);' for p in inputs]
    drives = [f"{p.name} = {p.name}_words[cycle];" for p in inputs]
    connected = associations({name: name for name in ["clk", *(p.name for p in [*inputs, *outputs])]})
    formats, values = " ".join(["%b"] * len(outputs)), ", ".join(p.name for p in outputs)
    lines = "\n  ".join(declared)
    return f"""module bench;
  reg clk = 0;
  {lines}
  integer cycle, file;
  {top} dut (
{connected}
  );
  initial begin
    {" ".join(loads)}
    file = $fopen("outputs.txt", "w");
    for (cycle = 0; cycle < {cycles}; cycle = cycle + 1) begin
      {" ".join(drives)}
      #5 clk = 1;
      #4 $fwrite(file, "{formats}\\n", {values});
      #1 clk = 0;
    end
    $fclose(file);
    $finish;
  end
endmodule
"""


def _run(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        raise ToolError(f"{command[0]} did not end within {_TIMEOUT_S} s and was stopped") from None
    if done.returncode:
        raise ToolError(f"{command[0]} failed: {(done.stderr or done.stdout).strip()[-2000:]}")


_ONES, _UNKNOWN = str.maketrans("xzXZ", "0000"), str.maketrans("01xzXZ", "001111")


def _word(text: str) -> Word:
    return Word(int(text.translate(_ONES), 2), int(text.translate(_UNKNOWN), 2))
