"""The characterisation grid: run, and what it teaches the cost model."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from importlib import resources
from pathlib import Path

from densimeter.formats import ConfigError, Datapath
from densimeter.formats.files import write_text
from densimeter.hwmodels import fitted_model
from densimeter.hwmodels.characterization.grid import Grid, grid, is_sparse
from densimeter.hwmodels.characterization.pool import in_order
from densimeter.hwmodels.characterization.record import EnergyRecord, Record
from densimeter.hwmodels.characterization.store import EnergyStore, Store
from densimeter.hwmodels.conversion import conversion_energy
from densimeter.hwmodels.energy import unit_energy
from densimeter.hwmodels.fitted_model import FittedModel, Quantity
from densimeter.hwmodels.mac import Job, jobs
from densimeter.rtl.cells.liberty import find_library
from densimeter.rtl.synthesize import CellResult, LutResult
from densimeter.simulator.activity import recipe
from densimeter.simulator.conversion_activity import conversion_stream
from densimeter.simulator.density import synthesis_jobs
from densimeter.simulator.schema.density import DensityConfig


def grid_jobs(chosen: Grid) -> list[Job]:
    """Every synthesis of the grid."""
    every = chosen.flows, [find_library(name) for name in chosen.libraries]
    sparse = chosen.sparse_flows, [find_library(name) for name in chosen.sparse_libraries]
    planned = [job for unit in chosen.units for job in jobs(unit, *every)]
    return planned + [job for unit in filter(is_sparse, chosen.units) for job in jobs(unit, *sparse)]


def fit_models(found: Mapping[Job, Record | None], energies: Iterable[EnergyRecord]) -> list[FittedModel]:
    """The cost models: of LUTs for each flow, and for each library of area, shortest period, energy and leakage.

    `energies` are those of the grid's energy units, in its order. Raises ConfigError where a record is missing.
    """
    targets: dict[tuple[str, str], list[tuple[Datapath, Record]]] = {}
    for job, record in found.items():
        if record is None:
            raise ConfigError(f"no record of {job.module.name}: its cell library is not installed")
        targets.setdefault((record.identity.target, record.identity.flow), []).append((job.datapath, record))
    measured: dict[str, list[tuple[Datapath, EnergyRecord]]] = {}
    for unit, energy in zip(grid().energy_units, energies, strict=True):
        measured.setdefault(energy.identity.target, []).append((unit, energy))
    models = [model for members in targets.values() for model in _fit_synthesis(members)]
    return models + [model for members in measured.values() for model in _fit_energy(members)]


def _fit_synthesis(members: Sequence[tuple[Datapath, Record]]) -> Iterator[FittedModel]:
    results = [record.result for _, record in members]
    luts = [result.luts for result in results if isinstance(result, LutResult)]
    cells = [result for result in results if isinstance(result, CellResult)]
    yield _fit("size", members, luts or [result.area_um2 for result in cells])
    if cells:
        yield _fit("min_period_ns", members, [result.min_period_ns for result in cells])


def _fit_energy(members: Sequence[tuple[Datapath, EnergyRecord]]) -> Iterator[FittedModel]:
    yield _fit("energy_fj", members, [record.result.energy_fj for _, record in members])
    yield _fit("leakage_nw", members, [record.result.leakage_nw for _, record in members])


def _fit(
    quantity: Quantity, members: Sequence[tuple[Datapath, Record | EnergyRecord]], values: Sequence[float]
) -> FittedModel:
    identity = members[0][1].identity
    units = [unit for unit, _ in members]
    return fitted_model.fit(quantity, identity.target, identity.flow, identity.tool, units, values)


def measure_energy(chosen: Grid, *, fresh: bool = False) -> Iterator[EnergyRecord]:
    """The energy of each of the grid's energy units in each library, on record or measured now."""
    return in_order(
        partial(unit_energy, unit, library, recipe(unit), fresh=fresh)
        for library in map(find_library, chosen.energy_libraries)
        for unit in chosen.energy_units
    )


def synthesize_conversions(chosen: Grid, *, fresh: bool = False) -> Iterator[Record]:
    """Each of the grid's converters in each library, on record or synthesised now."""
    return in_order(
        partial(conversion.record, library, fresh=fresh)
        for library in map(find_library, chosen.energy_libraries)
        for conversion in chosen.conversions
    )


def measure_conversions(chosen: Grid, *, fresh: bool = False) -> Iterator[EnergyRecord]:
    """The energy of each of the grid's energy converters in each library, on record or measured now."""
    return in_order(
        partial(conversion_energy, conversion, library, partial(conversion_stream, conversion), fresh=fresh)
        for library in map(find_library, chosen.energy_libraries)
        for conversion in chosen.energy_conversions
    )


def keep_energy(records: Iterable[EnergyRecord]) -> None:
    """Make these energies, and no others, the ones that ship with the package."""
    EnergyStore().export(record.key for record in records)


def keep_records(table: DensityConfig) -> None:
    """Make the results behind the density table and the grid, and no others, the ones that ship with the package."""
    Store().export(shipped_keys(table))


def shipped_keys(table: DensityConfig) -> set[str]:
    """The addresses of the syntheses behind the density table and the grid."""
    libraries = [find_library(name) for name in table.libraries]
    keys = {job.key for job in [*synthesis_jobs(table, libraries), *grid_jobs(grid())]}
    of_grid = [find_library(name) for name in grid().energy_libraries]
    return keys | {conversion.key(library) for library in of_grid for conversion in grid().conversions}


def keep_models(models: Iterable[FittedModel]) -> None:
    """Make these the models that ship with the package."""
    with resources.as_file(resources.files("densimeter.hwmodels").joinpath(fitted_model.FILE)) as file:
        write_text(Path(file), fitted_model.document(list(models)))
