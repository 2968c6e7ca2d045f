"""What is kept of one synthesis, and the line of JSON that holds it. Changes when a record holds more or less."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from densimeter.formats.errors import ConfigError
from densimeter.rtl.synthesize import CellResult, LutResult


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
        try:
            record = _RECORD.validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            reason = " ".join([*map(str, first["loc"]), first["msg"]])
            raise ConfigError(f"{place}: not a whole synthesis record: {reason}") from None
        if record.to_line() != line:
            raise ConfigError(
                f"{place}: this synthesis record was changed after it was made: its key or its form is off"
            )
        return record


_RECORD = TypeAdapter(Record)


def _canonical(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
