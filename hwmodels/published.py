"""Published figures about named formats, with how far each may be trusted: `published.yaml` read into records."""

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

import yaml

Quantity = Literal["arithmetic_density", "lut_per_mac", "memory_density"]
Trust = Literal["V", "S", "D", "M"]

TRUST_MEANING: dict[Trust, str] = {
    "V": "read at its source",
    "S": "read in a secondary source",
    "D": "derived by calculation",
    "M": "literature, unverified",
}


@dataclass(frozen=True)
class PublishedFigure:
    """One figure; densities are relative to float32."""

    format: str
    quantity: Quantity
    value: float
    trust: Trust
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
