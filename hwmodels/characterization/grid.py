"""The characterisation grid: which units are synthesised so that a model can speak for the others, and converters."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import product
from typing import Any

import yaml

from densimeter.formats import Datapath, derive, resolve
from densimeter.hwmodels.conversion import Conversion
from densimeter.rtl.emit import module_name
from densimeter.rtl.synthesize import Flow


@dataclass(frozen=True)
class Grid:
    """Units, and the flows and cell libraries in which each is synthesised; others in which about half of them are
    (`is_sparse`); those whose energy is measured, in `energy_libraries`; and the converters that are synthesised in
    these, some of them measured too."""

    units: tuple[Datapath, ...]
    flows: tuple[Flow, ...]
    libraries: tuple[str, ...]
    sparse_flows: tuple[Flow, ...]
    sparse_libraries: tuple[str, ...]
    energy_libraries: tuple[str, ...]
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
    return Grid(
        units=units,
        flows=tuple(document["flows"]),
        libraries=tuple(document["libraries"]),
        sparse_flows=tuple(document["sparse_flows"]),
        sparse_libraries=tuple(document["sparse_libraries"]),
        energy_libraries=tuple(document["energy_libraries"]),
        energy_units=energy_units,
        conversions=conversions,
        energy_conversions=energy_conversions,
    )


def is_sparse(unit: Datapath) -> bool:
    """Whether a unit of the grid is synthesised in the sparse flows and libraries too."""
    return hashlib.sha256(f"half {module_name(unit)}".encode()).digest()[0] % 2 == 0


def _units(entry: dict[str, Any]) -> Iterator[Datapath]:
    for written in entry["activation"]:
        activation = resolve(written)
        weights = [resolve(weight) for weight in entry.get("weight", [])] or [activation]
        for weight, lanes, accumulator in product(weights, entry["lanes"], entry["accumulator"]):
            yield derive(activation, weight, lanes, accumulator)


def _conversions(entry: dict[str, Any]) -> Iterator[Conversion]:
    for source, target, lanes in product(entry["source"], entry["target"], entry.get("lanes", [None])):
        yield Conversion(resolve(source), resolve(target), lanes)
