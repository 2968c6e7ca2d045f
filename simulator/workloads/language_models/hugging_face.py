"""A Hugging Face config.json becomes a ModelConfig: which key says what is data (`architectures` in families.yaml)."""

import json
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from densimeter.formats.errors import ConfigError, nearest
from densimeter.simulator.workloads.language_models.config import ModelConfig

_FILE = "config.json"
_TYPES = {field.name: field.type for field in fields(ModelConfig)}


@cache
def document() -> dict[str, Any]:
    """families.yaml, parsed."""
    text = resources.files("densimeter.simulator.workloads.language_models").joinpath("families.yaml")
    parsed: dict[str, Any] = yaml.safe_load(text.read_text(encoding="utf-8"))
    return parsed


def from_hugging_face(path: Path | str) -> ModelConfig:
    """The model of a config.json, given itself or its folder, and named after the folder.

    Raises ConfigError, naming file, key and expectation, where the file cannot be read, its model_type is not known, a
    key is missing or of the wrong type, or the model is of a variant that its shape here would not describe.
    """
    file = Path(path)
    if file.is_dir():
        file /= _FILE
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ConfigError(f"{file}:{error.lineno}: not valid JSON: {error.msg}") from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ConfigError(f"{file}: cannot be read ({reason}); expected a Hugging Face {_FILE}") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{file}: holds {type(values).__name__}, expected an object with the keys of a {_FILE}")
    return read_config(values, name=file.resolve().parent.name, source=str(file))


def read_config(values: Mapping[str, Any], *, name: str, source: str) -> ModelConfig:
    """The model of the keys and values of a config.json; `source` stands for the file in messages."""
    architectures = document()["architectures"]
    model_type = values.get("model_type")
    if not isinstance(model_type, str) or model_type not in architectures:
        raise ConfigError(
            f"{source}: model_type is {model_type!r}, expected one of {', '.join(architectures)}"
            f"{nearest(str(model_type), architectures)}"
        )
    architecture = architectures[model_type]
    _refuse_variants(values, architecture.get("expected", {}), source)
    shape = dict(architecture["defaults"])
    for field, key in architecture["required"].items():
        if values.get(key) is None:
            raise ConfigError(f"{source}: {key} is missing, expected {_expected(field)} for model_type {model_type!r}")
        shape[field] = _checked(values[key], field, key, source)
    null = _meaning_of_null(shape)
    shape = null | shape
    for field, key in architecture["optional"].items():
        if values.get(key) is not None:
            shape[field] = _checked(values[key], field, key, source)
        elif key in values and field in null:
            shape[field] = null[field]
    shape["activation"] = _activation(shape["activation"], architecture, source)
    modules = tuple(architecture["modules"].items())
    try:
        return ModelConfig(name=name, source=source, modules=modules, **shape)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from error


def _meaning_of_null(shape: Mapping[str, Any]) -> dict[str, Any]:
    """What follows from other fields where a file says null, or says nothing and the architecture has no default."""
    return {
        "kv_heads": shape["heads"],
        "head_dim": shape["hidden"] // shape["heads"],
        "embedding": shape["hidden"],
        "ffn": 4 * shape["hidden"],
        "window": None,
    }


def _refuse_variants(values: Mapping[str, Any], expected: Mapping[str, Any], source: str) -> None:
    for key, value in expected.items():
        if values.get(key, value) not in (value, None):
            raise ConfigError(
                f"{source}: {key} is {values[key]!r}, expected {value!r}: other variants are not modelled"
            )


def _activation(written: str, architecture: Mapping[str, Any], source: str) -> str:
    """Our name of an activation function."""
    spellings: dict[str, str] = document()["spellings"]
    if written not in spellings:
        key = architecture["optional"]["activation"]
        raise ConfigError(
            f"{source}: {key} is {written!r}, expected one of {', '.join(spellings)}{nearest(written, spellings)}"
        )
    return spellings[written]


def _checked(value: Any, field: str, key: str, source: str) -> Any:
    right = type(value) is _kind(field)
    if not right or (type(value) is int and value < 1):
        raise ConfigError(f"{source}: {key} is {value!r}, expected {_expected(field)}")
    return value


def _expected(field: str) -> str:
    return {bool: "true or false", int: "a whole number of 1 or more", str: "a name"}[_kind(field)]


def _kind(field: str) -> type:
    declared = _TYPES[field]
    return bool if declared is bool else int if declared in (int, int | None) else str
