"""A pseudorandom order of the integers below a size, of which any stretch is computed without the rest.

So a random search draws every design once, however many there are and whoever evaluates which of them.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Order = Callable[[NDArray[np.int64]], NDArray[Any]]
_ROUNDS = 4  # of a balanced Feistel network: Luby and Rackoff, SIAM J. Comput. 17:2, 1988
_NATIVE = 2**62
# The finaliser of SplitMix64: Steele, Lea and Flood, OOPSLA 2014.
_MULTIPLIERS = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)


def order(size: int, seed: int) -> Order:
    """What stands at given positions of a permutation of ``range(size)``, in Python's integers above 2**62."""
    return Permutation(size, seed) if size <= _NATIVE else _WidePermutation(size, seed)


class Permutation:
    """A bijection of ``range(size)``, drawn by `seed`; `size` is at most 2**62."""

    def __init__(self, size: int, seed: int) -> None:
        self._size = np.uint64(size)
        self._half = np.uint64(max(1, ((size - 1).bit_length() + 1) // 2))
        self._keys = np.random.SeedSequence(seed).generate_state(_ROUNDS, np.uint64)

    def __call__(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """What stands at these positions."""
        found = self._network(positions.astype(np.uint64))
        # The network permutes at most four times as many numbers; those outside go on until they come back in.
        while len(outside := np.flatnonzero(found >= self._size)):
            found[outside] = self._network(found[outside])
        return found.astype(np.int64)

    def _network(self, values: NDArray[np.uint64]) -> NDArray[np.uint64]:
        mask = (np.uint64(1) << self._half) - np.uint64(1)
        left, right = values >> self._half, values & mask
        for key in self._keys:
            left, right = right, left ^ (_mixed(right ^ key) & mask)
        return (left << self._half) | right


class _WidePermutation:
    """The same for any size, a number at a time."""

    def __init__(self, size: int, seed: int) -> None:
        self._size = size
        self._half = ((size - 1).bit_length() + 1) // 2
        self._keys = np.random.SeedSequence(seed).generate_state(_ROUNDS, np.uint64)

    def __call__(self, positions: NDArray[np.int64]) -> NDArray[np.object_]:
        found = np.empty(len(positions), object)
        found[:] = [self._inside(position) for position in positions.tolist()]
        return found

    def _inside(self, value: int) -> int:
        value = self._network(value)
        while value >= self._size:
            value = self._network(value)
        return value

    def _network(self, value: int) -> int:
        mask, octets = (1 << self._half) - 1, -(-self._half // 8)
        left, right = value >> self._half, value & mask
        for key in self._keys:
            drawn = hashlib.shake_128(key.tobytes() + right.to_bytes(octets, "little")).digest(octets)
            left, right = right, left ^ (int.from_bytes(drawn, "little") & mask)
        return (left << self._half) | right


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    values = (values ^ (values >> np.uint64(30))) * _MULTIPLIERS[0]
    values = (values ^ (values >> np.uint64(27))) * _MULTIPLIERS[1]
    return values ^ (values >> np.uint64(31))
