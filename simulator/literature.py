"""Published ratios beside ours, from records or measured now."""

from dataclasses import dataclass

from densimeter.formats import Datapath
from densimeter.hwmodels.energy import unit_energy
from densimeter.hwmodels.literature import PublishedRatio, RatioQuantity, published_ratios
from densimeter.hwmodels.mac import HEADLINE_FLOW, jobs, unit_cost
from densimeter.rtl.cells.liberty import Library
from densimeter.simulator.activity import recipe


@dataclass(frozen=True)
class Comparison:
    """A published ratio and ours; None where the cell library is missing and there is no record."""

    published: PublishedRatio
    ours: float | None


def comparisons(library: Library) -> list[Comparison]:
    """Every published ratio beside that of our units, in a cell library or in LUTs of the headline's flow; ToolError
    where a tool is missing or fails."""
    return [Comparison(ratio, _ours(ratio, library)) for ratio in published_ratios()]


def _ours(ratio: PublishedRatio, library: Library) -> float | None:
    dividend, divisor = (_per_mac(ratio.quantity, unit, library) for unit in (ratio.dividend, ratio.divisor))
    return None if dividend is None or divisor is None else dividend / divisor


def _per_mac(quantity: RatioQuantity, unit: Datapath, library: Library) -> float | None:
    bits = float(unit.weight.bits_per_value)
    if quantity == "memory":
        return bits
    if quantity == "energy":
        return unit_energy(unit, library, recipe(unit)).result.energy_fj / unit.lanes
    (job,) = jobs(unit, (HEADLINE_FLOW,), ()) if quantity == "luts" else jobs(unit, (), [library])
    if (record := job.record()) is None:
        return None
    cost = unit_cost(unit.lanes, [record])
    if quantity == "luts":
        return cost.luts_per_mac(HEADLINE_FLOW)
    return cost.area_um2_per_mac(library.name) * (bits if quantity == "area x memory" else 1)
