"""What the figures of a machine's result row mean and how a reader sees them; changes when a row gains a figure."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

_PREFIXES = "yzafpnµm kMGTPEZY"
_UNPREFIXED = _PREFIXES.index(" ")
_NARROW_SPACE = "\N{NARROW NO-BREAK SPACE}"

Better = Literal["max", "min"]


@dataclass(frozen=True)
class Quantity:
    """A figure's name and unit for a reader.

    factor: from the figure as stored to `unit`, 1e6 for a `clock_mhz` shown in Hz. prefixed: whether the unit may carry
    an SI prefix; a power of a unit, a share and a ratio may not. better: which way it is good, where it has one.
    """

    title: str
    unit: str = ""
    factor: float = 1.0
    prefixed: bool = True
    better: Better | None = None

    def on_axis(self, values: Iterable[float | None]) -> tuple[float, str]:
        """(factor, unit) for the axis of a figure: of these values as stored, the largest gets one to three digits."""
        largest = max((abs(value * self.factor) for value in values if value and math.isfinite(value)), default=0.0)
        exponent = _thousands(largest) if self.prefixed and self.unit else 0
        return self.factor / 1000.0**exponent, f"{_PREFIXES[_UNPREFIXED + exponent].strip()}{self.unit}"

    def text(self, value: float | None) -> str:
        """The figure with three significant digits and its unit: 48.9 ms, 1.30 k, 97 %; a dash for none."""
        if value is None or math.isnan(value):
            return "\N{EN DASH}"
        scaled = value * self.factor
        if math.isinf(scaled):
            return "\N{INFINITY}" if scaled > 0 else "-\N{INFINITY}"
        exponent = _thousands(scaled) if self.prefixed else 0
        prefix = _PREFIXES[_UNPREFIXED + exponent].strip()
        return f"{_digits(scaled / 1000.0**exponent)}{_NARROW_SPACE}{prefix}{self.unit}".rstrip(_NARROW_SPACE)


def _thousands(value: float) -> int:
    """The power of 1000 whose prefix leaves one to three digits before the point, after rounding to three digits."""
    decimal = 0 if value == 0 else int(f"{value:.2e}".partition("e")[2])
    return max(-_UNPREFIXED, min(decimal // 3, len(_PREFIXES) - _UNPREFIXED - 1))


def _digits(value: float) -> str:
    """Three significant digits, whole numbers in full, and an exponent only far outside what prefixes reach."""
    if value == 0:
        return "0"
    decimal = int(f"{value:.2e}".partition("e")[2])
    return f"{value:.2e}" if not -4 <= decimal <= 6 else f"{value:.{max(0, 2 - decimal)}f}"


def _share(title: str, better: Better | None = None) -> Quantity:
    return Quantity(title, "%", 100, prefixed=False, better=better)


AREA = Quantity("area", "mm²", prefixed=False, better="min")
ENERGY = Quantity("energy", "J", better="min")
LATENCY = Quantity("latency", "s", better="min")
INTENSITY = Quantity("operations per DRAM byte", prefixed=False)
MACS = Quantity("MACs")
SHARE = _share("share")

TOTALS: Mapping[str, Quantity] = {
    "tokens_per_s": Quantity("tokens per second", "token/s", better="max"),
    "latency_s": LATENCY,
    "latency_per_token_s": Quantity("latency per token", "s", better="min"),
    "energy_j": ENERGY,
    "energy_per_token_j": Quantity("energy per token", "J", better="min"),
    "power_w": Quantity("power", "W", better="min"),
    "area_mm2": AREA,
    "clock_mhz": Quantity("clock", "Hz", 1e6),
    "peak_tops": Quantity("peak operations per second", "OP/s", 1e12, better="max"),
    "achieved_tops": Quantity("achieved operations per second", "OP/s", 1e12, better="max"),
    "peak_tops_per_mm2": Quantity("peak operations per second and area", "OP/s/mm²", 1e12, better="max"),
    "achieved_tops_per_mm2": Quantity("achieved operations per second and area", "OP/s/mm²", 1e12, better="max"),
    "achieved_tops_per_w": Quantity("operations per joule", "OP/J", 1e12, better="max"),
    "utilisation": _share("utilisation", "max"),
    "edge_share": _share("idle at edges"),
    "fill_share": _share("idle in filling and draining"),
    "stall_share": _share("idle waiting"),
    "compute_s": Quantity("time computing", "s"),
    "transfer_s": Quantity("time in DRAM transfers", "s"),
    "conversion_s": Quantity("time converting", "s"),
    "vector_s": Quantity("time in vector work", "s"),
    "dram_bytes": Quantity("DRAM traffic", "B", better="min"),
    "memory_bytes": Quantity("weights and KV cache", "B", better="min"),
    "bits_per_weight": Quantity("bits per weight", "bit", prefixed=False, better="min"),
    "memory_density": Quantity("memory density of weights against float32", prefixed=False, better="max"),
}
"""The totals of a machine's row. One that ends in `_low` or `_high` bounds that of the same name."""

ACCURACY: Mapping[str, Quantity] = {
    "perplexity": Quantity("perplexity", prefixed=False, better="min"),
    "perplexity_ratio": Quantity("perplexity against float32", prefixed=False, better="min"),
    "kl_nats": Quantity("KL divergence from float32", "nat", prefixed=False, better="min"),
    "top1_agreement": _share("agreement with float32 on the first token", "max"),
}
"""The figures of a design whose numbers were judged on a language model."""


def quantity(name: str) -> Quantity:
    """What a column of results is; a setting of a design is named by its path in the YAML."""
    for ending, words in (("_low", ", least"), ("_high", ", most")):
        if name.endswith(ending) and (bounded := TOTALS.get(name.removesuffix(ending))):
            return Quantity(bounded.title + words, bounded.unit, bounded.factor, bounded.prefixed, bounded.better)
    for kind, whole in (("areas_mm2.", AREA), ("energies_j.", ENERGY)):
        if name.startswith(kind):
            part = component(name.removeprefix(kind))
            return Quantity(f"{whole.title}, {part}", whole.unit, whole.factor, whole.prefixed)
    return TOTALS.get(name) or ACCURACY.get(name) or Quantity(name, prefixed=False)


def component(name: str) -> str:
    """A component of a machine as a reader knows it."""
    return {"dram": "DRAM"}.get(name, name.replace("_", " "))
