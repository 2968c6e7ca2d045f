"""The cocotb engine: Icarus runs the design, a bench in Python drives and checks it."""

import importlib.util
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from densimeter.formats import ToolError
from densimeter.rtl.comparison import Design, Difference, Report, Vectors, tail
from densimeter.rtl.engines.bench import model as bench_model
from densimeter.rtl.engines.icarus import check_icarus

_BENCH = "densimeter.rtl.engines.bench.compare_registers"


def build(design: Design, work: Path) -> Callable[[Vectors], Report]:
    """Compile the design in `work`; what is returned runs it on vectors. Raises ToolError."""
    check_icarus()
    if importlib.util.find_spec("cocotb_tools") is None:
        raise ToolError("cocotb was not found; install it with: pip install 'densimeter[rtl]'")
    from cocotb_tools.runner import get_runner

    unit, log = work / "unit.v", work / "log.txt"
    unit.write_text(design.text, encoding="utf-8")
    runner = get_runner("icarus")
    try:
        runner.build(
            sources=[unit, *design.files],
            includes=design.include_folders,
            hdl_toplevel=design.top,
            build_dir=work,
            timescale=("1ns", "1ps"),
            log_file=log,
            always=True,
        )
    except (subprocess.SubprocessError, RuntimeError, SystemExit) as error:
        raise ToolError(f"{design.top} does not compile: {error}\n{tail(log)}") from error

    def simulate(vectors: Vectors) -> Report:
        model, report = work / "model.npz", work / "report.json"
        bench_model.save(model, vectors.words, vectors.expected, vectors.expected_invalid, vectors.compared)
        report.unlink(missing_ok=True)
        environment = {bench_model.MODEL_VARIABLE: str(model), bench_model.REPORT_VARIABLE: str(report)}
        try:
            runner.test(
                hdl_toplevel=design.top,
                test_module=_BENCH,
                build_dir=work,
                test_dir=work,
                log_file=log,
                extra_env=environment,
            )
        except (subprocess.SubprocessError, RuntimeError, SystemExit) as error:
            raise ToolError(f"the simulation of {design.top} failed: {error}\n{tail(log)}") from error
        return _read(report, design.top, log)

    return simulate


def _read(report: Path, top: str, log: Path) -> Report:
    """The bench's report decides, for the runner's exit status does not."""
    if not report.exists():
        raise ToolError(f"the simulation of {top} ended without a report\n{tail(log)}")
    content = json.loads(report.read_text(encoding="utf-8"))
    first = content["first"]
    return Report(content["compared"], content["mismatches"], None if first is None else Difference(**first))
