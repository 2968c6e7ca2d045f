"""`densimeter literature`: published ratios beside ours, each with the reason for the difference."""

from dataclasses import dataclass

from densimeter.formats import Datapath
from densimeter.hwmodels.energy import unit_energy
from densimeter.hwmodels.literature import PublishedRatio, published_ratios
from densimeter.hwmodels.mac import jobs, unit_cost
from densimeter.rtl.liberty import find_library
from densimeter.simulator.activity import recipe
from densimeter.simulator.commands.output import JsonOption, console, plain_table, print_json

_LIBRARY = "nangate45"


@dataclass(frozen=True)
class _Comparison:
    published: PublishedRatio
    ours: float | None


def literature(as_json: JsonOption = False) -> None:
    """Show published cost ratios between formats beside those measured here, and why they differ."""
    found = [_Comparison(ratio, _ours(ratio)) for ratio in published_ratios()]
    if as_json:
        print_json({"library": _LIBRARY, "comparisons": [_row(comparison) for comparison in found]})
        return
    table = plain_table(
        f"cost per MAC, ours in {_LIBRARY}", "ratio", "of", ">published", "trust", ">ours", ">ours / theirs"
    )
    for comparison in found:
        published, ours = comparison.published, comparison.ours
        figures = ("", "") if ours is None else (f"{ours:.2f}", f"{ours / published.value:.2f}")
        table.add_row(published.name, published.quantity, f"{published.value:g}", published.trust, *figures)
    console.print(table)
    for source, reason in dict.fromkeys((c.published.source, c.published.reason) for c in found):
        console.print(f"\n[bold]{source}[/bold]\n{reason}", highlight=False)


def _row(comparison: _Comparison) -> dict[str, object]:
    published = comparison.published
    names = "name", "quantity", "trust", "source", "reason"
    return {**{name: getattr(published, name) for name in names}, "published": published.value, "ours": comparison.ours}


def _ours(ratio: PublishedRatio) -> float | None:
    """Our ratio; None where it is neither on record nor can be measured here."""
    costs = [_per_mac(ratio.quantity, unit) for unit in (ratio.dividend, ratio.divisor)]
    return None if costs[0] is None or costs[1] is None else costs[0] / costs[1]


def _per_mac(quantity: str, unit: Datapath) -> float | None:
    library = find_library(_LIBRARY)
    if quantity == "energy":
        return unit_energy(unit, library, recipe(unit)).result.energy_fj / unit.lanes
    (job,) = jobs(unit, (), [library])
    record = job.record()
    return None if record is None else unit_cost(unit.lanes, [record]).area_um2_per_mac(library.name)
