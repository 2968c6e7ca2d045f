"""The characterisation grid: which units are synthesised so that a model can speak for the others, and converters."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import product
from typing import Any

import yaml

from densimeter.formats import Datapath, derive, resolve
from densimeter.hwmodels.conversion import Conversion
from densimeter.rtl.synthesize import Flow


@dataclass(frozen=True)
class Grid:
    """Units, and the flows and cell libraries in which each is synthesised; those whose energy is measured; and the
    converters that are synthesised in the same libraries, some of them measured too."""

    units: tuple[Datapath, ...]
    flows: tuple[Flow, ...]
    libraries: tuple[str, ...]
    energy_units: tuple[Datapath, ...]
    conversions: tuple[Conversion, ...]
    energy_conversions: tuple[Conversion, ...]


@cache
def grid() -> Grid:
    """The grid whose results ship with the package: `grid.yaml`."""
    text = resources.files("densimeter.hwmodels.characterization").joinpath("grid.yaml").read_text(encoding="utf-8")
    document = yaml.safe_load(text)
    units, energy_units = (
        tuple(dict.fromkeys(unit for entry in document[part] for unit in _units(entry))) for part in ("units", "energy")
    )
    conversions, energy_conversions = (
        tuple(one for entry in document[part] for one in _conversions(entry))
        for part in ("conversions", "conversion_energy")
    )
    flows, libraries = tuple(document["flows"]), tuple(document["libraries"])
    return Grid(units, flows, libraries, energy_units, conversions, energy_conversions)


def _units(entry: dict[str, Any]) -> Iterator[Datapath]:
    for written in entry["activation"]:
        activation = resolve(written)
        weights = [resolve(weight) for weight in entry.get("weight", [])] or [activation]
        for weight, lanes, accumulator in product(weights, entry["lanes"], entry["accumulator"]):
            yield derive(activation, weight, lanes, accumulator)


def _conversions(entry: dict[str, Any]) -> Iterator[Conversion]:
    for source, target, lanes in product(entry["source"], entry["target"], entry.get("lanes", [None])):
        yield Conversion(resolve(source), resolve(target), lanes)
