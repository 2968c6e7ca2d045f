"""A product of low rank beside a layer that takes back part of what its weight lost (QLLM, arXiv:2310.08041).

The layer computes ``H z`` where ``W x`` was meant: H is the weight as it is held, z the input that it is given (x
reassembled, say). The correction is the ``C = up @ down`` of its rank with the least ``E |W x - (H + C) z|^2``. It
follows from second moments (reduced-rank regression, Izenman, J. Multivariate Anal. 5, 1975): no token has to be kept.
What rounding z does besides is no part of it; an outlier in a few tokens would stand for that of all.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]

_FACTOR_BITS = 16
_DAMPING = 1e-6
"""Added to the power of every input, of their sum: float32 moments know no more, and have eigenvalues below zero."""


@dataclass(frozen=True, eq=False)
class Correction:
    """down: [rank, inputs]; up: [outputs, rank]. Numbers that float16 holds, in which they are stored."""

    down: Floats
    up: Floats

    @property
    def products(self) -> int:
        """Multiply-accumulates of a token."""
        return self.down.size + self.up.size

    @property
    def bits(self) -> int:
        """Of both factors."""
        return _FACTOR_BITS * self.products


def learn(weight: Floats, held: Floats, cross: Doubles, power: Doubles, rank: int) -> Correction:
    """The best correction of a rank.

    weight: W, [outputs, inputs of the layer]. held: H, [outputs, inputs]. cross: E[x z^T], [inputs of the layer,
    inputs]. power: E[z z^T], [inputs, inputs].
    """
    missing = weight @ cross - held @ power
    damping = max(_DAMPING * float(np.trace(power)), float(np.finfo(np.float32).tiny))
    whole = scipy.linalg.solve(power + damping * np.eye(len(power)), missing.T, assume_a="pos").T
    outputs = len(weight)
    # The outputs' directions in which the whole of it, any rank allowed, takes back most.
    kept = [outputs - min(rank, outputs), outputs - 1]
    _, directions = scipy.linalg.eigh(whole @ missing.T, subset_by_index=kept)
    down = directions.T @ whole
    sizes = np.sqrt(np.linalg.norm(down, axis=1, keepdims=True)) + np.finfo(np.float32).tiny
    return Correction(_stored(down / sizes), _stored(directions * sizes.T))


def _stored(factor: Doubles) -> Floats:
    limit = float(np.finfo(np.float16).max)
    return np.clip(factor, -limit, limit).astype(np.float16).astype(np.float32)
