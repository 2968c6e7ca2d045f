"""Published ratios between units, and which units of ours they compare: `literature.yaml` read into records."""

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

import yaml

from densimeter.formats import Datapath, derive, resolve

RatioQuantity = Literal["luts", "area", "energy", "memory", "area x memory"]
"""LUTs, cell area and energy per MAC; bits per weight with its share of the scale; the product of area and these."""


@dataclass(frozen=True)
class PublishedRatio:
    """The cost of a unit over that of another, per MAC. `trust` as in `PublishedFigure`; `reason`: why ours differs."""

    name: str
    quantity: RatioQuantity
    dividend: Datapath
    divisor: Datapath
    value: float
    trust: Literal["V", "S", "D"]
    source: str
    reason: str


@cache
def published_ratios() -> tuple[PublishedRatio, ...]:
    """All ratios, in the order of the file."""
    text = resources.files("densimeter.hwmodels").joinpath("literature.yaml").read_text(encoding="utf-8")
    document = yaml.safe_load(text)
    return tuple(_ratio(entry, document) for entry in document["comparisons"])


def _ratio(entry: dict[str, Any], document: dict[str, Any]) -> PublishedRatio:
    units = {side: _unit(*entry[side]) for side in ("dividend", "divisor")}
    source = entry["source"]
    told = {"source": document["sources"][source], "reason": document["reasons"][source].strip()}
    return PublishedRatio(**{**entry, **units, **told})


def _unit(written: str, lanes: int, accumulator: str) -> Datapath:
    fmt = resolve(written)
    return derive(fmt, fmt, lanes, accumulator)
