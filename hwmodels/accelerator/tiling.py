"""How a matrix product is cut to the buffers so that the least crosses the DRAM interface, in closed form.

With a stationary operand in the array (weights, or activations), every fold of it meets tiles of the other operand, the
streamed one; their sums wait in the output buffer. These are the candidates; k is the axis that both operands share:

    candidate          stays in its buffer                   held is read       streamed is read   sums leave the chip
    streamed tile      a tile of streamed, all of k          tiles of streamed  once               no
    held panel         a panel of held, all of k             once               panels of held     no
    sums               sums of a tile by a panel; k is cut   tiles of streamed  panels of held     no
    held once          a panel of held; cuts of k outermost  once               panels of held     2 (cuts - 1) times
    streamed once      a tile of streamed; likewise          tiles of streamed  once               2 (cuts - 1) times

With stationary results the sums stay in the array: panels of either operand, or of neither, are the candidates.

An operand that fits its buffer as a whole is read once in any order; one that is on the chip already, never. Buffers
are double: one half is worked on while the other one is filled or emptied, so the capacities below are halves. Tiles
are whole folds of the array, which therefore has the same edges as without tiles. tests/hwmodels/test_tiling.py holds
the choice to an exhaustive search. The functions are plain Python that `performance` compiles into its loop.
"""

import math
from typing import NamedTuple

from densimeter.hwmodels.compiled import jitable
from densimeter.hwmodels.systolic import INPUT_STATIONARY, OUTPUT_STATIONARY, ceiling


class Operand(NamedTuple):
    """One operand of a product, ``[rows, k]``. bits: of all of it as stored, scales and padding included.

    fold_rows: rows that one fold of the array takes (1 of a streamed operand). capacity_bits: half its buffer.
    resident: it is on the chip already.
    """

    rows: int
    bits: float
    fold_rows: int
    capacity_bits: float
    resident: bool


class Sums(NamedTuple):
    """The partial sums: bits of one, and half the output buffer."""

    bits: float
    capacity_bits: float


class Waiting(NamedTuple):
    """Rows that the buffers hold: of streamed and of held with one fold of k, and of held with all of k."""

    rows: int
    panel: int
    panel_with_all_k: int


class Tiling(NamedTuple):
    """A cut of one product; the traffic is infinite where not even one fold fits the buffers.

    first_reads, second_reads: how often DRAM is read for a whole operand. spills: how often all partial sums cross the
    DRAM interface, counting both ways. steps: rows of the streamed operand that meet a fold at a time.
    """

    traffic_bits: float
    first_reads: int
    second_reads: int
    spills: int
    steps: int


@jitable
def tile(first: Operand, second: Operand, sums: Sums, k: int, k_fold: int, dataflow: int) -> Tiling:
    """The tiling of ``first @ second.T`` with the least traffic, the results themselves left out.

    k_fold: values of k that a fold (stationary operand) or a step (stationary results) takes.
    """
    if dataflow == OUTPUT_STATIONARY:
        return _stationary_results(first, second, k)
    if dataflow == INPUT_STATIONARY:
        found = _stationary_operand(second, first, sums, k, k_fold)
        return Tiling(found.traffic_bits, found.second_reads, found.first_reads, found.spills, found.steps)
    return _stationary_operand(first, second, sums, k, k_fold)


@jitable
def _stationary_results(first: Operand, second: Operand, k: int) -> Tiling:
    first_outside, second_inside = _outer_and_inner(first, second)
    second_outside, first_inside = _outer_and_inner(second, first)
    best = _cut(first, second, first_outside, second_inside, 0, 0.0, k)
    return _cheaper(best, _cut(first, second, first_inside, second_outside, 0, 0.0, k))


@jitable
def _outer_and_inner(outer: Operand, inner: Operand) -> tuple[int, int]:
    """Reads of two operands where each panel of `outer`, or else what one fold takes of it, meets all of `inner`."""
    panel = _rows_that_fit(outer, 1.0)
    if panel:
        return 1, ceiling(outer.rows, panel)
    return ceiling(inner.rows, inner.fold_rows), ceiling(outer.rows, outer.fold_rows)


@jitable
def _stationary_operand(streamed: Operand, held: Operand, sums: Sums, k: int, k_fold: int) -> Tiling:
    """The tiling with `streamed` as its first operand."""
    one_fold = min(1.0, k_fold / k)
    steps_with_sums = int(sums.capacity_bits / (sums.bits * min(held.fold_rows, held.rows)))
    waiting_rows, waiting_panel = _rows_that_fit(streamed, one_fold), _rows_that_fit(held, one_fold)
    if not (steps_with_sums and waiting_rows and waiting_panel):
        return Tiling(math.inf, 0, 0, 0, 0)
    best = Tiling(math.inf, 0, 0, 0, 0)
    steps, panel = min(_rows_that_fit(streamed, 1.0), steps_with_sums), _rows_that_fit(held, 1.0)
    if steps:
        best = _cut(streamed, held, 1, ceiling(streamed.rows, steps), 0, 0.0, steps)
        if steps == streamed.rows:
            return best
        if panel:
            best = _cheaper(best, _cut(streamed, held, ceiling(held.rows, panel), 1, 0, 0.0, steps))
    best = _sums_on_chip(best, streamed, held, sums, Waiting(waiting_rows, waiting_panel, panel))
    return _sums_spilled(best, streamed, held, sums, ceiling(k, k_fold), one_fold, steps_with_sums)


@jitable
def _sums_on_chip(best: Tiling, streamed: Operand, held: Operand, sums: Sums, waiting: Waiting) -> Tiling:
    """Folds of k follow each other while the sums of a tile by a panel stay; the best number of panels is found.

    Streamed is read once a panel, held about as often as a panel of sums needs the output buffer: the traffic is least
    where both cost the same, up to rounding, so only panels around that size can beat the best one found so far.
    """
    folds = ceiling(held.rows, held.fold_rows)
    if waiting.panel_with_all_k:
        whole = ceiling(held.rows, waiting.panel_with_all_k)
        best = _cheaper(best, _with_sums(streamed, held, sums, waiting, folds, whole))
    bits_per_row = held.bits * streamed.rows * sums.bits / sums.capacity_bits
    if not streamed.resident:
        even_rows = max(1.0, math.sqrt(streamed.bits * held.rows / bits_per_row))
        even = min(folds, max(1, ceiling(held.rows, int(even_rows))))
        best = _cheaper(best, _with_sums(streamed, held, sums, waiting, folds, even))
    panels = 1
    if best.traffic_bits < math.inf:
        useful_folds = int(int(best.traffic_bits / bits_per_row) / held.fold_rows)
        panels = ceiling(folds, max(1, min(folds, useful_folds)))
    held_once_bits = _reads(held, 1) * held.bits
    while _reads(streamed, panels) * streamed.bits + held_once_bits < best.traffic_bits:
        best = _cheaper(best, _with_sums(streamed, held, sums, waiting, folds, panels))
        panel_folds = ceiling(folds, panels)
        if panel_folds == 1:
            break
        panels = ceiling(folds, panel_folds - 1)
    return best


@jitable
def _with_sums(streamed: Operand, held: Operand, sums: Sums, waiting: Waiting, folds: int, panels: int) -> Tiling:
    """The tiling with so many panels whose sums, with those of as many rows as possible, stay in the output buffer.

    For each fold of k, either the panel's folds wait in their buffer while the tile's rows stream past, or the rows
    wait and the folds come one by one.
    """
    panel_folds = ceiling(folds, panels)
    panel = min(held.rows, panel_folds * held.fold_rows)
    rows = min(streamed.rows, int(sums.capacity_bits / (sums.bits * panel)))
    steps = rows if panel_folds == 1 else min(rows, waiting.rows)
    if panel > waiting.panel:
        rows = steps
    if rows == 0:
        return Tiling(math.inf, 0, 0, 0, 0)
    held_reads = 1 if panel <= waiting.panel_with_all_k else ceiling(streamed.rows, rows)
    return _cut(streamed, held, panels, held_reads, 0, 0.0, steps)


@jitable
def _sums_spilled(
    best: Tiling, streamed: Operand, held: Operand, sums: Sums, folds_of_k: int, one_fold: float, steps_with_sums: int
) -> Tiling:
    """The loop over cuts of k is the outermost: each cut but the first reads the sums again that the last one wrote."""
    all_sums_bits = float(streamed.rows) * held.rows * sums.bits
    once_bits = _reads(streamed, 1) * streamed.bits + _reads(held, 1) * held.bits
    for cuts in range(2, folds_of_k + 1):
        spills = 2 * (cuts - 1)
        if once_bits + spills * all_sums_bits >= best.traffic_bits:
            break
        cut = min(1.0, ceiling(folds_of_k, cuts) * one_fold)
        fitting, panel = _rows_that_fit(streamed, cut), _rows_that_fit(held, cut)
        steps = min(fitting, steps_with_sums)
        if steps and panel:
            again = 1 if fitting == streamed.rows else ceiling(held.rows, panel)
            best = _cheaper(best, _cut(streamed, held, again, 1, spills, all_sums_bits, steps))
            again = 1 if panel == held.rows else ceiling(streamed.rows, steps)
            best = _cheaper(best, _cut(streamed, held, 1, again, spills, all_sums_bits, steps))
    return best


@jitable
def _rows_that_fit(operand: Operand, part_of_k: float) -> int:
    """Rows, in whole folds, that the buffer holds of a part of k."""
    if operand.resident or operand.bits * part_of_k <= operand.capacity_bits:
        return operand.rows
    rows = int(operand.capacity_bits * operand.rows / (operand.bits * part_of_k))
    return int(min(rows, operand.rows - 1) / operand.fold_rows) * operand.fold_rows


@jitable
def _cut(
    first: Operand, second: Operand, first_times: int, second_times: int, spills: int, all_sums_bits: float, steps: int
) -> Tiling:
    """The tiling that asks for the operands so many times."""
    first_reads, second_reads = _reads(first, first_times), _reads(second, second_times)
    traffic_bits = first_reads * first.bits + second_reads * second.bits + spills * all_sums_bits
    return Tiling(traffic_bits, first_reads, second_reads, spills, steps)


@jitable
def _reads(operand: Operand, times: int) -> int:
    """How often DRAM is read for an operand that is asked for so many times."""
    if operand.resident:
        return 0
    return 1 if operand.bits <= operand.capacity_bits else times


@jitable
def _cheaper(one: Tiling, other: Tiling) -> Tiling:
    """The tiling with less traffic; of equals, the one with more steps a fold, which fills the array better."""
    if other.traffic_bits < one.traffic_bits or (other.traffic_bits == one.traffic_bits and other.steps > one.steps):
        return other
    return one
