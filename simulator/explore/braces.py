"""One axis written for many: braces in its name, as in a shell, stand for an axis each.

"storage.layers[model.layers.{0..29}.mlp.{gate,up}_proj].weight": [bfp6, bfp4]     sixty axes
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from typing import TypeVar

from densimeter.formats.errors import ConfigError
from densimeter.simulator.schema.document import Document, KeyPath

T = TypeVar("T")

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_MOST = 4096


def expanded(name: str) -> list[str]:
    """The names that a name with braces stands for, the last brace varying fastest; itself where it has none.

    ``{q,k,v}`` is one of these texts, ``{0..29}`` one of the numbers from 0 to 29. Raises ConfigError for other braces.
    """
    parts = _BRACES.split(name)
    if any("{" in text or "}" in text for text in parts[::2]):
        raise ConfigError("a brace without its other half, or within another; expected {a,b} or {0..9}")
    names = ["".join(chosen) for chosen in product(*(_alternatives(i, part) for i, part in enumerate(parts)))]
    if len(names) > _MOST or len(set(names)) < len(names):
        raise ConfigError(f"stands for {len(names)} names, expected at most {_MOST}, each once")
    return names


def with_axes_expanded(document: Document) -> Document:
    """The sweep with an axis for each name that braces stand for; all of them stand where the one does.

    Raises ConfigError, with its place, for braces that mean nothing and for an axis that is given twice.
    """
    written = document.data.get("axes") if isinstance(document.data, dict) else None
    if not isinstance(written, dict) or not any("{" in str(name) for name in written):
        return document
    names: dict[str, list[str]] = {}
    taken: set[str] = set()
    for name in written:
        place: KeyPath = ("axes", name)
        try:
            names[name] = expanded(name) if isinstance(name, str) else [name]
        except ConfigError as error:
            raise ConfigError(document.problem(place, str(error))) from error
        if repeated := taken.intersection(names[name]):
            raise ConfigError(document.problem(place, f"{min(repeated)} is given twice, expected it once"))
        taken.update(names[name])
    axes = {inner: written[name] for name, inners in names.items() for inner in inners}
    return replace(
        document,
        data={**document.data, "axes": axes},
        lines=_moved(document.lines, names),
        files=_moved(document.files, names),
        written={
            ("axes", inner): ("axes", name) for name, inners in names.items() for inner in inners if inner != name
        },
    )


def _alternatives(i: int, part: str) -> list[str]:
    """Of a text between braces itself; of what stands in braces, every second part, its texts or numbers."""
    if i % 2 == 0:
        return [part]
    if span := _RANGE.fullmatch(part):
        first, last = int(span[1]), int(span[2])
        if not first <= last < first + _MOST:
            raise ConfigError(f"{{{part}}}: expected a first number up to the last, at most {_MOST} of them")
        return [str(number) for number in range(first, last + 1)]
    return part.split(",")


def _moved(places: Mapping[KeyPath, T], names: Mapping[str, list[str]]) -> dict[KeyPath, T]:
    found: dict[KeyPath, T] = {}
    for path, value in places.items():
        if path[:1] == ("axes",) and len(path) > 1:
            found |= {("axes", name, *path[2:]): value for name in names[path[1]]}  # type: ignore[index]
        else:
            found[path] = value
    return found
