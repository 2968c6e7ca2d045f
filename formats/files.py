"""Writing files whole or not at all, for every floor that writes some."""

import os
import threading
from pathlib import Path

from densimeter.formats.errors import ConfigError


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text as `write_bytes` does."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file beside its place, then move it there: no reader and no interruption ever meets half of it.

    The folder is made if need be. ConfigError where the file cannot be written.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.write_bytes(data)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror}; expected a file in a folder that can be made and is yours"
        ) from error
