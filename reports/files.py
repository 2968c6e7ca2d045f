"""Writing a report's files; changes when what "written" promises does."""

import os
from pathlib import Path

from densimeter.formats import ConfigError


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all: beside its place first, then moved there. ConfigError where that fails."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            partial.write_text(text, encoding="utf-8")
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror}; expected a file in a folder that exists and is yours"
        ) from error
