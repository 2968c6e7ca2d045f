"""One arithmetic unit as a list of figures; changes when a reader should see another fact.

Reads the row that `simulator.evaluate` gives for a unit.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from densimeter.formats.display import html_table


def entries(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(name, figure); one each for every flow and library."""
    for key, value in row.items():
        parts = {f"{key}, {name}": one for name, one in value.items()} if isinstance(value, dict) else {key: value}
        for name, one in parts.items():
            yield name, f"{one:.4g}" if isinstance(one, float) else str(one)


def to_html(row: Mapping[str, Any]) -> str:
    """What a notebook shows."""
    return html_table(("unit", "value"), list(entries(row)), right=(False, True))
