"""Cycles of a matrix product on a systolic array, in closed form.

An m x k by k x n product runs on `rows` x `cols` processing elements of `lanes` products a cycle each. A dataflow says
which matrix stays in the elements; the array takes one fold of it after another, with no overlap between folds:

    dataflow            stays in the array    rows hold        columns hold   streamed, a step a cycle
    weight_stationary   weights               groups of k      n              m
    output_stationary   results               m                n              groups of k
    input_stationary    activations           groups of k      m              n

The rules are SCALE-Sim's (arXiv 1811.02883 and version 3.0.0), whose own count is one lower for the whole product: it
reports the index of the last cycle. tests/rtl/test_array.py holds the generated arrays to the same figures.
"""

from dataclasses import dataclass
from typing import Literal, get_args

from densimeter.formats.errors import ConfigError, nearest

Dataflow = Literal["weight_stationary", "output_stationary", "input_stationary"]
DATAFLOWS: tuple[Dataflow, ...] = get_args(Dataflow)


@dataclass(frozen=True)
class Folding:
    """How a product is cut to an array: `row_folds` x `col_folds` folds of `steps` cycles of data each."""

    row_folds: int
    col_folds: int
    steps: int

    @property
    def folds(self) -> int:
        return self.row_folds * self.col_folds


def fold(*, m: int, n: int, k: int, rows: int, cols: int, dataflow: Dataflow, lanes: int = 1) -> Folding:
    """The folds of an m x k by k x n product; an element takes `lanes` values of k at once, a group."""
    if dataflow not in DATAFLOWS:
        raise ConfigError(f"dataflow is {dataflow!r}, expected {', '.join(DATAFLOWS)}{nearest(dataflow, DATAFLOWS)}")
    sizes = {"m": m, "n": n, "k": k, "rows": rows, "cols": cols, "lanes": lanes}
    for name, size in sizes.items():
        if size < 1:
            raise ConfigError(f"{name} is {size}, expected 1 or more")
    groups = _ceiling(k, lanes)
    held_by_rows, held_by_cols, steps = {
        "weight_stationary": (groups, n, m),
        "output_stationary": (m, n, groups),
        "input_stationary": (groups, m, n),
    }[dataflow]
    return Folding(_ceiling(held_by_rows, rows), _ceiling(held_by_cols, cols), steps)


def fold_cycles(*, steps: int, rows: int, cols: int, dataflow: Dataflow) -> int:
    """Cycles of one fold: the data, the skew over rows and columns, and `rows` to load what is stationary.

    Results leave a weight- or input-stationary array as they are made. Those of an output-stationary one stay until a
    further `rows` cycles have shifted them out, which the next fold overlaps: see `drain_cycles`.
    """
    loading = 0 if dataflow == "output_stationary" else rows
    return loading + steps + rows + cols - 2


def drain_cycles(*, rows: int, dataflow: Dataflow) -> int:
    """Cycles after the last fold until the last result has left the array."""
    return rows if dataflow == "output_stationary" else 0


def gemm_cycles(*, m: int, n: int, k: int, rows: int, cols: int, dataflow: Dataflow, lanes: int = 1) -> int:
    """Cycles in which the array computes an m x k by k x n product; `drain_cycles` come on top once.

    Raises ConfigError for an unknown dataflow or a size below 1.
    """
    folding = fold(m=m, n=n, k=k, rows=rows, cols=cols, dataflow=dataflow, lanes=lanes)
    return folding.folds * fold_cycles(steps=folding.steps, rows=rows, cols=cols, dataflow=dataflow)


def _ceiling(dividend: int, divisor: int) -> int:
    return -(-dividend // divisor)
