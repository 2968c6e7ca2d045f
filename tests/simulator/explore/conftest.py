"""Sweeps of a few designs that are cut to parts of a few designs."""

from pathlib import Path

import pytest

from densimeter.simulator.explore.engine import Run, run
from densimeter.simulator.explore.load import Exploration, explore
from support.sweeps import SWEEP


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> int:
    """Designs of a part, in this process: 240 designs are 10 parts."""
    monkeypatch.setattr("densimeter.simulator.explore.plan.BLOCK", 24)
    return 24


@pytest.fixture
def exploration() -> Exploration:
    return explore(SWEEP)


@pytest.fixture
def whole(exploration: Exploration, small_parts: int, tmp_path: Path) -> Run:
    """The run that nothing disturbed."""
    return run(exploration, tmp_path / "whole")
