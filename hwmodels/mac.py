"""What a multiply-accumulate unit costs: its Verilog's synthesis results, a flow and a cell library at a time."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from densimeter.formats import Datapath
from densimeter.hwmodels.characterization.characterize import Target, characterize, identify
from densimeter.hwmodels.characterization.record import Record
from densimeter.hwmodels.characterization.store import Store
from densimeter.rtl.emit import EmittedModule, emit
from densimeter.rtl.liberty import Library
from densimeter.rtl.synthesize import CellResult, Flow, LutResult

CELL_FLOW: Flow = "star"
"""Cell area is given in Yosys' plain flow only."""


@dataclass(frozen=True)
class UnitCost:
    """Synthesis results of one unit: LUTs by flow, standard cells by library name."""

    lanes: int
    luts: Mapping[str, LutResult]
    cells: Mapping[str, CellResult]
    tool: str

    def luts_per_mac(self, flow: str) -> float:
        """6-input LUTs of a 7-series FPGA per product, shift-register LUTs included, no DSP blocks."""
        result = self.luts[flow]
        return (result.luts + result.shift_register_luts) / self.lanes

    def area_um2_per_mac(self, library: str) -> float:
        return self.cells[library].area_um2 / self.lanes

    @property
    def flip_flops_per_mac(self) -> float:
        return next(iter(self.luts.values())).flip_flops / self.lanes


@dataclass(frozen=True)
class Job:
    """One synthesis: a flow, and an FPGA or a cell library."""

    module: EmittedModule
    flow: Flow
    target: Target
    unit: Mapping[str, str | int]

    @property
    def can_synthesize(self) -> bool:
        """False where the cell library is known by name but not installed: only a record can answer then."""
        return not isinstance(self.target, Library) or self.target.path is not None

    def record(self, *, fresh: bool = False) -> Record | None:
        """The result, on record or synthesised now; None where neither can be for want of the cell library.

        Raises ToolError where a synthesis is needed and pyosys is missing or fails.
        """
        if not self.can_synthesize:
            return Store().lookup(self.key)
        name, text = self.module.name, self.module.text
        return characterize(text, name, self.flow, self.target, unit=self.unit, fresh=fresh)

    @property
    def key(self) -> str:
        """The address of its record."""
        return identify(self.module.text, self.module.name, self.flow, self.target).key


def jobs(datapath: Datapath, flows: Iterable[Flow], libraries: Iterable[Library]) -> Iterator[Job]:
    """The syntheses behind a unit's cost."""
    module, unit = emit(datapath), describe(datapath)
    yield from (Job(module, flow, "xc7", unit) for flow in flows)
    yield from (Job(module, CELL_FLOW, library, unit) for library in libraries)


def unit_cost(
    datapath: Datapath, flows: Iterable[Flow], libraries: Iterable[Library], *, fresh: bool = False
) -> UnitCost:
    """Cost of a unit, from the records or by synthesis.

    `fresh` synthesises anew whatever is on record. A library that is neither on record nor installed is left out; the
    LUT flows must all be had. Raises ToolError where a synthesis is needed and pyosys is missing or fails.
    """
    luts: dict[str, LutResult] = {}
    cells: dict[str, CellResult] = {}
    tool = ""
    for job in jobs(datapath, flows, libraries):
        record = job.record(fresh=fresh)
        if record is None:
            continue
        tool = record.identity.tool
        if isinstance(record.result, LutResult):
            luts[record.identity.flow] = record.result
        else:
            cells[record.identity.target] = record.result
    return UnitCost(datapath.lanes, luts, cells, tool)


def describe(datapath: Datapath) -> dict[str, str | int]:
    """The unit in a reader's words, as records keep it."""
    return {
        "activation": datapath.activation.name,
        "weight": datapath.weight.name,
        "lanes": datapath.lanes,
        "accumulator": str(datapath.accumulator),
    }
