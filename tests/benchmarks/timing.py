"""Timing for the benchmarks: medians, and ratios of things measured turn by turn in one run."""

import statistics
import time
from collections.abc import Callable, Mapping

ROUNDS = 7


def medians_ms(contestants: Mapping[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Median milliseconds of each contestant. They take turns, so that a busy machine slows all of them alike."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for run in contestants.values():
        run()
    for _ in range(rounds):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(each) for name, each in times.items()}


def minima_ms(contestants: Mapping[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Least milliseconds of each contestant, taking turns: what the machine does when nobody else keeps it busy."""
    least = dict.fromkeys(contestants, float("inf"))
    for run in contestants.values():
        run()
    for _ in range(rounds):
        for name, run in contestants.items():
            start = time.perf_counter()
            run()
            least[name] = min(least[name], 1e3 * (time.perf_counter() - start))
    return least


def show(title: str, medians: Mapping[str, float], against: str) -> None:
    """Print every median and how many times as long as `against` it took."""
    print(f"\n{title}")
    for name, median in medians.items():
        print(f"  {name:<28} {median:9.2f} ms   {median / medians[against]:7.2f} x {against}")
