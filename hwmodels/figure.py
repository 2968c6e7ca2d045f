"""A figure that says where it comes from and how far it may be off: what every cost here is made of."""

from dataclasses import dataclass
from typing import Literal

Source = Literal["synthesis", "simulation", "model"]
"""synthesis: counted in a netlist; simulation: that netlist simulated gate by gate; model: fitted to such results."""


@dataclass(frozen=True)
class Figure:
    """A value in the unit that its field's name tells, its source, and the share of it by which it may be off.

    `relative_band` is 0 for what was measured, and for a model the error that 95 % of its held-out units kept to.
    """

    value: float
    relative_band: float
    source: Source

    @property
    def low(self) -> float:
        return self.value * (1 - self.relative_band)

    @property
    def high(self) -> float:
        return self.value * (1 + self.relative_band)
