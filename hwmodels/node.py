"""Scaling of area, energy, delay, leakage and wires between process nodes, and how far published sources differ.

`technology/nodes.yaml` holds curves of each quantity over nodes, from different evidence. Between two neighbouring
nodes of any curve, the factor is the geometric mean over the curves that cover both, two at least; over a longer way
these factors multiply, so there and back gives 1. The band is the largest ratio by which a curve departs from the mean
on the way: sources that agree make it small, which is no proof that they are right. Between its nodes a curve is
straight in the logarithms.

Node names are the makers' and no length of anything. A factor is for logic at each node's nominal voltage; where a
source states power at equal speed, it counts as energy.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from itertools import pairwise
from typing import Any

import yaml

from densimeter.formats.errors import ModelRangeError


@dataclass(frozen=True)
class Scaled:
    """A factor, and by what it may be off: every source lies between `low` and `high`.

    The band is one of ratios, since sources differ by more than their values: 1.0 means half to twice.
    """

    factor: float
    relative_band: float

    @property
    def low(self) -> float:
        return self.factor / (1 + self.relative_band)

    @property
    def high(self) -> float:
        return self.factor * (1 + self.relative_band)


@dataclass(frozen=True)
class Curve:
    """What one source says of a quantity: its logarithm at some nodes, straight between their logarithms."""

    source: str
    trust: str
    log_values: Mapping[float, float]

    def covers(self, low_nm: float, high_nm: float) -> bool:
        return min(self.log_values) <= low_nm and high_nm <= max(self.log_values)

    def log_at(self, node_nm: float) -> float:
        known = sorted(self.log_values)
        low, high = max(n for n in known if n <= node_nm), min(n for n in known if n >= node_nm)
        if low == high:
            return self.log_values[low]
        share = math.log(node_nm / low) / math.log(high / low)
        return (1 - share) * self.log_values[low] + share * self.log_values[high]


def scale_area(from_nm: float, to_nm: float) -> Scaled:
    """Factor on the area of logic cells from one node to another; nodes in nm, by their makers' names.

    Raises ModelRangeError where fewer than two sources cover the way, as all functions here do.
    """
    return _scale("area", from_nm, to_nm)


def scale_sram_area(from_nm: float, to_nm: float) -> Scaled:
    """Factor on the area of SRAM, which shrinks less than logic: published bitcells."""
    return _scale("sram_area", from_nm, to_nm)


def scale_energy(from_nm: float, to_nm: float) -> Scaled:
    """Factor on the dynamic energy of an operation."""
    return _scale("energy", from_nm, to_nm)


def scale_delay(from_nm: float, to_nm: float) -> Scaled:
    """Factor on the delay of a path of logic; clocks scale by its inverse."""
    return _scale("delay", from_nm, to_nm)


def scale_leakage(from_nm: float, to_nm: float) -> Scaled:
    """Factor on the leakage power of a gate. Device classes of one node differ by a thousand: stay within one."""
    return _scale("leakage", from_nm, to_nm)


def wire_pj_per_bit_mm(node_nm: float, *, toggle_probability: float = 0.5) -> Scaled:
    """Picojoules to move one bit one mm over a repeated wire; `factor` is the energy, the band as elsewhere.

    toggle_probability: how often a wire changes from one bit to the next, 0.5 for random bits.
    """
    sources = [curve for curve in curves()["wires"] if curve.covers(node_nm, node_nm)]
    _need_two(sources, "wires", node_nm, node_nm)
    logs = [curve.log_at(node_nm) for curve in sources]
    mean = sum(logs) / len(logs)
    return Scaled(toggle_probability * math.exp(mean), math.expm1(max(abs(log - mean) for log in logs)))


@lru_cache(maxsize=4096)
def _scale(quantity: str, from_nm: float, to_nm: float) -> Scaled:
    low, high = sorted((from_nm, to_nm))
    known = curves()[quantity]
    inner = {node for curve in known for node in curve.log_values if low < node < high}
    mean_log, departures = 0.0, dict.fromkeys((curve.source for curve in known), 0.0)
    for start, end in pairwise(sorted({low, high} | inner)) if low < high else [(low, high)]:
        sources = [curve for curve in known if curve.covers(start, end)]
        _need_two(sources, quantity, start, end)
        logs = {curve.source: curve.log_at(end) - curve.log_at(start) for curve in sources}
        mean = sum(logs.values()) / len(logs)
        mean_log += mean
        for source, log in logs.items():
            departures[source] += log - mean
    return Scaled(math.exp(mean_log if from_nm < to_nm else -mean_log), math.expm1(max(map(abs, departures.values()))))


def _need_two(sources: list[Curve], quantity: str, low_nm: float, high_nm: float) -> None:
    if len(sources) < 2:
        # The second smallest and second largest end: where two sources still speak.
        low = sorted(min(curve.log_values) for curve in curves()[quantity])[1]
        high = sorted(max(curve.log_values) for curve in curves()[quantity])[-2]
        asked = f"{low_nm:g} nm" if low_nm == high_nm else f"{low_nm:g} to {high_nm:g} nm"
        raise ModelRangeError(
            f"{quantity} at {asked}: two sources are needed, expected nodes from {low:g} to {high:g} nm"
        )


@cache
def curves() -> Mapping[str, tuple[Curve, ...]]:
    """All curves by quantity: area, sram_area, energy, delay, leakage; and wires, in pJ a transition and mm."""
    text = resources.files("densimeter.hwmodels.technology").joinpath("nodes.yaml").read_text(encoding="utf-8")
    document = yaml.safe_load(text)
    quantities = {**document["quantities"], "wires": document["wires"]}
    return {name: tuple(_curve(entry, document) for entry in entries) for name, entries in quantities.items()}


def _curve(entry: Mapping[str, Any], document: Mapping[str, Any]) -> Curve:
    if "points" in entry:
        values = {float(node): value for node, value in entry["points"].items()}
    elif "steps" in entry:
        values = _chain(entry["steps"])
    elif "polynomial" in entry:
        values = {float(node): _polynomial(row, entry["polynomial"]) for node, row in document["polynomials"].items()}
    else:
        rule = _DEVICE_RULES[entry["device"]]
        values = {float(node): rule(node, row) for node, row in document["devices"].items()}
    source = document["sources"][entry["source"]].strip()
    if rest := entry.get("below"):
        last = min(values)
        values[float(rest["to"])] = values[last] * (rest["to"] / last) ** rest["exponent"]
        source += "; " + document["sources"][rest["source"]].strip()
    return Curve(source, entry["trust"], {node: math.log(value) for node, value in values.items()})


def _chain(steps: list[tuple[float, float, float]]) -> dict[float, float]:
    """Values from statements "node b is that factor of node a"; the first node has 1."""
    values = {float(steps[0][0]): 1.0}
    for start, end, factor in steps:
        values[float(end)] = values[float(start)] * factor
    return values


def _polynomial(row: Mapping[str, Any], quantity: str) -> float:
    value = 0.0
    for coefficient in row[quantity]:
        value = value * row["supply_v"] + coefficient
    return value


_DEVICE_RULES: Mapping[str, Callable[[float, Mapping[str, float]], float]] = {
    "energy": lambda node, row: node * row["gate_ff"] * row["supply_v"] ** 2,
    "delay": lambda node, row: row["gate_ff"] * row["supply_v"] / row["on_ma"],
    "leakage": lambda node, row: node * row["off_na"] * row["supply_v"],
}
"""Of a gate whose widths are proportional to the node: C V^2, C V / I, I_off V."""
