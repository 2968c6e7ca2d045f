"""How a recipe is written: its name, or a mapping of its name and options."""

from dataclasses import fields
from typing import Any

from densimeter.formats.errors import ConfigError, nearest
from densimeter.simulator.recipes.awq import Awq
from densimeter.simulator.recipes.cube_root import CubeRoot
from densimeter.simulator.recipes.easyquant import EasyQuant
from densimeter.simulator.recipes.fine_tune import FineTune
from densimeter.simulator.recipes.fptq import Fptq
from densimeter.simulator.recipes.gptq import Gptq
from densimeter.simulator.recipes.icq import InformationCalibration
from densimeter.simulator.recipes.ksort import KSort
from densimeter.simulator.recipes.lcq import LowRankCodebooks
from densimeter.simulator.recipes.mixed_2_4_16 import MixedPrecision
from densimeter.simulator.recipes.noise import Noise
from densimeter.simulator.recipes.outlier_split import OutlierSplit
from densimeter.simulator.recipes.proxy_outliers import ProxyOutliers
from densimeter.simulator.recipes.qllm import ChannelReassembly
from densimeter.simulator.recipes.round_to_nearest import RoundToNearest
from densimeter.simulator.recipes.smoothquant import SmoothQuant
from densimeter.simulator.recipes.treatment import Treatment

_KINDS = {
    kind.name: kind
    for kind in (
        RoundToNearest,
        SmoothQuant,
        OutlierSplit,
        KSort,
        InformationCalibration,
        ChannelReassembly,
        CubeRoot,
        Noise,
        Gptq,
        Awq,
        MixedPrecision,
        LowRankCodebooks,
        Fptq,
        EasyQuant,
        ProxyOutliers,
        FineTune,
    )
}


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
        _check_kind(key, value, getattr(_KINDS[name], key))
    return _KINDS[name](**options)


def _check_kind(key: str, value: object, default: object) -> None:
    """ConfigError unless the value is of the kind of the option's default: a switch, a word or a number."""
    kinds: dict[str, tuple[type, ...]] = {"true or false": (bool,), "a word": (str,), "a number": (int, float)}
    expected = next(kind for kind, types in kinds.items() if type(default) in types)
    if type(value) not in kinds[expected]:
        raise ConfigError(f"{key} is {value!r}, expected {expected}")


def describe_recipe(recipe: Any) -> dict[str, Any]:
    """Name and every option, as `parse_recipe` reads them."""
    return {field.name: getattr(recipe, field.name) for field in fields(recipe)}
