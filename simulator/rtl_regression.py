"""Holding the Verilog to the kernels: stimulus drawn here, registers expected by `kernels`, compared by `rtl`."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import Datapath
from densimeter.hwmodels.mac import describe
from densimeter.kernels import Registers, accumulate_stream
from densimeter.rtl.emit import EmittedModule, emit
from densimeter.rtl.simulate import SimulationResult, Stimulus, run
from densimeter.simulator.stimulus import draw, is_exhaustive


@dataclass(frozen=True)
class Regression:
    """What one comparison of a unit's Verilog with the kernel has shown."""

    module: EmittedModule
    datapath: Datapath
    exhaustive_pairs: bool
    result: SimulationResult

    @property
    def passed(self) -> bool:
        return self.result.vectors_compared > 0 and self.result.mismatches == 0

    def to_json(self) -> dict[str, Any]:
        first = self.result.first_mismatch
        return {
            **describe(self.datapath),
            "module": self.module.name,
            "vectors_compared": self.result.vectors_compared,
            "mismatches": self.result.mismatches,
            "exhaustive_pairs": self.exhaustive_pairs,
            "first_mismatch": None if first is None else asdict(first),
        }


def compare(datapath: Datapath, *, random_vectors: int = 2000, seed: int = 0) -> Regression:
    """Simulate the unit's Verilog and compare its register with the kernel's after every clock edge."""
    module, stimulus = emit(datapath), draw(datapath, random_vectors, seed)
    expected = expected_registers(datapath, stimulus)
    invalid = expected.invalid if datapath.has_invalid_flag else None
    result = run(module.text, module.name, datapath, stimulus, expected.accumulator, invalid)
    return Regression(module, datapath, is_exhaustive(datapath), result)


def expected_registers(datapath: Datapath, stimulus: Stimulus) -> Registers:
    """The registers that the kernel shows for a stimulus."""
    cycles = stimulus.cycles
    everything = np.ones(cycles, bool)
    return accumulate_stream(
        datapath,
        stimulus.activation,
        stimulus.weight,
        _codes_or_zeros(stimulus.activation_scale, cycles),
        _codes_or_zeros(stimulus.weight_scale, cycles),
        np.arange(cycles) == 0 if stimulus.clear is None else stimulus.clear,
        everything if stimulus.enable is None else stimulus.enable,
    )


def _codes_or_zeros(codes: NDArray[np.unsignedinteger] | None, cycles: int) -> NDArray[np.unsignedinteger]:
    return np.zeros(cycles, np.uint32) if codes is None else codes
