"""The named formats: `catalog.yaml` read into BlockFormat objects."""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import yaml

from densimeter.formats import notation
from densimeter.formats.block import BlockFormat
from densimeter.formats.errors import FormatError, nearest
from densimeter.formats.variants import SUFFIXES, vary


class _StrictLoader(yaml.SafeLoader):
    """YAML in which a key stands once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for position, key in enumerate(keys):
            if key in keys[:position]:
                raise FormatError(f"key {key!r} is given twice; expected each key once")
        return super().construct_mapping(node, deep)


def names() -> list[str]:
    """The catalog's names, in its order. `get` also takes their variants by suffix (`formats.variants`)."""
    return list(_catalog())


def get(name: str) -> BlockFormat:
    """The format of that name, or the variant that its suffixes name (`formats.variants`): ``bfp6_b32``,
    ``int4_g128_affine``.

    FormatError suggests the nearest name.
    """
    catalog = _catalog()
    if name in catalog:
        return catalog[name]
    parts = name.split("_")
    for length in range(len(parts) - 1, 0, -1):  # the longest base that the catalog knows
        base = catalog.get("_".join(parts[:length]))
        if base is not None:
            varied = vary(base, name, parts[length:])
            if varied is not None:
                return varied
            raise FormatError(
                f"no format is called {name!r}: {base.name!r} has no variant {'_'.join(parts[length:])!r}"
                f"{nearest(parts[-1], SUFFIXES)}; `densimeter formats` lists names and suffixes"
            )
    raise FormatError(f"no format is called {name!r}{nearest(name, catalog)}; `densimeter formats` lists them")


def parse(written: Mapping[str, Any]) -> BlockFormat:
    """Compose a format from a mapping (`formats.notation`); ``base: NAME`` starts from a catalog format.

    ``{base: mxfp4, rounding: stochastic}`` is mxfp4 but for its rounding. Raises FormatError that names the key, its
    value and what was expected.
    """
    if not (isinstance(written, Mapping) and "base" in written):
        return notation.parse(written)
    base = written["base"]
    if not isinstance(base, str):
        raise FormatError(f"base is {base!r}, expected the name of a catalog format")
    changes = {key: value for key, value in written.items() if key != "base"}
    name = "_".join([base, *(str(value) if isinstance(value, str | int) else key for key, value in changes.items())])
    return notation.parse(notation.declaration(get(base)) | {"name": name} | changes)


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
    sources, entries = document["sources"], document["formats"]
    formats = (notation.parse({**entry, "source": sources[entry["source"]]}) for entry in entries)
    return {fmt.name: fmt for fmt in formats}
