"""Holding Verilog to the kernels: stimulus drawn here, registers expected by `kernels`, compared by `rtl`."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import Datapath
from densimeter.hwmodels.mac import describe
from densimeter.kernels import Registers, accumulate_stream
from densimeter.rtl.emit import emit
from densimeter.rtl.simulate import Delay, Design, Engine, SimulationResult, Stimulus, simulation
from densimeter.simulator.coverage import coverage
from densimeter.simulator.stimulus import chunk_sizes, chunks, is_exhaustive


class Part(NamedTuple):
    """What one chunk of the stream has shown."""

    result: SimulationResult
    coverage: dict[str, int]


Watch = Callable[[Iterator[Part], int], Iterable[Part]]
"""Hands parts on as they come, so many in all, and may show progress."""


@dataclass(frozen=True)
class Regression:
    """What one comparison of a unit's Verilog with the kernel has shown; `coverage`: hits by corner."""

    name: str
    datapath: Datapath
    engine: Engine
    exhaustive_pairs: bool
    result: SimulationResult
    coverage: dict[str, int]
    pipeline: int = 0

    @property
    def passed(self) -> bool:
        return self.result.vectors_compared > 0 and self.result.mismatches == 0

    @property
    def missed(self) -> list[str]:
        """The corners that no vector has hit."""
        return [corner for corner, hits in self.coverage.items() if not hits]

    def to_json(self) -> dict[str, Any]:
        first = self.result.first_mismatch
        return {
            **describe(self.datapath),
            "module": self.name,
            "engine": self.engine,
            "pipeline": self.pipeline,
            "vectors_compared": self.result.vectors_compared,
            "mismatches": self.result.mismatches,
            "exhaustive_pairs": self.exhaustive_pairs,
            "first_mismatch": None if first is None else asdict(first),
            "coverage": {"corners": self.coverage, "missed": self.missed},
        }


def compare(
    datapath: Datapath,
    *,
    random_vectors: int = 2000,
    seed: int = 0,
    engine: Engine = "cocotb",
    pipeline: int = 0,
    own: tuple[str, Design] | None = None,
    watch: Watch = lambda parts, count: parts,
) -> Regression:
    """Simulate a unit's Verilog and compare its register with the kernel's after every clock edge.

    pipeline: stages of registers in the generated unit, whose register is expected that many edges later.
    own: name and design of a module that stands for the generated unit. Streams of any length go through in chunks,
    each of which starts with a clear; the first mismatch's cycle counts from the start of the whole stream.
    """
    unit = emit(datapath, pipeline)
    name, design = own or (unit.name, Design(unit.text, unit.name, delay=Delay(pipeline)))
    parts = _parts(datapath, design, engine, chunks(datapath, random_vectors, seed))
    total, hits = SimulationResult(0, 0, None), Counter[str]()
    for part in watch(parts, len(chunk_sizes(datapath, random_vectors))):
        total = _followed(total, part.result)
        hits.update(part.coverage)
    return Regression(name, datapath, engine, is_exhaustive(datapath), total, dict(hits), pipeline)


def _parts(datapath: Datapath, design: Design, engine: Engine, stream: Iterable[Stimulus]) -> Iterator[Part]:
    with simulation(design, datapath, engine) as built:
        for stimulus in stream:
            expected = expected_registers(datapath, stimulus)
            invalid = expected.invalid if datapath.has_invalid_flag else None
            result = built.run(stimulus, expected.accumulator, invalid)
            yield Part(result, coverage(datapath, stimulus, expected))


def _followed(before: SimulationResult, by: SimulationResult) -> SimulationResult:
    """Two results of one stream as one."""
    first = before.first_mismatch
    if first is None and by.first_mismatch is not None:
        first = replace(by.first_mismatch, cycle=before.vectors_compared + by.first_mismatch.cycle)
    return SimulationResult(before.vectors_compared + by.vectors_compared, before.mismatches + by.mismatches, first)


def expected_registers(datapath: Datapath, stimulus: Stimulus) -> Registers:
    """The registers that the kernel shows for a stimulus."""
    cycles = stimulus.cycles
    return accumulate_stream(
        datapath,
        stimulus.activation,
        stimulus.weight,
        _codes_or_zeros(stimulus.activation_scale, cycles),
        _codes_or_zeros(stimulus.weight_scale, cycles),
        stimulus.clears,
        stimulus.enables,
    )


def _codes_or_zeros(codes: NDArray[np.unsignedinteger] | None, cycles: int) -> NDArray[np.unsignedinteger]:
    return np.zeros(cycles, np.uint32) if codes is None else codes
