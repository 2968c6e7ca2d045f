"""What a multiply-accumulate unit costs: its Verilog's synthesis results, a flow and a cell library at a time."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

from densimeter.formats import Datapath
from densimeter.hwmodels.characterization.characterize import Target, characterize, identify
from densimeter.hwmodels.characterization.record import Record
from densimeter.hwmodels.characterization.store import Store
from densimeter.rtl import yosys
from densimeter.rtl.emit import emit
from densimeter.rtl.liberty import Library
from densimeter.rtl.module import EmittedModule
from densimeter.rtl.synthesize import CellResult, Flow, LutResult

RECORDED_FLOWS: tuple[Flow, ...] = ("carry", "star", "booth")
"""The LUT flows whose results ship with the package for the units of the density table."""
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

    def figures(self) -> dict[str, dict[str, float]]:
        """All of them, keyed as result rows and --json name them."""
        return {
            "lut_per_mac_by_flow": {flow: self.luts_per_mac(flow) for flow in self.luts},
            "area_um2_per_mac_by_library": {name: self.area_um2_per_mac(name) for name in self.cells},
            "min_period_ns_by_library": {name: cells.min_period_ns for name, cells in self.cells.items()},
        }

    @property
    def flip_flops_per_mac(self) -> float:
        return next(iter(self.luts.values())).flip_flops / self.lanes


@dataclass(frozen=True)
class Job:
    """One synthesis: a unit's Verilog, a flow, and an FPGA or a cell library."""

    datapath: Datapath
    module: EmittedModule
    flow: Flow
    target: Target

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
        unit = describe(self.datapath)
        return characterize(text, name, self.flow, self.target, unit=unit, fresh=fresh)

    @property
    def key(self) -> str:
        """The address of its record."""
        return identify(self.module.text, self.module.name, self.flow, self.target).key


def jobs(datapath: Datapath, flows: Iterable[Flow], libraries: Iterable[Library]) -> Iterator[Job]:
    """The syntheses behind a unit's cost."""
    module = emit(datapath)
    yield from (Job(datapath, module, flow, "xc7") for flow in flows)
    yield from (Job(datapath, module, CELL_FLOW, library) for library in libraries)


def run_jobs(planned: Sequence[Job], *, fresh: bool = False) -> Iterator[tuple[Job, Record | None]]:
    """Every job with its record, in the order in which they finish, as many at a time as there are processors.

    An interruption stops the syntheses under way and records none of them; those finished before stay on record.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = {pool.submit(job.record, fresh=fresh): job for job in planned}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            yosys.stop_all()
            raise


def unit_cost(lanes: int, records: Iterable[Record | None]) -> UnitCost:
    """The cost of a unit with these records; None stands for what could not be had."""
    luts: dict[str, LutResult] = {}
    cells: dict[str, CellResult] = {}
    tool = ""
    for record in filter(None, records):
        tool = record.identity.tool
        if isinstance(record.result, LutResult):
            luts[record.identity.flow] = record.result
        else:
            cells[record.identity.target] = record.result
    return UnitCost(lanes, luts, cells, tool)


def describe(datapath: Datapath) -> dict[str, str | int]:
    """The unit in a reader's words, as records keep it."""
    return {
        "activation": datapath.activation.name,
        "weight": datapath.weight.name,
        "lanes": datapath.lanes,
        "accumulator": str(datapath.accumulator),
    }
