"""Icarus Verilog as a compiler: whether it is there, and the ports of a module as it elaborates them."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from densimeter.formats import ConfigError, ToolError

_SCOPE = re.compile(r'\.scope module, "[^"]*" "(?P<module>[^"]*)"')
_PORT = re.compile(r'^\s*\.port_info \d+ /(?P<direction>\w+) (?P<bits>\d+) "(?P<name>[^"]+)"', re.MULTILINE)
_NO_PARAMETER = re.compile(r"warning: parameter (\w+) not found in")


@dataclass(frozen=True)
class FoundPort:
    """A port as elaborated: direction in lower case (input, output, inout) and width."""

    direction: str
    bits: int


def check_icarus() -> None:
    """ToolError where Icarus is not installed."""
    for program in ("iverilog", "vvp"):
        if shutil.which(program) is None:
            raise ToolError(
                f"{program} was not found on PATH; install Icarus Verilog 11 or newer: apt install iverilog"
            )


def module_ports(files: Sequence[Path], top: str, parameters: Mapping[str, int]) -> dict[str, FoundPort]:
    """The ports of module `top` in `files` under these parameters.

    ConfigError where the files do not compile, `top` is not among their modules, or it has no such parameter.
    """
    check_icarus()
    with tempfile.TemporaryDirectory(prefix="densimeter-") as folder:
        output = Path(folder) / "ports.vvp"
        command = ["iverilog", "-g2012", "-s", top, "-o", str(output)]
        command += [f"-P{top}.{name}={value}" for name, value in parameters.items()]
        command += [f"-I{parent}" for parent in sorted({path.parent for path in files})]
        ended = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, errors="replace")
        if f'Unable to find the root module "{top}"' in ended.stderr:
            raise ConfigError(f"--top {top}: no such module in {', '.join(map(str, files))}")
        if ended.returncode:
            raise ConfigError(f"{top} does not compile:\n{ended.stderr.strip()}")
        if missing := _NO_PARAMETER.findall(ended.stderr):
            raise ConfigError(f"{top} has no parameter {', '.join(missing)}")
        elaborated = output.read_text(encoding="utf-8", errors="replace")
    scopes = _SCOPE.split(elaborated)
    # The pieces alternate between module names and what belongs to them; the root comes first.
    content = scopes[scopes.index(top) + 1]
    return {
        found["name"]: FoundPort(found["direction"].lower(), int(found["bits"])) for found in _PORT.finditer(content)
    }
