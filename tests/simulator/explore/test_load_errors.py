"""What a mistake in a sweep looks like: file, line, path, value, expectation, and the nearest name."""

import re
from pathlib import Path

import pytest

from densimeter.formats import ConfigError
from densimeter.simulator.explore.load import explore, load
from densimeter.simulator.schema.document import parse

GOOD = """\
name: good
design:
  format: bfp6
  lanes: 16
  accumulator: aligned24
  array: {rows: 32, cols: 32}
  dram: {device: hbm2e}
  workload: {model: opt-125m, context: 64}
axes:
  array.rows: [8, 16]
  buffers.weight_kib: {range: [128, 512], step: 128}
constraints: [array.rows * lanes <= 4096, area_mm2 <= 100]
objectives: {tokens_per_s: max}
search: {method: grid}
"""


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        explore(parse(text, "my.yaml"))
    return str(caught.value).split("\n")


def test_the_good_one_is_good() -> None:
    assert explore(parse(GOOD, "my.yaml")).space.size == 2 * 4


ROWS = "array.rows: [8, 16]"
CONSTRAINT = "area_mm2 <= 100"
MISTAKES = [
    # Structure.
    ("name: good", "nam: good", "my.yaml:1: nam: unknown key; did you mean 'name'?"),
    ("name: good", "", "name: missing, expected a value"),
    ("name: good", "name: 5", "my.yaml:1: name: 5: expected a valid string"),
    ("grid", "gird", "my.yaml:14: search.method: 'gird': expected 'grid', 'random', 'nsga2' or 'tpe'"),
    ("grid", "random", "my.yaml:14: search: .*random without designs, expected how many of them to evaluate"),
    ("grid", "grid, designs: 0", "search.designs: 0: expected greater than or equal to 1"),
    ("grid}", "grid}\noutput: {keep: most}", "output.keep: 'most': expected all, front, or a number of rows"),
    ("{tokens_per_s: max}", "{}", "objectives: {}: expected at least 1 item"),
    (
        "max}",
        "max}\nscenarios: [array.row]",
        "scenarios[0]: 'array.row': nothing that varies; did you mean 'array.rows'?",
    ),
    ("max}", "max}\nscenarios: [lanes]", "my.yaml:14: scenarios[0]: 'lanes': nothing that varies; expected an axis"),
    (
        "max}\nsearch: {method: grid}",
        "max}\nscenarios: [array.rows]\nsearch: {method: tpe, designs: 4}",
        "scenarios: beside tpe, which looks for one front; expected them with grid or random",
    ),
    ("tokens_per_s: max", "tokens_per_s: most", "my.yaml:13: objectives.tokens_per_s: 'most': expected 'min' or 'max'"),
    (
        "tokens_per_s: max",
        "tokens_per_sec: max",
        "my.yaml:13: objectives.tokens_per_sec: .*did you mean 'tokens_per_s'?",
    ),
    (
        "tokens_per_s: max",
        "feasible: max",
        "objectives.feasible: no column of numbers in the results; expected one such",
    ),
    # Measures.
    ("max}", "max}\nmeasures: {good: area_mm3}", "measures.good: 'area_mm3': column 1: unknown name 'area_mm3'"),
    ("max}", "max}\nmeasures: {good: area_mm2 > 1}", "measures.good: 'area_mm2 > 1': .*expected a number"),
    ("max}", "max}\nmeasures: {area_mm2: lanes}", "measures.area_mm2: expected a name of one word, which no setting"),
    ("max}", "max}\nmeasures: {good: better, better: lanes}", "measures.good: 'better': column 1: unknown name"),
    ("tokens_per_s: max}", "god: max}\nmeasures: {good: lanes}", "objectives.god: .*did you mean 'good'?"),
    # The design.
    ("lanes: 16", "lans: 16", "my.yaml:4: design.lans: unknown key; did you mean 'lanes'?"),
    ("rows: 32, cols", "rows: 32, cls", "my.yaml:6: design.array.cls: unknown key; did you mean 'cols'?"),
    ("lanes: 16", "lanes: 5", "my.yaml:2: design: .*5 lanes do not divide the block of bfp6"),
    ("bfp6", "bfp66", "my.yaml:3: design.format: 'bfp66': no format is called 'bfp66'; did you mean 'bfp6'?"),
    ("opt-125m", "opt-126m", "my.yaml:8: design.workload: .*did you mean 'opt-125m'?"),
    ("hbm2e", "hbm2f", "my.yaml:7: design.dram: .*memory 'hbm2f' is not known, expected .*did you mean 'hbm2'?"),
    (
        "cols: 32",
        "cols: 4 KiB",
        "design.array.cols: '4 KiB': expected a valid integer, without a unit: the key's name says",
    ),
    # Paths and values of axes.
    (ROWS, "array.row: [8]", "my.yaml:10: axes.array.row: no setting of a design; did you mean 'array.rows'?"),
    ("buffers.weight_kib", "buffers.weight_kb", "axes.buffers.weight_kb: .*did you mean 'buffers.weight_kib'?"),
    (ROWS, "array.rows: [8, eight]", "my.yaml:10: axes.array.rows[1]: 'eight': expected a valid integer"),
    (ROWS, "array.rows: [8, 0]", "my.yaml:10: axes.array.rows[1]: 0: expected greater than or equal to 1"),
    (ROWS, "array.rows: [8, true]", "my.yaml:10: axes.array.rows[1]: True: expected a number"),
    (ROWS, "array.rows: [8, 8]", "my.yaml:10: axes.array.rows[1]: 8: the same as value 0, expected it once"),
    (ROWS, "array.rows: []", "my.yaml:10: axes.array.rows.*: []: expected at least 1 item"),
    (ROWS, "array.rows: 8", "my.yaml:10: axes.array.rows: 8: expected a list of values, or a mapping such as"),
    (ROWS, "array.rows: {rang: [1, 2]}", "axes.array.rows.rang: unknown key; did you mean 'range'?"),
    (ROWS, "array.rows: {when: lanes > 1}", "nothing given, expected exactly one of values, range, powers_of_two"),
    (ROWS, "array.rows: {values: [8], range: [1, 2]}", "values and range given, expected exactly one of"),
    (ROWS, "array.rows: {values: [8], step: 2}", "step beside values, expected it beside a range only"),
    (ROWS, "array.rows: {value: lanes, when: lanes > 1}", "when beside value, expected no condition"),
    (
        ROWS,
        "array.rows: {range: [16, 8]}",
        "my.yaml:10: axes.array.rows.range: [16, 8]: empty, expected a first number",
    ),
    (ROWS, "array.rows: {range: [8, 16], step: 0}", "axes.array.rows.range: step is 0, expected a number above 0"),
    (ROWS, "array.rows: {range: [1, 1000000]}", "axes.array.rows.range: 1000000 values, expected at most 100000"),
    (ROWS, "array.rows: {range: [1, 2], step: 0.5}", "axes.array.rows.range: 1.5: expected a valid integer"),
    (ROWS, "array.rows: {range: [1]}", "axes.array.rows.range: [1]: expected at least 2 items"),
    (
        ROWS,
        "array.rows: {range: [1, 9 mm]}",
        "axes.array.rows.range[1]: '9 mm': expected a finite number, without a unit",
    ),
    (ROWS, "array.rows: {powers_of_two: [5, 7]}", "axes.array.rows.powers_of_two: [5, 7]: empty"),
    (ROWS, "array.dataflow: {range: [1, 7]}", "array.dataflow is no number, expected a list of values"),
    (ROWS, "array.dataflow: [weight]", "axes.array.dataflow[0]: 'weight': expected 'weight_stationary', "),
    (ROWS, "format: [bfp66]", "axes.format[0]: 'bfp66': no format is called 'bfp66'; did you mean 'bfp6'?"),
    (ROWS, "format: [{element: e3m2, blok: 4}]", "axes.format[0]: .*format has no key 'blok'; did you mean 'block'?"),
    (ROWS, "dram: [{device: hbm2e, cout: 2}]", "axes.dram[0]: cout: .*"),
    # Values that are fine by themselves, and make no design with any of the others.
    (
        ROWS,
        "accumulator: [int32, fp32]",
        "axes.accumulator[0]: 'int32': makes no valid design: .*int32 cannot follow a",
    ),
    (ROWS, "lanes: [5, 16]", "axes.lanes[0]: 5: makes no valid design: .*5 lanes do not divide the block of bfp6"),
    (
        ROWS,
        "dram.device: [hbm9, hbm2]",
        "axes.dram.device[0]: 'hbm9': makes no valid design: memory 'hbm9' is not known",
    ),
    (
        ROWS,
        "workload.model: [opt-125]",
        "axes.workload.model: no value makes a valid design: no language model is called",
    ),
    (ROWS, "dram: [{device: hbm9}]", "axes.dram[0]: .*memory 'hbm9' is not known"),
    # What follows and what switches.
    (ROWS, "array.rows: {same_as: array.col}", "axes.array.rows.same_as: 'array.col': .*did you mean 'array.cols'?"),
    (ROWS, "array.rows: {same_as: format}", "axes.array.rows: what format is: 'bfp6': expected a valid integer"),
    (ROWS, "array.rows: {value: array.rows + 1}", "depends on itself (array.rows -> array.rows), expected no circle"),
    (
        ROWS,
        "array.rows: {value: format}",
        "axes.array.rows.value: 'format': column 1: format is a text, expected a number",
    ),
    (ROWS, "array.rows: {value: lanes / 32}", "axes.array.rows: lanes / 32: 0.5: expected a valid integer"),
    (ROWS, "array.rows: {values: [8], when: array.rows > 1}", "depends on itself (array.rows -> array.rows)"),
    (ROWS, "array.rows: {values: [8], when: area_mm2 > 1}", "axes.array.rows.when: .*unknown name 'area_mm2'"),
    (
        ROWS,
        "array.rows: {values: [8], when: lanes}",
        "axes.array.rows.when: 'lanes': column 1: lanes is a number, expected a c",
    ),
    ("format: bfp6", "activation: bfp6", "design.format: missing, expected a value"),
    # Choices.
    (
        ROWS,
        "p: {choices: {a: {formt: bfp4}}}",
        "axes.p.choices.a.formt: no setting of a design; did you mean 'format'?",
    ),
    (ROWS, "p: {choices: {a: {format: bfp44}}}", "axes.p.choices.a.format: 'bfp44': no format is called"),
    (ROWS, "p: {choices: {a: {lanes: 8}, b: {lanes: 8}}}", "axes.p.choices.b: the same as a, expected it once"),
    (ROWS, "p: {choices: {a: {}}}", "axes.p.choices.a: {}: expected at least one setting and its value"),
    (ROWS, "area_mm2: {choices: {a: {lanes: 8}}}", "axes.area_mm2: expected a name of one word for choices, which no"),
    (ROWS, "lanes: [8]\n  p: {choices: {a: {lanes: 16}}}", "also varied by axis lanes, expected one axis for it"),
    (ROWS, "dram: [{device: hbm2}]\n  dram.count: [1]", "dram.count is a part of dram, which varies too; expected one"),
    # Constraints.
    (CONSTRAINT, "area_um2 <= 100", "my.yaml:12: constraints[1]: .*unknown name 'area_um2'; did you mean 'area_mm2'?"),
    (CONSTRAINT, "area_mm2 <= 100 mm2", "my.yaml:12: constraints[1]: 'area_mm2 <= 100 mm2': invalid syntax"),
    (CONSTRAINT, "lanes + 1", "constraints[1]: 'lanes + 1': column 1: lanes + 1 is a number, expected a condition"),
    (CONSTRAINT, "array.rows > 16", "constraints[1]: 'array.rows > 16': no design meets it, expected one that some do"),
    (CONSTRAINT, "area_mm2 < 0", "constraints[1]: 'area_mm2 < 0': no result meets this, expected what one can"),
    (CONSTRAINT, "utilisation > 1", "constraints[1]: 'utilisation > 1': no result meets this"),
    (
        CONSTRAINT,
        "area_mm2 < 1, area_mm2 > 2",
        "constraints[2]: 'area_mm2 < 1' and 'area_mm2 > 2': no result meets this",
    ),
    (CONSTRAINT, "array.rows > 8, array.rows < 16", "my.yaml:12: constraints: none of 8 designs meets all that are on"),
]


@pytest.mark.parametrize(("replace", "by", "expected"), MISTAKES)
def test_a_mistake_names_line_path_value_and_expectation(replace: str, by: str, expected: str) -> None:
    assert replace in GOOD
    text = "\n".join(problems(GOOD.replace(replace, by)))
    pattern = ".*".join(re.escape(part) for part in expected.split(".*"))
    assert re.search(pattern, text), text


def test_several_mistakes_are_reported_at_once_each_in_its_place() -> None:
    text = GOOD.replace(ROWS, "array.rows: [8, 0]\n  format: [bfp66]").replace("tokens_per_s", "token_per_s")
    text = text.replace("lanes: 16", "lans: 16").replace("area_mm2", "area")
    places = [line.split(": ")[0:2] for line in problems(text)]
    assert places == [
        ["my.yaml:4", "design.lans"],
        ["my.yaml:10", "axes.array.rows[1]"],
        ["my.yaml:11", "axes.format[0]"],
        ["my.yaml:13", "constraints[1]"],
        ["my.yaml:14", "objectives.token_per_s"],
    ]


def test_a_broken_structure_hides_no_other_mistake_and_has_no_consequences() -> None:
    text = GOOD.replace("  format: bfp6\n", "").replace(", cols: 32", "").replace("name: good", "nme: good")
    text = text.replace(ROWS, "array.cols: 8\n  p: {choices: {a: {format: bfp6}}, when: 3}\n  lanes: [16, 0]")
    text = text.replace(CONSTRAINT, "array.cols < 9, p == 'a', area < 1, 7").replace(": max", ": most")
    places = [line.split(": ")[0:2] for line in problems(text)]
    assert places == [
        ["my.yaml:1", "name"],
        ["my.yaml:1", "nme"],
        ["my.yaml:9", "axes.array.cols"],
        ["my.yaml:10", "axes.p.when"],
        ["my.yaml:11", "axes.lanes[1]"],
        ["my.yaml:13", "constraints[4]"],
        ["my.yaml:13", "constraints[3]"],
        ["my.yaml:14", "objectives.tokens_per_s"],
    ]


@pytest.mark.parametrize(
    "constraint",
    ["area_mm2 <= 0", "area_mm2 == 5.5", "3 < area_mm2 < 3.01", "not area_mm2 > 5", "utilisation >= 1", "feasible",
     "1 < area_mm2 and area_mm2 < 2", "log2(area_mm2) < -5"],
)  # fmt: skip
def test_what_a_result_can_meet_is_no_mistake(constraint: str) -> None:
    assert len(explore(parse(GOOD.replace(CONSTRAINT, constraint), "my.yaml")).result_constraints) == 1


def test_keys_given_twice_are_all_named() -> None:
    with pytest.raises(ConfigError) as caught:
        parse(GOOD + "name: again\nsearch: {}\n", "my.yaml")
    assert [line.split(": ")[:2] for line in str(caught.value).split("\n")] == [
        ["my.yaml:15", "name"],
        ["my.yaml:16", "search"],
    ]


def test_a_space_too_large_for_a_grid_wants_a_limit() -> None:
    axes = "".join(f"  {name}: {{range: [1, 100000]}}\n" for name in ("array.rows", "array.cols", "workload.context"))
    axes += "  workload.batch: {range: [1, 100000]}\n"
    text = GOOD.replace(f"  {ROWS}\n", axes)
    assert problems(text) == [
        "my.yaml:9: axes: 2**68 designs or more, which no grid comes to the end of; "
        "expected search: {method: tpe, designs: 200}, or another limit"
    ]
    drawn = text.replace("method: grid", "method: random, designs: 20")
    assert explore(parse(drawn, "my.yaml")).space.size == 100_000**4 * 4


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read"):
        load(tmp_path / "none.yaml")
