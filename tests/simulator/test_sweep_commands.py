"""`densimeter init`, `check` and `schema`, as a user meets them."""

from pathlib import Path

import pytest

from densimeter.simulator.commands.check import duration
from densimeter.simulator.commands.init import examples, sweeps
from densimeter.simulator.explore.load import load
from densimeter.simulator.explore.result_names import result_kinds
from densimeter.simulator.explore.settings import settings
from densimeter.simulator.schema.sweep import AxisField, Sweep
from support.command import Densimeter

CONFIGS = Path(__file__).parents[2] / "simulator" / "configs"


def test_init_writes_an_example_that_check_accepts(densimeter: Densimeter, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    assert densimeter("init", path).code == 0
    found = densimeter("check", path, "--json").json
    # 3 formats; rows 16, 32, 64 with two dataflows and 128 with one; two ways of serving.
    assert found["designs"] == 3 * (3 * 2 + 1) * 2
    # Of rows * 2 rows * 16 lanes, 128 are too many; of the rest, bfp8 serves one user only.
    assert found["allowed"] == found["planned"] == 2 * (3 * 2) * 2 + 1 * (3 * 2) * 1
    assert found["exact"]
    assert found["axes"] == {"format": 3, "array.rows": 4, "array.dataflow": 2, "serving": 2}
    assert found["seconds"] == pytest.approx(found["preparation_s"] + found["planned"] / found["designs_per_s"])


def test_init_never_overwrites(densimeter: Densimeter, tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text("mine")
    outcome = densimeter("init", path)
    assert outcome.code == 2
    assert "exists; expected the name of a new file" in outcome.err
    assert path.read_text() == "mine"


def test_init_knows_the_other_examples(densimeter: Densimeter, tmp_path: Path) -> None:
    listed = densimeter("init", "--example", "list")
    assert [line.split()[0] for line in listed.out.splitlines()] == list(examples())
    assert densimeter("init", tmp_path / "kv.yaml", "-e", "kv_cache_format").code == 0
    assert (tmp_path / "kv.yaml").read_text() == (CONFIGS / "kv_cache_format.yaml").read_text()
    study = densimeter("init", tmp_path / "study.yaml", "-e", "studies/nearly_lossless")
    assert study.out.endswith(f"next: densimeter accuracy {tmp_path / 'study.yaml'}\n")
    outcome = densimeter("init", tmp_path / "x.yaml", "-e", "kv_cache")
    assert outcome.code == 2
    assert "did you mean 'kv_cache_format'?" in outcome.err
    assert not (tmp_path / "x.yaml").exists()


def test_init_says_where_it_cannot_write(densimeter: Densimeter, tmp_path: Path) -> None:
    outcome = densimeter("init", tmp_path / "no" / "folder.yaml")
    assert outcome.code == 2
    assert "cannot write" in outcome.err


def test_check_shows_axes_designs_and_time(densimeter: Densimeter) -> None:
    outcome = densimeter("check", CONFIGS / "kv_cache_format.yaml")
    assert outcome.code == 0
    assert "storage.kv" in outcome.out
    assert f"{4 * 3 * 9} designs, {4 * 3 * 9} of them meet the constraints on settings" in outcome.out
    assert "grid takes 108: about" in outcome.out


def test_check_infers_from_a_sample_what_is_too_much_to_count(densimeter: Densimeter, tmp_path: Path) -> None:
    text = (CONFIGS / "array_shape.yaml").read_text()
    text = text.replace("array.rows: {powers_of_two: [4, 256]}", "array.rows: {range: [1, 4096]}")
    text = text.replace("array.cols: {powers_of_two: [4, 256]}", "array.cols: {range: [1, 4096]}")
    text = text.replace("array.rows * array.cols <= 16384", "array.rows <= 1024")
    path = tmp_path / "huge.yaml"
    path.write_text(text + "search: {method: random, designs: 500}\n")
    found = densimeter("check", path, "--json").json
    assert found["designs"] == 4096**2 * 3 * 5 * 5 * 3
    assert not found["exact"]
    assert found["allowed"] == pytest.approx(found["designs"] / 4, rel=0.1)  # 1024 of 4096, from 16384 draws
    assert found["planned"] == 500


def test_check_lists_mistakes_and_exits_with_2(densimeter: Densimeter, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    text = (CONFIGS / "sweep.yaml").read_text().replace("area_mm2 <= 400", "area_um2 <= 400")
    line = next(i for i, line in enumerate(text.splitlines(), 1) if "area_um2" in line)
    path.write_text(text)
    outcome = densimeter("check", path)
    assert outcome.code == 2
    assert outcome.out == ""
    assert f"bad.yaml:{line}: constraints[3]: 'area_um2 <= 400': column 1: unknown name 'area_um2'" in outcome.err
    assert "did you mean 'area_mm2'?" in outcome.err


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.25, "0.25 s"), (59, "59 s"), (90, "1.5 min"), (5400, "1.5 h"), (30 * 3600, "30 h"), (864000, "10 days")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_the_schema_knows_every_key_setting_and_result(densimeter: Densimeter) -> None:
    schema = densimeter("schema").json
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert schema["properties"].keys() == Sweep.model_fields.keys()
    assert not schema["additionalProperties"]
    assert schema["$defs"]["AxisField"]["properties"].keys() == AxisField.model_fields.keys()
    assert schema["properties"]["axes"]["properties"].keys() == settings().keys()
    assert set(schema["properties"]["objectives"]["propertyNames"]["anyOf"][0]["enum"]) == (
        result_kinds(judged=True).keys() - {"feasible"}
    )
    assert "hbm2e" in schema["$defs"]["DramField"]["properties"]["device"]["anyOf"][0]["enum"]
    assert _references(schema) <= {f"#/$defs/{name}" for name in schema["$defs"]}


def _references(value: object) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(_references, value))
    if not isinstance(value, dict):
        return set()
    own = {value["$ref"]} if "$ref" in value else set()
    return own.union(*map(_references, value.values()))


@pytest.mark.parametrize("name", list(sweeps()))
def test_every_example_is_commented_and_builds_nearly_all_of_its_designs(name: str, densimeter: Densimeter) -> None:
    path = CONFIGS / f"{name}.yaml"
    assert path.read_text().startswith("# ")
    assert load(path).sweep.name
    assert densimeter("check", path, "--json").json["built"] > 0.8
