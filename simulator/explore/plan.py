"""Which designs a sweep evaluates, in which order, and how that work is cut to parts.

A design's position is its place in that order; parts are stretches of positions. Everybody who evaluates some of a
sweep makes the same plan, so that one process, many, or shards on several machines agree on what each part is.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from densimeter.formats.errors import ConfigError
from densimeter.simulator.explore.load import Exploration
from densimeter.simulator.explore.numbering import Indices
from densimeter.simulator.explore.permutation import Order, order
from densimeter.simulator.explore.space import Space

BLOCK = 2**16
"""Designs that are evaluated at a time; a part is one block where all its rows are kept, else several."""
_BLOCKS_OF_FEW_ROWS = 4


@dataclass(frozen=True)
class Shard:
    """Every `count`-th part, from part `number` - 1 on: one of `count` shards that together are the sweep."""

    number: int = 1
    count: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise ConfigError(f"shard {self.number}/{self.count}, expected 1/{self.count} to {self.count}/{self.count}")

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


@dataclass(frozen=True)
class Plan:
    """positions: how many; order: None where positions are indices; part: positions of a part."""

    positions: int
    order: Order | None
    part: int

    def indices(self, positions: NDArray[np.int64]) -> Indices:
        """The designs at these positions."""
        return positions if self.order is None else self.order(positions)

    @property
    def parts(self) -> int:
        return -(-self.positions // self.part)

    def of_shard(self, shard: Shard) -> range:
        """Numbers of a shard's parts."""
        return range(shard.number - 1, self.parts, shard.count)

    def span(self, number: int) -> range:
        """Positions of a part."""
        return range(number * self.part, min((number + 1) * self.part, self.positions))

    def blocks(self, number: int) -> Iterator[NDArray[np.int64]]:
        """Positions of a part, a block at a time."""
        span = self.span(number)
        for start in range(span.start, span.stop, BLOCK):
            yield np.arange(start, min(start + BLOCK, span.stop))


def plan_of(exploration: Exploration) -> Plan:
    """The plan of a grid or random search. Where it is limited, constrained spaces are walked until enough is found."""
    space, search = exploration.space, exploration.sweep.search
    drawn = order(space.size, search.seed) if search.method == "random" else None
    plan = Plan(space.size, drawn, BLOCK if exploration.sweep.output.keep == "all" else BLOCK * _BLOCKS_OF_FEW_ROWS)
    if search.designs is None:
        return plan
    return Plan(_positions(space, plan, search.designs), drawn, plan.part)


def _positions(space: Space, plan: Plan, designs: int) -> int:
    """The first positions of which so many meet the constraints on settings."""
    if not space.constraints:
        return min(designs, space.size)
    missing = designs
    for start in range(0, space.size, BLOCK):
        allowed = space.mask(space.codes(plan.indices(np.arange(start, min(start + BLOCK, space.size)))))
        found = np.flatnonzero(allowed)
        if len(found) >= missing:
            return start + int(found[missing - 1]) + 1
        missing -= len(found)
    return space.size
