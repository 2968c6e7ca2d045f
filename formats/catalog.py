"""The named formats: `catalog.yaml` read into BlockFormat objects."""

import dataclasses
import re
from functools import cache
from importlib import resources
from typing import Any

import yaml

from densimeter.formats.block import BlockFormat
from densimeter.formats.errors import FormatError, nearest
from densimeter.formats.notation import parse


class _StrictLoader(yaml.SafeLoader):
    """YAML in which a key stands once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for position, key in enumerate(keys):
            if key in keys[:position]:
                raise FormatError(f"key {key!r} is given twice; expected each key once")
        return super().construct_mapping(node, deep)


_BLOCK_SUFFIX = re.compile(r"(?P<base>.+)_b(?P<block>\d+)")


def names() -> list[str]:
    """The catalog's names, in its order."""
    return list(_catalog())


def get(name: str) -> BlockFormat:
    """The format of that name; ``NAME_b32`` is NAME with blocks of 32. FormatError suggests the nearest name."""
    catalog = _catalog()
    if name in catalog:
        return catalog[name]
    match = _BLOCK_SUFFIX.fullmatch(name)
    if match and match["base"] in catalog and isinstance(catalog[match["base"]].block, int):
        return dataclasses.replace(catalog[match["base"]], name=name, block=int(match["block"]))
    raise FormatError(f"no format is called {name!r}{nearest(name, catalog)}; `densimeter formats` lists them")


def resolve(written: str) -> BlockFormat:
    """A catalog name, or a composed declaration in YAML flow style: ``{element: e3m2, block: 24, scale: e8m0}``."""
    if not written.lstrip().startswith("{"):
        return get(written.strip())
    try:
        declaration = yaml.load(written, _StrictLoader)  # a SafeLoader
    except yaml.YAMLError as error:
        raise FormatError(f"format {written!r} is not valid YAML: {error}") from error
    return parse(declaration)


@cache
def _catalog() -> dict[str, BlockFormat]:
    text = resources.files("densimeter.formats").joinpath("catalog.yaml").read_text(encoding="utf-8")
    document = yaml.safe_load(text)
    formats = (parse({**entry, "source": document["sources"][entry["source"]]}) for entry in document["formats"])
    return {fmt.name: fmt for fmt in formats}
