"""Who evaluates parts: this process, several on this machine, a Dask cluster, or any executor; deaths are survived."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from contextlib import AbstractContextManager, contextmanager, nullcontext
from multiprocessing.connection import wait as wait_for
from typing import TypeVar

from densimeter.formats.errors import ConfigError, ToolError

T = TypeVar("T")
MakeExecutor = Callable[[], AbstractContextManager[Executor]]

_IN_FLIGHT = 16
_MOST_DEATHS = 3
_CONNECT_S, _CLOSE_S = 30, 5


def in_order(work: Callable[[int], T], numbers: Iterable[int]) -> Iterator[T]:
    """Do all of it here, one after another."""
    return map(work, numbers)


def as_finished(
    make_executor: MakeExecutor, work: Callable[[int], T], numbers: Iterable[int], *, in_flight: int = _IN_FLIGHT
) -> Iterator[T]:
    """Results as they come, at most `in_flight` asked for at a time.

    When the executor breaks, because a worker was killed, another one is made and goes on with what was in flight.
    Raises ToolError where that happened three times without a result between.
    """
    waiting = deque(numbers)
    deaths = 0
    while waiting:
        pending: dict[Future[T], int] = {}
        with make_executor() as executor:
            try:
                while waiting or pending:
                    while waiting and len(pending) < in_flight:
                        future = executor.submit(work, waiting[0])
                        pending[future] = waiting.popleft()
                    done, _ = wait(pending, return_when=FIRST_COMPLETED)
                    for future in done:
                        result = future.result()
                        del pending[future]
                        deaths = 0
                        yield result
            except BrokenExecutor as error:
                waiting.extendleft(sorted(pending.values(), reverse=True))
                deaths += 1
                if deaths == _MOST_DEATHS:
                    raise ToolError(
                        f"workers died {deaths} times in a row, the last one with {error}; finished parts are kept, "
                        "the same command goes on: give it fewer workers where memory was short"
                    ) from error
            except BaseException:
                for future in pending:
                    future.cancel()
                raise


def using(executor: Executor) -> MakeExecutor:
    """An executor of the caller's, which stays open."""
    return lambda: nullcontext(executor)


def processes(workers: int) -> MakeExecutor:
    """So many processes on this machine, each with its share of the processors."""

    @contextmanager
    def make() -> Iterator[Executor]:
        threads = max(1, (os.cpu_count() or 1) // workers)
        # Not forked: threads of compiled loops do not survive that.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context, _begin_worker, (threads,)) as pool:
            yield pool

    return make


def cluster(address: str) -> MakeExecutor:
    """The workers of a Dask scheduler. Dask itself gives the work of workers that die to others.

    Raises ToolError where `distributed` is missing, the scheduler is lost, or a part kills every worker that it is
    given to; ConfigError where no scheduler answers there.
    """

    @contextmanager
    def make() -> Iterator[Executor]:
        try:
            from distributed import Client, KilledWorker
        except ImportError as error:
            raise ToolError(
                "distributed is missing, needed for --cluster; run: pip install 'densimeter[cluster]'"
            ) from error
        try:
            client = Client(address, timeout=_CONNECT_S, set_as_default=False)
        except (OSError, TimeoutError, ValueError) as error:
            raise ConfigError(
                f"cluster {address}: no scheduler answers ({error}); expected one such as tcp://host:8786"
            ) from error
        try:
            yield client.get_executor(pure=False)
        except (KilledWorker, CancelledError) as error:
            raise ToolError(
                f"cluster {address}: the work was lost ({error!r}); finished parts are kept, the same command goes on"
            ) from error
        finally:
            client.close(timeout=_CLOSE_S)

    return make


def _begin_worker(threads: int) -> None:
    """Leave Ctrl-C to the parent, and end when it ends, however it does."""
    import numba

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    numba.set_num_threads(min(threads, numba.get_num_threads()))
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for([parent.sentinel])
        os._exit(1)
