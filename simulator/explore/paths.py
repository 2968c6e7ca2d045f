"""Paths into a design point: keys joined by dots, a key that has dots of its own in brackets.

array.rows
storage.layers[*.down_proj].weight
"""

import re
from collections.abc import Mapping
from typing import Any

_STEP = re.compile(r"\[[^\[\]]*\]|[^.\[\]]+")


def steps(path: str) -> tuple[str, ...]:
    """The keys of a path, from the outermost one."""
    return tuple(step.removeprefix("[").removesuffix("]") for step in _STEP.findall(path))


def outer_paths(path: str) -> list[str]:
    """The mappings around a setting: of ``a.b.c`` these are ``a.b`` and ``a``."""
    ends = [found.end() for found in _STEP.finditer(path)]
    return [path[:end] for end in reversed(ends[:-1])]


def put(design: dict[str, Any], path: str, value: Any) -> None:
    """Set what stands at a path."""
    *outer, last = steps(path)
    for step in outer:
        if not isinstance(design.get(step), dict):
            design[step] = {}
        design = design[step]
    design[last] = value


def get(design: Mapping[str, Any], path: str, default: Any) -> Any:
    """What stands at a path, or the default where nothing does."""
    found: Any = design
    for step in steps(path):
        if not isinstance(found, Mapping) or step not in found:
            return default
        found = found[step]
    return found
