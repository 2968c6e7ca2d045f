"""What a unit that was never synthesised should cost: gate counts times fitted constants, with an error band.

The constants of a target are the non-negative least squares of relative errors over three quarters of the
characterisation grid. The last quarter, chosen by a hash of each unit's name, is held out: the band is its 95th
percentile of relative errors. Gates that always come together share one constant between them, so the model answers for
whole units, not for their parts. `fitted_model.json` holds constants, errors and ranges; `densimeter rtl characterize
--record` makes it anew, and a test holds it to the records.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from scipy.optimize import nnls

from densimeter.formats import Datapath
from densimeter.formats.errors import ConfigError, ModelRangeError, nearest
from densimeter.hwmodels.gate_counts import KINDS, gate_counts

FILE = "fitted_model.json"


@dataclass(frozen=True)
class Estimate:
    """A modelled figure of a whole unit, LUTs or um2: its value, and the band that 95 % of held-out units kept to."""

    value: float
    relative_band: float

    @property
    def low(self) -> float:
        return self.value * (1 - self.relative_band)

    @property
    def high(self) -> float:
        return self.value * (1 + self.relative_band)


@dataclass(frozen=True)
class Errors:
    """Relative errors of the model on a set of units."""

    units: int
    median: float
    percentile_95: float
    largest: float


@dataclass(frozen=True)
class FittedModel:
    """The model of one target: "xc7" (LUTs in the carry flow) or a cell library (um2 in the star flow).

    ranges: for each family of units (see `family`), the smallest and largest count of each kind of gate in the grid.
    """

    target: str
    flow: str
    tool: str
    constants: Mapping[str, float]
    fitted: Errors
    held_out: Errors
    ranges: Mapping[str, Mapping[str, tuple[float, float]]]

    def estimate(self, datapath: Datapath) -> Estimate:
        """The unit's cost; ModelRangeError where the grid has no unit like it, for the model does not extrapolate."""
        counts = gate_counts(datapath)
        self._check(datapath, counts)
        value = sum(self.constants[kind] * counts[kind] for kind in KINDS)
        return Estimate(value, self.held_out.percentile_95)

    def _check(self, datapath: Datapath, counts: Mapping[str, float]) -> None:
        unit = f"{datapath.activation.name} x {datapath.weight.name}, {datapath.lanes} lanes, {datapath.accumulator}"
        known = family(datapath)
        if known not in self.ranges:
            raise ModelRangeError(f"{unit}: no unit of the kind {known!r} was characterised; synthesise it instead")
        for kind, (low, high) in self.ranges[known].items():
            if not low <= counts[kind] <= high:
                raise ModelRangeError(
                    f"{unit}: its count of {kind} is {counts[kind]:g}, outside the {low:g} to {high:g} of the units "
                    "that were characterised; synthesise it instead"
                )


def family(datapath: Datapath) -> str:
    """Units of one family differ in sizes only: the kind of accumulator, and whether a lone product is rounded."""
    accumulator = type(datapath.accumulator).__name__.removesuffix("Accumulator").lower()
    return f"{accumulator} MAC" if datapath.float_mac else accumulator


@cache
def fitted_models() -> Mapping[str, FittedModel]:
    """The models that ship with the package, by target."""
    text = resources.files("densimeter.hwmodels").joinpath(FILE).read_text(encoding="utf-8")
    return {model.target: model for model in _MODELS.validate_python(json.loads(text)["models"])}


def estimate(datapath: Datapath, target: str) -> Estimate:
    """The cost of a unit in LUTs ("xc7") or um2 (a cell library).

    Raises ConfigError for a target without a model, ModelRangeError for a unit unlike those characterised.
    """
    models = fitted_models()
    if target not in models:
        raise ConfigError(f"no cost model for {target!r}, expected {', '.join(models)}{nearest(target, models)}")
    return models[target].estimate(datapath)


def fit(target: str, flow: str, tool: str, units: Sequence[Datapath], costs: Sequence[float]) -> FittedModel:
    """The model of a target from the costs of whole units, a quarter of them held out."""
    counted = [gate_counts(unit) for unit in units]
    counts = np.array([[each[kind] for kind in KINDS] for each in counted])
    measured = np.asarray(costs, dtype=float)
    held_out = np.array([is_held_out(unit) for unit in units])
    constants, _ = nnls(counts[~held_out] / measured[~held_out, None], np.ones(np.count_nonzero(~held_out)))
    errors = np.abs(counts @ constants / measured - 1)
    return FittedModel(
        target=target,
        flow=flow,
        tool=tool,
        constants={kind: round(float(value), 6) for kind, value in zip(KINDS, constants, strict=True)},
        fitted=_errors(errors[~held_out]),
        held_out=_errors(errors[held_out]),
        ranges=_ranges(units, counted),
    )


def is_held_out(unit: Datapath) -> bool:
    """Whether the model is tested on this unit instead of being fitted to it."""
    name = f"{unit.activation.name} {unit.weight.name} {unit.lanes} {unit.accumulator}"
    return hashlib.sha256(name.encode()).digest()[0] % 4 == 0


def document(models: Sequence[FittedModel]) -> str:
    """The text of `fitted_model.json`."""
    about = "Made by `densimeter rtl characterize --record` from the records of the characterisation grid."
    content: dict[str, Any] = {"about": about, "models": [asdict(model) for model in models]}
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def _errors(errors: NDArray[np.float64]) -> Errors:
    median, high = (round(float(q), 4) for q in np.quantile(errors, (0.5, 0.95)))
    return Errors(len(errors), median, high, round(float(errors.max()), 4))


def _ranges(
    units: Sequence[Datapath], counted: Sequence[Mapping[str, float]]
) -> dict[str, dict[str, tuple[float, float]]]:
    families: dict[str, list[Mapping[str, float]]] = {}
    for unit, counts in zip(units, counted, strict=True):
        families.setdefault(family(unit), []).append(counts)
    return {
        name: {kind: (min(c[kind] for c in members), max(c[kind] for c in members)) for kind in KINDS}
        for name, members in sorted(families.items())
    }


_MODELS = TypeAdapter(tuple[FittedModel, ...])
