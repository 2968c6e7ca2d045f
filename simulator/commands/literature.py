"""`densimeter literature`: published ratios beside ours, each with the reason for the difference."""

from typing import TYPE_CHECKING

from densimeter.simulator.commands.output import JsonOption, console, plain_table, print_json

if TYPE_CHECKING:
    from densimeter.simulator.literature import Comparison

_LIBRARY = "nangate45"


def literature(as_json: JsonOption = False) -> None:
    """Show published cost ratios between formats beside those measured here, and why they differ."""
    from densimeter.rtl.cells.liberty import find_library
    from densimeter.simulator.literature import comparisons

    found = comparisons(find_library(_LIBRARY))
    if as_json:
        print_json({"library": _LIBRARY, "comparisons": [_row(comparison) for comparison in found]})
        return
    columns = "ratio", "of", ">published", "trust", ">ours", ">ours / theirs"
    table = plain_table(f"cost per MAC, ours in {_LIBRARY} and the carry flow's LUTs", *columns)
    for comparison in found:
        published, ours = comparison.published, comparison.ours
        figures = ("", "") if ours is None else (f"{ours:.2f}", f"{ours / published.value:.2f}")
        table.add_row(published.name, published.quantity, f"{published.value:g}", published.trust, *figures)
    console.print(table)
    for source, reason in dict.fromkeys((c.published.source, c.published.reason) for c in found):
        console.print(f"\n[bold]{source}[/bold]\n{reason}", highlight=False)


def _row(comparison: "Comparison") -> dict[str, object]:
    published = comparison.published
    names = "name", "quantity", "trust", "source", "reason"
    return {**{name: getattr(published, name) for name in names}, "published": published.value, "ours": comparison.ours}
