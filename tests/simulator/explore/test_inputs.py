"""Files that a sweep names: part of what a run is."""

from pathlib import Path
from typing import Any

import pytest

from densimeter.formats.errors import ConfigError
from densimeter.simulator.explore.engine import run
from densimeter.simulator.explore.inputs import differing, inputs
from densimeter.simulator.explore.load import explore
from densimeter.simulator.explore.merge import merge
from densimeter.simulator.explore.part import EvaluatePart
from densimeter.simulator.explore.plan import Shard
from support.sweeps import SWEEP

PRODUCTS = "name,m,n,k\nfc,64,64,64\n"


@pytest.fixture
def products(tmp_path: Path) -> Path:
    path = tmp_path / "products.csv"
    path.write_text(PRODUCTS)
    return path


def sweep_of(path: Path) -> dict[str, Any]:
    axes = {"array.rows": [4, 8, 16], "array.cols": [4, 8]}
    return {**SWEEP, "design": {**SWEEP["design"], "workload": {"gemms": str(path)}}, "axes": axes, "constraints": []}


def test_every_way_to_name_a_file_is_seen(products: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text(PRODUCTS.replace("64", "32"))
    design = {**SWEEP["design"], "workload": {"model": "opt-125m"}}
    works = [{"gemms": str(products)}, {"model": "llama-2-7b"}]
    ways = [
        ({"workload": works}, {str(products)}),
        (
            {"work": {"choices": {"a": {"workload": works[0]}, "b": {"workload": {"gemms": str(other)}}}}},
            {str(products), str(other)},
        ),
        ({"workload.batch": [1, 2]}, set()),
    ]
    for axes, expected in ways:
        assert set(inputs(explore({**SWEEP, "design": design, "axes": axes, "constraints": []}).space)) == expected
    assert set(inputs(explore(sweep_of(products)).space)) == {str(products)}


def test_a_folder_stands_for_its_config(tmp_path: Path) -> None:
    from densimeter.simulator.workloads.language_models import config_path

    assert config_path("opt-125m") is None
    assert config_path(tmp_path) == tmp_path / "config.json"
    assert config_path("mine/config.json") == Path("mine/config.json")


def test_a_run_goes_on_with_the_same_file_only(products: Path, small_parts: int, tmp_path: Path) -> None:
    exploration = explore(sweep_of(products))
    assert run(exploration, tmp_path / "run").facts["inputs"] == inputs(exploration.space)
    products.write_text(PRODUCTS.replace("64,64,64", "64,64,128"))
    with pytest.raises(ConfigError, match=r"products\.csv: changed since .*run was begun; put it back"):
        run(exploration, tmp_path / "run")
    products.write_text(PRODUCTS)
    assert run(exploration, tmp_path / "run").is_done


def test_workers_and_shards_have_read_the_same(products: Path, small_parts: int, tmp_path: Path) -> None:
    exploration = explore(sweep_of(products))
    run(exploration, tmp_path / "first", shard=Shard(1, 2))
    with pytest.raises(ConfigError, match=r"products\.csv: not the file that the run was begun with, where a worker"):
        EvaluatePart((tmp_path / "first" / "run.yaml").read_text(), (), ((str(products), "other"),))(0)
    products.write_text(PRODUCTS.replace("64,64,64", "64,64,128"))
    run(exploration, tmp_path / "second", shard=Shard(2, 2))
    with pytest.raises(ConfigError, match="holds the run of other files than"):
        merge([tmp_path / "first", tmp_path / "second"], tmp_path / "merged")


def test_what_differs() -> None:
    assert differing({"a": "1", "b": "2"}, {"a": "1", "b": "3", "c": "4"}) == ["b", "c"]
