"""Work shared out over threads: compiled functions that release the interpreter, each over a range of its own.

A compiled loop that runs its own threads takes several times as long to compile, and there is one for every kind of
format.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import numba

FEWEST_VALUES = 1 << 16
"""Of fewer values one thread takes care: waking others would take longer than the work."""

_RANGES_PER_THREAD = 4  # a thread that was kept waiting leaves ranges to the others


def share_out(work: Callable[[int, int], object], count: int, values: int) -> None:
    """Call `work(first, last)` for ranges that cover 0 to `count`, by `numba.get_num_threads()` threads at once."""
    threads = min(numba.get_num_threads(), count) if values >= FEWEST_VALUES else 1
    if threads == 1:
        work(0, count)
        return
    ranges = min(count, threads * _RANGES_PER_THREAD)
    bounds = [count * i // ranges for i in range(ranges + 1)]
    for done in [_pool(threads, os.getpid()).submit(work, *pair) for pair in pairwise(bounds)]:
        done.result()


@cache
def _pool(threads: int, process: int) -> ThreadPoolExecutor:
    """Kept for the next call; of its process alone, since a forked one has no threads."""
    return ThreadPoolExecutor(threads, thread_name_prefix="densimeter")
