"""The YAML of `densimeter accuracy`, which is read without torch: what it says, and what it refuses."""

import subprocess
import sys

import pytest

import densimeter.formats as F
from densimeter.formats.errors import ConfigError
from densimeter.kernels.operand_formats import LayerFormats
from densimeter.simulator.commands.init import examples
from densimeter.simulator.recipes import describe_recipe, parse_recipe, recipe_names
from densimeter.simulator.schema.accuracy import AccuracyConfig, RowField
from densimeter.simulator.schema.document import parse, validate


def row(written: str) -> RowField:
    return validate(parse(f"rows:\n  - {written}\n", "a.yaml"), AccuracyConfig).rows[0]


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as refused:
        validate(parse(text, "a.yaml"), AccuracyConfig)
    return str(refused.value)


def test_a_row_becomes_formats() -> None:
    plan = row("{name: x, weight: bfp4, activation: bfp6, kv: mxfp4, value: bfp8}").plan(seed=7)
    expected = LayerFormats(F.get("bfp4"), F.get("bfp6"), key=F.get("mxfp4"), value=F.get("bfp8"))
    assert plan.formats == expected
    assert (plan.skip, plan.seed) == (("lm_head", "*.decoder"), 7)


def test_layers_change_what_they_name_and_null_takes_a_format_away() -> None:
    plan = row("{name: x, weight: bfp4, activation: bfp6, layers: {'*.down': {weight: null}}}").plan(0)
    assert plan.of("a.down") == LayerFormats(activation=F.get("bfp6"))
    assert plan.of("a.up") == LayerFormats(F.get("bfp4"), F.get("bfp6"))


def test_recipes_by_name_and_with_options() -> None:
    assert describe_recipe(row("{name: x}").recipe) == {"name": "round_to_nearest"}
    assert describe_recipe(row("{name: x, recipe: smoothquant}").recipe) == {"name": "smoothquant", "alpha": 0.5}
    written = "{name: x, recipe: {name: outlier_split, threshold: 5}}"
    assert describe_recipe(row(written).recipe) == {"name": "outlier_split", "threshold": 5}


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_read_as_it_is_described(name: str) -> None:
    recipe = parse_recipe(name)
    assert recipe.name == name
    assert parse_recipe(describe_recipe(recipe)) == recipe


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("{name: x, weight: bfp66}", "a.yaml:2: rows[0].weight: 'bfp66': "),
        ("{name: x, weigth: bfp6}", "a.yaml:2: rows[0].weigth: unknown key; did you mean 'weight'?"),
        ("{name: x, recipe: smooth}", "rows[0].recipe: 'smooth': no such recipe; did you mean 'smoothquant'?"),
        ("{name: x, recipe: {name: smoothquant, beta: 1}}", "smoothquant has no option 'beta'; it has alpha"),
        ("{name: x, recipe: {name: smoothquant, alpha: 2}}", "alpha is 2, expected 0 to 1"),
        ("{name: x, recipe: {name: outlier_split, threshold: six}}", "threshold is 'six', expected a number"),
        ("{name: x, weight: bfp6, accumulator: fp32}", "expected a weight and an activation format beside it"),
        ("{name: x, weight: bfp6, activation: bfp6, accumulator: int32}", "a.yaml:2: rows[0]: "),
        ("{name: x, layers: {'*.down': {accumulator: fp32}}}", "expected a weight and an activation format"),
        ("{name: x, kv: bfp6, attention_accumulator: fp32}", "expected formats of query, key, probability and value"),
        ("{name: x, value_axis: rows}", "a.yaml:2: rows[0].value_axis: 'rows': "),
        ("{weight: bfp6}", "a.yaml:2: rows[0].name: missing"),
    ],
)
def test_a_refusal_names_place_value_and_expectation(rows: str, expected: str) -> None:
    assert expected in refusal(f"rows:\n  - {rows}\n")


def test_rows_of_one_name_are_refused() -> None:
    assert "two rows are called 'x'" in refusal("rows: [{name: x}, {name: x}]\n")


@pytest.mark.parametrize("name", [name for name, text in examples().items() if "\nrows:" in text])
def test_examples_are_valid(name: str) -> None:
    config = validate(parse(examples()[name], f"{name}.yaml"), AccuracyConfig)
    assert {row.recipe.name for row in config.rows} <= set(recipe_names())


def test_torch_is_not_needed_to_read_a_configuration() -> None:
    script = "import densimeter.simulator.schema.accuracy, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
