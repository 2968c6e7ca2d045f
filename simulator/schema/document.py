"""Strict YAML: every error names file, line, path, value and expectation; duplicate and unknown keys are errors.

`read` keeps the line of every key, so that what pydantic refuses can be pointed at in the user's file.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from densimeter.formats.errors import ConfigError, nearest

KeyPath = tuple[str | int, ...]
M = TypeVar("M", bound=BaseModel)

_PLAIN_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_MOST_VALUES = 200_000
_DEEPEST = 60
_LONGEST = 200
_BETTER_WORDS = re.compile(r"Input should be|(List|Dictionary|String) should have")


@dataclass(frozen=True)
class Document:
    """A parsed YAML file and the line on which each of its values stands.

    files: of the values that another file holds, which this one includes. written: of values that the file has under
    another path, that path.
    """

    name: str
    data: Any
    lines: dict[KeyPath, int]
    files: dict[KeyPath, str] = field(default_factory=dict)
    written: dict[KeyPath, KeyPath] = field(default_factory=dict)

    def line(self, path: KeyPath) -> int:
        """The line of a value, or of the nearest value around it."""
        return self.lines.get(self._known(path), 1)

    def problem(self, path: KeyPath, text: str) -> str:
        """What is wrong with a value, after its place: ``file:line: path: text``."""
        file = self.files.get(self._known(path), self.name)
        return f"{file}:{self.line(path)}: {dotted(self._written(path))}: {text}"

    def _written(self, path: KeyPath) -> KeyPath:
        outer = next((path[:n] for n in range(len(path), 0, -1) if path[:n] in self.written), ())
        return (*self.written.get(outer, ()), *path[len(outer) :])

    def _known(self, path: KeyPath) -> KeyPath:
        while path and path not in self.lines:
            path = path[:-1]
        return path


def read(path: Path) -> Document:
    """Parse one YAML file; ConfigError where it cannot be read, is not YAML, or repeats a key."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(
            f"{path}: cannot be read ({reason}); expected a YAML file: check the path, or write an example with "
            "`densimeter init`"
        ) from error
    return parse(text, str(path))


def parse(text: str, name: str) -> Document:
    """Parse YAML text; `name` stands for the file in error messages."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{name}:{line}: not valid YAML: {error.problem}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{name}:1: not valid YAML: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise ConfigError(f"{name}:1: not valid YAML: nested too deeply to be read") from error
    reader = _Reader(name)
    data = {} if node is None else reader.construct(node, ())
    if reader.repeated:
        raise ConfigError("\n".join(reader.repeated))
    return Document(name, data, reader.lines)


def validate(document: Document, model: type[M]) -> M:
    """Build the model from the document; ConfigError lists everything that is wrong, a line each."""
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        raise ConfigError("\n".join(problems(document, model, error))) from error


def problems(
    document: Document,
    model: type[BaseModel],
    error: ValidationError,
    at: KeyPath = (),
    about: Callable[[KeyPath], bool] = lambda _: True,
) -> list[str]:
    """What pydantic refuses, each with its place.

    at: where in the document the model's data stands; about: whether to report what is wrong at a path of that data.
    """
    details = error.errors(include_url=False)
    innermost = [detail for detail in details if not any(_is_inside(other, detail) for other in details)]
    return [_describe(document, model, detail, at) for detail in innermost if about(tuple(detail["loc"]))]


def dotted(path: Sequence[str | int]) -> str:
    """A path as it is written in messages: ``units[0].format``."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{_plain(step)}" if text else _plain(step)
    return text or "(document)"


def shown(value: object) -> str:
    """A value as it is quoted in messages: on one line, and not longer than a reader cares for."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # Python prints no integer of thousands of digits.
        return "a number of thousands of digits"
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _plain(step: object) -> str:
    return step if isinstance(step, str) and step.isprintable() and len(step) <= _LONGEST else shown(step)


def _is_inside(detail: ErrorDetails, outer: ErrorDetails) -> bool:
    """Whether a problem lies inside the value that another one is about, and so explains it."""
    depth = len(outer["loc"])
    return len(detail["loc"]) > depth and detail["loc"][:depth] == outer["loc"]


@dataclass
class _Reader:
    """Values of a tree of YAML nodes; keeps where each stands, and which keys are given twice."""

    name: str
    lines: dict[KeyPath, int] = field(default_factory=dict)
    repeated: list[str] = field(default_factory=list)
    values: int = 0

    def construct(self, node: yaml.Node, path: KeyPath) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        self.values += 1
        if len(path) > _DEEPEST or self.values > _MOST_VALUES:  # An alias can stand for itself, or for thousands.
            raise ConfigError(
                f"{self.name}:{line}: {dotted(path[:4])}: expected at most {_MOST_VALUES} values, aliases written out, "
                f"and at most {_DEEPEST} within each other"
            )
        if not isinstance(node, yaml.ScalarNode) and node.tag not in _PLAIN_TAGS:
            raise ConfigError(f"{self.name}:{line}: {dotted(path)}: tag {node.tag!r}, expected plain YAML")
        if isinstance(node, yaml.SequenceNode):
            return [self.construct(item, (*path, i)) for i, item in enumerate(node.value)]
        if not isinstance(node, yaml.MappingNode):
            return self._scalar(node)
        mapping: dict[Any, Any] = {}
        for key_node, value_node in node.value:
            key, line = self._scalar(key_node), key_node.start_mark.line + 1
            place = (*path, key)
            if key in mapping:
                first = self.lines[place]
                self.repeated.append(
                    f"{self.name}:{line}: {dotted(place)}: key given twice, first on line {first}; expected it once"
                )
                continue
            self.lines[place] = line
            mapping[key] = self.construct(value_node, place)
        return mapping

    def _scalar(self, node: yaml.Node) -> Any:
        line = node.start_mark.line + 1
        if not isinstance(node, yaml.ScalarNode):
            raise ConfigError(f"{self.name}:{line}: a key is a list or a mapping, expected a plain word")
        loader = yaml.SafeLoader("")
        try:
            return loader.construct_object(node)
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            reason = error.problem if isinstance(error, yaml.MarkedYAMLError) else error
            raise ConfigError(f"{self.name}:{line}: {shown(node.value)} cannot be read: {reason}") from error
        finally:
            loader.dispose()


def _describe(document: Document, model: type[BaseModel], detail: ErrorDetails, at: KeyPath) -> str:
    path = tuple(detail["loc"])
    if detail["type"] == "extra_forbidden":
        known = _keys_at(model, path[:-1])
        text = f"unknown key{nearest(str(path[-1]), known)}; expected one of {', '.join(known)}"
    elif detail["type"] == "missing":
        text = "missing, expected a value"
    else:
        text = f"{shown(detail['input'])}: {expectation(detail)}"
    return document.problem((*at, *path), text)


def expectation(detail: ErrorDetails) -> str:
    """What pydantic expected, in our words; a number with a unit behind it is told where units stand."""
    message = detail["msg"].removeprefix("Value error, ").partition(", unable to parse")[0]
    if detail["type"] == "too_short":
        least = detail["ctx"]["min_length"]
        message = f"expected at least {least} {'item' if least == 1 else 'items'}"
    message = _BETTER_WORDS.sub("expected", message)
    written = detail["input"]
    if detail["type"] in ("int_parsing", "float_parsing", "int_type", "float_type") and isinstance(written, str):
        start = written.strip()[:1]
        if start.isdigit() and written.strip()[-1:].isalpha():
            message += ", without a unit: the key's name says which one it is in"
    return message


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
