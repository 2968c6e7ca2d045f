"""Compiling that takes long is announced, once, and nothing else is."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from numba import njit
from numba.core import event as numba_event

from densimeter.kernels.announce import Announcer

event: Any = numba_event  # which has no types


@pytest.fixture
def announcer() -> Iterator[Announcer]:
    listener = Announcer(patience_s=0.0)
    event.register("numba:compile", listener)
    yield listener
    event.unregister("numba:compile", listener)


def twice(x: int) -> int:
    return x + x


def compiled_in(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twice, "__module__", module)
    compiled: Any = njit
    assert compiled(twice)(2) == 4
    time.sleep(0.05)  # for the announcing thread


@pytest.mark.usefixtures("announcer")
def test_our_functions_are_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    compiled_in("densimeter.kernels.named", monkeypatch)
    expected = "densimeter: compiling densimeter.kernels.named.twice for this machine; it is kept for the next time\n"
    assert capsys.readouterr().err == expected


@pytest.mark.usefixtures("announcer")
def test_those_of_others_are_not(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    compiled_in("someone.else", monkeypatch)
    assert capsys.readouterr().err == ""


def test_what_is_quick_is_not(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    listener = Announcer(patience_s=60.0)
    event.register("numba:compile", listener)
    compiled_in("densimeter.kernels.plain", monkeypatch)
    event.unregister("numba:compile", listener)
    assert capsys.readouterr().err == ""
