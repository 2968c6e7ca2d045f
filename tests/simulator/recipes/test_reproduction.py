"""The reproduction table: a configuration that is valid and leaves no recipe out."""

import importlib.resources

from densimeter.simulator.recipes import describe_recipe, recipe_names
from densimeter.simulator.schema.accuracy import AccuracyConfig
from densimeter.simulator.schema.document import parse, validate


def config() -> AccuracyConfig:
    table = importlib.resources.files("densimeter.simulator.configs") / "recipes.yaml"
    return validate(parse(table.read_text(encoding="utf-8"), "recipes.yaml"), AccuracyConfig)


def test_every_recipe_has_a_row() -> None:
    assert {describe_recipe(row.recipe)["name"] for row in config().rows} >= set(recipe_names())


def test_every_recipe_stands_beside_rounding_to_nearest_in_the_same_formats() -> None:
    """Noise aside, which needs no format: its baseline is the model."""
    rows = [(describe_recipe(row.recipe)["name"], row.formats()) for row in config().rows]
    plain = [formats for name, formats in rows if name == "round_to_nearest"]
    alone = {name for name, formats in rows if formats and formats not in plain}
    assert alone <= {"mixed_2_4_16"}  # its two-bit format is for the least of groups; int2 and int3 stand beside it
