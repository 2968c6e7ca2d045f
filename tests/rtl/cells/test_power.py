"""Energy of gates: circuits small enough for a pencil, to the last digit, and what must hold for any circuit."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import densimeter.formats as F
from densimeter.formats.errors import ConfigError, ToolError
from densimeter.rtl.cells.activity import without_glitches
from densimeter.rtl.cells.electrical import Electrical, annotate
from densimeter.rtl.cells.gate_simulation import simulate
from densimeter.rtl.cells.liberty import Library, find_library
from densimeter.rtl.cells.netlist import mapped_netlist
from densimeter.rtl.cells.power import EnergyParts, energy, leakage_nw
from densimeter.rtl.cells.standard_cell import Table, standard_cell
from densimeter.rtl.comparison import Delay, vectors
from densimeter.rtl.emit import emit
from support.tiny_library import TINY_LIBRARY
from support.unit_streams import draw_stream

pytestmark = pytest.mark.rtl

NAND = "module top (input clk, input a, input b, output reg q); always @(posedge clk) q <= ~(a & b); endmodule"
GLITCH = "module top (input clk, input a, output reg q); wire d; always @(posedge clk) q <= ~(a & d); {}endmodule"
Words = dict[str, NDArray[np.uint8]]


@pytest.fixture
def tiny(tmp_path: Path) -> Library:
    path = tmp_path / "tiny.lib"
    path.write_text(TINY_LIBRARY)
    return find_library(path)


@pytest.fixture
def nand(tiny: Library) -> Electrical:
    return annotate(mapped_netlist(NAND, "top", "star", tiny), tiny)


def bits(**ports: str) -> Words:
    return {name: np.array([[int(bit)] for bit in text], np.uint8) for name, text in ports.items()}


def energies(circuit: Electrical, words: Words, voltage_v: float = 2.0) -> tuple[EnergyParts, EnergyParts]:
    """With the cells' delays, and without glitches."""
    simulated = simulate(circuit, words)
    settled = without_glitches(circuit, simulated.settled)
    return energy(circuit, simulated.activity, voltage_v), energy(circuit, settled, voltage_v)


def test_energy_of_a_nand_and_a_flip_flop(nand: Electrical) -> None:
    # Operand a falls and rises once in four cycles, so the NAND's output, which is D, and Q rise and fall once each.
    delayed, settled = energies(nand, bits(a="1101", b="1111"))
    nand_output, flip_flop_output, flip_flop_data = 2 + 1, 9 + 8, 2 + 1
    half_c_v2 = 0.5 * 1 * 2**2
    assert delayed.internal_fj == settled.internal_fj == (nand_output + flip_flop_output + flip_flop_data) / 4
    assert delayed.switching_fj == settled.switching_fj == 2 * half_c_v2 / 4  # D; nothing stands on Q
    assert delayed.input_fj == settled.input_fj == 2 * half_c_v2 / 4  # a
    # Two of four rising edges find D = Q (5 fJ), two do not (0 fJ). At two falling edges D will be taken next (4 fJ).
    assert settled.clock_fj == (2 * 5 + 2 * 0 + 2 * 3 + 2 * 4 + 8 * half_c_v2) / 4
    # With delays D changes after 65 + 30 ps of a period of 104 ps, behind the falling edge, which then finds D = Q.
    assert delayed.clock_fj == (2 * 5 + 2 * 0 + 4 * 3 + 8 * half_c_v2) / 4
    assert delayed.total_fj == delayed.internal_fj + delayed.switching_fj + delayed.input_fj + delayed.clock_fj


def test_leakage_is_the_mean_over_the_states(nand: Electrical) -> None:
    assert leakage_nw(nand) == 20 + (70 + 50) / 2


def test_without_activity_the_clock_alone_uses_energy(nand: Electrical) -> None:
    for parts in energies(nand, bits(a="1111", b="0000")):
        assert parts == EnergyParts(0, 0, 0, clock_fj=5 + 3 + 2 * 0.5 * 1 * 2**2)


def test_a_stream_twice_uses_the_same_energy_a_cycle(nand: Electrical) -> None:
    once, twice = (energies(nand, bits(a=times * "01101001", b=times * "11010111"))[1] for times in (1, 2))
    assert twice.switching_fj == once.switching_fj
    assert twice.input_fj == once.input_fj
    assert twice.internal_fj == pytest.approx(once.internal_fj, rel=0.2)  # one change of Q more


def test_a_glitch_is_counted_and_told_apart(tiny: Library) -> None:
    """a & ~a, which three inverters delay: every rise of a makes a pulse that logic without delays never sees."""
    chain = "INVX1 i0 (.A(a), .Y(x)); INVX1 i1 (.A(x), .Y(y)); INVX1 i2 (.A(y), .Y(d));"
    cells = "(* blackbox *) module INVX1 (input A, output Y); endmodule\n"
    design = cells + GLITCH.format(f"wire x, y; (* keep *) {chain.replace('INVX1 i', '(* keep *) INVX1 i')} ")
    circuit = annotate(mapped_netlist(design, "top", "star", tiny), tiny)
    words = bits(a="01010101")
    activity = simulate(circuit, words).activity
    delayed, settled = energies(circuit, words)
    (nand_gate,) = [name for name, found in circuit.netlist.instances.items() if found.cell == "NAND2X1"]
    assert activity.cells[nand_gate].outputs["Y"] == (4, 4)
    assert settled.switching_fj == 3 * 0.5 * 1 * 2**2  # every cycle all three inverters, and not the NAND
    assert delayed.switching_fj == settled.switching_fj + 0.5 * 2 * 0.5 * 1 * 2**2
    assert delayed.internal_fj > settled.internal_fj


def test_switching_energy_goes_with_the_square_of_the_voltage(nand: Electrical) -> None:
    low, high = (energies(nand, bits(a="1101", b="1111"), voltage_v)[0] for voltage_v in (1.0, 3.0))
    assert (high.switching_fj, high.input_fj) == (9 * low.switching_fj, 9 * low.input_fj)
    assert high.internal_fj == low.internal_fj


def test_loads_slews_and_delays_of_the_two_cells(nand: Electrical) -> None:
    assert nand.loads_ff == dict.fromkeys(nand.loads_ff, 1.0)
    assert set(nand.slews_ns.values()) == {0.001}
    assert set(nand.delays_ns.values()) == {(0.030, 0.020), (0.060, 0.070)}
    assert nand.launch_ns == (0.060 + 0.070) / 2
    assert nand.longest_path_ns == pytest.approx(0.065 + 0.030)


def test_tables_are_bilinear_and_go_on_in_straight_lines() -> None:
    table = Table((1.0, 3.0), (10.0, 20.0), ((1.0, 2.0), (5.0, 10.0)))
    assert table.at(1, 10) == 1
    assert table.at(3, 20) == 10
    assert table.at(2, 15) == (1 + 2 + 5 + 10) / 4
    assert table.at(1, 0) == 0
    assert table.at(5, 10) == 9
    assert Table((0.0,), (0.0,), ((7.0,),)).at(3, 50) == 7


def test_tables_of_either_order_of_axes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "tiny.lib"
    slews, loads, rows = 'index_1 ("1, 2, 3")', 'index_2 ("4, 5, 6")', ["1, 2, 3", "4, 5, 6", "7, 8, 9"]
    table = f'{slews}; {loads}; values ("{rows[0]}", "{rows[1]}", "{rows[2]}");'
    values = TINY_LIBRARY.replace("cell (INVX1) {", "cell (INVX1) { ")
    inverter = values[values.index("cell (INVX1)") : values.index("cell (NAND2X1)")]
    first = inverter.index("rise_power (p3x3) {") + len("rise_power (p3x3) {")
    changed = inverter[:first] + table + inverter[inverter.index("}", first) :]
    path.write_text(values.replace(inverter, changed))
    by_slew = standard_cell(find_library(path), "INVX1").pins["Y"].energies[0].edges.rise
    assert by_slew.at(0.002, 6) == 6
    header = "variable_1 : input_transition_time; variable_2 : total_output_net_capacitance"
    swapped = "variable_1 : total_output_net_capacitance; variable_2 : input_transition_time"
    path.write_text(values.replace(inverter, changed).replace(header, swapped))
    by_load = standard_cell(find_library(path), "INVX1").pins["Y"].energies[0].edges.rise
    assert by_load.at(0.006, 2) == 6


def test_registers_of_a_simulated_netlist_are_those_of_the_reference(tiny: Library) -> None:
    datapath = F.derive(F.get("int8"), F.get("int8"), 1, "int32")
    module, stream = emit(datapath), draw_stream(datapath, 200)
    given = vectors(datapath, stream.stimulus, stream.expected, stream.invalid, Delay())
    circuit = annotate(mapped_netlist(module.text, module.name, "booth", tiny), tiny)
    simulated = simulate(circuit, given.words)
    assert simulated.outputs["accumulator"] == stream.expected.tolist()


def test_words_that_do_not_fit_the_ports_are_refused(nand: Electrical) -> None:
    with pytest.raises(ConfigError, match="words for a; expected as many for each of a, b"):
        simulate(nand, bits(a="0101"))
    with pytest.raises(ConfigError, match="words for a, b"):
        simulate(nand, bits(a="0101", b="01"))


def test_a_register_that_nothing_ever_sets_is_an_error(tiny: Library) -> None:
    design = "module top (input clk, input a, output reg q); always @(posedge clk) q <= ~(a & q); endmodule"
    circuit = annotate(mapped_netlist(design, "top", "star", tiny), tiny)
    with pytest.raises(ToolError, match="a net stayed unknown"):
        simulate(circuit, bits(a="1111"))


def test_a_library_without_conditions_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "tiny.lib"
    path.write_text(TINY_LIBRARY.replace("nom_voltage : 2;", "").replace('voltage_unit : "1V";', ""))
    with pytest.raises(ConfigError, match="no nom_voltage"):
        _ = find_library(path).voltage_v
    with pytest.raises(ConfigError, match="voltage_unit: missing"):
        _ = find_library(path).energy_unit_fj
