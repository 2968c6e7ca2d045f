"""Published ratios beside ours, from records or measured now."""

from dataclasses import dataclass

from densimeter.formats import Datapath
from densimeter.hwmodels.energy import unit_energy
from densimeter.hwmodels.literature import PublishedRatio, published_ratios
from densimeter.hwmodels.mac import jobs, unit_cost
from densimeter.rtl.cells.liberty import Library
from densimeter.simulator.activity import recipe


@dataclass(frozen=True)
class Comparison:
    """A published ratio and ours; None where the cell library is missing and there is no record."""

    published: PublishedRatio
    ours: float | None


def comparisons(library: Library) -> list[Comparison]:
    """Every published ratio beside that of our units in a cell library; ToolError where a tool is missing or fails."""
    return [Comparison(ratio, _ours(ratio, library)) for ratio in published_ratios()]


def _ours(ratio: PublishedRatio, library: Library) -> float | None:
    dividend, divisor = (_per_mac(ratio.quantity, unit, library) for unit in (ratio.dividend, ratio.divisor))
    return None if dividend is None or divisor is None else dividend / divisor


def _per_mac(quantity: str, unit: Datapath, library: Library) -> float | None:
    if quantity == "energy":
        return unit_energy(unit, library, recipe(unit)).result.energy_fj / unit.lanes
    (job,) = jobs(unit, (), [library])
    record = job.record()
    return None if record is None else unit_cost(unit.lanes, [record]).area_um2_per_mac(library.name)
