"""What one dot-product unit costs, whether or not anybody has synthesised it: records first, else the fitted model.

A search over designs asks this module; it runs no tool unless told to, and every figure says its source.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from densimeter.formats import Datapath
from densimeter.hwmodels.characterization.store import user_cache
from densimeter.hwmodels.energy import recorded_energy
from densimeter.hwmodels.figure import Figure
from densimeter.hwmodels.fitted_model import Quantity, estimate
from densimeter.hwmodels.mac import jobs, out_of_reach
from densimeter.rtl.cells.liberty import Library, find_library
from densimeter.rtl.synthesize import CellResult


@dataclass(frozen=True)
class UnitFigures:
    """One unit with all its lanes in a cell library, before layout.

    area_um2: its cells. energy_fj: the dynamic energy of a cycle, all lanes busy, on the shared stimulus (real weights
    and activations, see `hwmodels.energy`). leakage_nw: the cells' mean leakage. min_period_ns: the shortest clock.
    flip_flops: the accumulator's, and its invalid flag's.
    """

    area_um2: Figure
    energy_fj: Figure
    leakage_nw: Figure
    min_period_ns: Figure
    flip_flops: int


def unit_figures(datapath: Datapath, library: str = "nangate45", *, synthesize: bool = False) -> UnitFigures:
    """The unit's figures in a library, by name or path of its Liberty file.

    Records, shipped or in the user's cache, answer first; what is not on record the fitted model estimates, with the
    error band of its held-out units. `synthesize` has area and period synthesised and recorded instead (seconds to
    minutes) where pyosys and the library are installed; energies are never simulated here, but by `densimeter rtl
    power`. Answers are remembered by the process.

    Raises ModelRangeError where a figure is neither on record nor in the range of the model, ConfigError for a library
    that is unknown or has no model, ToolError where a synthesis fails.
    """
    return _figures(datapath, _library(library), synthesize, user_cache())


@lru_cache(maxsize=8)
def _library(name: str) -> Library:
    return find_library(name)


@lru_cache(maxsize=4096)
def _figures(datapath: Datapath, library: Library, synthesize: bool, cache: Path) -> UnitFigures:
    """`cache` decides, with what is shipped, which records there are."""
    cells = _cells(datapath, library, synthesize)
    power = recorded_energy(datapath, library)
    measured: dict[Quantity, Figure] = {}
    if cells is not None:
        measured["size"] = Figure(cells.area_um2, 0.0, "synthesis")
        measured["min_period_ns"] = Figure(cells.min_period_ns, 0.0, "synthesis")
    if power is not None:
        measured["energy_fj"] = Figure(power.result.energy_fj, 0.0, "simulation")
        measured["leakage_nw"] = Figure(power.result.leakage_nw, 0.0, "simulation")

    def figure(quantity: Quantity) -> Figure:
        return measured[quantity] if quantity in measured else estimate(datapath, library.name, quantity)

    return UnitFigures(
        area_um2=figure("size"),
        energy_fj=figure("energy_fj"),
        leakage_nw=figure("leakage_nw"),
        min_period_ns=figure("min_period_ns"),
        flip_flops=datapath.register_bits + datapath.has_invalid_flag,
    )


def _cells(datapath: Datapath, library: Library, synthesize: bool) -> CellResult | None:
    (job,) = jobs(datapath, (), [library])
    record = job.record() if synthesize and not out_of_reach([job]) else job.on_record()
    return record.result if record is not None and isinstance(record.result, CellResult) else None
