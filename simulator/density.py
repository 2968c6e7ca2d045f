"""The density table: every unit of a configuration measured, its format tried on real numbers, its ratios taken."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Protocol, TypeVar

from densimeter.formats import BlockFormat, ConfigError, Datapath, ModelRangeError
from densimeter.hwmodels.energy import recorded_energy
from densimeter.hwmodels.figure import Figure
from densimeter.hwmodels.fitted_model import estimate, size_model
from densimeter.hwmodels.mac import Job, UnitCost, jobs, out_of_reach, run_jobs, unit_cost
from densimeter.hwmodels.published import published_figures
from densimeter.reports import Cost, DensityRow, DensityTable, Published
from densimeter.rtl.cells.liberty import Library, find_library
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

    What is neither on record nor can be synthesised here the cost model estimates, and the row says so. Raises
    ModelRangeError where it does not answer, ToolError where a baseline is missing or the headline's flow has no model,
    or the workload is missing.
    """
    libraries = [find_library(name) for name in config.libraries]
    workload = load(config.workload_path) if config.workload_path else minilm.load(config.max_tokens)
    quality = Quality(workload)
    costs = _costs(config, libraries, fresh, track)
    baselines = {name: costs[unit.datapath()] for name, unit in config.baselines}
    energies = Energies(config, libraries)
    rows = tuple(
        _row(unit, costs[unit.datapath()], baselines, quality, energies)
        for unit in track(config.units, "formats on real numbers", len(config.units))
    )
    measured = {library.name: library for library in libraries if library.name in baselines["float32"].area_um2}
    # Findings compare flows and libraries, so they are about rows that were synthesised in all of them.
    every = set(config.flows), set(measured)
    whole = [row for row in rows if row.cost_source == "synthesis" and (set(row.lut), set(row.area_um2)) == every]
    return DensityTable(
        rows=rows,
        baseline=_describe_baselines(config),
        flows={name: FLOWS[name] for name in config.flows},
        default_flow=config.flows[0],
        libraries={name: LIBRARIES.get(name, f"Liberty file {library.path}") for name, library in measured.items()},
        default_library=next(iter(measured), None),
        tool=baselines["float32"].tool,
        workload=f"mean over the tensors of {workload.source}",
        notes=tuple(findings(whole, config.flows[0])),
    )


def synthesis_jobs(config: DensityConfig, libraries: Iterable[Library]) -> list[Job]:
    """Every synthesis behind the table, the units of the baselines first."""
    units = [unit for _, unit in config.baselines] + list(config.units)
    distinct = dict.fromkeys(unit.datapath() for unit in units)
    return [job for datapath in distinct for job in jobs(datapath, config.flows, libraries)]


def _costs(config: DensityConfig, libraries: Iterable[Library], fresh: bool, track: Track) -> dict[Datapath, UnitCost]:
    """The cost of every unit: from records and syntheses, and by the cost model where there can be neither."""
    planned = synthesis_jobs(config, libraries)
    forgone = set() if fresh else _forgone(config, planned)
    possible = [job for job in planned if job not in forgone]
    found = dict(track(run_jobs(possible, fresh=fresh), "synthesis results", len(possible)))
    of_unit: dict[Datapath, list[Job]] = {}
    for job in planned:
        of_unit.setdefault(job.datapath, []).append(job)
    headline = config.flows[0], *config.libraries[:1]
    return {
        datapath: unit_cost(datapath.lanes, map(found.get, members), filter(forgone.__contains__, members), headline)
        for datapath, members in of_unit.items()
    }


def _forgone(config: DensityConfig, planned: Iterable[Job]) -> set[Job]:
    """The syntheses out of reach here that the table can do without: an estimate takes the place of the headline's.

    Those of the baselines are not among them, for every ratio rests on what was measured.
    """
    baselines = {unit.datapath() for _, unit in config.baselines}
    return {
        job
        for job in out_of_reach(planned)
        if job.datapath not in baselines
        and ((job.target, job.flow) != ("xc7", config.flows[0]) or size_model(job.target_name, job.flow))
    }


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
        self._baselines = {name: self._per_mac(unit.datapath()) for name, unit in config.baselines}

    def costs(self, datapath: Datapath, *, model: bool) -> dict[str, Cost]:
        """By library, beside the baselines where those are on record too. `model`: what is not on record is estimated,
        where the model answers."""
        found = self._on_record(datapath)
        if model:
            found = self._estimated(datapath) | found
        return {
            library: _cost(fj, datapath.lanes, {n: b[library] for n, b in self._baselines.items() if library in b})
            for library, fj in found.items()
        }

    def _per_mac(self, datapath: Datapath) -> dict[str, float]:
        return {library: fj.value / datapath.lanes for library, fj in self._on_record(datapath).items()}

    def _on_record(self, datapath: Datapath) -> dict[str, Figure]:
        found = {library.name: recorded_energy(datapath, library) for library in self._libraries}
        return {name: Figure(record.result.energy_fj, 0.0, "simulation") for name, record in found.items() if record}

    def _estimated(self, datapath: Datapath) -> dict[str, Figure]:
        found = {}
        for library in self._libraries:
            with suppress(ConfigError, ModelRangeError):
                found[library.name] = estimate(datapath, library.name, "energy_fj")
        return found


def _row(
    unit: UnitField, cost: UnitCost, baselines: Mapping[str, UnitCost], quality: Quality, energies: Energies
) -> DensityRow:
    lut = {
        flow: _cost(luts, cost.lanes, {n: b.luts_per_mac(flow) for n, b in baselines.items()})
        for flow, luts in cost.luts.items()
    }
    area = {
        name: _cost(um2, cost.lanes, {n: b.area_um2_per_mac(name) for n, b in baselines.items()})
        for name, um2 in cost.area_um2.items()
    }
    return DensityRow(
        format=unit.format,
        lanes=cost.lanes,
        accumulator=str(unit.accumulator),
        lut=lut,
        area_um2=area,
        energy_fj=energies.costs(unit.datapath(), model=cost.source == "model"),
        min_period_ns={name: period.value for name, period in cost.min_period_ns.items()},
        min_period_bands={name: period.relative_band for name, period in cost.min_period_ns.items()},
        flip_flops_per_mac=cost.flip_flops_per_mac,
        qsnr_weights_db=quality.qsnr_db(unit.format, "weight"),
        qsnr_activations_db=quality.qsnr_db(unit.activation or unit.format, "activation"),
        published=_published(unit.format),
        cost_source=cost.source,
    )


def _cost(unit: Figure, lanes: int, baselines: Mapping[str, float]) -> Cost:
    """A unit's cost and how many times denser it is than each baseline's per MAC, in one flow or library."""
    per_mac = unit.value / lanes
    ratios = {f"vs_{name}": baseline / per_mac for name, baseline in baselines.items()}
    return Cost(per_mac=per_mac, relative_band=unit.relative_band, **ratios)


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
