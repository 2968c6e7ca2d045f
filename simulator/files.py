"""Writing files so that nobody ever meets half of one."""

import os
from pathlib import Path

from densimeter.formats import ConfigError


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text through an unfinished file in the same folder, which is made if need be."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            unfinished.write_text(text, encoding="utf-8")
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written ({error.strerror}); expected a folder that can be") from error
