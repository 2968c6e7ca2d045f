"""Least DRAM traffic of a tiled matrix product by exhaustive search over cuts and loop orders; shares no code.

The product runs as a nest of loops over tiles. An operand's buffer holds what the loops inside some level touch, the
outermost level whose footprint fits; loops over the other dimension that stand outside that level read it all again.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations, product


@dataclass(frozen=True)
class Tensor:
    """A ``[rows, k]`` operand: stored bits in all, and the bits of its buffer."""

    rows: int
    bits: float
    capacity_bits: float


@dataclass(frozen=True)
class Loop:
    dimension: str
    trips: int
    size: int  # of the dimension that one trip covers


def least_traffic_bits(
    streamed: Tensor, held: Tensor, *, fold_rows: int, k: int, k_fold: int, sum_bits: float, sum_capacity_bits: float
) -> float:
    """With `held` stationary in an array whose folds take `fold_rows` of its rows and `k_fold` of k."""
    best = math.inf
    full = {"m": streamed.rows, "n": held.rows, "k": k}
    for order in _nests(full, fold_rows, k_fold):
        traffic = 0.0
        for tensor, own, other in ((streamed, ("m", "k"), "n"), (held, ("n", "k"), "m")):
            area = tensor.bits / (tensor.rows * k)
            traffic += tensor.bits * _repeats(order, full, own, other, tensor.capacity_bits / area)
        visits = _repeats(order, full, ("m", "n"), "k", sum_capacity_bits / sum_bits)
        traffic += 2 * (visits - 1) * streamed.rows * held.rows * sum_bits if visits > 1 else 0.0
        best = min(best, traffic)
    return best


def _nests(full: dict[str, int], fold_rows: int, k_fold: int) -> Iterator[list[Loop]]:
    """Each dimension is cut twice: into tiles, and those into what the array takes at a time."""
    step = {"m": 1, "n": min(fold_rows, full["n"]), "k": min(k_fold, full["k"])}
    parts = {dimension: -(-full[dimension] // step[dimension]) for dimension in full}
    for tiles in product(*(range(1, parts[dimension] + 1) for dimension in full)):
        for rows_at_a_time in range(1, tiles[0] + 1):
            outer, inner = [], []
            for dimension, tile in zip(full, tiles, strict=True):
                at_a_time = rows_at_a_time if dimension == "m" else 1
                outer.append(Loop(dimension, -(-parts[dimension] // tile), tile * step[dimension]))
                inner.append(Loop(dimension, -(-tile // at_a_time), at_a_time * step[dimension]))
            for outside in permutations(outer):
                for inside in permutations(inner):
                    yield [*outside, *inside]


def _repeats(order: list[Loop], full: dict[str, int], own: tuple[str, str], other: str, capacity: float) -> float:
    """How often all of a tensor with dimensions `own` is touched anew, loops over `other` being outside its buffer."""
    for level in range(len(order) + 1):
        sizes = dict(full)
        for loop in order[:level]:
            sizes[loop.dimension] = min(sizes[loop.dimension], loop.size)
        if sizes[own[0]] * sizes[own[1]] <= capacity * (1 + 1e-12):
            return math.prod(loop.trips for loop in order[:level] if loop.dimension == other)
    return math.inf
