"""The simulation runner: it finds planted faults, and a run that proves nothing is an error."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import densimeter.formats as F
from densimeter.rtl.emit import emit
from densimeter.rtl.module import EmittedModule
from densimeter.rtl.simulate import Stimulus, run
from support.unit_streams import Stream, draw_stream

pytestmark = pytest.mark.rtl


@pytest.fixture(scope="module")
def datapath() -> F.Datapath:
    return F.derive(F.get("mxfp4"), F.get("bfp6"), 8, "fp32")


@pytest.fixture(scope="module")
def unit(datapath: F.Datapath) -> EmittedModule:
    return emit(datapath)


@pytest.fixture(scope="module")
def stream(datapath: F.Datapath) -> Stream:
    return draw_stream(datapath, 300)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("half & (sticky | kept[0])", "half"),
        ("wire [7:0]  scale   = take_b ? b_scale : a_scale;", "wire [7:0]  scale   = b_scale;"),
        ("product_negative[LANES-1:LEFT]", "~product_negative[LANES-1:LEFT]"),
        (".DROP(1)", ".DROP(2)"),
    ],
)
def test_planted_fault_is_found(
    datapath: F.Datapath, unit: EmittedModule, stream: Stream, right: str, wrong: str
) -> None:
    assert unit.text.count(right) == 1
    result = run(unit.text.replace(right, wrong), unit.name, datapath, stream.stimulus, stream.expected)
    assert result.vectors_compared == 300
    assert result.mismatches > 0
    first = result.first_mismatch
    assert first is not None
    assert first.expected == stream.expected[first.cycle] != first.got
    assert first.operands["activation"] == stream.stimulus.activation[first.cycle].tolist()


def test_unknown_bits_are_a_mismatch(datapath: F.Datapath, unit: EmittedModule, stream: Stream) -> None:
    never_clears = unit.text.replace(".clear(clear)", ".clear(1'b0)")
    result = run(never_clears, unit.name, datapath, stream.stimulus, stream.expected)
    assert result.mismatches > 0
    assert result.first_mismatch is not None
    assert result.first_mismatch.got is None


def test_no_vectors_is_an_error(datapath: F.Datapath, unit: EmittedModule, stream: Stream) -> None:
    empty = Stimulus(stream.stimulus.activation[:0], stream.stimulus.weight[:0])
    with pytest.raises(F.ToolError, match="compared no vectors"):
        run(unit.text, unit.name, datapath, empty, stream.expected[:0])


def test_broken_verilog_shows_the_compiler_message(datapath: F.Datapath, unit: EmittedModule, stream: Stream) -> None:
    with pytest.raises(F.ToolError, match="syntax error"):
        run(unit.text.replace("endmodule", "", 1), unit.name, datapath, stream.stimulus, stream.expected)


def test_missing_simulator_says_how_to_get_it(
    datapath: F.Datapath, unit: EmittedModule, stream: Stream, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(F.ToolError, match="apt install iverilog"):
        run(unit.text, unit.name, datapath, stream.stimulus, stream.expected)


def test_stimulus_that_does_not_fit_is_refused(datapath: F.Datapath, unit: EmittedModule, stream: Stream) -> None:
    too_wide = dataclasses.replace(stream.stimulus, weight=stream.stimulus.weight | np.uint64(64))
    with pytest.raises(F.ConfigError, match="stimulus weight"):
        run(unit.text, unit.name, datapath, too_wide, stream.expected)
    uncleared = dataclasses.replace(stream.stimulus, clear=np.zeros(300, dtype=bool))
    with pytest.raises(F.ConfigError, match="first stimulus cycle"):
        run(unit.text, unit.name, datapath, uncleared, stream.expected)
    with pytest.raises(F.ConfigError, match="299 expected registers"):
        run(unit.text, unit.name, datapath, stream.stimulus, stream.expected[:299])
