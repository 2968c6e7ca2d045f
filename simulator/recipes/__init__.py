"""Recipes (floor 4): what is done to tensors before they meet their format, one module a recipe.

Each is a frozen dataclass that satisfies `Treatment`; its options are its fields.
"""

from densimeter.simulator.recipes.notation import describe_recipe, parse_recipe, recipe_names
from densimeter.simulator.recipes.treatment import Calibration, InputStatistics, Treatment, Tuning

__all__ = ["Calibration", "InputStatistics", "Treatment", "Tuning", "describe_recipe", "parse_recipe", "recipe_names"]
