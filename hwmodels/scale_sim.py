"""What SCALE-Sim 3.0.0 reports of a matrix product, column by column, for comparison with it; not what hardware does.

Where its figures part from `systolic`:

- cycles are the last cycle's index, so utilisation is relative to one cycle fewer;
- an output-stationary array writes rows + cols more values a fold than it has results, the size of each fold added to
  their number;
- weight- and input-stationary arrays send every partial sum to DRAM, and none is counted when it is read back;
- where a write buffer's half is a whole number of lines of `cols` values, its first drain cuts a line short and counts
  the padding, cols - 1;
- a read buffer keeps what it fetched until half of it is full and then forgets everything, so an operand that fits half
  is read from DRAM once, and one that does not is read as often as chance has it.

Lanes are one value wide and a value is one byte, as there.
"""

from dataclasses import dataclass

import numpy as np
from numba import njit

from densimeter.formats.errors import ConfigError
from densimeter.hwmodels.systolic import Dataflow, Folding, accesses, fold, gemm_cycles

# A read buffer is handled in hundredths, of which half are worked on (scalesim/memory/read_buffer_estimate_bw.py).
_PARTS, _ACTIVE_PARTS = 100, 50


@dataclass(frozen=True)
class ScaleSimReport:
    """One row of COMPUTE_REPORT.csv and DETAILED_ACCESS_REPORT.csv; shares in percent, reads and writes in values."""

    total_cycles: int
    utilisation_percent: float
    mapping_efficiency_percent: float
    sram_ifmap_reads: int
    sram_filter_reads: int
    sram_ofmap_writes: int
    dram_ifmap_reads: int
    dram_filter_reads: int
    dram_ofmap_writes: int


def scale_sim_report(
    *,
    m: int,
    n: int,
    k: int,
    rows: int,
    cols: int,
    dataflow: Dataflow,
    ifmap_buffer_kib: int,
    filter_buffer_kib: int,
    ofmap_buffer_kib: int,
) -> ScaleSimReport:
    """The report of an m x k by k x n product, stall-free (SCALE-Sim's CALC mode).

    The ifmap is the activation, the filter the weight. Raises ConfigError for sizes below 1 and unknown dataflows.
    """
    for name, size in (("ifmap", ifmap_buffer_kib), ("filter", filter_buffer_kib), ("ofmap", ofmap_buffer_kib)):
        if size < 1:
            raise ConfigError(f"{name}_buffer_kib is {size}, expected 1 or more")
    folding = fold(m=m, n=n, k=k, rows=rows, cols=cols, dataflow=dataflow)
    cycles = gemm_cycles(m=m, n=n, k=k, rows=rows, cols=cols, dataflow=dataflow, convention="scale_sim")
    sram = accesses(m=m, n=n, k=k, rows=rows, cols=cols, dataflow=dataflow)
    stationary_outputs = dataflow == "output_stationary"
    ifmap_fetches = filter_fetches = 0
    # A stationary operand is read once; a streamed one waits on the side that it enters.
    if dataflow != "input_stationary":
        held_by_rows = m if stationary_outputs else k
        ifmap_fetches = _fetches(folding, held_by_rows, rows, False, _capacity(ifmap_buffer_kib))
    if dataflow == "input_stationary":
        filter_fetches = _fetches(folding, k, rows, False, _capacity(filter_buffer_kib))
    elif stationary_outputs:
        filter_fetches = _fetches(folding, n, cols, True, _capacity(filter_buffer_kib))
    mapped = {"weight_stationary": k * n, "output_stationary": m * n, "input_stationary": k * m}[dataflow]
    elements = rows * cols
    return ScaleSimReport(
        total_cycles=cycles,
        utilisation_percent=100 * m * n * k / (cycles * elements),
        mapping_efficiency_percent=mapped / (folding.folds * elements) * 100,
        sram_ifmap_reads=sram.activation_reads,
        sram_filter_reads=sram.weight_reads,
        sram_ofmap_writes=sram.result_writes + stationary_outputs * folding.folds * (rows + cols),
        dram_ifmap_reads=ifmap_fetches or m * k,
        dram_filter_reads=filter_fetches or n * k,
        dram_ofmap_writes=_drained(sram.result_writes, cols, ofmap_buffer_kib * 1024 // 2),
    )


def _capacity(buffer_kib: int) -> int:
    return buffer_kib * 1024 // _PARTS * _ACTIVE_PARTS


def _drained(writes: int, cols: int, half: int) -> int:
    padded = half % cols == 0 and writes >= half + 2
    return writes + (cols - 1 if padded else 0)


def _fetches(folding: Folding, held: int, side: int, across: bool, capacity: int) -> int:
    """Values that a read buffer fetches for an operand streamed over `held` lines, `side` of them at a time."""
    return int(_simulated_fetches(folding.row_folds, folding.col_folds, folding.steps, held, side, across, capacity))


@njit(cache=True)
def _simulated_fetches(
    row_folds: int, col_folds: int, steps: int, held: int, side: int, across: bool, capacity: int
) -> int:
    """Misses of the read buffer, whose operand enters skewed: line i of a fold is i cycles late.

    across: it enters at the top, a fold for each column fold; else at the left, a fold for each row fold.
    """
    fetched_in = np.zeros((held, steps), np.int64)
    fills, fetched, total = 1, 0, 0
    for column in range(col_folds):
        for row in range(row_folds):
            first = (column if across else row) * side
            lines = min(side, held - first)
            for cycle in range(steps + lines - 1):
                for line in range(max(0, cycle - steps + 1), min(lines, cycle + 1)):
                    if fetched_in[first + line, cycle - line] != fills:
                        fetched_in[first + line, cycle - line] = fills
                        fetched += 1
                        total += 1
                        if fetched == capacity:
                            fills, fetched = fills + 1, 0
    return total
