"""How a recipe is written: its name, or a mapping of its name and options."""

from dataclasses import fields
from typing import Any

from densimeter.formats.errors import ConfigError, nearest
from densimeter.simulator.recipes.outlier_split import OutlierSplit
from densimeter.simulator.recipes.round_to_nearest import RoundToNearest
from densimeter.simulator.recipes.smoothquant import SmoothQuant
from densimeter.simulator.recipes.treatment import Treatment

_KINDS = {kind.name: kind for kind in (RoundToNearest, SmoothQuant, OutlierSplit)}


def recipe_names() -> list[str]:
    """Every recipe there is."""
    return list(_KINDS)


def parse_recipe(written: object) -> Treatment:
    """The recipe of ``smoothquant`` or ``{name: smoothquant, alpha: 0.8}``; ConfigError where there is none such."""
    named = {"name": written} if isinstance(written, str) else written
    name = named.get("name") if isinstance(named, dict) else None
    if not isinstance(named, dict) or not isinstance(name, str) or name not in _KINDS:
        near = nearest(name, _KINDS) if isinstance(name, str) else ""
        raise ConfigError(f"no such recipe{near}; expected one of {', '.join(_KINDS)}, or a mapping with its name")
    known = [field.name for field in fields(_KINDS[name])]
    options = {key: value for key, value in named.items() if key != "name"}
    for key, value in options.items():
        if key not in known:
            raise ConfigError(f"{name} has no option {key!r}{nearest(str(key), known)}; it has {', '.join(known[1:])}")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(f"{key} is {value!r}, expected a number")
    return _KINDS[name](**options)


def describe_recipe(recipe: Any) -> dict[str, Any]:
    """Name and every option, as `parse_recipe` reads them."""
    return {field.name: getattr(recipe, field.name) for field in fields(recipe)}
