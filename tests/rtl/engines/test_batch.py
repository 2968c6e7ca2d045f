"""The batch engines agree with cocotb's on what is right, on what is wrong, and on where."""

import dataclasses

import numpy as np
import pytest

import densimeter.formats as F
from densimeter.rtl.emit import emit
from densimeter.rtl.engines import batch
from densimeter.rtl.engines.batch import find_verilator
from densimeter.rtl.simulate import Delay, Design, Engine, run, simulation
from support.unit_streams import draw_stream

pytestmark = pytest.mark.rtl


@pytest.fixture(params=["icarus", "verilator"])
def engine(request: pytest.FixtureRequest) -> Engine:
    if request.param == "verilator":
        try:
            find_verilator()
        except F.ToolError as missing:
            pytest.skip(str(missing))
    engine: Engine = request.param
    return engine


@pytest.mark.parametrize(("name", "accumulator"), [("mxint8", "aligned32"), ("nvfp4", "fp32")])
def test_right_and_faulty_units(engine: Engine, name: str, accumulator: str) -> None:
    datapath = F.derive(F.get(name), F.get(name), 4, accumulator)
    unit, stream = emit(datapath), draw_stream(datapath, 300)
    arguments = datapath, stream.stimulus, stream.expected, stream.invalid
    right = run(unit.text, unit.name, *arguments, engine=engine)
    assert (right.vectors_compared, right.mismatches, right.first_mismatch) == (300, 0, None)
    faulty = unit.text.replace("activation[lane*", "~activation[lane*")
    assert faulty != unit.text
    assert run(faulty, unit.name, *arguments, engine=engine) == run(faulty, unit.name, *arguments)


@pytest.mark.parametrize("name", ["mxfp4", "bfp6"])
def test_no_optimiser_of_verilator_changes_what_a_unit_does(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        find_verilator()
    except F.ToolError as missing:
        pytest.skip(str(missing))
    monkeypatch.setattr(batch, "_TRUSTED", [])
    datapath = F.derive(F.get(name), F.get(name), 4, "fixed48:-24")
    unit, stream = emit(datapath), draw_stream(datapath, 300)
    arguments = datapath, stream.stimulus, stream.expected, stream.invalid
    assert run(unit.text, unit.name, *arguments, engine="verilator").mismatches == 0


def test_unknown_bits_are_a_mismatch() -> None:
    datapath = F.derive(F.get("int8"), F.get("int8"), 2, "int32")
    unit, stream = emit(datapath), draw_stream(datapath, 50)
    never_clears = unit.text.replace(".clear(clear)", ".clear(1'b0)")
    result = run(never_clears, unit.name, datapath, stream.stimulus, stream.expected, engine="icarus")
    assert result.mismatches == 50
    assert result.first_mismatch is not None
    assert result.first_mismatch.got is None


def test_a_run_that_ends_early_is_an_error() -> None:
    datapath = F.derive(F.get("int8"), F.get("int8"), 2, "int32")
    unit, stream = emit(datapath), draw_stream(datapath, 50)
    stops = unit.text.replace("endmodule", "    initial #100 $finish;\nendmodule", 1)
    with pytest.raises(F.ToolError, match="ended without a report"):
        run(stops, unit.name, datapath, stream.stimulus, stream.expected, engine="icarus")


def test_one_build_runs_several_streams() -> None:
    datapath = F.derive(F.get("int8"), F.get("int8"), 2, "int32")
    unit = emit(datapath)
    with simulation(Design(unit.text, unit.name), datapath, "icarus") as built:
        for seed in (0, 1):
            stream = draw_stream(datapath, 100, seed)
            assert built.run(stream.stimulus, stream.expected).mismatches == 0


@pytest.mark.parametrize("which", ["cocotb", "icarus"])
@pytest.mark.parametrize("stalls", [False, True])
def test_a_pipelined_unit_is_compared_later(which: Engine, stalls: bool) -> None:
    datapath = F.derive(F.get("int8"), F.get("int8"), 2, "int32")
    unit, stream = emit(datapath), draw_stream(datapath, 200)
    # Without stalls a bubble travels with the data; with them the same enable holds both stages.
    when, enable = ("if (en) ", "en") if stalls else ("", "q_en")
    wrapper = f"""
module pipelined (input clk, input en, input clear, input [15:0] activation, input [15:0] weight,
                  output [31:0] accumulator);
    reg q_en, q_clear; reg [15:0] q_activation, q_weight;
    always @(posedge clk) {when}{{q_en, q_clear, q_activation, q_weight}} <= {{en, clear, activation, weight}};
    {unit.name} unit (.clk(clk), .en({enable}), .clear(q_clear), .activation(q_activation), .weight(q_weight),
                      .accumulator(accumulator));
endmodule
"""
    design = Design(unit.text + wrapper, "pipelined", delay=Delay(1, stalls=stalls))
    with simulation(design, datapath, which) as built:
        result = built.run(stream.stimulus, stream.expected)
    assert result.vectors_compared >= 199
    assert result.mismatches == 0, result.first_mismatch
    undelayed = dataclasses.replace(design, delay=Delay())
    with simulation(undelayed, datapath, which) as built:
        assert built.run(stream.stimulus, stream.expected).mismatches > 0


def test_unknown_engine_is_refused() -> None:
    datapath = F.derive(F.get("int8"), F.get("int8"), 2, "int32")
    unit, stream = emit(datapath), draw_stream(datapath, 2)
    with pytest.raises(F.ConfigError, match="engine is 'vcs'"):
        run(unit.text, unit.name, datapath, stream.stimulus, np.zeros(2), engine="vcs")  # type: ignore[arg-type]
