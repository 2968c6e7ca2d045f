"""The units of a density table at one clock period, and how many times denser each is than the baselines there."""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

from densimeter.formats import ConfigError, Datapath
from densimeter.hwmodels.equal_clock import EqualClock, EqualClockStore, at_period
from densimeter.hwmodels.mac import describe
from densimeter.rtl import yosys
from densimeter.rtl.cells.liberty import Library, find_library
from densimeter.simulator.schema.density import DensityConfig


@dataclass(frozen=True)
class Comparison:
    """A unit beside the baselines, by name, at the same period."""

    unit: EqualClock
    baselines: Mapping[str, EqualClock]

    def density_at_period(self, baseline: str) -> float | None:
        """Baseline's area per MAC over this one's, both at the period; None where either does not meet it."""
        return _ratio(self.baselines[baseline].area_um2_per_mac, self.unit.area_um2_per_mac)

    def plain_density(self, baseline: str) -> float:
        """The same of single-cycle units, each at whatever period it has: the density table's ratio."""
        return self.baselines[baseline].plain_area_um2_per_mac / self.unit.plain_area_um2_per_mac

    def peak_density(self, baseline: str) -> float:
        """Products a second and mm2 over the baseline's, both as fast as they can be."""
        return self.unit.peak_gmac_per_s_mm2 / self.baselines[baseline].peak_gmac_per_s_mm2

    def to_json(self) -> dict[str, Any]:
        unit, chosen, fastest = self.unit, self.unit.chosen, self.unit.fastest
        return {
            **describe(unit.datapath),
            "pipeline": None if chosen is None else chosen.pipeline,
            "latency_cycles": None if chosen is None else chosen.pipeline + 1,
            "min_period_ns": None if chosen is None else chosen.result.min_period_ns,
            "area_um2_per_mac": unit.area_um2_per_mac,
            "density_at_period": {name: self.density_at_period(name) for name in self.baselines},
            "floor_ns": unit.floor_ns,
            "plain_area_um2_per_mac": unit.plain_area_um2_per_mac,
            "plain_min_period_ns": unit.plain.result.min_period_ns,
            "plain_density": {name: self.plain_density(name) for name in self.baselines},
            "fastest_pipeline": fastest.pipeline,
            "fastest_min_period_ns": fastest.result.min_period_ns,
            "peak_gmac_per_s_mm2": unit.peak_gmac_per_s_mm2,
            "peak_density": {name: self.peak_density(name) for name in self.baselines},
        }


def headline_library(config: DensityConfig) -> Library:
    """The first cell library of the table."""
    if not config.libraries:
        raise ConfigError("libraries is empty, expected a cell library: periods are those of its cells")
    return find_library(config.libraries[0])


def units_of(config: DensityConfig) -> list[Datapath]:
    """The baselines and then the other units of the table, each once."""
    return list(dict.fromkeys(unit.datapath() for unit in [*dict(config.baselines).values(), *config.units]))


def run_units(
    units: Sequence[Datapath], period_ns: float, library: Library, *, fresh: bool = False
) -> Iterator[EqualClock]:
    """Every unit at the period, in the order in which they finish, as many at a time as there are processors.

    An interruption stops the syntheses under way and records none of them; those finished before stay on record.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = [pool.submit(at_period, unit, period_ns, library, fresh=fresh) for unit in units]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            yosys.stop_all()
            raise


def comparisons(config: DensityConfig, found: Mapping[Datapath, EqualClock]) -> list[Comparison]:
    """A row for each unit of the table, in its order."""
    baselines = {name: found[unit.datapath()] for name, unit in config.baselines}
    return [Comparison(found[unit.datapath()], baselines) for unit in config.units]


def keep(found: Mapping[Datapath, EqualClock]) -> None:
    """Make these results, and no others, the ones that ship with the package."""
    EqualClockStore().export(record.key for unit in found.values() for record in unit.records)


def _ratio(baseline: float | None, own: float | None) -> float | None:
    return None if baseline is None or own is None else baseline / own
