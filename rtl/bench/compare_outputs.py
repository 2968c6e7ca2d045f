"""A bench for any clocked module, which cocotb runs inside the simulator: drive every input, compare every output."""

import json
import os
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from densimeter.rtl.bench.model import MODEL_VARIABLE, REPORT_VARIABLE
from densimeter.rtl.bench.stream_model import load


@cocotb.test()
async def compare_outputs(dut: Any) -> None:
    """Words change at falling edges; the outputs after the rising edge between are read at the next one."""
    model = load(Path(os.environ[MODEL_VARIABLE]))
    inputs = [(getattr(dut, name), words) for name, words in model.inputs.items()]
    outputs = {name: getattr(dut, name) for name in model.outputs}
    cycles = len(next(iter(model.outputs.values())))
    compared, mismatches, first = 0, 0, None
    Clock(dut.clk, 10, unit="ns").start(start_high=False)
    falling = FallingEdge(dut.clk)
    _drive(inputs, 0)
    await falling
    for cycle in range(cycles):
        await falling
        got = {name: _known(port) for name, port in outputs.items()}
        compared += 1
        if got != {name: words[cycle] for name, words in model.outputs.items()}:
            mismatches += 1
            first = first or {"cycle": cycle, "outputs": got}
        if cycle + 1 < cycles:
            _drive(inputs, cycle + 1)
    _report({"compared": compared, "mismatches": mismatches, "first": first})


def _drive(inputs: list[tuple[Any, list[int]]], cycle: int) -> None:
    for port, words in inputs:
        port.value = words[cycle]


def _known(port: Any) -> int | None:
    """The port's word; None where a bit is unknown."""
    # Through the text: a cocotb array looks at its bits one by one, in Python.
    bits = str(port.value)
    return None if set(bits) - {"0", "1"} else int(bits, 2)


def _report(content: dict[str, Any]) -> None:
    """Leave the report; it appears only when it is whole."""
    path = Path(os.environ[REPORT_VARIABLE])
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content), encoding="utf-8")
    os.replace(partial, path)
