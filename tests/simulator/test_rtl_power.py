"""`densimeter rtl power`: a measurement is printed, recorded, and found again."""

import pytest

from densimeter.formats.errors import ToolError
from densimeter.rtl.cells.liberty import find_library
from densimeter.simulator.workloads import minilm
from support.command import Densimeter

pytestmark = pytest.mark.rtl
UNIT = ["rtl", "power", "-a", "bfp4", "-l", "4", "-c", "aligned24"]


@pytest.fixture(autouse=True)
def _tools(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    if find_library("nangate45").path is None:
        pytest.skip("nangate45 is not installed")
    try:
        minilm.model()
    except ToolError as error:
        pytest.skip(str(error))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


def test_energy_is_measured_once_and_then_on_record(densimeter: Densimeter) -> None:
    measured = densimeter(*UNIT, "--json").json
    assert measured["activation"] == "bfp4"
    assert measured["lanes"] == 4
    parts = measured["record"]["result"]["delayed"]
    assert measured["energy_fj_per_mac"] == pytest.approx(sum(parts.values()) / 4)
    assert 0 < measured["glitch_share"] < 1
    assert densimeter(*UNIT, "--json").json == measured
    shown = densimeter(*UNIT)
    assert f"{measured['energy_fj_per_mac']:.1f}" in shown.out
    assert "8 outputs of 384 products" in shown.out


def test_a_flow_of_the_other_target_is_bad_input(densimeter: Densimeter) -> None:
    refused = densimeter(*UNIT, "--flow", "carry")
    assert refused.code == 2
    assert "cells are made by star, booth" in refused.err
