"""Strict YAML: every error names file, line, path, value and expectation; duplicate and unknown keys are errors.

`read` keeps the line of every key, so that what pydantic refuses can be pointed at in the user's file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from densimeter.formats.errors import ConfigError, nearest

KeyPath = tuple[str | int, ...]
M = TypeVar("M", bound=BaseModel)

_PLAIN_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")


@dataclass(frozen=True)
class Document:
    """A parsed YAML file and the line on which each of its values stands."""

    name: str
    data: Any
    lines: dict[KeyPath, int]

    def line(self, path: KeyPath) -> int:
        """The line of a value, or of the nearest value around it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read(path: Path) -> Document:
    """Parse one YAML file; ConfigError where it cannot be read, is not YAML, or repeats a key."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"{path}: cannot be read ({reason}); expected a YAML file") from error
    return parse(text, str(path))


def parse(text: str, name: str) -> Document:
    """Parse YAML text; `name` stands for the file in error messages."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{name}:{line}: not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}:1: not valid YAML: {error}") from error
    lines: dict[KeyPath, int] = {}
    data = {} if node is None else _construct(node, (), name, lines)
    return Document(name, data, lines)


def validate(document: Document, model: type[M]) -> M:
    """Build the model from the document; ConfigError lists everything that is wrong, a line each."""
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        details = error.errors(include_url=False)
        innermost = [detail for detail in details if not any(_is_inside(other, detail) for other in details)]
        raise ConfigError("\n".join(_describe(document, model, detail) for detail in innermost)) from error


def _is_inside(detail: ErrorDetails, outer: ErrorDetails) -> bool:
    """Whether a problem lies inside the value that another one is about, and so explains it."""
    depth = len(outer["loc"])
    return len(detail["loc"]) > depth and detail["loc"][:depth] == outer["loc"]


def _construct(node: yaml.Node, path: KeyPath, name: str, lines: dict[KeyPath, int]) -> Any:
    lines.setdefault(path, node.start_mark.line + 1)
    if not isinstance(node, yaml.ScalarNode) and node.tag not in _PLAIN_TAGS:
        raise ConfigError(f"{name}:{node.start_mark.line + 1}: {_dotted(path)}: tag {node.tag!r}, expected plain YAML")
    if isinstance(node, yaml.SequenceNode):
        return [_construct(item, (*path, i), name, lines) for i, item in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode):
        return _scalar(node, name)
    mapping: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key, line = _scalar(key_node, name), key_node.start_mark.line + 1
        if key in mapping:
            first = lines[(*path, key)]
            raise ConfigError(f"{name}:{line}: {_dotted((*path, key))}: key given twice, first on line {first}")
        lines[(*path, key)] = line
        mapping[key] = _construct(value_node, (*path, key), name, lines)
    return mapping


def _scalar(node: yaml.Node, name: str) -> Any:
    line = node.start_mark.line + 1
    if not isinstance(node, yaml.ScalarNode):
        raise ConfigError(f"{name}:{line}: a key is a list or a mapping, expected a plain word")
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{name}:{line}: {node.value!r} cannot be read: {error}") from error
    finally:
        loader.dispose()


def _describe(document: Document, model: type[BaseModel], detail: ErrorDetails) -> str:
    path = tuple(detail["loc"])
    place = f"{document.name}:{document.line(path)}: {_dotted(path)}"
    if detail["type"] == "extra_forbidden":
        known = _keys_at(model, path[:-1])
        return f"{place}: unknown key{nearest(str(path[-1]), known)}; expected one of {', '.join(known)}"
    if detail["type"] == "missing":
        return f"{place}: missing, expected a value"
    return f"{place}: {detail['input']!r}: {_expectation(detail)}"


def _expectation(detail: ErrorDetails) -> str:
    message = detail["msg"]
    return message.removeprefix("Value error, ").replace("Input should be", "expected")


def _keys_at(model: type[BaseModel], path: KeyPath) -> list[str]:
    """The keys that the model takes at a path, following nested models through lists and unions."""
    for step in path:
        if isinstance(step, str) and step in model.model_fields:
            model = next(iter(_models_in(model.model_fields[step].annotation)), model)
    return list(model.model_fields)


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in getattr(annotation, "__args__", ()) for model in _models_in(argument)]


def _dotted(path: Sequence[str | int]) -> str:
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text or "(document)"
