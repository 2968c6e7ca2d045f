"""What is kept of one synthesis or one measurement of energy, and the line of JSON that holds it.

Changes when a record holds more or less.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from densimeter.formats.errors import ConfigError
from densimeter.rtl.cells.power import PowerResult
from densimeter.rtl.synthesize import CellResult, LutResult

T = TypeVar("T", bound="Record | EnergyRecord")


@dataclass(frozen=True)
class Identity:
    """All that decides a result: what was synthesised, how, for what, with which tool.

    `target` is "xc7", or the name of the cell library whose content has `library_sha256`.
    """

    rtl_sha256: str
    top: str
    flow: str
    target: str
    library_sha256: str | None
    recipe_sha256: str
    tool: str

    @property
    def key(self) -> str:
        return hashlib.sha256(_canonical(asdict(self)).encode()).hexdigest()

    def __str__(self) -> str:
        return f"{self.top}, flow {self.flow}, target {self.target}, {self.tool}"


@dataclass(frozen=True)
class EnergyIdentity(Identity):
    """All that decides a circuit's energy. `stimulus_sha256` is that of how the stimulus is drawn, not of its values:
    activations of a model computed elsewhere may differ in their last bits."""

    stimulus_sha256: str


@dataclass(frozen=True)
class Record:
    """One synthesis result and where it comes from. `unit` tells a reader what was synthesised; the key ignores it."""

    identity: Identity
    unit: Mapping[str, str | int]
    result: LutResult | CellResult

    @property
    def key(self) -> str:
        return self.identity.key

    def to_line(self) -> str:
        """Canonical JSON, without a line end: equal records give equal lines."""
        return _canonical({"key": self.key, **asdict(self)})

    @staticmethod
    def from_line(line: str, place: str) -> "Record":
        """The record in a line that `to_line` made; anything else is a `ConfigError` that starts with `place`."""
        return _from_line(_RECORD, line, place, "synthesis record")


@dataclass(frozen=True)
class EnergyRecord:
    """What a circuit used on a stimulus and where that comes from. `unit` tells a reader what was measured."""

    identity: EnergyIdentity
    unit: Mapping[str, str | int]
    result: PowerResult

    @property
    def key(self) -> str:
        return self.identity.key

    def to_line(self) -> str:
        """Canonical JSON, without a line end: equal records give equal lines."""
        return _canonical({"key": self.key, **asdict(self)})

    @staticmethod
    def from_line(line: str, place: str) -> "EnergyRecord":
        """The record in a line that `to_line` made; anything else is a `ConfigError` that starts with `place`."""
        return _from_line(_ENERGY_RECORD, line, place, "energy record")


_RECORD = TypeAdapter(Record)
_ENERGY_RECORD = TypeAdapter(EnergyRecord)


def _from_line(adapter: TypeAdapter[T], line: str, place: str, what: str) -> T:
    try:
        record = adapter.validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        reason = " ".join([*map(str, first["loc"]), first["msg"]])
        raise ConfigError(f"{place}: not a whole {what}: {reason}") from None
    if record.to_line() != line:
        raise ConfigError(f"{place}: this {what} was changed after it was made: its key or its form is off")
    return record


def _canonical(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
