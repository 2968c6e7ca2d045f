"""Where records live: a committed file that ships with the package, and the user's cache. Looked up in this order.

The committed record comes first so that everybody's table shows the same figures; the cache adds what that file lacks.
"""

import logging
import os
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, Generic, TypeVar

from densimeter.formats.errors import ConfigError
from densimeter.formats.files import write_text
from densimeter.hwmodels.characterization.record import EnergyRecord, Record

R = TypeVar("R", Record, EnergyRecord)

_COMMITTED = Path(__file__).with_name("records.jsonl")
_COMMITTED_ENERGY = Path(__file__).with_name("energy.jsonl")
_log = logging.getLogger(__name__)


def user_cache(kind: str = "synthesis") -> Path:
    """$XDG_CACHE_HOME/densimeter/KIND, by default under ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "densimeter" / kind


class RecordStore(Generic[R]):
    """Records of one kind by key. The cache is one file a record, so processes may share it."""

    def __init__(self, kind: type[R], committed: Path, cache: Path) -> None:
        self._kind: type[R] = kind
        self._committed_file = committed
        self._cache = cache

    def lookup(self, key: str) -> R | None:
        """The record of that key, or None. Raises `ConfigError` with file and line when the committed file is damaged;
        a damaged file of the cache is reported in the log and passed over."""
        return self._by_key().get(key) or self._cached(key)

    def committed(self) -> list[R]:
        """The records of the committed file, in its order."""
        return list(self._by_key().values())

    def add(self, record: R) -> None:
        """Put a record into the cache, whole or not at all."""
        try:
            write_text(self._cache_file(record.key), record.to_line() + "\n")
        except ConfigError as error:
            raise ConfigError(f"{error}; the cache can be moved with XDG_CACHE_HOME") from error

    def export(self, keys: Iterable[str]) -> None:
        """Rewrite the committed file: the records of `keys`, from the file or the cache, and no others.

        Raises `ConfigError`, leaving the file as it was, when a key has no record.
        """
        found = {key: self.lookup(key) for key in keys}
        records = [record for record in found.values() if record is not None]
        if missing := sorted(found.keys() - {record.key for record in records}):
            raise ConfigError(f"no record for {len(missing)} of {len(found)} keys, the first being {missing[0]}")
        records.sort(key=lambda record: (record.identity.top, record.identity.target, record.identity.flow, record.key))
        write_text(self._committed_file, "".join(record.to_line() + "\n" for record in records))

    def _by_key(self) -> dict[str, R]:
        try:
            return _read(self._kind.from_line, self._committed_file, self._committed_file.stat().st_mtime_ns)
        except FileNotFoundError:
            return {}

    def _cached(self, key: str) -> R | None:
        file = self._cache_file(key)
        try:
            record = self._kind.from_line(file.read_text().removesuffix("\n"), str(file))
        except FileNotFoundError:
            return None
        except (ConfigError, UnicodeDecodeError, OSError) as error:
            _log.warning("%s; passed over", error)
            return None
        return record if record.key == key else None

    def _cache_file(self, key: str) -> Path:
        return self._cache / f"{key}.json"


class Store(RecordStore[Record]):
    """Synthesis results."""

    def __init__(self, committed: Path = _COMMITTED, cache: Path | None = None) -> None:
        super().__init__(Record, committed, user_cache() if cache is None else cache)


class EnergyStore(RecordStore[EnergyRecord]):
    """Energies of units and converters."""

    def __init__(self, committed: Path = _COMMITTED_ENERGY, cache: Path | None = None) -> None:
        super().__init__(EnergyRecord, committed, user_cache("energy") if cache is None else cache)


@lru_cache(maxsize=2)
def _read(from_line: Callable[[str, str], Any], file: Path, changed: int) -> dict[str, Any]:
    """The records in a file by key, remembered until `changed`, its time of modification, is another."""
    lines = file.read_text().splitlines()
    records = [from_line(line, f"{file}:{number}") for number, line in enumerate(lines, start=1)]
    return {record.key: record for record in records}
