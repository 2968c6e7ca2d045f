"""What a unit that was never synthesised should cost: counts of its gates times fitted constants, with an error band.

The constants of a model are the non-negative least squares of relative errors over three quarters of the characterised
units. The last quarter, chosen by a hash of each unit's name, is held out: the band is its 95th percentile of relative
errors. Size, energy and leakage are sums over gates, a clock period is one over the steps of the longest path. Gates
that always come together share one constant between them, so the model answers for whole units, not for their parts.
`fitted_model.json` holds constants, errors and ranges; `densimeter rtl characterize --record` makes it anew, and a test
holds it to the records.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from scipy.optimize import nnls

from densimeter.formats import Datapath
from densimeter.formats.errors import ConfigError, ModelRangeError, nearest
from densimeter.hwmodels.figure import Figure
from densimeter.hwmodels.gate_counts import gate_counts
from densimeter.hwmodels.path_steps import path_steps
from densimeter.hwmodels.switching_counts import switching_counts

FILE = "fitted_model.json"

Quantity = Literal["size", "energy_fj", "leakage_nw", "min_period_ns"]
"""Of a whole unit. size: LUTs in xc7, um2 in a cell library; energy_fj: a cycle's, on the shared stimulus."""

_COUNTERS: Mapping[Quantity, Callable[[Datapath], Mapping[str, float]]] = {
    "size": gate_counts,
    "energy_fj": switching_counts,
    "leakage_nw": gate_counts,
    "min_period_ns": path_steps,
}
"""What the constants of a quantity are multiplied with."""

_MEASURE = "measure it with `densimeter rtl power` instead"
_SYNTHESIZE = "synthesise it instead"
_INSTEAD: Mapping[Quantity, str] = {
    "size": _SYNTHESIZE,
    "energy_fj": _MEASURE,
    "leakage_nw": _MEASURE,
    "min_period_ns": _SYNTHESIZE,
}


@dataclass(frozen=True)
class Errors:
    """Relative errors of the model on a set of units."""

    units: int
    median: float
    percentile_95: float
    largest: float


@dataclass(frozen=True)
class FittedModel:
    """The model of one quantity in one target, "xc7" or a cell library, and one flow of synthesis.

    ranges: for each family of units (see `family`), the smallest and largest count of each kind among those fitted to;
    kinds that none of them has are left out.
    """

    quantity: Quantity
    target: str
    flow: str
    tool: str
    constants: Mapping[str, float]
    fitted: Errors
    held_out: Errors
    ranges: Mapping[str, Mapping[str, tuple[float, float]]]

    def estimate(self, datapath: Datapath) -> Figure:
        """The unit's cost; ModelRangeError where the model was fitted to no unit like it: it does not extrapolate."""
        counts = _COUNTERS[self.quantity](datapath)
        self._check(datapath, counts)
        value = sum(constant * counts[kind] for kind, constant in self.constants.items())
        return Figure(value, self.held_out.percentile_95, "model")

    def _check(self, datapath: Datapath, counts: Mapping[str, float]) -> None:
        unit = f"{datapath.activation.name} x {datapath.weight.name}, {datapath.lanes} lanes, {datapath.accumulator}"
        known = family(datapath)
        if known not in self.ranges:
            raise ModelRangeError(f"{unit}: no unit of the kind {known!r} was characterised; {_INSTEAD[self.quantity]}")
        for kind, count in counts.items():
            low, high = self.ranges[known].get(kind, (0.0, 0.0))
            if not low <= count <= high:
                raise ModelRangeError(
                    f"{unit}: its count of {kind} is {count:g}, outside the {low:g} to {high:g} of the units "
                    f"that were characterised; {_INSTEAD[self.quantity]}"
                )


def family(datapath: Datapath) -> str:
    """Units of one family differ in sizes only: the kind of accumulator, and whether a lone product is rounded."""
    accumulator = type(datapath.accumulator).__name__.removesuffix("Accumulator").lower()
    return f"{accumulator} MAC" if datapath.float_mac else accumulator


@cache
def fitted_models() -> Mapping[tuple[Quantity, str, str], FittedModel]:
    """The models that ship with the package, by quantity, target and flow; of a target, that of the headline first."""
    text = resources.files("densimeter.hwmodels").joinpath(FILE).read_text(encoding="utf-8")
    models = _MODELS.validate_python(json.loads(text)["models"])
    return {(model.quantity, model.target, model.flow): model for model in models}


def estimate(datapath: Datapath, target: str, quantity: Quantity = "size", flow: str | None = None) -> Figure:
    """The cost of a unit in "xc7" or a cell library and a flow, by default that of the headline: "carry" for LUTs,
    "star" for cells. The unit of its value is as `Quantity` says.

    Raises ConfigError for a target or a flow without such a model, ModelRangeError for a unit unlike those
    characterised.
    """
    models = [model for model in fitted_models().values() if model.quantity == quantity]
    what = "cost model" if quantity == "size" else f"model of {quantity}"
    if not (of_target := [model for model in models if model.target == target]):
        targets = dict.fromkeys(model.target for model in models)
        raise ConfigError(f"no {what} for {target!r}, expected {', '.join(targets)}{nearest(target, targets)}")
    flows = {model.flow: model for model in of_target}
    if flow is not None and flow not in flows:
        raise ConfigError(
            f"no {what} for {target!r} in flow {flow!r}, expected {', '.join(flows)}{nearest(flow, flows)}"
        )
    return flows[flow or next(iter(flows))].estimate(datapath)


def size_model(target: str, flow: str) -> FittedModel | None:
    """The model of sizes in that target and flow, where there is one."""
    return fitted_models().get(("size", target, flow))


def fit(
    quantity: Quantity, target: str, flow: str, tool: str, units: Sequence[Datapath], values: Sequence[float]
) -> FittedModel:
    """The model of a quantity in a target from its values for whole units, about a quarter of them held out."""
    counted = [_COUNTERS[quantity](unit) for unit in units]
    kinds = list(counted[0])
    counts = np.array([[each[kind] for kind in kinds] for each in counted])
    measured = np.asarray(values, dtype=float)
    held_out = np.array([is_held_out(unit) for unit in units])
    constants, _ = nnls(counts[~held_out] / measured[~held_out, None], np.ones(np.count_nonzero(~held_out)))
    errors = np.abs(counts @ constants / measured - 1)
    return FittedModel(
        quantity=quantity,
        target=target,
        flow=flow,
        tool=tool,
        constants={kind: round(float(value), 6) for kind, value in zip(kinds, constants, strict=True)},
        fitted=_errors(errors[~held_out]),
        held_out=_errors(errors[held_out]),
        ranges=_ranges([(unit, each) for unit, each, held in zip(units, counted, held_out, strict=True) if not held]),
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
    fitted: Iterable[tuple[Datapath, Mapping[str, float]]],
) -> dict[str, dict[str, tuple[float, float]]]:
    families: dict[str, list[Mapping[str, float]]] = {}
    for unit, counts in fitted:
        families.setdefault(family(unit), []).append(counts)
    return {name: _spans(members) for name, members in sorted(families.items())}


def _spans(members: Sequence[Mapping[str, float]]) -> dict[str, tuple[float, float]]:
    spans = {kind: (min(c[kind] for c in members), max(c[kind] for c in members)) for kind in members[0]}
    return {kind: span for kind, span in spans.items() if span[1]}


_MODELS = TypeAdapter(tuple[FittedModel, ...])
