"""The files outside of a sweep that decide its numbers: a run notes what is in them, and goes on with just the same."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from densimeter.formats.errors import ConfigError
from densimeter.simulator.explore.paths import get
from densimeter.simulator.explore.space import Space
from densimeter.simulator.workloads.language_models import config_path

Inputs = Mapping[str, str]
"""The SHA-256 of each file, by its path as the sweep writes it."""


def _existing(written: str) -> Path | None:
    path = Path(written)
    return path if path.is_file() else None


_FILES: Mapping[str, Callable[[str], Path | None]] = {
    "workload.model": config_path,
    "workload.gemms": Path,
    "accuracy.text": _existing,
}
"""The settings that may name a file, and which one they do."""


def inputs(space: Space) -> Inputs:
    """Of all files that designs of a space name. Raises ConfigError for one that cannot be read."""
    found = {}
    for setting, file_of in _FILES.items():
        for written in map(str, _values(space, setting)):
            path = file_of(written)
            if path is not None:
                found[written] = _digest(path)
    return dict(sorted(found.items()))


def differing(known: Inputs, found: Inputs) -> list[str]:
    """Files that are not what they were."""
    return [path for path in {**known, **found} if known.get(path) != found.get(path)]


def _values(space: Space, setting: str) -> Iterator[Any]:
    """All that a setting is in designs of the space."""
    section, _, key = setting.partition(".")
    sections = [space.base.get(section), *(space.values[section] if section in space.settings else ())]
    yield from (get(written, key, None) for written in sections if isinstance(written, Mapping) and key in written)
    yield from (value for value in space.values.get(setting, ()) if value is not None)


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read ({error.strerror}); expected the file that the sweep names"
        ) from error
