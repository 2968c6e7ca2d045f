"""Channels of a linear layer's input taken apart and put together again, to the width it had (QLLM, arXiv:2310.08041).

Taking channel i apart into T copies of x_i / T, each with the weights of the whole, changes no product. Putting i and
j together, (x_i + x_j) / 2 with the sum of their weights, changes it by ``(x_i - x_j) (w_i - w_j) / 2``.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Reassembly:
    """For every new channel ``[width]``: the two old ones whose mean it is, or twice the same; and into how many copies
    that is divided."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    copies: NDArray[np.int64]

    def inputs(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """``[tokens, channels]`` as ``[tokens, width]``."""
        taken: NDArray[np.float32] = (x[:, self.first] + x[:, self.second]) * self.factors
        return taken

    def weight(self, w: NDArray[np.float32]) -> NDArray[np.float32]:
        """``[outputs, channels]`` as ``[outputs, width]``."""
        together = self.first != self.second
        joined: NDArray[np.float32] = w[:, self.first]
        joined[:, together] += w[:, self.second[together]]
        return joined

    @property
    def factors(self) -> NDArray[np.float32]:
        """What the sum of both old channels is multiplied by."""
        factors: NDArray[np.float32] = (0.5 / self.copies).astype(np.float32)
        return factors


def copies_under(largest: NDArray[np.float32], theta: float) -> NDArray[np.int64]:
    """T of every channel, ``ceil(max |x_i| / theta)``, and 1 where it is always zero."""
    copies: NDArray[np.int64] = np.maximum(np.ceil(largest.astype(np.float64) / theta), 1).astype(np.int64)
    return copies


def reassemble(copies: NDArray[np.int64], likeness: NDArray[np.int64]) -> Reassembly | None:
    """Copies as asked for, and as many pairs put together as make room for them; None if there are too few pairs.

    likeness: ``[pairs, 2]``, the most alike first. A channel is in one pair at most, and in none if it is taken apart.
    """
    partner = np.arange(len(copies))
    dropped, missing = np.zeros(len(copies), bool), int(np.sum(copies - 1))
    free = copies == 1
    for i, j in likeness:
        if missing == 0:
            break
        if free[i] and free[j]:
            partner[i], dropped[j], missing = j, True, missing - 1
            free[[i, j]] = False
    if missing:
        return None
    kept = np.flatnonzero(~dropped).repeat(copies[~dropped])
    return Reassembly(kept, partner[kept], copies[kept])


def merging_errors(weight: NDArray[np.float32], moments: NDArray[np.float32]) -> NDArray[np.float64]:
    """Expected squared error of the outputs ``[channels, channels]`` where one pair alone is put together:
    ``E (x_i - x_j)^2 |w_i - w_j|^2 / 4``."""
    differences = [
        np.diag(products)[:, None] + np.diag(products) - 2 * products
        for products in (moments.astype(np.float64), weight.T.astype(np.float64) @ weight)
    ]
    error: NDArray[np.float64] = np.maximum(differences[0], 0) * np.maximum(differences[1], 0) / 4
    return error


def most_alike(errors: NDArray[np.float64], count: int) -> NDArray[np.int64]:
    """The `count` pairs with the smallest errors, ascending, ``[pairs, 2]``."""
    rows, columns = np.triu_indices(len(errors), 1)
    values = errors[rows, columns]
    chosen = np.argpartition(values, count - 1)[:count] if count < len(values) else np.arange(len(values))
    chosen = chosen[np.argsort(values[chosen], kind="stable")]
    return np.stack([rows[chosen], columns[chosen]], axis=1)


def assembly_error(weight: NDArray[np.float32], moments: NDArray[np.float32], made: Reassembly) -> float:
    """Expected squared error of the outputs over all pairs put together, their correlations included."""
    together = made.first != made.second
    i, j = made.first[together], made.second[together]
    differences = (moments[i] - moments[j]).astype(np.float64)
    inputs = differences[:, i] - differences[:, j]
    columns = (weight[:, i] - weight[:, j]).astype(np.float64)
    return float(np.sum(inputs * (columns.T @ columns)) / 4)
