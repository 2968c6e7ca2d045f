"""Published figures about named formats, with how far each may be trusted: `published.yaml` read into records."""

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

import yaml


@dataclass(frozen=True)
class PublishedFigure:
    """One figure. `quantity` is a column of the density table; `trust` V (read at its source), S (in a secondary
    source), D (derived by calculation) or M (literature, unverified).
    """

    format: str
    quantity: str
    value: float
    trust: Literal["V", "S", "D", "M"]
    source: str
    note: str = ""


@cache
def published_figures() -> tuple[PublishedFigure, ...]:
    """All figures, in the order of the file."""
    text = resources.files("densimeter.hwmodels").joinpath("published.yaml").read_text(encoding="utf-8")
    document = yaml.safe_load(text)
    return tuple(
        PublishedFigure(**{**entry, "source": document["sources"][entry["source"]]}) for entry in document["figures"]
    )
