"""A line on stderr when compiling keeps a user waiting: on a new machine, where nothing compiled is on disk yet."""

import sys
import threading
from collections.abc import Mapping
from functools import cache
from typing import Any

from numba.core import event

_COMPILE = "numba:compile"
_PATIENCE_S = 1.0


class Announcer(event.Listener):
    """Says what of this package is being compiled, once that has taken `patience_s` seconds."""

    def __init__(self, patience_s: float = _PATIENCE_S) -> None:
        self._patience_s, self._depth, self._timer = patience_s, 0, threading.Timer(0, print)

    def on_start(self, event: Any) -> None:
        self._depth += 1
        function = _function(event.data)
        if self._depth == 1 and function is not None:
            self._timer = threading.Timer(self._patience_s, _say, (function,))
            self._timer.daemon = True
            self._timer.start()

    def on_end(self, event: Any) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._timer.cancel()


def announce_compilation() -> None:
    """From now on, for as long as this process lives."""
    event.register(_COMPILE, Announcer())  # type: ignore[no-untyped-call]


def _function(details: Mapping[str, Any]) -> str | None:
    """The name of what is compiled, where it is ours."""
    function = details["dispatcher"].py_func
    ours = function.__module__.partition(".")[0] == __name__.partition(".")[0]
    return f"{function.__module__}.{function.__name__}" if ours else None


@cache
def _say(function: str) -> None:
    """Once for a function, however many formats it is compiled for."""
    print(f"densimeter: compiling {function} for this machine; it is kept for the next time", file=sys.stderr)
