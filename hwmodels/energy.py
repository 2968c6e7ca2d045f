"""The energy of a multiply-accumulate unit: on record, or measured by gate-level simulation and then recorded."""

import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from densimeter.formats import Datapath
from densimeter.formats.errors import ToolError
from densimeter.hwmodels.characterization.characterize import identify
from densimeter.hwmodels.characterization.record import EnergyIdentity, EnergyRecord
from densimeter.hwmodels.characterization.store import EnergyStore
from densimeter.hwmodels.mac import CELL_FLOW, describe
from densimeter.rtl.activity import without_glitches
from densimeter.rtl.comparison import Vectors
from densimeter.rtl.electrical import annotate
from densimeter.rtl.emit import emit
from densimeter.rtl.gate_simulation import period_ns, simulate
from densimeter.rtl.liberty import Library
from densimeter.rtl.module import EmittedModule
from densimeter.rtl.netlist import mapped_netlist
from densimeter.rtl.power import PowerResult, energy, leakage_nw
from densimeter.rtl.synthesize import Flow


@dataclass(frozen=True)
class StimulusRecipe:
    """A stream and its registers, drawn only when a measurement needs it; `description` says all that decides it."""

    description: str
    draw: Callable[[], Vectors]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.description.encode()).hexdigest()


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
    store = store or EnergyStore()
    module = emit(datapath)
    identity = _identity(module, flow, library, stimulus)
    known = None if fresh else store.lookup(identity.key)
    if known is not None:
        return known
    try:
        result = measure(module.text, module.name, flow, library, stimulus.draw())
    except ToolError as error:
        raise ToolError(f"no energy record of {identity}, and {error}") from None
    record = EnergyRecord(identity, {**describe(datapath), "stimulus": stimulus.description}, result)
    store.add(record)
    return record


def recorded_energy(datapath: Datapath, library: Library, stimulus: StimulusRecipe) -> EnergyRecord | None:
    """The unit's energy in the flow of the tables, where it is on record."""
    return EnergyStore().lookup(_identity(emit(datapath), CELL_FLOW, library, stimulus).key)


def _identity(module: EmittedModule, flow: Flow, library: Library, stimulus: StimulusRecipe) -> EnergyIdentity:
    synthesis = identify(module.text, module.name, flow, library)
    return EnergyIdentity(**dataclasses.asdict(synthesis), stimulus_sha256=stimulus.sha256)


def measure(verilog: str, top: str, flow: Flow, library: Library, vectors: Vectors) -> PowerResult:
    """Synthesise, simulate the netlist on the vectors, compare its registers with theirs, and add up the energy.

    Raises `ToolError` where a tool or the library is missing or fails, or a register is not as expected.
    """
    circuit = annotate(mapped_netlist(verilog, top, flow, library), library)
    simulated = simulate(circuit, vectors.words)
    got = np.array(simulated.outputs["accumulator"], np.uint64)
    if differing := np.flatnonzero((got != vectors.expected) & vectors.compared).tolist():
        raise ToolError(f"the netlist of {top} holds a wrong register after cycle {differing[0]} of its stimulus")
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
