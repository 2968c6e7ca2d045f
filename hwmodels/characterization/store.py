"""Where records live: the committed file that ships with the package, and the user's cache. Looked up in this order.

The committed record comes first so that everybody's table shows the same figures; the cache adds what that file lacks.
"""

import logging
import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from densimeter.formats.errors import ConfigError
from densimeter.formats.files import write_text
from densimeter.hwmodels.characterization.record import Record

_COMMITTED = Path(__file__).with_name("records.jsonl")
_log = logging.getLogger(__name__)


def user_cache() -> Path:
    """$XDG_CACHE_HOME/densimeter/synthesis, by default under ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "densimeter" / "synthesis"


class Store:
    """Records by key. The cache is one file a record, so processes may share it."""

    def __init__(self, committed: Path = _COMMITTED, cache: Path | None = None) -> None:
        self._committed_file = committed
        self._cache = user_cache() if cache is None else cache

    def lookup(self, key: str) -> Record | None:
        """The record of that key, or None. Raises `ConfigError` with file and line when the committed file is damaged;
        a damaged file of the cache is reported in the log and passed over."""
        return self._by_key().get(key) or self._cached(key)

    def committed(self) -> list[Record]:
        """The records of the committed file, in its order."""
        return list(self._by_key().values())

    def add(self, record: Record) -> None:
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

    def _by_key(self) -> dict[str, Record]:
        try:
            return _read(self._committed_file, self._committed_file.stat().st_mtime_ns)
        except FileNotFoundError:
            return {}

    def _cached(self, key: str) -> Record | None:
        file = self._cache_file(key)
        try:
            record = Record.from_line(file.read_text().removesuffix("\n"), str(file))
        except FileNotFoundError:
            return None
        except (ConfigError, UnicodeDecodeError, OSError) as error:
            _log.warning("%s; passed over", error)
            return None
        return record if record.key == key else None

    def _cache_file(self, key: str) -> Path:
        return self._cache / f"{key}.json"


@lru_cache(maxsize=1)
def _read(file: Path, changed: int) -> dict[str, Record]:
    """The records in a file, remembered until `changed`, its time of modification, is another."""
    lines = file.read_text().splitlines()
    records = [Record.from_line(line, f"{file}:{number}") for number, line in enumerate(lines, start=1)]
    return {record.key: record for record in records}
