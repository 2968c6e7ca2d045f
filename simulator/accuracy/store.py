"""Finished rows in the output folder, each in a file of its own under a digest of all that it depends on."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from densimeter.formats.files import write_text


class RowStore:
    """Rows of earlier runs and of this one. A row whose model, text or formats have changed since is not found."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "rows"

    def find(self, name: str, job: Mapping[str, Any]) -> dict[str, Any] | None:
        """The row that was kept for this job, if one was."""
        try:
            row: dict[str, Any] = json.loads(self._path(name, job).read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        return row

    def keep(self, name: str, job: Mapping[str, Any], row: Mapping[str, Any]) -> None:
        """Write a row, whole or not at all."""
        write_text(self._path(name, job), json.dumps(row, indent=1, allow_nan=False) + "\n")

    def _path(self, name: str, job: Mapping[str, Any]) -> Path:
        readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        return self._folder / f"{readable}-{digest(job)}.json"


def digest(job: Mapping[str, Any]) -> str:
    """Twelve characters that tell jobs apart."""
    return hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()[:12]
