"""The named language models of families.yaml, and the one way to get a model: by name, by id, or from a file."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from densimeter.formats.errors import ConfigError, nearest
from densimeter.simulator.workloads.language_models.config import ModelConfig
from densimeter.simulator.workloads.language_models.hugging_face import document, from_hugging_face, read_config


@dataclass(frozen=True)
class NamedModel:
    """A model of the list: its Hugging Face id, the values of its config.json, and its published parameter count."""

    name: str
    id: str
    values: Mapping[str, Any]
    published_parameters: int


def language_model(name_or_path: str | Path) -> ModelConfig:
    """The model of a name (`model_names`), of a Hugging Face id in the list, or of a config.json or its folder.

    ConfigError suggests the nearest name.
    """
    found = named_models().get(str(name_or_path)) or _by_id().get(str(name_or_path))
    if found is not None:
        return read_config(found.values, name=found.name, source=f"config.json of {found.id}")
    path = Path(name_or_path)
    if path.exists() or path.suffix == ".json":
        return from_hugging_face(path)
    known = [*named_models(), *_by_id()]
    raise ConfigError(
        f"no language model is called {str(name_or_path)!r}{nearest(str(name_or_path), known)}; expected one of "
        f"{', '.join(model_names())}, or the path of a Hugging Face config.json"
    )


def config_path(name_or_path: str | Path) -> Path | None:
    """The config.json that `language_model` reads; None for a model of the list."""
    if str(name_or_path) in {*named_models(), *_by_id()}:
        return None
    path = Path(name_or_path)
    return path / "config.json" if path.is_dir() else path


def model_names() -> list[str]:
    """The names of the list, in its order."""
    return list(named_models())


@cache
def named_models() -> dict[str, NamedModel]:
    """The list by name."""
    return {
        name: NamedModel(name, entry["id"], {**family["shared"], **entry}, entry["parameters"])
        for family in document()["families"]
        for name, entry in family["models"].items()
    }


@cache
def _by_id() -> dict[str, NamedModel]:
    return {model.id: model for model in named_models().values()}
