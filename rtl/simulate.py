"""Simulation: a unit's Verilog runs in Icarus under the cocotb bench, against registers that the caller expects."""

import importlib.util
import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import ConfigError, Datapath, ToolError
from densimeter.rtl.bench import model as bench_model
from densimeter.rtl.ports import ports

_BENCH = "densimeter.rtl.bench.compare_registers"
_LOG_TAIL = 2000


@dataclass(frozen=True)
class Stimulus:
    """What a unit is given, one row a clock cycle: codes [cycles, lanes], scale codes [cycles], flags [cycles].

    Scales stay None where the unit has no such port; `clear` None clears at the first cycle only, `enable` None always
    enables. The first cycle must clear, for the unit has no reset.
    """

    activation: NDArray[np.unsignedinteger]
    weight: NDArray[np.unsignedinteger]
    activation_scale: NDArray[np.unsignedinteger] | None = None
    weight_scale: NDArray[np.unsignedinteger] | None = None
    clear: NDArray[np.bool_] | None = None
    enable: NDArray[np.bool_] | None = None

    @property
    def cycles(self) -> int:
        return len(self.activation)


@dataclass(frozen=True)
class Mismatch:
    """The first cycle whose outputs were not what was expected; a register of None held unknown bits."""

    cycle: int
    operands: dict[str, list[int]]
    expected: int
    got: int | None
    expected_invalid: bool | None
    got_invalid: bool | None


@dataclass(frozen=True)
class SimulationResult:
    vectors_compared: int
    mismatches: int
    first_mismatch: Mismatch | None


def run(
    verilog: str,
    top: str,
    datapath: Datapath,
    stimulus: Stimulus,
    expected: NDArray[Any],
    expected_invalid: NDArray[np.bool_] | None = None,
) -> SimulationResult:
    """Compare the unit's register after every clock edge with `expected` (unsigned, [cycles]).

    `expected_invalid` goes with units that have an `invalid` output. Raises ToolError where the simulator is missing,
    fails, or compares nothing, and ConfigError where arrays do not fit the unit.
    """
    _check_tools()
    _check_expected(datapath, stimulus, expected, expected_invalid)
    words = _port_words(datapath, stimulus)
    with tempfile.TemporaryDirectory(prefix="densimeter-") as folder:
        work = Path(folder)
        (work / "unit.v").write_text(verilog, encoding="utf-8")
        bench_model.save(work / "model.npz", words, np.asarray(expected, dtype=np.uint64), expected_invalid)
        report = _simulate(work, top)
    if report["compared"] != stimulus.cycles:
        raise ToolError(f"the simulation of {top} compared {report['compared']} vectors instead of {stimulus.cycles}")
    first = report["first"]
    mismatch = None if first is None else _describe(first, stimulus, expected, expected_invalid)
    return SimulationResult(report["compared"], report["mismatches"], mismatch)


def _check_expected(
    datapath: Datapath, stimulus: Stimulus, expected: NDArray[Any], expected_invalid: NDArray[np.bool_] | None
) -> None:
    if not stimulus.cycles:
        raise ToolError("a simulation that compared no vectors would prove nothing; give at least one stimulus cycle")
    if len(expected) != stimulus.cycles:
        raise ConfigError(f"{len(expected)} expected registers for {stimulus.cycles} stimulus cycles; give one a cycle")
    if (expected_invalid is not None) != datapath.has_invalid_flag:
        given, wanted = ("missing", "give") if expected_invalid is None else ("given", "leave out")
        raise ConfigError(
            f"expected_invalid is {given}, but the unit says otherwise; {wanted} it for this pair of formats"
        )


def _check_tools() -> None:
    for program in ("iverilog", "vvp"):
        if shutil.which(program) is None:
            raise ToolError(
                f"{program} was not found on PATH; install Icarus Verilog 11 or newer: apt install iverilog"
            )
    if importlib.util.find_spec("cocotb_tools") is None:
        raise ToolError("cocotb was not found; install it with: pip install 'densimeter[rtl]'")


def _port_words(datapath: Datapath, stimulus: Stimulus) -> dict[str, NDArray[np.uint8]]:
    """Each input port's words as little-endian bytes, [cycles, bytes]."""
    cycles = stimulus.cycles
    first_only = np.arange(cycles) == 0
    clear = first_only if stimulus.clear is None else stimulus.clear
    enable = np.ones(cycles, dtype=bool) if stimulus.enable is None else stimulus.enable
    if not (clear[0] and enable[0]):
        raise ConfigError("the first stimulus cycle must have clear and enable set, for the unit has no reset")
    given = {
        "en": enable,
        "clear": clear,
        "activation": stimulus.activation,
        "weight": stimulus.weight,
        "activation_scale": stimulus.activation_scale,
        "weight_scale": stimulus.weight_scale,
    }
    inputs = {port.name: port.bits for port in ports(datapath) if port.direction == "input" and port.name != "clk"}
    return {name: _pack(name, given[name], bits, cycles) for name, bits in inputs.items()}


def _pack(name: str, codes: NDArray[Any] | None, bits: int, cycles: int) -> NDArray[np.uint8]:
    if codes is None or len(codes) != cycles:
        raise ConfigError(f"stimulus {name} has {0 if codes is None else len(codes)} cycles, expected {cycles}")
    columns = codes.reshape(cycles, -1).astype("<u8")
    code_bits, rest = divmod(bits, columns.shape[1])
    if rest or (columns >> np.uint64(code_bits)).any():
        raise ConfigError(
            f"stimulus {name} has {columns.shape[1]} codes a cycle up to {columns.max()}; the port has {bits} bits"
        )
    code_bytes = columns.view(np.uint8).reshape(cycles, columns.shape[1], 8)
    each = np.unpackbits(code_bytes, axis=2, count=code_bits, bitorder="little")
    return np.packbits(each.reshape(cycles, bits), axis=1, bitorder="little")


def _simulate(work: Path, top: str) -> dict[str, Any]:
    """Build and run in `work`; the bench's report decides, for the runner's exit status does not."""
    from cocotb_tools.runner import get_runner

    log, report = work / "log.txt", work / "report.json"
    environment = {bench_model.MODEL_VARIABLE: str(work / "model.npz"), bench_model.REPORT_VARIABLE: str(report)}
    try:
        runner = get_runner("icarus")
        runner.build(
            sources=[work / "unit.v"],
            hdl_toplevel=top,
            build_dir=work,
            timescale=("1ns", "1ps"),
            log_file=log,
            always=True,
        )
        runner.test(
            hdl_toplevel=top, test_module=_BENCH, build_dir=work, test_dir=work, log_file=log, extra_env=environment
        )
    except (subprocess.SubprocessError, RuntimeError, SystemExit) as error:
        raise ToolError(f"the simulation of {top} failed: {error}\n{_tail(log)}") from error
    if not report.exists():
        raise ToolError(f"the simulation of {top} ended without a report\n{_tail(log)}")
    content: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return content


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-_LOG_TAIL:] if log.exists() else "(no log was written)"


def _describe(
    first: dict[str, Any], stimulus: Stimulus, expected: NDArray[Any], expected_invalid: NDArray[np.bool_] | None
) -> Mismatch:
    cycle = first["cycle"]
    rows = {"activation": stimulus.activation, "weight": stimulus.weight}
    scales = {"activation_scale": stimulus.activation_scale, "weight_scale": stimulus.weight_scale}
    rows |= {name: codes for name, codes in scales.items() if codes is not None}
    return Mismatch(
        cycle=cycle,
        operands={name: np.atleast_1d(codes[cycle]).tolist() for name, codes in rows.items()},
        expected=int(expected[cycle]),
        got=first["register"],
        expected_invalid=None if expected_invalid is None else bool(expected_invalid[cycle]),
        got_invalid=None if first["invalid"] is None else bool(first["invalid"]),
    )
