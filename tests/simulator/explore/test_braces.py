"""Braces in the name of an axis, and paths whose keys have dots."""

from typing import Any

import pytest
import yaml

from densimeter.formats.errors import ConfigError
from densimeter.simulator.explore.braces import expanded, with_axes_expanded
from densimeter.simulator.explore.load import explore
from densimeter.simulator.explore.paths import get, outer_paths, put, steps
from densimeter.simulator.schema.document import parse
from support.sweeps import SWEEP

LAYERS = "storage.layers[model.layers.{0..2}.mlp.{up,down}_proj].weight"


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("plain", ["plain"]),
        ("{a,b}{0..1}", ["a0", "a1", "b0", "b1"]),
        ("x.{8..10}", ["x.8", "x.9", "x.10"]),
        ("{a,}b", ["ab", "b"]),
    ],
)
def test_braces_stand_for_each_of_their_texts_or_numbers(name: str, names: list[str]) -> None:
    assert expanded(name) == names


@pytest.mark.parametrize("name", ["{a", "a}", "{a,{b}}", "{a,a}", "{3..1}", "{0..99999}", "{0..99}{0..99}"])
def test_braces_that_mean_nothing_are_errors(name: str) -> None:
    with pytest.raises(ConfigError, match="expected"):
        expanded(name)


def test_axes_stand_where_the_one_is_written() -> None:
    document = with_axes_expanded(parse(f'axes:\n  lanes: [1]\n  "{LAYERS}":\n    - bfp4\n    - bfp6\n', "s.yaml"))
    names = list(document.data["axes"])
    assert len(names) == 1 + 3 * 2
    assert names[1] == "storage.layers[model.layers.0.mlp.up_proj].weight"
    assert document.line(("axes", names[-1])) == 3
    assert document.line(("axes", names[-1], 1)) == 5


def test_a_mistake_in_it_has_its_line() -> None:
    text = 'axes:\n  lanes: [1]\n  "{lanes,array.rows}": [1]\n'
    with pytest.raises(ConfigError, match=r"s\.yaml:3: axes\..*: lanes is given twice, expected it once"):
        with_axes_expanded(parse(text, "s.yaml"))
    with pytest.raises(ConfigError, match=r"s\.yaml:2: axes\.\{a: a brace without its other half"):
        with_axes_expanded(parse("axes:\n  '{a': [1]\n", "s.yaml"))


def test_a_mistake_of_many_axes_is_told_once_as_it_is_written() -> None:
    with pytest.raises(ConfigError) as caught:
        explore(parse(yaml.safe_dump({**SWEEP, "axes": {LAYERS: ["bfp4", "bfp6", "bfp44"]}}), "s.yaml"))
    assert str(caught.value).startswith(f"s.yaml:5: axes.{LAYERS}[2]: 'bfp44': no format is called 'bfp44'")
    assert "\n" not in str(caught.value)


def test_designs_have_the_formats_of_their_layers() -> None:
    sweep: dict[str, Any] = {**SWEEP, "axes": {"storage.layers[*.{q,k}_proj].weight": ["bfp6", "bfp4"]}}
    space = explore(sweep).space
    assert space.size == 2**2
    assert space.design(1)["storage"] == {"layers": {"*.q_proj": {"weight": "bfp6"}, "*.k_proj": {"weight": "bfp4"}}}
    assert explore(explore(sweep).resolved()).space.design(3) == space.design(3)


def test_a_layer_can_follow_another_one() -> None:
    axes = {
        "storage.layers[*.q_proj].weight": ["bfp6", "bfp4"],
        "storage.layers[*.k_proj].weight": {"same_as": "storage.layers[*.q_proj].weight"},
    }
    layers = explore({**SWEEP, "axes": axes}).space.design(1)["storage"]["layers"]
    assert layers == {"*.q_proj": {"weight": "bfp4"}, "*.k_proj": {"weight": "bfp4"}}


def test_no_setting_of_a_layer_but_its_formats() -> None:
    with pytest.raises(ConfigError, match="no setting of a design"):
        explore({**SWEEP, "axes": {"storage.layers[*].wight": ["bfp4"]}})


def test_paths() -> None:
    path = "storage.layers[*.down_proj].weight"
    assert steps(path) == ("storage", "layers", "*.down_proj", "weight")
    assert outer_paths(path) == ["storage.layers[*.down_proj]", "storage.layers", "storage"]
    design: dict[str, Any] = {}
    put(design, path, "bfp4")
    assert design == {"storage": {"layers": {"*.down_proj": {"weight": "bfp4"}}}}
    assert get(design, path, None) == "bfp4"
    assert get(design, "storage.kv", "none") == "none"
