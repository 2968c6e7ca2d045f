"""Finished rows in the output folder, each in a file of its own under a digest of all that it depends on.

The file's name starts with the row's, for people; only the digest counts.
"""

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

    def find(self, job: Mapping[str, Any]) -> dict[str, Any] | None:
        """The row that was kept for this job, if one was."""
        for path in self._folder.glob(f"*-{digest(job)}.json"):
            try:
                row: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            except (FileNotFoundError, ValueError):
                continue
            return row
        return None

    def keep(self, name: str, job: Mapping[str, Any], row: Mapping[str, Any]) -> None:
        """Write a row, whole or not at all."""
        readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        write_text(self._folder / f"{readable}-{digest(job)}.json", json.dumps(row, indent=1, allow_nan=False) + "\n")


def digest(job: Mapping[str, Any]) -> str:
    """Twelve characters that tell jobs apart."""
    return hashlib.sha256(json.dumps(job, sort_keys=True).encode()).hexdigest()[:12]
