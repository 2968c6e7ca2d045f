"""What a sweep can vary: every place of a design point, by its dotted path, with what may stand there."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from densimeter.formats import Accumulator, BlockFormat
from densimeter.simulator.explore.expressions import Kind
from densimeter.simulator.schema.design import DesignPoint, LayerStorageField
from densimeter.simulator.schema.document import dotted, expectation, shown

_LAYER = re.compile(rf"storage\.layers\[[^\[\]]+\]\.(?P<operand>{'|'.join(LayerStorageField.model_fields)})")
_KINDS: Mapping[type, Kind] = {
    bool: "truth",
    int: "number",
    float: "number",
    str: "text",
    Path: "text",
    BlockFormat: "text",
    **dict.fromkeys(get_args(Accumulator), "text"),
}


@dataclass(frozen=True)
class Setting:
    """A place in a design point. kind: of its values in expressions, None for a mapping of further settings.

    default: what stands there where a design says nothing, None where it has to.
    """

    path: str
    kind: Kind | None
    default: Any
    adapter: TypeAdapter[Any]

    def read(self, written: Any) -> Any:
        """A value as it goes into designs: numbers as numbers. Raises ValueError with what was expected."""
        if self.kind == "number" and isinstance(written, bool):
            raise ValueError(f"{written!r}: expected a number")
        try:
            found = self.adapter.validate_python(written)
        except ValidationError as error:
            detail = error.errors(include_url=False)[0]
            place = f"{dotted(detail['loc'])}: " if detail["loc"] and self.kind is None else ""
            raise ValueError(f"{place}{shown(detail['input'])}: {expectation(detail)}") from error
        return found if self.kind == "number" and isinstance(written, str) else written

    def meaning(self, written: Any) -> str:
        """The same text for two values that mean the same. Raises ValueError for one that cannot stand here."""
        self.read(written)
        return repr(self.adapter.validate_python(written))

    def label(self, written: Any) -> float | str | bool:
        """A value as expressions and result rows show it: a composed format by its name."""
        if self.kind == "number":
            return float("nan") if written is None else float(written)
        if self.kind == "truth":
            return bool(written)
        if self.kind is None:
            return json.dumps(written, default=str)
        if isinstance(written, Mapping):
            return str(self.adapter.validate_python(written).name)
        return "none" if written is None else str(written)


@cache
def settings() -> Mapping[str, Setting]:
    """All settings by path: mappings (``dram``) and what is in them (``dram.device``).

    Paths of layers' formats (``storage.layers[*.down_proj].weight``), of which there are as many as patterns, are found
    in it too.
    """
    return _Settings(_settings(DesignPoint, ""))


class _Settings(dict[str, Setting]):
    def __contains__(self, path: object) -> bool:
        return super().__contains__(path) or (isinstance(path, str) and _LAYER.fullmatch(path) is not None)

    def __missing__(self, path: str) -> Setting:
        if (found := _LAYER.fullmatch(path)) is None:
            raise KeyError(path)
        return replace(_of_layers()[found["operand"]], path=path)


@cache
def _of_layers() -> Mapping[str, Setting]:
    return dict(_settings(LayerStorageField, ""))


def _settings(model: type[BaseModel], prefix: str) -> list[tuple[str, Setting]]:
    found = []
    for name, info in model.model_fields.items():
        path, inner = f"{prefix}{name}", _type(info.annotation)
        nested = isinstance(inner, type) and issubclass(inner, BaseModel)
        found.append((path, Setting(path, _kind(inner), _default(info, nested), _adapter(info))))
        if nested:
            found += _settings(inner, f"{path}.")
    return found


def _adapter(info: FieldInfo) -> TypeAdapter[Any]:
    annotation: Any = Annotated[(info.annotation, *info.metadata)] if info.metadata else info.annotation
    return TypeAdapter(annotation)


def _default(info: FieldInfo, nested: bool) -> Any:
    if info.is_required():
        return None
    default = info.get_default(call_default_factory=True)
    return {} if nested and default is not None else default


def _type(annotation: Any) -> Any:
    """The type behind annotations and ``| None``; `str` for a choice of texts."""
    if get_origin(annotation) is Annotated:
        return _type(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return next(_type(argument) for argument in get_args(annotation) if argument is not NoneType)
    return str if get_origin(annotation) is Literal else annotation


def _kind(inner: Any) -> Kind | None:
    return next((kind for known, kind in _KINDS.items() if isinstance(inner, type) and issubclass(inner, known)), None)
