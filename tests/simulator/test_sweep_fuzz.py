"""Whatever a sweep file holds, the answer is a space or a list of mistakes, each with its place: never a traceback."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from densimeter.formats import ConfigError
from densimeter.simulator.commands.init import sweeps as shipped
from densimeter.simulator.explore.load import explore, load
from densimeter.simulator.explore.settings import settings as known_settings
from densimeter.simulator.schema.document import parse

PLACE = re.compile(r"fuzz\.yaml:[1-9]\d*: ")
EXAMPLES = list(shipped().values())
relaxed = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def outcome(text: str) -> None:
    """Succeeds for a space and for mistakes that say where they are; everything else is a failure."""
    try:
        found = explore(parse(text, "fuzz.yaml"))
    except ConfigError as error:
        for line in str(error).splitlines():
            assert PLACE.match(line), line
    else:
        assert found.space.size >= 1
        found.space.design(found.space.size - 1)


words = st.sampled_from(
    [
        *known_settings(), "name", "include", "design", "axes", "constraints", "objectives", "search", "output",
        "values", "range", "step", "powers_of_two", "choices", "same_as", "value", "when", "method", "grid",
        "keep", "bfp6", "int8", "fp32", "min", "max", "area_mm2", "feasible", "lanes > 4", "array.rows * 2",
        "hbm2e", "llama-2-7b", "element",
    ]
)  # fmt: skip
scalars = st.none() | st.booleans() | st.integers(-3, 2**70) | st.floats() | words | st.text(max_size=5) | st.dates()
keys = words | st.text(max_size=4) | st.integers() | st.none() | st.booleans()
values: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=10
)
axes = st.fixed_dictionaries(
    {},
    optional={
        "values": values, "range": st.lists(scalars, max_size=3), "step": scalars, "powers_of_two": values,
        "choices": st.dictionaries(keys, st.dictionaries(words, values, max_size=2), max_size=2), "same_as": words,
        "value": words, "when": words,
    },
)  # fmt: skip
sweeps = st.fixed_dictionaries(
    {},
    optional={
        "name": scalars, "design": st.dictionaries(words, values), "constraints": st.lists(scalars, max_size=3),
        "axes": st.dictionaries(words, axes | values, max_size=4), "search": values, "output": values,
        "objectives": st.dictionaries(words, st.sampled_from(["min", "max", 3])),
    },
)  # fmt: skip
BASE = yaml.safe_load(EXAMPLES[0])


@relaxed
@given(sweeps)
def test_documents_with_the_right_words_in_the_wrong_places(document: dict[str, Any]) -> None:
    outcome(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))


@relaxed
@given(sweeps)
def test_a_good_sweep_with_parts_replaced(document: dict[str, Any]) -> None:
    outcome(yaml.safe_dump({**BASE, **document}, sort_keys=False))


@relaxed
@given(st.sampled_from(EXAMPLES), st.data())
def test_examples_with_characters_replaced(text: str, data: st.DataObject) -> None:
    text = "".join(line for line in text.splitlines(keepends=True) if not line.strip().startswith("#"))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(start + 20, len(text))))
    inserted = data.draw(
        st.text(alphabet=st.characters(codec="utf-8") | st.sampled_from("{}[]:,&*!|>'\"-# \n"), max_size=6)
    )
    outcome(text[:start] + inserted + text[end:])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "- a",
        "7",
        "\ufeff",
        "a: &x [*x]",  # stands inside itself
        "[" * 5000,
        "? [a, b]\n: 1",
        "!!python/object:os.system x",
        "a: !!binary '===='",
        "a: 2020-99-99",
        "a: 0x" + "f" * 6000,
        "name: " + "9" * 6000,
        "design: {format: 0x" + "f" * 6000 + "}\naxes: {array.rows: [0x" + "f" * 6000 + "]}\nname: a",
        "\\ud800: 1",
        '"\\ud800": {"\\ud800": 1}',
        "a: 1\n\tb: 2",
        "\0",
        "axes: {array.rows: {range: [1, .inf]}, array.cols: {range: [.nan, 2]}, lanes: {powers_of_two: [1, 1.0e+300]}}",
        "axes: {array.rows: {range: [1, 1.0e+300], step: 1.0e-300}}\nname: a\ndesign: {}\nobjectives: {area_mm2: min}",
        "<<: {a: 1}",
        ".nan: 1\n.nan: 2",
    ],
)
def test_what_yaml_has_up_its_sleeve(text: str) -> None:
    outcome(text)


def test_aliases_that_multiply_end_early() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]  # 10**12 values
    with pytest.raises(ConfigError, match="expected at most 200000 values"):
        parse("\n".join(lines), "fuzz.yaml")


@relaxed
@given(st.binary(max_size=200))
def test_any_bytes_in_a_file(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "fuzz.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError):
        load(Path(path))
