"""Pipelined units: where registers stand, and that they only delay: the same register, so many edges later."""

import re

import pytest

import densimeter.formats as F
from densimeter.rtl.emit import deepest_pipeline, emit, emit_loop
from densimeter.rtl.ports import Port
from densimeter.rtl.simulate import Delay, Design, Engine, SimulationResult, simulation
from densimeter.rtl.unit.pipeline import Step, best_cuts, last_piece, pipelined
from densimeter.simulator.rtl_regression import compare
from support.unit_streams import any_format, draw_stream

Unit = tuple[str, str, int, str]

STEPS = [
    Step("Multiply.", "wire [7:0] product;\nassign product = a * b;", 4),
    Step("Flag.", "wire zero = ~|product;", 0, cut="product"),
    Step("Add one.", "wire signed [8:0] sum = product + 1;", 3, cut="sum"),
    Step(None, "wire [8:0] size = sum;", 5, cut="size"),
    Step("Keep the product.", "keep kept (.clk(clk), .product(size), .zero(zero), .en(en));", 6),
]
INPUTS = [Port("clk", "input", 1, ""), Port("en", "input", 1, ""), Port("a", "input", 4, ""), Port("b", "input", 4, "")]


@pytest.mark.parametrize(
    ("number", "cuts", "longest"),
    [
        (0, (), 4 + 3 + 5 + 6),
        (1, ("sum",), 5 + 6),
        (2, ("sum", "size"), 4 + 3),
        (3, ("product", "sum", "size"), 6),
    ],
)
def test_cuts_leave_the_shortest_longest_piece(number: int, cuts: tuple[str, ...], longest: int) -> None:
    assert best_cuts(STEPS, number) == cuts
    pieces = [0.0]
    for step in STEPS:
        pieces[-1] += step.levels
        if step.cut in cuts:
            pieces.append(0)
    assert max(pieces) == longest


def test_there_are_only_so_many_places() -> None:
    with pytest.raises(F.ConfigError, match=r"pipeline is 4, expected 0 to 3: .* after product, sum, size"):
        best_cuts(STEPS, 4)
    with pytest.raises(F.ConfigError, match="pipeline is -1, expected 0 to 2"):
        emit(_unit(("int8", "int8", 1, "int32")), -1)


def test_what_crosses_a_cut_goes_through_a_register() -> None:
    text = pipelined(STEPS, INPUTS, ("product", "size"))
    first, second = re.findall(r"// Registers.*?end\n", text, re.DOTALL)
    # `product` is read by the next step, `zero` and `en` by the last one: they pass both cuts.
    assert re.findall(r"(\w+) <= (\w+);", first) == [("en_1", "en"), ("product_1", "product"), ("zero_1", "zero")]
    assert re.findall(r"(\w+) <= (\w+);", second) == [("en_2", "en_1"), ("zero_2", "zero_1"), ("size_2", "size")]
    assert "reg [7:0] product_1;" in first
    assert "reg en_1;" in first
    assert "= product_1 + 1;" in text
    # Ports of that name and comments stay as they are.
    assert "// Keep the product.\nkeep kept (.clk(clk), .product(size_2), .zero(zero_2), .en(en_2));" in text


def test_the_last_piece_stands_alone() -> None:
    ports, text = last_piece(STEPS, INPUTS)
    assert [(port.name, port.bits) for port in ports] == [("en", 1), ("zero", 1), ("size", 9)]
    assert text == f"// Keep the product.\n{STEPS[-1].text}\n"


def _unit(unit: Unit) -> F.Datapath:
    activation, weight, lanes, accumulator = unit
    return F.derive(any_format(activation), any_format(weight), lanes, accumulator)


def test_no_stages_is_the_plain_unit() -> None:
    datapath = _unit(("bfp6", "bfp6", 16, "fp32"))
    assert emit(datapath, 0) == emit(datapath)
    assert "_p0" not in emit(datapath).name


def test_the_header_states_latency_and_places() -> None:
    emitted = emit(_unit(("bfp6", "bfp6", 16, "fp32")), 3)
    header = emitted.text[: emitted.text.index("\nmodule")]
    assert emitted.name.endswith("_x16_fp32_p3")
    assert "latency:     4 cycles" in header
    assert "in the register 3 edges later" in header
    assert "registers after partial sums, coarsely normalised magnitude, rounded" in header
    assert max(map(len, header.splitlines())) <= 120


def test_deepest_pipelines() -> None:
    # Products, partial sums, sum, magnitude, coarse magnitude, rounded.
    assert deepest_pipeline(_unit(("mxfp8_e4m3", "mxfp8_e4m3", 16, "fp32"))) == 6
    # A product of normalised significands has at most one leading zero: products, rounded.
    assert deepest_pipeline(_unit(("float32_ftz", "float32_ftz", 1, "fp32_ftz"))) == 2
    # Three lanes are not divided in two equal parts.
    assert deepest_pipeline(_unit(("int8", "int8", 3, "int32"))) == 2


UNITS = [
    ("int8", "int8", 16, "int32"),
    ("bfp6", "bfp6", 16, "fp32"),
    ("bfp6", "bfp4", 16, "fixed48:-24"),
    ("bfp6", "bfp6", 16, "aligned24"),
    ("mxfp8_e4m3", "mxfp8_e5m2", 16, "fp32"),
    ("mxfp8_e5m2", "mxfp8_e5m2", 8, "fixed48:-20"),
    ("float32", "float32", 1, "fp32"),
    ("float32_ftz", "float32_ftz", 1, "fp32_ftz"),
    ("nvfp4", "nvfp4", 16, "fixed40:-20"),
    ("gguf_q4_0", "gguf_q4_0", 32, "aligned48"),
    ("mx6", "mx6", 16, "fp32"),
]
MORE_UNITS = [
    ("int8", "int8", 3, "aligned18"),
    ("nvfp4", "nvfp4", 8, "aligned32"),
    ("bl8", "bl8", 16, "fp32"),
    ("e4m3", "e4m3", 1, "fp32"),
    ("mxint8", "bfp5", 16, "aligned32"),
    ("mxint8", "mxint8", 32, "fp32_ftz"),
    ("kquant3", "mxint8", 8, "aligned48"),
    ("gguf_q5_0", "gguf_q8_0", 16, "fp32"),
    ("{element: e3m1, block: 24, scale: e8m0}", "{element: e3m1, block: 24, scale: e8m0}", 24, "fixed32:-10"),
    ("{element: {kind: log, exponent_bits: 5, bias: 10}}", "e4m3", 1, "fp32"),
    ("e2m3_fnuz", "e3m2_fnuz", 16, "fixed40:-12"),
]


def _simulate(unit: Unit, stages: int, cycles: int, engine: Engine = "icarus") -> SimulationResult:
    datapath = _unit(unit)
    emitted, stream = emit(datapath, stages), draw_stream(datapath, cycles)
    with simulation(Design(emitted.text, emitted.name, delay=Delay(stages)), datapath, engine) as built:
        return built.run(stream.stimulus, stream.expected, stream.invalid)


@pytest.mark.rtl
@pytest.mark.parametrize("unit", UNITS)
def test_every_depth_equals_the_reference(unit: Unit) -> None:
    for stages in range(1, deepest_pipeline(_unit(unit)) + 1):
        result = _simulate(unit, stages, cycles=400)
        assert (result.vectors_compared, result.mismatches) == (400, 0), (stages, result.first_mismatch)


@pytest.mark.slow
@pytest.mark.rtl
@pytest.mark.parametrize("unit", [*UNITS, *MORE_UNITS])
def test_every_depth_equals_the_reference_at_length(unit: Unit) -> None:
    for stages in range(1, deepest_pipeline(_unit(unit)) + 1):
        result = _simulate(unit, stages, cycles=5000)
        assert (result.vectors_compared, result.mismatches) == (5000, 0), (stages, result.first_mismatch)


@pytest.mark.rtl
def test_the_regression_covers_every_corner_of_a_pipelined_unit() -> None:
    regression = compare(_unit(("bfp4", "bfp4", 4, "fp32")), random_vectors=200, pipeline=2)
    assert regression.passed
    assert regression.missed == []
    assert regression.to_json()["pipeline"] == 2
    assert regression.name.endswith("_p2")


FIXED: Unit = ("bfp4", "bfp4", 4, "fixed32:-12")
BLOCK: Unit = ("mxfp4", "mxint8", 4, "fp32")
INVALID: Unit = ("mxfp8_e5m2", "mxfp8_e5m2", 4, "fixed48:-20")


@pytest.mark.rtl
@pytest.mark.parametrize(
    ("unit", "right", "wrong"),
    [
        # Flags and enables that do not travel with their group, data that arrives early.
        (FIXED, ".en(en_4)", ".en(en_3)"),
        (FIXED, ".clear(clear_4)", ".clear(clear_3)"),
        (FIXED, "en_1 <= en;", "en_1 <= 1'b1;"),
        (INVALID, "nan_3 <= nan_2;", "nan_3 <= nan_1;"),
        (BLOCK, "exponent_code_3 <= exponent_code_2;", "exponent_code_3 <= exponent_code_1;"),
        (BLOCK, "group_negative_5 <= group_negative_4;", "group_negative_5 <= group_negative;"),
        # What only pipelined units are made of.
        (BLOCK, "~amount, 1'b0}", "amount, 1'b0}"),
        (BLOCK, "k >= 1; k = k - 1", "k >= 2; k = k - 1"),
        (FIXED, "wide <<< distance", "wide <<< (distance + 1)"),
        (FIXED, "(too_far && sum != 0)", "1'b0"),
        (FIXED, "out_of_reach ? below_zero", "out_of_reach ? ~below_zero"),
        (INVALID, "accumulator <= kept", "accumulator <= previous"),
    ],
)
def test_planted_fault_is_caught(unit: Unit, right: str, wrong: str) -> None:
    datapath = _unit(unit)
    stages = deepest_pipeline(datapath)
    emitted = emit(datapath, stages)
    assert emitted.text.count(right) >= 1
    faulty = Design(emitted.text.replace(right, wrong), emitted.name, delay=Delay(stages))
    regression = compare(datapath, random_vectors=300, engine="icarus", own=(emitted.name, faulty))
    assert regression.result.vectors_compared > 300
    assert not regression.passed


@pytest.mark.rtl
def test_another_latency_than_the_stated_one_is_a_mismatch() -> None:
    datapath = _unit(("int8", "int8", 16, "int32"))
    emitted, stream = emit(datapath, 2), draw_stream(datapath, 100)
    for cycles, equal in ((1, False), (2, True), (3, False)):
        with simulation(Design(emitted.text, emitted.name, delay=Delay(cycles)), datapath, "icarus") as built:
            assert (built.run(stream.stimulus, stream.expected).mismatches == 0) == equal


def test_the_accumulator_alone_has_the_ports_of_the_last_cut() -> None:
    emitted = emit_loop(_unit(("bfp6", "bfp6", 16, "aligned24")))
    ports = re.findall(r"(?:input|output) +wire +(?:\[\d+:0\])? *(\w+)", emitted.text)[:6]
    assert ports == ["clk", "en", "clear", "exponent_code", "sum", "accumulator"]
    assert "dm_multiply" not in emitted.text
