"""Included files: what wins, what merges, and whose line a mistake is on."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from densimeter.formats import ConfigError
from densimeter.simulator.explore.load import load
from densimeter.simulator.schema.includes import read_with_includes

COMMON = """\
name: common
design:
  format: bfp6
  lanes: 16
  accumulator: aligned24
  array: {rows: 32, cols: 32}
  dram: {device: hbm2e}
  workload: {model: opt-125m, context: 64}
axes:
  array.rows: {range: [8, 32], step: 8}
objectives: {tokens_per_s: max}
"""


def write(folder: Path, **texts: str) -> Path:
    """Files by name; the path of the last one."""
    for name, text in texts.items():
        path = folder / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text, encoding="utf-8")
    return path


def merged(folder: Path, **texts: str) -> Any:
    return read_with_includes(write(folder, **texts), whole=[("axes",)]).data


def test_mappings_merge_and_the_including_file_wins(tmp_path: Path) -> None:
    main = "include: [common.yaml]\nname: mine\ndesign: {lanes: 8, array: {cols: 4}}\naxes: {array.rows: [5]}\n"
    found = merged(tmp_path, common=COMMON, main=main)
    expected = yaml.safe_load(COMMON)
    expected["include"] = ["common.yaml"]
    expected["name"] = "mine"
    expected["design"] |= {"lanes": 8, "array": {"rows": 32, "cols": 4}}
    expected["axes"] = {"array.rows": [5]}  # an axis is replaced, never merged
    assert found == expected


def test_of_two_included_files_the_later_wins_and_included_ones_include(tmp_path: Path) -> None:
    texts = {
        "deep": "a: 1\nb: 1\nc: 1\nd: 1\n",
        "one": "include: [deep.yaml]\nb: 2\nc: 2\nd: 2\n",
        "two": "c: 3\nd: 3\n",
        "main": "include: [one.yaml, two.yaml]\nd: 4\n",
    }
    assert merged(tmp_path, **texts) == {"include": ["one.yaml", "two.yaml"], "a": 1, "b": 2, "c": 3, "d": 4}


def test_mistakes_name_the_file_and_line_that_they_are_in(tmp_path: Path) -> None:
    main = write(
        tmp_path,
        common=COMMON.replace("lanes: 16", "lans: 16").replace("opt-125m", "opt-126m"),
        main="include: [common.yaml]\n\ndesign: {array: {cls: 4}}\naxes: {array.rows: [0]}\n",
    )
    with pytest.raises(ConfigError) as caught:
        load(main)
    places = [line.split(": ")[:2] for line in str(caught.value).split("\n")]
    assert places == [
        [f"{tmp_path}/common.yaml:4", "design.lans"],
        [f"{tmp_path}/common.yaml:8", "design.workload"],
        [f"{main}:3", "design.array.cls"],
        [f"{main}:4", "axes.array.rows[0]"],
    ]


def test_a_loaded_sweep_has_its_includes_in_place(tmp_path: Path) -> None:
    found = load(write(tmp_path, common=COMMON, main="include: [common.yaml]\nname: mine\n"))
    assert found.space.size == 4
    assert found.resolved()["name"] == "mine"
    assert "include" not in found.resolved()


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("main.yaml", r"main\.yaml:2: include\[0\]: 'main\.yaml': includes itself"),
        ("none.yaml", r"main\.yaml:2: include\[0\]: 'none\.yaml': .*none\.yaml: cannot be read"),
        ("back.yaml", r"main\.yaml:2: include\[0\]: 'back\.yaml': .*back\.yaml:1: include\[0\]: .*includes itself"),
        ("list.yaml", r"main\.yaml:2: include\[0\]: 'list\.yaml': expected a file that holds a mapping"),
        ("twice.yaml", r"main\.yaml:2: include\[0\]: 'twice\.yaml': .*twice\.yaml:2: a: key given twice"),
        ("a\\0b", r"main\.yaml:2: include\[0\]: "),
    ],
)
def test_a_file_that_cannot_be_included_is_named(tmp_path: Path, named: str, message: str) -> None:
    texts = {"back": "include: [main.yaml]\n", "list": "- 1\n", "twice": "a: 1\na: 2\n"}
    main = write(tmp_path, **texts, main=f'name: a\ninclude: ["{named}"]\n')
    with pytest.raises(ConfigError, match=message):
        load(main)


def test_what_is_no_list_of_files_is_a_mistake_like_others(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"main\.yaml:1: include: 'common\.yaml': expected a valid tuple"):
        load(write(tmp_path, common=COMMON, main="include: common.yaml\nname: a\n"))
