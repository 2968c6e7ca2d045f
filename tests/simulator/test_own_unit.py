"""A user's own Verilog under `densimeter rtl test --dut`: it is compared, and mistakes in the map are pointed at."""

import re
from pathlib import Path

import pytest

from support.command import Densimeter

pytestmark = pytest.mark.rtl

UNIT = """\
module mac #(parameter LANES = 2) (
    input clock, input rst, input stall, input first, input [8*LANES-1:0] a, input [8*LANES-1:0] b,
    output reg [31:0] acc
);
    reg signed [31:0] sum, next_sum;
    reg first_q, valid;
    integer i;
    always @* begin
        next_sum = 0;
        for (i = 0; i < LANES; i = i + 1) next_sum = next_sum + $signed(a[8*i +: 8]) * $signed(b[8*i +: 8]);
    end
    always @(posedge clock) begin
        valid <= ~stall & ~rst;
        {first_q, sum} <= {first, next_sum};
        if (valid) acc <= (first_q ? 0 : acc) + sum;
    end
endmodule
"""
MAP = """\
ports:
  clk: clock
  en: {port: stall, invert: true}
  clear: first
  activation: {port: a, lanes: reversed}
  weight: {port: b, lanes: reversed}
  accumulator: acc
constants: {rst: 0}
latency: 1
parameters: {LANES: 4}
"""
MISTAKES = [
    ("clear: first", "claer: first", r"map\.yaml:4: ports\.claer: the unit has no such port; did you mean 'clear'\?"),
    ("accumulator: acc", "accumulator: accu", r"map\.yaml:7: ports\.accumulator: 'accu': mac has no such port"),
    ("LANES: 4", "LANES: 3", r"map\.yaml:5: ports\.activation: 'a': input of 24 bits in mac, expected input of 32"),
    ("LANES: 4", "LANE: 4", "mac has no parameter LANE"),
    ("constants: {rst: 0}", "constants: {}", r"map\.yaml:8: constants: input 'rst' of mac is driven by nothing"),
    ("rst: 0", "rst: 2", r"map\.yaml:8: constants\.rst: 2: expected at most 1 bits"),
    ("invert: true", "invrt: true", r"map\.yaml:3: ports\.en.*invrt: unknown key"),
    ("clk: clock", "clk: null", r"map\.yaml:2: ports\.clk: null, expected the name of a port"),
]


def _arguments(folder: Path, unit: str = UNIT, ports: str = MAP) -> list[object]:
    (folder / "mac.v").write_text(unit, encoding="utf-8")
    (folder / "map.yaml").write_text(ports, encoding="utf-8")
    command = ["rtl", "test", "-a", "int8", "-l", "4", "-c", "int32", "--engine", "icarus"]
    return [*command, "--dut", folder / "mac.v", "--ports", folder / "map.yaml", "--top"]


def test_a_right_unit_is_equal(densimeter: Densimeter, tmp_path: Path) -> None:
    outcome = densimeter(*_arguments(tmp_path), "mac", "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["module"] == "mac"
    assert outcome.json["mismatches"] == 0
    assert outcome.json["coverage"]["missed"] == []


def test_a_wrong_unit_is_found(densimeter: Densimeter, tmp_path: Path) -> None:
    outcome = densimeter(*_arguments(tmp_path, UNIT.replace("first_q ? 0 : acc", "acc")), "mac", "--json")
    assert outcome.code == 1
    assert outcome.json["mismatches"] > 0


@pytest.mark.parametrize(("right", "wrong", "message"), MISTAKES)
def test_a_mistake_in_the_map_is_pointed_at(
    densimeter: Densimeter, tmp_path: Path, right: str, wrong: str, message: str
) -> None:
    assert MAP.count(right) == 1
    outcome = densimeter(*_arguments(tmp_path, ports=MAP.replace(right, wrong)), "mac")
    assert outcome.code == 2
    assert re.search(message, outcome.err), outcome.err


def test_unknown_top_missing_file_and_broken_verilog(densimeter: Densimeter, tmp_path: Path) -> None:
    unknown = densimeter(*_arguments(tmp_path), "mak")
    assert (unknown.code, "--top mak: no such module" in unknown.err) == (2, True)
    missing = densimeter("rtl", "test", "-a", "int8", "--dut", tmp_path / "none.v", "--top", "mac")
    assert (missing.code, "no such file" in missing.err) == (2, True)
    broken = densimeter(*_arguments(tmp_path, UNIT.replace("endmodule", "")), "mac")
    assert (broken.code, "mac.v:" in broken.err) == (2, True)
    alone = densimeter("rtl", "test", "-a", "int8", "--top", "mac")
    assert (alone.code, "expected --dut FILE --top NAME" in alone.err) == (2, True)
