"""The bench's test, which cocotb runs inside the simulator: drive every cycle, compare every register."""

import os
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

from densimeter.rtl.engines.bench.checker import Checker
from densimeter.rtl.engines.bench.driver import Driver
from densimeter.rtl.engines.bench.model import MODEL_VARIABLE, REPORT_VARIABLE, load
from densimeter.rtl.engines.bench.monitor import Monitor


@cocotb.test()
async def compare_registers(dut: Any) -> None:
    """Words change at falling edges; the register after the rising edge between is sampled at the next one."""
    model = load(Path(os.environ[MODEL_VARIABLE]))
    driver, checker = Driver(dut, model), Checker(model)
    monitor = Monitor(dut, has_invalid=model.expected_invalid is not None)
    Clock(dut.clk, 10, unit="ns").start(start_high=False)
    falling = FallingEdge(dut.clk)

    cycles = len(model.expected)
    driver.drive(0)
    await falling
    for cycle in range(cycles):
        await falling
        checker.check(cycle, monitor.sample())
        if cycle + 1 < cycles:
            driver.drive(cycle + 1)
    checker.write(Path(os.environ[REPORT_VARIABLE]))
