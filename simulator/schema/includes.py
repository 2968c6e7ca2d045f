"""A YAML file with those that it includes, as one document that still knows where each value stands.

`include` is a list of files beside the including one. Mappings merge key by key; for any other value the including file
wins over the included ones, and a later of these over an earlier.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from densimeter.formats.errors import ConfigError
from densimeter.simulator.schema.document import Document, KeyPath, read

_KEY = "include"


def read_with_includes(path: Path, *, whole: Sequence[KeyPath] = ()) -> Document:
    """Read a file and all that it includes. whole: paths whose members replace each other instead of merging.

    Raises ConfigError for a file that cannot be read or includes itself.
    """
    return _resolved(read(path), path, (path.resolve(),), whole)


def _resolved(document: Document, path: Path, opened: tuple[Path, ...], whole: Sequence[KeyPath]) -> Document:
    named = document.data.get(_KEY) if isinstance(document.data, dict) else None
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        return document
    merged = Document(document.name, {}, {}, {})
    for i, name in enumerate(named):
        try:
            inner = path.parent / name
            if inner.resolve() in opened:
                raise ConfigError("includes itself, expected files that do not include each other in a circle")
            found = _resolved(read(inner), inner, (*opened, inner.resolve()), whole)
        except (ConfigError, ValueError, OSError) as error:
            raise ConfigError(document.problem((_KEY, i), f"{name!r}: {error}")) from error
        if not isinstance(found.data, dict):
            raise ConfigError(document.problem((_KEY, i), f"{name!r}: expected a file that holds a mapping"))
        merged = _merged(merged, _without_include(found), whole)
    return replace(_merged(merged, document, whole), name=document.name)


def _without_include(document: Document) -> Document:
    return replace(document, data={key: value for key, value in document.data.items() if key != _KEY})


def _merged(base: Document, over: Document, whole: Sequence[KeyPath]) -> Document:
    """Values of `over` on those of `base`; places come along with the values."""
    places = dict(base.lines)
    files = {path: base.files.get(path, base.name) for path in places}

    def take(path: KeyPath, below: bool) -> None:
        """Places of `over` at a path, and of all below it in place of what stood there."""
        if below:
            for old in [old for old in places if old[: len(path)] == path]:
                del places[old], files[old]
        for new in over.lines if below else [path]:
            if new in over.lines and new[: len(path)] == path:
                places[new], files[new] = over.lines[new], over.files.get(new, over.name)

    def merge(old: Any, new: Any, path: KeyPath) -> Any:
        if not (isinstance(old, dict) and isinstance(new, dict)) or path[:-1] in whole:
            take(path, below=True)
            return new
        take(path, below=False)
        result = dict(old)
        for key, value in new.items():
            if key in old:
                result[key] = merge(old[key], value, (*path, key))
            else:
                take((*path, key), below=True)
                result[key] = value
        return result

    return Document(over.name, merge(base.data, over.data, ()), places, files)
