"""The density table: every unit of a configuration measured, its format tried on real numbers, its ratios taken."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, TypeVar

from densimeter.formats import BlockFormat, Datapath
from densimeter.hwmodels.characterization.record import Record
from densimeter.hwmodels.energy import recorded_energy
from densimeter.hwmodels.mac import Job, UnitCost, jobs, run_jobs, unit_cost
from densimeter.hwmodels.published import published_figures
from densimeter.reports import Cost, DensityRow, DensityTable, Published
from densimeter.rtl.liberty import Library, find_library
from densimeter.simulator.activity import recipe
from densimeter.simulator.findings import findings
from densimeter.simulator.numerics import mean_qsnr_db
from densimeter.simulator.schema.density import DensityConfig
from densimeter.simulator.schema.fields import UnitField
from densimeter.simulator.workloads import minilm
from densimeter.simulator.workloads.tensors import Role, Workload, load

FLOWS = {
    "carry": "multipliers as rows of carry chain, as vendor tools infer them",
    "carry_booth": "multipliers as carry-chain rows of two bits each, the fewest LUTs known",
    "star": "multipliers left to Yosys, additions on carry chains",
    "booth": "multipliers by Yosys' Booth pass, additions on carry chains",
}
LIBRARIES = {
    "nangate45": "NanGate open cell library for FreePDK45, 1.1 V, plain Yosys mapping",
    "osu018": "Oklahoma State University 180 nm cells, 1.8 V, plain Yosys mapping",
}

T = TypeVar("T")


class Track(Protocol):
    """Wraps a loop to show its progress."""

    def __call__(self, items: Iterable[T], label: str, total: int) -> Iterator[T]: ...


def density_table(config: DensityConfig, *, fresh: bool, track: Track) -> DensityTable:
    """Build the table; `fresh` synthesises everything anew.

    Raises ToolError where a figure is neither on record nor can be synthesised here, or the workload is missing.
    """
    libraries = [find_library(name) for name in config.libraries]
    workload = load(config.workload_path) if config.workload_path else minilm.load(config.max_tokens)
    quality = Quality(workload)
    costs = _costs(config, libraries, fresh, track)
    baselines = {name: costs[unit.datapath()] for name, unit in config.baselines}
    energies = Energies(config, libraries)
    rows = tuple(
        _row(unit, costs[unit.datapath()], baselines, quality, energies.costs(unit.datapath()))
        for unit in track(config.units, "formats on real numbers", len(config.units))
    )
    measured = {library.name: library for library in libraries if library.name in baselines["float32"].cells}
    return DensityTable(
        rows=rows,
        baseline=_describe_baselines(config),
        flows={name: FLOWS[name] for name in config.flows},
        default_flow=config.flows[0],
        libraries={name: LIBRARIES.get(name, f"Liberty file {library.path}") for name, library in measured.items()},
        default_library=next(iter(measured), None),
        tool=baselines["float32"].tool,
        workload=f"mean over the tensors of {workload.source}",
        notes=tuple(findings(rows, config.flows[0])),
    )


def synthesis_jobs(config: DensityConfig, libraries: Iterable[Library]) -> list[Job]:
    """Every synthesis behind the table, the units of the baselines first."""
    units = [unit for _, unit in config.baselines] + list(config.units)
    distinct = dict.fromkeys(unit.datapath() for unit in units)
    return [job for datapath in distinct for job in jobs(datapath, config.flows, libraries)]


def _costs(config: DensityConfig, libraries: Iterable[Library], fresh: bool, track: Track) -> dict[Datapath, UnitCost]:
    planned = synthesis_jobs(config, libraries)
    found = dict(track(run_jobs(planned, fresh=fresh), "synthesis results", len(planned)))
    records: dict[Datapath, list[Record | None]] = {}
    for job in planned:
        records.setdefault(job.datapath, []).append(found[job])
    return {datapath: unit_cost(datapath.lanes, found) for datapath, found in records.items()}


class Quality:
    """QSNR of formats on one workload, each format measured once."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._known: dict[tuple[BlockFormat, Role], float] = {}

    def qsnr_db(self, fmt: BlockFormat, role: Role) -> float | None:
        """Mean over the workload's tensors of that role; None where it has none."""
        tensors = self._workload.having(role)
        if tensors and (fmt, role) not in self._known:
            self._known[fmt, role] = mean_qsnr_db((tensor.values for tensor in tensors), fmt)
        return self._known.get((fmt, role))


class Energies:
    """Energies per MAC that are on record, shipped or measured by `rtl power`; the table itself measures none."""

    def __init__(self, config: DensityConfig, libraries: Iterable[Library]) -> None:
        self._libraries = list(libraries)
        self._baselines = {name: self._on_record(unit.datapath()) for name, unit in config.baselines}

    def costs(self, datapath: Datapath) -> dict[str, Cost]:
        """By library, beside the baselines where those are on record too."""
        return {
            library: _cost(energy, {n: b[library] for n, b in self._baselines.items() if library in b})
            for library, energy in self._on_record(datapath).items()
        }

    def _on_record(self, datapath: Datapath) -> dict[str, float]:
        found = {library: recorded_energy(datapath, library, recipe(datapath)) for library in self._libraries}
        return {library.name: record.result.energy_fj / datapath.lanes for library, record in found.items() if record}


def _row(
    unit: UnitField,
    cost: UnitCost,
    baselines: Mapping[str, UnitCost],
    quality: Quality,
    energies: Mapping[str, Cost],
) -> DensityRow:
    lut = {
        flow: _cost(cost.luts_per_mac(flow), {n: b.luts_per_mac(flow) for n, b in baselines.items()})
        for flow in cost.luts
    }
    area = {
        name: _cost(cost.area_um2_per_mac(name), {n: b.area_um2_per_mac(name) for n, b in baselines.items()})
        for name in cost.cells
    }
    return DensityRow(
        format=unit.format,
        lanes=cost.lanes,
        accumulator=str(unit.accumulator),
        lut=lut,
        area_um2=area,
        energy_fj=energies,
        min_period_ns={name: cells.min_period_ns for name, cells in cost.cells.items()},
        flip_flops_per_mac=cost.flip_flops_per_mac,
        qsnr_weights_db=quality.qsnr_db(unit.format, "weight"),
        qsnr_activations_db=quality.qsnr_db(unit.activation or unit.format, "activation"),
        published=_published(unit.format),
    )


def _cost(per_mac: float, baselines: Mapping[str, float]) -> Cost:
    """A unit's cost and how many times denser it is than each baseline, in one flow or library."""
    return Cost(per_mac=per_mac, **{f"vs_{name}": baseline / per_mac for name, baseline in baselines.items()})


def _published(fmt: BlockFormat) -> tuple[Published, ...]:
    return tuple(
        Published(quantity=f.quantity, value=f.value, trust=f.trust, source=f.source, note=f.note)
        for f in published_figures()
        if f.format == fmt.name
    )


def _describe_baselines(config: DensityConfig) -> str:
    """The baselines in words; "x int8 lane" means the second int8 unit."""
    names = {"float32": "float32 is", "int8_mac": "an int8 MAC is", "int8_dot": "an int8 lane is one of"}
    described = (f"{names[name]} {_describe(unit)}" for name, unit in config.baselines)
    return "; ".join(described) + "."


def _describe(unit: UnitField) -> str:
    datapath = unit.datapath()
    kind = "a MAC" if datapath.lanes == 1 else f"a {datapath.lanes}-lane dot product"
    return f"{kind} of {unit.format.name} with a {datapath.accumulator} accumulator"
