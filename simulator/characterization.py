"""The characterisation grid: run, and what it teaches the cost model."""

from collections.abc import Iterable, Iterator, Mapping
from importlib import resources
from pathlib import Path

from densimeter.formats import ConfigError
from densimeter.formats.files import write_text
from densimeter.hwmodels import fitted_model
from densimeter.hwmodels.characterization.grid import Grid, grid
from densimeter.hwmodels.characterization.record import EnergyRecord, Record
from densimeter.hwmodels.characterization.store import EnergyStore, Store
from densimeter.hwmodels.energy import unit_energy
from densimeter.hwmodels.fitted_model import FittedModel
from densimeter.hwmodels.mac import Job, jobs
from densimeter.rtl.liberty import find_library
from densimeter.rtl.synthesize import LutResult
from densimeter.simulator.activity import recipe
from densimeter.simulator.density import synthesis_jobs
from densimeter.simulator.schema.density import DensityConfig


def grid_jobs(chosen: Grid) -> list[Job]:
    """Every synthesis of the grid."""
    libraries = [find_library(name) for name in chosen.libraries]
    return [job for unit in chosen.units for job in jobs(unit, chosen.flows, libraries)]


def fit_models(found: Mapping[Job, Record | None]) -> list[FittedModel]:
    """A cost model of every target, LUTs and each library; ConfigError where a record is missing."""
    targets: dict[str, list[tuple[Job, Record]]] = {}
    for job, record in found.items():
        if record is None:
            raise ConfigError(f"no record of {job.module.name}: its cell library is not installed")
        targets.setdefault(record.identity.target, []).append((job, record))
    return [_fit(target, members) for target, members in targets.items()]


def _fit(target: str, members: list[tuple[Job, Record]]) -> FittedModel:
    costs = [r.result.luts if isinstance(r.result, LutResult) else r.result.area_um2 for _, r in members]
    identity = members[0][1].identity
    return fitted_model.fit(target, identity.flow, identity.tool, [job.datapath for job, _ in members], costs)


def measure_energy(chosen: Grid, *, fresh: bool = False) -> Iterator[EnergyRecord]:
    """The energy of each of the grid's energy units in each library, on record or measured now."""
    for library in map(find_library, chosen.libraries):
        for unit in chosen.energy_units:
            yield unit_energy(unit, library, recipe(unit), fresh=fresh)


def keep_energy(records: Iterable[EnergyRecord]) -> None:
    """Make these energies, and no others, the ones that ship with the package."""
    EnergyStore().export(record.key for record in records)


def keep_records(table: DensityConfig) -> None:
    """Make the results behind the density table and the grid, and no others, the ones that ship with the package."""
    libraries = [find_library(name) for name in table.libraries]
    Store().export(job.key for job in _distinct([*synthesis_jobs(table, libraries), *grid_jobs(grid())]))


def keep_models(models: Iterable[FittedModel]) -> None:
    """Make these the models that ship with the package."""
    with resources.as_file(resources.files("densimeter.hwmodels").joinpath(fitted_model.FILE)) as file:
        write_text(Path(file), fitted_model.document(list(models)))


def _distinct(planned: Iterable[Job]) -> list[Job]:
    return list({job.key: job for job in planned}.values())
