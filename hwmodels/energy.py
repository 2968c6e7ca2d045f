"""The energy of a multiply-accumulate unit: on record, or measured by gate-level simulation and then recorded.

Records are found by what a stimulus says of itself, so that looking one up needs none of its numbers.
"""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import Datapath
from densimeter.formats.errors import ToolError
from densimeter.hwmodels.characterization.characterize import identify
from densimeter.hwmodels.characterization.pool import DRAWING
from densimeter.hwmodels.characterization.record import EnergyIdentity, EnergyRecord
from densimeter.hwmodels.characterization.store import EnergyStore
from densimeter.hwmodels.mac import CELL_FLOW, describe
from densimeter.rtl.cells.activity import without_glitches
from densimeter.rtl.cells.electrical import annotate
from densimeter.rtl.cells.gate_simulation import period_ns, simulate
from densimeter.rtl.cells.liberty import Library
from densimeter.rtl.cells.netlist import mapped_netlist
from densimeter.rtl.cells.power import PowerResult, energy, leakage_nw
from densimeter.rtl.comparison import Vectors
from densimeter.rtl.emit import emit
from densimeter.rtl.module import EmittedModule
from densimeter.rtl.synthesize import Flow

PRODUCTS = 384
"""Products of an output of the shared stimulus: the hidden size of its model."""
OUTPUTS = 8
TOKENS = 256


def shared_stimulus(outputs: int = OUTPUTS, seed: int = 0) -> str:
    """The description of the stimulus behind the tables and the model: dot products of MiniLM's own numbers.

    It leaves out the formats, which the unit's Verilog names.
    """
    return f"minilm-l6-v2, {TOKENS} tokens, {outputs} outputs of {PRODUCTS} products, seed {seed}, drawing 1"


@dataclass(frozen=True)
class StimulusRecipe:
    """A stream and its registers, drawn only when a measurement needs it; `description` says all that decides it."""

    description: str
    draw: Callable[[], Vectors]


def unit_energy(
    datapath: Datapath,
    library: Library,
    stimulus: StimulusRecipe,
    *,
    flow: Flow = CELL_FLOW,
    fresh: bool = False,
    store: EnergyStore | None = None,
) -> EnergyRecord:
    """The energy of a unit in a flow and library on a stimulus, looked up unless `fresh`, else measured and recorded.

    Raises `ConfigError` for a flow that cells do not have; `ToolError` where there is no record and a tool, the library
    or the stimulus is missing, or where the netlist's registers are not those that the stimulus expects.
    """
    module = emit(datapath)

    def measured() -> PowerResult:
        with DRAWING:
            vectors = stimulus.draw()
        return measure(module.text, module.name, flow, library, vectors)

    unit = {**describe(datapath), "stimulus": stimulus.description}
    return energy_record(module, flow, library, unit, measured, fresh=fresh, store=store)


def energy_record(
    module: EmittedModule,
    flow: Flow,
    library: Library,
    told: Mapping[str, str | int],
    measured: Callable[[], PowerResult],
    *,
    fresh: bool = False,
    store: EnergyStore | None = None,
) -> EnergyRecord:
    """The record of a circuit on the stimulus that `told` describes, or the one made of what is `measured` now."""
    store = store or EnergyStore()
    identity = energy_identity(module, flow, library, str(told["stimulus"]))
    known = None if fresh else store.lookup(identity.key)
    if known is not None:
        return known
    try:
        result = measured()
    except ToolError as error:
        raise ToolError(f"no energy record of {identity}, and {error}") from None
    record = EnergyRecord(identity, told, result)
    store.add(record)
    return record


def recorded_energy(datapath: Datapath, library: Library, stimulus: str | None = None) -> EnergyRecord | None:
    """The unit's energy in the flow of the tables, where it is on record; `stimulus` is a description, by default that
    of `shared_stimulus`."""
    identity = energy_identity(emit(datapath), CELL_FLOW, library, stimulus or shared_stimulus())
    return EnergyStore().lookup(identity.key)


def energy_identity(module: EmittedModule, flow: Flow, library: Library, stimulus: str) -> EnergyIdentity:
    """What the energy of a circuit is recorded under; `stimulus` is a description."""
    synthesis = identify(module.text, module.name, flow, library)
    stimulus_sha256 = hashlib.sha256(stimulus.encode()).hexdigest()
    return EnergyIdentity(**dataclasses.asdict(synthesis), stimulus_sha256=stimulus_sha256)


def measure(verilog: str, top: str, flow: Flow, library: Library, vectors: Vectors) -> PowerResult:
    """Synthesise, simulate the netlist on the vectors, compare its registers with theirs, and add up the energy.

    Raises `ToolError` where a tool or the library is missing or fails, or a register is not as expected.
    """
    registers = zip(vectors.expected.tolist(), vectors.compared.tolist(), strict=True)
    expected = [register if compared else None for register, compared in registers]
    return measure_words(verilog, top, flow, library, vectors.words, {"accumulator": expected})


def measure_words(
    verilog: str,
    top: str,
    flow: Flow,
    library: Library,
    words: Mapping[str, NDArray[np.uint8]],
    expected: Mapping[str, Sequence[int | None]],
) -> PowerResult:
    """`measure` with words, [cycles, bytes], of every input port but clk, and the words that output ports must show
    after each cycle, None where anything will do."""
    circuit = annotate(mapped_netlist(verilog, top, flow, library), library)
    simulated = simulate(circuit, words)
    for port, shown in expected.items():
        pairs = enumerate(zip(simulated.outputs[port], shown, strict=True))
        differing = next((cycle for cycle, (got, wanted) in pairs if wanted is not None and got != wanted), None)
        if differing is not None:
            raise ToolError(f"the netlist of {top} holds a wrong register ({port}) after cycle {differing}")
    settled = without_glitches(circuit, simulated.settled)
    return PowerResult(
        delayed=energy(circuit, simulated.activity, library.voltage_v),
        settled=energy(circuit, settled, library.voltage_v),
        leakage_nw=leakage_nw(circuit),
        cycles=settled.cycles,
        period_ns=period_ns(circuit),
        input_slew_ns=circuit.input_slew_ns,
        voltage_v=library.voltage_v,
        temperature_c=library.temperature_c,
    )
