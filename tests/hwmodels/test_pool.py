"""Calls that run side by side come back in their order; one that fails drops those that have not begun."""

import time
from collections.abc import Callable
from functools import partial

import pytest

from densimeter.hwmodels.characterization.pool import in_order


def _slowly(value: int, seconds: float) -> int:
    time.sleep(seconds)
    return value


def test_results_come_in_the_order_of_the_calls() -> None:
    calls = [partial(_slowly, value, (4 - value) / 100) for value in range(5)]
    assert list(in_order(calls)) == list(range(5))


def test_a_failure_drops_what_has_not_begun() -> None:
    begun: list[int] = []

    def fail() -> int:
        raise ZeroDivisionError

    def note(value: int) -> int:
        begun.append(value)
        return _slowly(value, 0.02)

    calls: list[Callable[[], int]] = [fail, *(partial(note, value) for value in range(200))]
    with pytest.raises(ZeroDivisionError):
        list(in_order(calls))
    assert len(begun) < 200
