"""The keys of a sweep, from the JSON Schema that `densimeter schema` prints; changes when it should show more of it."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from densimeter.simulator.explore.json_schema import json_schema
from generated.tables import table

_LONGEST_DEFAULT = 40
_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<", "minItems": "items ≥"}

Schema = Mapping[str, Any]


def reference() -> str:
    """A section for the sweep and one for every object in it."""
    schema = json_schema()
    return "\n\n".join(_sections({"Sweep": schema, **schema["$defs"]}))


def _sections(definitions: Mapping[str, Schema]) -> Iterator[str]:
    for name, definition in definitions.items():
        yield f"## {name}"
        yield _described(definition.get("description", ""))
        if "properties" not in definition:
            yield f"{_type(definition)}."
            continue
        rows = (
            (f"`{key}`", _type(value), _bounds(value), _default(value))
            for key, value in definition["properties"].items()
        )
        yield table(("key", "type", "bounds", "default"), rows)


def _described(words: str) -> str:
    """Docstrings are set in lines; names of keys in front of a colon become code."""
    return re.sub(r"(?<![\w`])([a-z][a-z_]*(?:, [a-z][a-z_]*)*)(?=: )", _as_code, words)


def _as_code(found: re.Match[str]) -> str:
    return ", ".join(f"`{key}`" for key in found[1].split(", "))


def _type(schema: Schema) -> str:
    match schema:
        case {"$ref": reference}:
            name = reference.rpartition("/")[2]
            return f"[{name}](#{name.lower()})"
        case {"anyOf": alternatives}:
            return " or ".join(dict.fromkeys(_type(one) for one in alternatives))
        case {"enum": values}:
            return ", ".join(f"`{value}`" for value in values)
        case {"const": value}:
            return f"`{value}`"
        case {"type": "array", "prefixItems": items}:
            return f"list of {', '.join(map(_type, items))}"
        case {"type": "array"}:
            return f"list of {_type(schema['items'])}" if schema.get("items") else "list"
        case {"type": "object"}:
            values = schema.get("additionalProperties")
            return f"mapping to {_type(values)}" if isinstance(values, Mapping) and values else "mapping"
        case {"type": kind}:
            return str(kind)
    return "any"


def _bounds(schema: Schema) -> str:
    found = [schema, *schema.get("anyOf", ())]
    return ", ".join(f"{sign} {one[key]:g}" for one in found for key, sign in _BOUNDS.items() if key in one)


def _default(schema: Schema) -> str:
    if "default" not in schema:
        return ""
    written = json.dumps(schema["default"])
    return f"`{written}`" if len(written) <= _LONGEST_DEFAULT else "its own defaults"
