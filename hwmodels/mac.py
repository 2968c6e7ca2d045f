"""What a multiply-accumulate unit costs: its Verilog's synthesis results, a flow and a cell library at a time, or what
the cost model says where there can be none."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from typing import Literal

from densimeter.formats import Datapath, ModelRangeError
from densimeter.hwmodels.characterization.characterize import Target, characterize, identify
from densimeter.hwmodels.characterization.pool import tool_pool
from densimeter.hwmodels.characterization.record import Record
from densimeter.hwmodels.characterization.store import Store
from densimeter.hwmodels.figure import Figure
from densimeter.hwmodels.fitted_model import Quantity, estimate, size_model
from densimeter.rtl import yosys
from densimeter.rtl.cells.liberty import Library
from densimeter.rtl.emit import emit
from densimeter.rtl.module import EmittedModule
from densimeter.rtl.synthesize import Flow, LutResult

RECORDED_FLOWS: tuple[Flow, ...] = ("carry", "star", "booth")
"""The LUT flows whose results ship with the package for the units of the density table."""
HEADLINE_FLOW: Flow = RECORDED_FLOWS[0]
HEADLINE_LIBRARY = "nangate45"
CELL_FLOW: Flow = "star"
"""Cell area is given in Yosys' plain flow only."""


@dataclass(frozen=True)
class UnitCost:
    """What one unit costs with all its lanes: LUTs by flow; cell area and shortest period by library name.

    LUTs are 6-input LUTs of a 7-series FPGA, shift-register LUTs included, no DSP blocks. `tool` synthesised the unit,
    or those that the model was fitted to.
    """

    lanes: int
    luts: Mapping[str, Figure]
    area_um2: Mapping[str, Figure]
    min_period_ns: Mapping[str, Figure]
    flip_flops: int
    tool: str

    @property
    def source(self) -> Literal["synthesis", "model"]:
        """What a row of a table calls its source: "model" where any figure is an estimate."""
        figures = (*self.luts.values(), *self.area_um2.values(), *self.min_period_ns.values())
        return "model" if any(figure.source == "model" for figure in figures) else "synthesis"

    def luts_per_mac(self, flow: str) -> float:
        """6-input LUTs per product."""
        return self.luts[flow].value / self.lanes

    def area_um2_per_mac(self, library: str) -> float:
        return self.area_um2[library].value / self.lanes

    def figures(self) -> dict[str, dict[str, float]]:
        """All of them, keyed as result rows and --json name them."""
        return {
            "lut_per_mac_by_flow": {flow: self.luts_per_mac(flow) for flow in self.luts},
            "area_um2_per_mac_by_library": {name: self.area_um2_per_mac(name) for name in self.area_um2},
            "min_period_ns_by_library": {name: period.value for name, period in self.min_period_ns.items()},
        }

    def bands(self) -> dict[str, dict[str, float]]:
        """The relative bands of `figures`, keyed like them; 0 for what was synthesised."""
        figures = {
            "lut_per_mac_relative_band_by_flow": self.luts,
            "area_um2_per_mac_relative_band_by_library": self.area_um2,
            "min_period_ns_relative_band_by_library": self.min_period_ns,
        }
        return {key: {name: one.relative_band for name, one in by.items()} for key, by in figures.items()}

    @property
    def flip_flops_per_mac(self) -> float:
        return self.flip_flops / self.lanes


@dataclass(frozen=True)
class Job:
    """One synthesis: a unit's Verilog, a flow, and an FPGA or a cell library."""

    datapath: Datapath
    module: EmittedModule
    flow: Flow
    target: Target

    @property
    def lacks_library(self) -> bool:
        """Whether the cell library is known by name but not installed: nothing can be synthesised then."""
        return isinstance(self.target, Library) and self.target.path is None

    @property
    def target_name(self) -> str:
        return self.target.name if isinstance(self.target, Library) else self.target

    def record(self, *, fresh: bool = False) -> Record | None:
        """The result, on record or synthesised now; None where neither can be for want of the cell library.

        Raises ToolError where a synthesis is needed and pyosys is missing or fails.
        """
        if self.lacks_library:
            return self.on_record()
        name, text = self.module.name, self.module.text
        unit = describe(self.datapath)
        return characterize(text, name, self.flow, self.target, unit=unit, fresh=fresh)

    def on_record(self) -> Record | None:
        """The result, where it is on record; runs nothing."""
        return Store().lookup(self.key)

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
    with tool_pool() as pool:
        futures = {pool.submit(job.record, fresh=fresh): job for job in planned}
        for future in as_completed(futures):
            yield futures[future], future.result()


def out_of_reach(planned: Iterable[Job]) -> list[Job]:
    """The syntheses that are not on record and cannot be run here, for want of pyosys or of the cell library."""
    no_tool = yosys.installed_version() is None
    return [job for job in planned if (no_tool or job.lacks_library) and job.on_record() is None]


def unit_cost(
    lanes: int,
    records: Iterable[Record | None],
    modelled: Iterable[Job] = (),
    headline: Collection[str] = (HEADLINE_FLOW, HEADLINE_LIBRARY),
) -> UnitCost:
    """The cost of a unit with these records (None stands for what could not be had), and by the cost models in place of
    the syntheses `modelled`, but for flows and libraries whose model does not answer.

    Raises ModelRangeError where it is that of `headline`, a flow of LUTs and a cell library, that does not.
    """
    luts: dict[str, Figure] = {}
    area: dict[str, Figure] = {}
    period: dict[str, Figure] = {}
    flip_flops, tool = 0, ""
    for record in filter(None, records):
        tool, result = record.identity.tool, record.result
        flip_flops = result.flip_flops
        if isinstance(result, LutResult):
            luts[record.identity.flow] = Figure(result.luts + result.shift_register_luts, 0.0, "synthesis")
        else:
            area[record.identity.target] = Figure(result.area_um2, 0.0, "synthesis")
            period[record.identity.target] = Figure(result.min_period_ns, 0.0, "synthesis")
    for job in modelled:
        if (model := size_model(job.target_name, job.flow)) is None:
            continue
        try:
            if job.target == "xc7":
                luts[job.flow] = _estimate(job, "size")
            else:
                area[job.target_name] = _estimate(job, "size")
                period[job.target_name] = _estimate(job, "min_period_ns")
        except ModelRangeError:
            if (job.flow if job.target == "xc7" else job.target_name) in headline:
                raise
            continue
        tool = tool or model.tool
        flip_flops = job.datapath.register_bits + job.datapath.has_invalid_flag
    return UnitCost(lanes, luts, area, period, flip_flops, tool)


def _estimate(job: Job, quantity: Quantity) -> Figure:
    try:
        return estimate(job.datapath, job.target_name, quantity, job.flow)
    except ModelRangeError as error:
        missing = "its library" if job.lacks_library else "pyosys"
        raise ModelRangeError(
            f"no record of {job.module.name}, flow {job.flow}, target {job.target_name}; it cannot be synthesised "
            f"without {missing} (`densimeter doctor` says how to get it); and no model answers for {error}"
        ) from None


def describe(datapath: Datapath) -> dict[str, str | int]:
    """The unit in a reader's words, as records keep it."""
    return {
        "activation": datapath.activation.name,
        "weight": datapath.weight.name,
        "lanes": datapath.lanes,
        "accumulator": str(datapath.accumulator),
    }
