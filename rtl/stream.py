"""Streams: any clocked module's Verilog runs in Icarus; outputs after every edge are compared with what is expected."""

import importlib.util
import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import ConfigError, ToolError
from densimeter.rtl.bench import model as bench_model
from densimeter.rtl.bench import stream_model
from densimeter.rtl.bench.stream_model import PackedWords, integers
from densimeter.rtl.comparison import tail
from densimeter.rtl.icarus import check_icarus
from densimeter.rtl.module import EmittedModule

_BENCH = "densimeter.rtl.bench.compare_outputs"

Words = dict[str, NDArray[np.unsignedinteger]]


@dataclass(frozen=True)
class StreamMismatch:
    """The first cycle whose outputs were not what was expected; a port of None held unknown bits. Words are whole
    ports."""

    cycle: int
    inputs: dict[str, int]
    expected: dict[str, int]
    got: dict[str, int | None]


@dataclass(frozen=True)
class StreamResult:
    """How many cycles were compared, how many differed, and the first that did."""

    cycles_compared: int
    mismatches: int
    first_mismatch: StreamMismatch | None


def run_stream(emitted: EmittedModule, inputs: Words, expected: Words, bits: dict[str, int]) -> StreamResult:
    """Drive `inputs` and compare every output after each rising edge of `clk` with `expected`.

    Each port's words are [cycles] or [cycles, lanes], one code of ``bits[port]`` bits a lane, lane 0 in the low bits;
    `inputs` holds every input but clk. Raises ToolError where the simulator is missing, fails or compares too little,
    and ConfigError where arrays do not fit one another.
    """
    cycles = {len(words) for words in [*inputs.values(), *expected.values()]}
    if len(cycles) != 1 or not expected or cycles == {0}:
        raise ConfigError(f"a stream needs the same cycles of every port, at least one; got {sorted(cycles)}")
    given, wanted = ({name: pack(words, bits[name]) for name, words in side.items()} for side in (inputs, expected))
    with tempfile.TemporaryDirectory(prefix="densimeter-") as folder:
        content = _simulate(emitted, given, wanted, Path(folder))
    if content["compared"] != cycles.pop():
        raise ToolError(f"the simulation of {emitted.name} compared only {content['compared']} cycles")
    first = content["first"]
    mismatch = None
    if first is not None:
        before, after = (
            {name: integers(words)[first["cycle"]] for name, words in side.items()} for side in (given, wanted)
        )
        mismatch = StreamMismatch(first["cycle"], before, after, first["outputs"])
    return StreamResult(content["compared"], content["mismatches"], mismatch)


def pack(words: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """Codes of `bits` bits each, [cycles] or [cycles, lanes], as little-endian bytes [cycles, bytes]."""
    columns = words.reshape(len(words), -1).astype("<u8")
    if bits < 64 and (columns >> np.uint64(bits)).any():
        raise ConfigError(f"a word of the stream is {columns.max()}; its port has {bits} bits a lane")
    each = columns.view(np.uint8).reshape(*columns.shape, 8)
    spread = np.unpackbits(each, axis=2, count=bits, bitorder="little")
    return np.packbits(spread.reshape(len(words), -1), axis=1, bitorder="little")


def _simulate(emitted: EmittedModule, inputs: PackedWords, expected: PackedWords, work: Path) -> dict[str, Any]:
    check_icarus()
    if importlib.util.find_spec("cocotb_tools") is None:
        raise ToolError("cocotb was not found; install it with: pip install 'densimeter[rtl]'")
    from cocotb_tools.runner import get_runner

    unit, log, model, report = (work / name for name in ("unit.v", "log.txt", "model.npz", "report.json"))
    unit.write_text(emitted.text, encoding="utf-8")
    stream_model.save(model, inputs, expected)
    runner = get_runner("icarus")
    environment = {bench_model.MODEL_VARIABLE: str(model), bench_model.REPORT_VARIABLE: str(report)}
    try:
        runner.build(
            sources=[unit],
            hdl_toplevel=emitted.name,
            build_dir=work,
            timescale=("1ns", "1ps"),
            log_file=log,
            always=True,
        )
        runner.test(
            hdl_toplevel=emitted.name,
            test_module=_BENCH,
            build_dir=work,
            test_dir=work,
            log_file=log,
            extra_env=environment,
        )
    except (subprocess.SubprocessError, RuntimeError, SystemExit) as error:
        raise ToolError(f"the simulation of {emitted.name} failed: {error}\n{tail(log)}") from error
    if not report.exists():
        raise ToolError(f"the simulation of {emitted.name} ended without a report\n{tail(log)}")
    content: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return content
