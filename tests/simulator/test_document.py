"""Strict YAML: what a user's mistake looks like, word for word where the words matter."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from densimeter.formats import ConfigError
from densimeter.simulator.schema.density import DensityConfig
from densimeter.simulator.schema.document import parse, read, validate

GOOD = """\
baselines:
  float32: {format: float32_ftz, accumulator: fp32_ftz}
  int8_mac: {format: int8, lanes: 1, accumulator: int32}
  int8_dot: {format: int8, lanes: 16, accumulator: int32}
units:
  - {format: bfp6, accumulator: aligned24}
"""


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        validate(parse(text, "my.yaml"), DensityConfig)
    return str(caught.value).split("\n")


def test_a_good_file_reads() -> None:
    config = validate(parse(GOOD, "my.yaml"), DensityConfig)
    assert [unit.format.name for unit in config.units] == ["bfp6"]
    assert config.units[0].datapath().lanes == 16


MISTAKES = [
    (
        "format: bfp6",
        "format: bfp66",
        "my.yaml:6: units[0].format: 'bfp66': no format is called 'bfp66'; did you mean 'bfp6'?",
    ),
    ("accumulator: aligned24", "acumulator: fp32", "units[0].acumulator: unknown key; did you mean 'accumulator'?"),
    ("accumulator: aligned24", "accumulator: 24", "my.yaml:6: units[0].accumulator: 24: accumulator is '24', expected"),
    ("format: bfp6", "format: bfp6, lanes: 5", "my.yaml:6: units[0]: .*5 lanes do not divide the block of bfp6"),
    ("format: bfp6", "format: bfp6, lanes: many", "my.yaml:6: units[0].lanes: 'many': expected a valid integer"),
    ("format: bfp6", "format: [3]", "my.yaml:6: units[0].format: [3]: format is [3], expected a catalog name or"),
    ("format: bfp6", "format: {element: e3m2, blok: 4}", "format has no key 'blok'; did you mean 'block'?"),
    ("units:", "workload: 7\nunits:", "my.yaml:5: workload: 7: expected a valid string"),
    ("units:", "flows: [star, star]\nunits:", "flows names one twice: star, star"),
    (
        "units:",
        "flows: [stra]\nunits:",
        "my.yaml:5: flows[0]: 'stra': expected 'carry', 'carry_booth', 'star' or 'booth'",
    ),
]


@pytest.mark.parametrize(("replace", "by", "expected"), MISTAKES)
def test_a_mistake_names_line_path_value_and_expectation(replace: str, by: str, expected: str) -> None:
    assert replace in GOOD
    text = "\n".join(problems(GOOD.replace(replace, by)))
    pattern = ".*".join(re.escape(part) for part in expected.split(".*"))
    assert re.search(pattern, text), text


def test_a_mistake_inside_a_list_is_not_also_blamed_on_the_list() -> None:
    assert len(problems(GOOD.replace("units:", "flows: [stra]\nunits:"))) == 1


def test_several_mistakes_are_reported_at_once() -> None:
    found = problems(GOOD.replace("bfp6", "bfp66").replace("int8_dot", "int8_dott"))
    assert any("bfp66" in line for line in found)
    assert any("int8_dott" in line and "did you mean 'int8_dot'?" in line for line in found)


def test_a_key_given_twice_names_both_lines() -> None:
    with pytest.raises(ConfigError, match=r"my\.yaml:3: b: key given twice, first on line 2"):
        parse("a: 1\nb: 2\nb: 3\n", "my.yaml")


@pytest.mark.parametrize(
    "text", ["a: [1", "a: b: c", "\t", "a: !!python/object:os.system {}", "? [1]\n: 2", "a: 2020-13-45"]
)
def test_what_is_not_plain_yaml_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(ConfigError, match=r"my\.yaml:\d+: "):
        parse(text, "my.yaml")


def test_a_missing_file_is_bad_input(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path / "none.yaml")


@given(st.text())
def test_no_text_ends_in_anything_but_a_config_error(text: str) -> None:
    try:
        validate(parse(text, "my.yaml"), DensityConfig)
    except ConfigError:
        return
    pytest.fail("a random text was taken for a configuration")
