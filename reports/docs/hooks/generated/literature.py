"""Published figures beside ours; changes when a comparison should show more."""

from collections.abc import Iterator
from itertools import groupby

from densimeter.reports import QUANTITIES, TRUST
from densimeter.rtl.cells.liberty import find_library
from densimeter.simulator import literature
from generated import density
from generated.tables import table

_LIBRARY = "nangate45"
_RATIO_HEADINGS = ("ratio", "of", ">published", "trust", ">ours", ">ours / theirs")
_DENSITY_HEADINGS = ("format", "unit", "accumulator", "quantity", ">published", "trust", ">ours", ">ours / theirs")


def comparisons() -> str:
    """The ratios of `densimeter literature`, a section a source, with the reason for the difference."""
    found = literature.comparisons(find_library(_LIBRARY))
    return "\n\n".join(_source(words, list(group)) for words, group in groupby(found, lambda one: one.published.source))


def _source(words: str, found: list[literature.Comparison]) -> str:
    def row(one: literature.Comparison) -> tuple[str, ...]:
        published = one.published
        return (
            published.name,
            published.quantity,
            f"{published.value:g}",
            published.trust,
            *_beside(one.ours, published.value),
        )

    return f"### {words}\n\n{found[0].published.reason}\n\n{table(_RATIO_HEADINGS, map(row, found))}"


def densities() -> str:
    """Every published density beside ours, as the page of the density table lists them, and the letters of trust."""
    letters = "; ".join(f"{letter}: {words}" for letter, words in TRUST.items())
    return f"{table(_DENSITY_HEADINGS, _densities())}\nTrust: {letters}.\n"


def _densities() -> Iterator[tuple[str, ...]]:
    made = density.made()
    for row in made.rows:
        for figure in row.published:
            ours = made.record(row)[figure.quantity]
            published = f"{figure.value:g}", figure.trust
            yield (
                row.format.name,
                row.unit,
                row.accumulator,
                QUANTITIES[figure.quantity],
                *published,
                *_beside(ours, figure.value),
            )


def _beside(ours: float | None, theirs: float) -> tuple[str, str]:
    """Where ours is not known here, nothing is said."""
    return ("", "") if ours is None else (f"{ours:.3g}", f"{ours / theirs:.2f}")
