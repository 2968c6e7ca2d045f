"""The bench's checker: counts how many cycles were compared, how many differ, and keeps the first that does."""

import json
import os
from pathlib import Path

from densimeter.rtl.engines.bench.model import Model
from densimeter.rtl.engines.bench.monitor import Outputs


class Checker:
    """Compares outputs with the model, cycle by cycle."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._compared = 0
        self._mismatches = 0
        self._first: dict[str, int | None] | None = None

    def check(self, cycle: int, outputs: Outputs) -> None:
        if not self._model.compared[cycle]:
            return
        self._compared += 1
        flags = self._model.expected_invalid
        invalid = None if flags is None else flags[cycle]
        if outputs.register == self._model.expected[cycle] and outputs.invalid == invalid:
            return
        self._mismatches += 1
        if self._first is None:
            self._first = {"edge": cycle, "register": outputs.register, "invalid": outputs.invalid}

    def write(self, path: Path) -> None:
        """Leave the report; it appears only when it is whole."""
        report = {"compared": self._compared, "mismatches": self._mismatches, "first": self._first}
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(report), encoding="utf-8")
        os.replace(partial, path)
