"""As many tools at a time as there are processors: each is a process of its own, so threads wait for them."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Lock
from typing import TypeVar

from densimeter.rtl import yosys

T = TypeVar("T")

DRAWING = Lock()
"""Held while a stimulus is drawn: not every threading layer of Numba takes calls from several threads at once."""


@contextmanager
def tool_pool() -> Iterator[ThreadPoolExecutor]:
    """A pool whose interruption drops what has not begun and stops the syntheses under way."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            yield pool
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            yosys.stop_all()
            raise


def in_order(calls: Iterable[Callable[[], T]]) -> Iterator[T]:
    """What the calls return, in their order, from a `tool_pool`."""
    with tool_pool() as pool:
        futures = [pool.submit(call) for call in calls]
        for future in futures:
            yield future.result()
