"""Memory devices by name, or by a user's own fields: bandwidth, energy a bit, capacity, each with its source.

A device is one channel (DDR, LPDDR), one package (GDDR) or one stack (HBM); `several` puts equal ones side by side.
What share of the bandwidth is reached is the design's property, not the device's: `measured_decodes` has examples.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any, Literal

import yaml

from densimeter.formats.errors import ConfigError, nearest


@dataclass(frozen=True)
class Dram:
    """A memory device. bandwidth_gb_s: 1e9 bytes a second at its interface; energy of device and interface."""

    name: str
    bandwidth_gb_s: float
    energy_pj_per_bit: float
    capacity_gib: float
    source: str

    def __post_init__(self) -> None:
        for name in ("bandwidth_gb_s", "energy_pj_per_bit", "capacity_gib"):
            value = getattr(self, name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < float("inf"):
                raise ConfigError(f"{name} of memory {self.name!r} is {value!r}, expected a number above 0")

    def several(self, count: int) -> "Dram":
        """`count` of them as one memory: bandwidth and capacity add up, the energy of a bit stays."""
        if count < 1:
            raise ConfigError(f"count of memory {self.name!r} is {count}, expected 1 or more")
        bandwidth, capacity = self.bandwidth_gb_s * count, self.capacity_gib * count
        return replace(self, name=f"{count} x {self.name}", bandwidth_gb_s=bandwidth, capacity_gib=capacity)


@dataclass(frozen=True)
class MeasuredDecode:
    """Tokens a second of a language model at batch 1, and the GB of weights a second that this reads.

    `trust`: V read at its source, S in a secondary source, M from memory.
    """

    model: str
    machine: str
    weights: str
    tokens_per_s: float
    achieved_gb_s: float
    peak_gb_s: float
    source: str
    trust: Literal["V", "S", "M"]

    @property
    def efficiency(self) -> float:
        """The share of the memory's bandwidth that was reached."""
        return self.achieved_gb_s / self.peak_gb_s


def dram(name: str) -> Dram:
    """A known device. Raises ConfigError for an unknown name, with the nearest known one."""
    if name not in (known := drams()):
        raise ConfigError(f"memory {name!r} is not known, expected {', '.join(known)}{nearest(name, known)}")
    return known[name]


@cache
def drams() -> Mapping[str, Dram]:
    """All known devices by name, in the order of `technology/dram.yaml`."""
    document = _read("dram.yaml")
    return {name: _device(name, entry, document["sources"]) for name, entry in document["devices"].items()}


@cache
def measured_decodes() -> tuple[MeasuredDecode, ...]:
    """Measured decode rates, in the order of `technology/measured.yaml`."""
    document = _read("measured.yaml")
    return tuple(
        MeasuredDecode(**{**entry, "source": document["sources"][entry["source"]]}) for entry in document["decode"]
    )


def _device(name: str, entry: Mapping[str, Any], sources: Mapping[str, str]) -> Dram:
    told = [f"interface: {sources[entry['interface']]}", f"energy ({entry['trust']}): {sources[entry['energy']]}"]
    if "note" in entry:
        told.append(entry["note"])
    bandwidth_gb_s = entry["width_bits"] * entry["gigatransfers_s"] / 8
    return Dram(name, bandwidth_gb_s, entry["energy_pj_per_bit"], entry["capacity_gib"], "; ".join(told))


def _read(file: str) -> dict[str, Any]:
    text = resources.files("densimeter.hwmodels.technology").joinpath(file).read_text(encoding="utf-8")
    document: dict[str, Any] = yaml.safe_load(text)
    return document
