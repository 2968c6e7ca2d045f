"""Cycles, SRAM accesses and utilisation of a matrix product on a systolic array, in closed form.

An m x k by k x n product runs on `rows` x `cols` processing elements of `lanes` products a cycle each. A dataflow says
which matrix stays in the elements; the array takes one fold of it after another:

    dataflow            stays in the array    rows hold        columns hold   streamed, a step a cycle
    weight_stationary   weights               groups of k      n              m
    output_stationary   results               m                n              groups of k
    input_stationary    activations           groups of k      m              n

A plain array ends a fold before it begins the next one: rows to load, steps, and rows + cols - 2 of skew. A
double-buffered one has a second register an element and changes what is stationary along with the skew, so that the
step behind a fold's last may be the next one's first. Its folds then follow each other every max(steps, rows) cycles:
as fast as the data streams, but no faster than one word a column and cycle lets `rows` new weights in (or `rows`
results out of an output-stationary array). Only the first load and the last skew stay visible:

    plain             folds * (load + steps + rows + cols - 2)             load: rows, or 0 where outputs are stationary
    double-buffered   load + (folds - 1) * max(steps, rows) + steps + rows + cols - 2

The plain rules are SCALE-Sim's (arXiv 1811.02883 and version 3.0.0), whose own count is one lower for the whole
product: it reports the index of the last cycle. tests/rtl/test_array.py holds the generated arrays to the same figures.

Whoever wants one product calls the functions with named arguments, which check them. Compiled loops over many designs
call the same integer functions underneath (`array_cycles`, `array_slots`, `sram_accesses`), which do not.
"""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, NamedTuple, TypeVar, get_args

from densimeter.formats.errors import ConfigError, nearest
from densimeter.hwmodels.compiled import jitable

Dataflow = Literal["weight_stationary", "output_stationary", "input_stationary"]
DATAFLOWS: tuple[Dataflow, ...] = get_args(Dataflow)
Convention = Literal["physical", "scale_sim"]
CONVENTIONS: tuple[Convention, ...] = get_args(Convention)
_Number = TypeVar("_Number", int, float)
# A dataflow's index in DATAFLOWS is what compiled loops name it by.
WEIGHT_STATIONARY, OUTPUT_STATIONARY, INPUT_STATIONARY = range(3)


@dataclass(frozen=True)
class Folding:
    """How a product is cut to an array: `row_folds` x `col_folds` folds of `steps` cycles of data each."""

    row_folds: int
    col_folds: int
    steps: int

    @property
    def folds(self) -> int:
        return self.row_folds * self.col_folds


class SramAccesses(NamedTuple):
    """Values that cross between the array and its SRAM, over a whole product.

    Operands count a value as often as it is read, results as often as one is written. Every fold along k writes its
    sums: the last fold the results, the others partial sums, which the next fold reads back.
    """

    activation_reads: int
    weight_reads: int
    result_writes: int
    partial_sum_reads: int


@dataclass(frozen=True)
class Utilisation:
    """Where the element-cycles of a product go, each product of an element counted; the three add up to 1.

    useful: products of the matrices. edge: steps in which an element, or a lane of it, holds nothing of the product,
    because rows, columns or lanes do not divide its sizes. fill: cycles of loading and skew.
    """

    useful: Fraction
    edge: Fraction
    fill: Fraction


def dataflow_index(dataflow: Dataflow) -> int:
    """Its place in DATAFLOWS, which is what the integer functions take; raises ConfigError for a name unknown."""
    if dataflow not in DATAFLOWS:
        raise ConfigError(f"dataflow is {dataflow!r}, expected {', '.join(DATAFLOWS)}{nearest(dataflow, DATAFLOWS)}")
    return DATAFLOWS.index(dataflow)


def fold(*, m: int, n: int, k: int, rows: int, cols: int, dataflow: Dataflow, lanes: int = 1) -> Folding:
    """The folds of an m x k by k x n product; an element takes `lanes` values of k at once, a group."""
    _check(m=m, n=n, k=k, rows=rows, cols=cols, lanes=lanes)
    return Folding(*folding(m, n, ceiling(k, lanes), rows, cols, dataflow_index(dataflow)))


def fold_cycles(*, steps: int, rows: int, cols: int, dataflow: Dataflow) -> int:
    """Cycles of one fold: the data, the skew over rows and columns, and `rows` to load what is stationary.

    Results leave a weight- or input-stationary array as they are made. Those of an output-stationary one stay until a
    further `rows` cycles have shifted them out, which the next fold overlaps: see `drain_cycles`.
    """
    _check(steps=steps, rows=rows, cols=cols)
    return cycles_of_fold(steps, rows, cols, dataflow_index(dataflow))


def fold_distance(*, steps: int, rows: int, cols: int, dataflow: Dataflow, double_buffered: bool) -> int:
    """Cycles from one fold's beginning to the next one's."""
    _check(steps=steps, rows=rows, cols=cols)
    return distance_of_folds(steps, rows, cols, dataflow_index(dataflow), double_buffered)


def drain_cycles(*, rows: int, dataflow: Dataflow) -> int:
    """Cycles after the last fold until the last result has left the array."""
    return rows if dataflow_index(dataflow) == OUTPUT_STATIONARY else 0


def gemm_cycles(
    *,
    m: int,
    n: int,
    k: int,
    rows: int,
    cols: int,
    dataflow: Dataflow,
    lanes: int = 1,
    double_buffered: bool = False,
    convention: Convention = "physical",
) -> int:
    """Cycles in which the array computes an m x k by k x n product; `drain_cycles` come on top once.

    convention: "physical" counts cycles; "scale_sim" gives the index of the last one, as SCALE-Sim reports it.
    Raises ConfigError for an unknown dataflow or convention and for a size below 1.
    """
    _check(m=m, n=n, k=k, rows=rows, cols=cols, lanes=lanes)
    if convention not in CONVENTIONS:
        raise ConfigError(
            f"convention is {convention!r}, expected {', '.join(CONVENTIONS)}{nearest(convention, CONVENTIONS)}"
        )
    cycles = array_cycles(m, n, ceiling(k, lanes), rows, cols, dataflow_index(dataflow), double_buffered)
    return cycles - (convention == "scale_sim")


def accesses(*, m: int, n: int, k: int, rows: int, cols: int, dataflow: Dataflow, lanes: int = 1) -> SramAccesses:
    """SRAM reads and writes of an m x k by k x n product, in values; raises ConfigError as `gemm_cycles` does."""
    _check(m=m, n=n, k=k, rows=rows, cols=cols, lanes=lanes)
    return SramAccesses(*sram_accesses(m, n, k, rows, cols, lanes, dataflow_index(dataflow)))


def utilisation(
    *,
    m: int,
    n: int,
    k: int,
    rows: int,
    cols: int,
    dataflow: Dataflow,
    lanes: int = 1,
    double_buffered: bool = False,
) -> Utilisation:
    """Shares of the element-cycles of `gemm_cycles`, so without stalls and drain; raises ConfigError as it does."""
    _check(m=m, n=n, k=k, rows=rows, cols=cols, lanes=lanes)
    slots = array_slots(m, n, k, rows, cols, lanes, dataflow_index(dataflow), double_buffered)
    return Utilisation(*(Fraction(part, sum(slots)) for part in slots))


@jitable
def ceiling(dividend: int, divisor: int) -> int:
    """Quotient of positive integers below 2**53, rounded up.

    A float64 holds such integers, and its division is as much faster than that of 64-bit integers as sweeps notice. The
    rounded quotient is a whole number only if the exact one is: that is at least 1 / divisor away from others.
    """
    return math.ceil(dividend / divisor)


@jitable
def folding(m: int, n: int, groups: int, rows: int, cols: int, dataflow: int) -> tuple[int, int, int]:
    """Row folds, column folds and steps of a fold, of a product whose k is `groups` groups of lanes."""
    if dataflow == OUTPUT_STATIONARY:
        return ceiling(m, rows), ceiling(n, cols), groups
    if dataflow == WEIGHT_STATIONARY:
        return ceiling(groups, rows), ceiling(n, cols), m
    return ceiling(groups, rows), ceiling(m, cols), n


@jitable
def load_cycles(rows: int, dataflow: int) -> int:
    """Cycles to load what is stationary."""
    return 0 if dataflow == OUTPUT_STATIONARY else rows


@jitable
def cycles_of_fold(steps: int, rows: int, cols: int, dataflow: int) -> int:
    """Cycles from a fold's first load or step to its last product."""
    return load_cycles(rows, dataflow) + steps + rows + cols - 2


@jitable
def distance_of_folds(steps: int, rows: int, cols: int, dataflow: int, double_buffered: bool) -> int:
    """Cycles from one fold's beginning to the next one's."""
    return max(steps, rows) if double_buffered else cycles_of_fold(steps, rows, cols, dataflow)


@jitable
def array_cycles(m: int, n: int, groups: int, rows: int, cols: int, dataflow: int, double_buffered: bool) -> int:
    """Physical cycles of a whole product without the drain; `groups` is k over the lanes, rounded up."""
    row_folds, col_folds, steps = folding(m, n, groups, rows, cols, dataflow)
    distance = distance_of_folds(steps, rows, cols, dataflow, double_buffered)
    return (row_folds * col_folds - 1) * distance + cycles_of_fold(steps, rows, cols, dataflow)


@jitable
def array_slots(
    m: int, n: int, k: int, rows: int, cols: int, lanes: int, dataflow: int, double_buffered: bool
) -> tuple[int, int, int]:
    """The fields of Utilisation in slots, one for each product that the array could have made in its cycles.

    Every element takes every step of every fold; in all other cycles it is being loaded, or waits for the skew.
    """
    groups = ceiling(k, lanes)
    row_folds, col_folds, steps = folding(m, n, groups, rows, cols, dataflow)
    streaming = row_folds * col_folds * steps * rows * cols * lanes
    total = array_cycles(m, n, groups, rows, cols, dataflow, double_buffered) * rows * cols * lanes
    return m * n * k, streaming - m * n * k, total - streaming


@jitable
def sram_accesses(m: int, n: int, k: int, rows: int, cols: int, lanes: int, dataflow: int) -> tuple[int, int, int, int]:
    """The fields of SramAccesses: activations and weights read, results and partial sums written, the latter read back.

    SCALE-Sim's rules: a stationary operand is read once, a streamed one once for every fold of the size that it lacks.
    SCALE-Sim does not count what is read back; here every value written is that is not a result.
    """
    row_folds, col_folds, _ = folding(m, n, ceiling(k, lanes), rows, cols, dataflow)
    return accesses_of_folds(m, n, k, row_folds, col_folds, dataflow)


@jitable
def accesses_of_folds(
    m: _Number, n: _Number, k: _Number, row_folds: int, col_folds: int, dataflow: int
) -> tuple[_Number, _Number, _Number, _Number]:
    """The same, for a product that has been folded already. Of floats, it does not overflow in compiled code."""
    if dataflow == OUTPUT_STATIONARY:
        return m * k * col_folds, n * k * row_folds, m * n, 0
    partial_sums = m * n * (row_folds - 1)
    if dataflow == WEIGHT_STATIONARY:
        return m * k * col_folds, n * k, m * n + partial_sums, partial_sums
    return m * k, n * k * col_folds, m * n + partial_sums, partial_sums


def _check(**sizes: int) -> None:
    for name, size in sizes.items():
        if size < 1:
            raise ConfigError(f"{name} is {size}, expected 1 or more")
