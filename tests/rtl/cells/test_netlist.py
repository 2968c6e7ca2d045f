"""Netlists: what synthesis counted computes what was designed, in every flow, and a fault in one does not pass."""

import re

import pytest

import densimeter.formats as F
from densimeter.formats.errors import ConfigError, ToolError
from densimeter.rtl.cells.liberty import Library, find_library
from densimeter.rtl.cells.netlist import cell_netlist, lut_netlist, mapped_netlist
from densimeter.rtl.emit import emit
from densimeter.rtl.simulate import SimulationResult, run
from densimeter.rtl.synthesize import CELL_FLOWS, LUT_FLOWS, Flow
from support.tiny_library import TINY_LIBRARY
from support.unit_streams import any_format, draw_stream

pytestmark = pytest.mark.rtl

Unit = tuple[str, int, str]
"""Format, lanes, accumulator."""

INT8: Unit = ("int8", 1, "int32")
BFP4: Unit = ("bfp4", 16, "fp32")
UNITS: list[Unit] = [
    INT8,
    ("bfp6", 16, "fixed48:-24"),
    ("bfp6", 16, "aligned24"),
    BFP4,
    ("mxfp4", 16, "fp32"),
    ("nvfp4", 16, "fp32"),
    ("e4m3", 1, "fp32"),
]
DEFAULT = {(INT8, "carry_booth"), (BFP4, "carry")}
"""Synthesis for LUTs takes from five seconds on, so that most pairs of unit and flow are left to the slow set."""


@pytest.fixture
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Library:
    path = tmp_path_factory.mktemp("library") / "tiny.lib"
    path.write_text(TINY_LIBRARY)
    return find_library(path)


@pytest.fixture
def nangate45() -> Library:
    library = find_library("nangate45")
    if library.path is None:
        pytest.skip(f"nangate45 is not installed: {library.how_to_get}")
    return library


def simulated(unit: Unit, netlist: str, cycles: int = 300) -> SimulationResult:
    datapath = derived(unit)
    stream = draw_stream(datapath, cycles)
    return run(netlist, emit(datapath).name, datapath, stream.stimulus, stream.expected, stream.invalid)


def derived(unit: Unit) -> F.Datapath:
    written, lanes, accumulator = unit
    return F.derive(any_format(written), any_format(written), lanes, accumulator)


def luts(unit: Unit, flow: Flow) -> str:
    module = emit(derived(unit))
    return lut_netlist(module.text, module.name, flow)


def cells(unit: Unit, flow: Flow, library: Library) -> str:
    module = emit(derived(unit))
    return cell_netlist(module.text, module.name, flow, library)


@pytest.mark.parametrize(
    ("unit", "flow"),
    [
        pytest.param(unit, flow, marks=[] if (unit, flow) in DEFAULT else pytest.mark.slow)
        for unit in UNITS
        for flow in LUT_FLOWS
    ],
    ids=str,
)
def test_luts_show_the_registers_of_the_design(unit: Unit, flow: Flow) -> None:
    result = simulated(unit, luts(unit, flow))
    assert result.vectors_compared == 300
    assert result.mismatches == 0, result.first_mismatch


@pytest.mark.parametrize(
    ("unit", "flow"),
    [
        pytest.param(unit, flow, marks=[] if unit in (INT8, BFP4) else pytest.mark.slow)
        for unit in UNITS
        for flow in CELL_FLOWS
    ],
    ids=str,
)
def test_cells_show_the_registers_of_the_design(unit: Unit, flow: Flow, nangate45: Library) -> None:
    result = simulated(unit, cells(unit, flow, nangate45))
    assert result.vectors_compared == 300
    assert result.mismatches == 0, result.first_mismatch


def test_three_kinds_of_gate_and_a_flip_flop_make_a_unit(tiny: Library) -> None:
    netlist = cells(INT8, "star", tiny)
    assert set(re.findall(r"^module (\w+)", netlist, re.MULTILINE)) - {"INVX1", "NAND2X1", "BUFX1", "DFFX1"} == {
        emit(derived(INT8)).name
    }
    assert simulated(INT8, netlist).mismatches == 0


def test_a_fault_in_a_netlist_is_found(tiny: Library) -> None:
    netlist = cells(INT8, "star", tiny)
    data_nets = re.findall(r"DFFX1 u\d+ \(.*?\.D\((n\d+)\)", netlist)
    assert len(data_nets) == 32
    for net in data_nets[::15]:
        (gate,) = re.findall(rf"\S+ u\d+ \(.*\.Y\({net}\)\);", netlist)
        stuck = re.sub(r"\.A\(n\d+\)", ".A(1'b0)", gate)
        assert simulated(INT8, netlist.replace(gate, stuck)).mismatches > 0


def test_a_fault_in_a_model_is_found(tiny: Library) -> None:
    netlist = cells(INT8, "star", tiny)
    assert netlist.count("assign Y = ~(A & B);") == 1
    assert simulated(INT8, netlist.replace("~(A & B)", "~(A | B)")).mismatches > 0


def test_a_netlist_has_the_ports_and_cells_that_were_counted(tiny: Library) -> None:
    design = "module top (input clk, input a, input b, output reg q); always @(posedge clk) q <= ~(a & b); endmodule"
    netlist = mapped_netlist(design, "top", "star", tiny)
    assert {name: port.direction for name, port in netlist.ports.items()} == {
        "clk": "input",
        "a": "input",
        "b": "input",
        "q": "output",
    }
    assert sorted(instance.cell for instance in netlist.instances.values()) == ["DFFX1", "NAND2X1"]


def test_flows_of_the_other_target_are_refused(tiny: Library) -> None:
    with pytest.raises(ConfigError, match="cells are made by star, booth"):
        cells(INT8, "carry", tiny)


def test_a_cell_that_simulation_does_not_know_is_named(tiny: Library) -> None:
    with_clear = TINY_LIBRARY.replace('clocked_on : "CK";', 'clocked_on : "CK"; clear : "D";')
    assert tiny.path is not None
    tiny.path.write_text(with_clear)
    with pytest.raises(ToolError, match="expected logic or a flip-flop without preset and clear"):
        cells(INT8, "star", find_library(tiny.path))
