"""A codebook for every group of weights, all of them one product of low rank; learned for a weight (`recipes.lcq`).

Group g holds ``C_g = S_g V - B_g``, one number a code: V ``[rank, codes]`` is the matrix's, S_g ``[rank]`` and B_g the
group's. With rank one and V = 0, 1, 2, ... that is a scale times an integer less a zero.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import CodebookElement, DoubleScale
from densimeter.formats.levels import levels
from densimeter.kernels.double_scale import compress, restore

Floats: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]

STORED = DoubleScale(CodebookElement(levels("int8")), block=256)
"""How every row of S, and B, is stored: 8-bit integers about their mean, a float32 factor for 256 groups."""

_RIDGE = 1e-6  # of a system's trace: keeps what the data leave open as it was


@dataclass(frozen=True, eq=False)
class Codebooks:
    """scales: S ``[groups, rank]``. shapes: V ``[rank, codes]``. offsets: B ``[groups]``. All float32."""

    scales: Floats
    shapes: Floats
    offsets: Floats

    @cached_property
    def values(self) -> Floats:
        """C, ``[groups, codes]``."""
        product: Floats = self.scales @ self.shapes - self.offsets[:, None]
        return product

    def nearest(self, groups: Floats) -> NDArray[np.int64]:
        """The code of the nearest level of every weight ``[groups, weights]``."""
        order = np.argsort(self.values, axis=1, kind="stable")
        levels = np.take_along_axis(self.values, order, axis=1)
        below = np.zeros(groups.shape, np.uint8)
        for border in ((levels[:, 1:] + levels[:, :-1]) / 2).T:
            below += groups > border[:, None]
        return np.take_along_axis(order, below.astype(np.int64), axis=1)

    def held(self, groups: Floats) -> Floats:
        """What every weight becomes."""
        return np.take_along_axis(self.values, self.nearest(groups), axis=1)

    def stored(self) -> "Codebooks":
        """S and B as 8-bit codes stand for them."""
        scales = np.stack([restore(compress(row, STORED), STORED) for row in self.scales.T.copy()], axis=1)
        return replace(self, scales=scales, offsets=restore(compress(self.offsets, STORED), STORED))

    def stored_shapes(self) -> "Codebooks":
        """V as float16 holds it."""
        return replace(self, shapes=self.shapes.astype(np.float16).astype(np.float32))


def even(groups: Floats, codes: int, rank: int) -> Codebooks:
    """Levels evenly between the least and the greatest of each group; ranks beyond the first have shapes, the powers of
    the code, and no scale yet."""
    least, greatest = groups.min(axis=1), groups.max(axis=1)
    scales = np.zeros((len(groups), rank), np.float32)
    scales[:, 0] = (greatest - least) / np.float32(codes - 1)
    steps = np.arange(codes, dtype=np.float32)
    middle = steps / (codes - 1) * 2 - 1
    return Codebooks(scales, np.stack([steps, *(middle**power for power in range(2, rank + 1))]), -least)


def learn(groups: Floats, importance: Floats, start: Codebooks, iterations: int) -> Codebooks:
    """Lower ``sum importance (w - C_g[nearest])^2`` from a start, never raising it.

    Every iteration chooses codes, then solves for all S and B, then for V, each exactly with the others given. groups,
    importance: ``[groups, weights]``.
    """
    books = start
    for _ in range(iterations):
        sums = _Sums.of(groups, importance, books)
        books = _fit_shapes(_fit_groups(books, sums), sums)
    return books


def refit_shapes(groups: Floats, importance: Floats, books: Codebooks) -> Codebooks:
    """The V that goes best with S and B as they are."""
    return _fit_shapes(books, _Sums.of(groups, importance, books))


class _Sums(NamedTuple):
    """Of the weights that a code stands for, ``[groups, codes]``: of their importance, and of that times the weight."""

    importance: Doubles
    moment: Doubles

    @classmethod
    def of(cls, groups: Floats, importance: Floats, books: Codebooks) -> "_Sums":
        shape = books.values.shape
        places = (books.nearest(groups) + shape[1] * np.arange(shape[0])[:, None]).ravel()

        def total(weights: Floats) -> Doubles:
            return np.bincount(places, weights.ravel(), shape[0] * shape[1]).astype(np.float64).reshape(shape)

        return cls(total(importance), total(importance * groups))


def _fit_groups(books: Codebooks, sums: _Sums) -> Codebooks:
    """S and B of each group by least squares over its codes."""
    features = np.vstack([books.shapes, -np.ones(books.shapes.shape[1])])
    before = np.column_stack([books.scales, books.offsets]).astype(np.float64)
    systems = np.einsum("gc,ic,jc->gij", sums.importance, features, features)
    solved = _solve(systems, sums.moment @ features.T, before)
    return replace(books, scales=solved[:, :-1].astype(np.float32), offsets=solved[:, -1].astype(np.float32))


def _fit_shapes(books: Codebooks, sums: _Sums) -> Codebooks:
    """V of each code by least squares over the groups."""
    scales = books.scales.astype(np.float64)
    systems = np.einsum("gc,gi,gj->cij", sums.importance, scales, scales)
    targets = (sums.moment + sums.importance * books.offsets[:, None]).T @ scales
    return replace(books, shapes=_solve(systems, targets, books.shapes.T.astype(np.float64)).T.astype(np.float32))


def _solve(systems: Doubles, targets: Doubles, before: Doubles) -> Doubles:
    """The solutions ``[n, k]`` of symmetric systems ``[n, k, k]``, near `before` where they leave that open."""
    size = systems.shape[-1]
    trace = np.trace(systems, axis1=1, axis2=2)
    ridge = np.maximum(_RIDGE * trace / size, np.finfo(np.float64).tiny)[:, None, None] * np.eye(size)
    missing = targets - np.einsum("nij,nj->ni", systems, before)
    solved: Doubles = before + np.linalg.solve(systems + ridge, missing[..., None])[..., 0]
    return solved
