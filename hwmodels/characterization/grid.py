"""The characterisation grid: which units are synthesised so that a model can speak for the others."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import product
from typing import Any

import yaml

from densimeter.formats import Datapath, derive, resolve
from densimeter.rtl.synthesize import Flow


@dataclass(frozen=True)
class Grid:
    """Units, and the flows and cell libraries in which each is synthesised; and those whose energy is measured."""

    units: tuple[Datapath, ...]
    flows: tuple[Flow, ...]
    libraries: tuple[str, ...]
    energy_units: tuple[Datapath, ...]


@cache
def grid() -> Grid:
    """The grid whose results ship with the package: `grid.yaml`."""
    text = resources.files("densimeter.hwmodels.characterization").joinpath("grid.yaml").read_text(encoding="utf-8")
    document = yaml.safe_load(text)
    units, energy_units = (
        tuple(dict.fromkeys(unit for entry in document[part] for unit in _units(entry))) for part in ("units", "energy")
    )
    return Grid(units, tuple(document["flows"]), tuple(document["libraries"]), energy_units)


def _units(entry: dict[str, Any]) -> Iterator[Datapath]:
    for written in entry["activation"]:
        activation = resolve(written)
        weights = [resolve(weight) for weight in entry.get("weight", [])] or [activation]
        for weight, lanes, accumulator in product(weights, entry["lanes"], entry["accumulator"]):
            yield derive(activation, weight, lanes, accumulator)
