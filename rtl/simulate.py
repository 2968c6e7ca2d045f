"""Simulation: a unit's Verilog runs in a simulator, against registers that the caller expects.

Engines: "cocotb" (Icarus under a bench in Python), "icarus" and "verilator" (a generated bench in Verilog, much faster
on long streams; Verilator compiles for some seconds first, and is the fastest by far after that).
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import ConfigError, Datapath
from densimeter.rtl.comparison import (
    Delay,
    Design,
    Mismatch,
    Report,
    SimulationResult,
    Stimulus,
    Vectors,
    result,
    vectors,
)
from densimeter.rtl.engines import batch, cosimulate

__all__ = ["Delay", "Design", "Engine", "Mismatch", "Simulation", "SimulationResult", "Stimulus", "run", "simulation"]

Engine = Literal["cocotb", "icarus", "verilator"]


@dataclass(frozen=True)
class Simulation:
    """A design that was built once and runs as often as wanted, each time from unknown registers."""

    design: Design
    datapath: Datapath
    simulate: Callable[[Vectors], Report]

    def run(
        self, stimulus: Stimulus, expected: NDArray[Any], expected_invalid: NDArray[np.bool_] | None = None
    ) -> SimulationResult:
        """Compare the unit's register after every clock edge with `expected` (unsigned, [cycles]).

        `expected_invalid` goes with units that have an `invalid` output. Raises ToolError where the simulator fails or
        does not compare every vector, and ConfigError where arrays do not fit the unit.
        """
        given = vectors(self.datapath, stimulus, expected, expected_invalid, self.design.delay)
        return result(self.simulate(given), given, stimulus, expected, expected_invalid)


@contextmanager
def simulation(design: Design, datapath: Datapath, engine: Engine = "cocotb") -> Iterator[Simulation]:
    """Build a design in a temporary folder, which goes at the end; ToolError where the tool is missing or fails."""
    if engine not in get_args(Engine):
        raise ConfigError(f"engine is {engine!r}, expected {', '.join(get_args(Engine))}")
    with tempfile.TemporaryDirectory(prefix="densimeter-") as folder:
        work = Path(folder)
        if engine == "cocotb":
            yield Simulation(design, datapath, cosimulate.build(design, work))
        else:
            yield Simulation(design, datapath, batch.build(design, datapath, engine, work))


def run(
    verilog: str,
    top: str,
    datapath: Datapath,
    stimulus: Stimulus,
    expected: NDArray[Any],
    expected_invalid: NDArray[np.bool_] | None = None,
    *,
    engine: Engine = "cocotb",
) -> SimulationResult:
    """Build one unit and compare its register after every clock edge with `expected`; see `Simulation.run`."""
    with simulation(Design(verilog, top), datapath, engine) as built:
        return built.run(stimulus, expected, expected_invalid)
