"""The folder of a run: written so that whatever ends a run, what is in it is whole, and the same command goes on.

    run.yaml       the sweep, resolved
    run.json       what the run is and how far it got
    rows/          a file for each finished part, named by its first position; it holds the part's rows and its tally
    front.parquet  the Pareto front of all finished parts, and in its metadata which parts these were

Every file is written beside its place and moved there. Only files in rows/ decide what is finished; the other two are
made from them.
"""

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from densimeter.formats.errors import ConfigError
from densimeter.formats.files import write_bytes, write_text
from densimeter.simulator.explore.inputs import Inputs, differing
from densimeter.simulator.explore.plan import Plan
from densimeter.simulator.explore.rows import facts_in, read_rows, to_parquet
from densimeter.simulator.explore.tally import Tally

ROWS = "rows"


class RunFolder:
    """Reads and writes the files of one run. Methods that write raise ConfigError where the disk does not take it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows = path / ROWS

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder, made if need be; ConfigError where another process holds it."""
        try:
            self._rows.mkdir(parents=True, exist_ok=True)
            held = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            raise ConfigError(
                f"{self.path}: {error.strerror}; expected a folder that can be made and is yours"
            ) from error
        try:
            self._lock(held)
            for torn in (*self.path.glob(".*"), *self._rows.glob(".*")):  # of a process that was killed as it wrote
                torn.unlink(missing_ok=True)
            yield
        finally:
            os.close(held)

    def _lock(self, held: int) -> None:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"{self.path}: another run is writing there; wait for it or choose another folder"
            ) from None

    def begin(self, sweep: str, versions: Mapping[str, str], files: Inputs) -> None:
        """Say what the run is. ConfigError where the folder holds the run of another sweep, or of another version, or
        where a file that the sweep names is not what it was."""
        if (known := self.sweep()) is None:
            if any(self._rows.iterdir()):
                raise ConfigError(f"{self.path}: rows without run.yaml; choose another folder")
            write_text(self.path / "run.json", json.dumps({"versions": dict(versions), "inputs": dict(files)}))
            write_text(self.path / "run.yaml", sweep)
        elif known != sweep:
            raise ConfigError(f"{self.path} holds the run of another sweep; choose another folder, or delete it")
        elif (earlier := self.facts()["versions"]) != versions:
            others = ", ".join(
                f"{name} {earlier.get(name)}" for name in versions if earlier.get(name) != versions[name]
            )
            raise ConfigError(
                f"{self.path} was begun with {others}, not with this; go on with that, or delete the folder"
            )
        elif changed := differing(self.facts()["inputs"], files):
            raise ConfigError(
                f"{', '.join(changed)}: changed since {self.path} was begun; put it back, or choose another folder"
            )

    def sweep(self) -> str | None:
        """run.yaml, or None where there is no run."""
        path = self.path / "run.yaml"
        return path.read_text(encoding="utf-8") if path.exists() else None

    def facts(self) -> dict[str, Any]:
        """run.json."""
        try:
            facts: dict[str, Any] = json.loads((self.path / "run.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"{self.path}: has no run.json that can be read, expected the folder of a run") from error
        return facts

    def write_facts(self, facts: Mapping[str, Any]) -> None:
        write_text(self.path / "run.json", json.dumps(facts, indent=2, allow_nan=False) + "\n")

    def part_path(self, plan: Plan, number: int) -> Path:
        """Where the file of a part stands."""
        return self._rows / f"part-{plan.span(number).start:015d}.parquet"

    def write_part(self, plan: Plan, number: int, parquet: bytes) -> None:
        """With its file there, a part is finished."""
        write_bytes(self.part_path(plan, number), parquet)

    def finished(self, plan: Plan) -> dict[int, Tally]:
        """What became of the designs of each finished part, by its number."""
        places = {self.part_path(plan, number): number for number in range(plan.parts)}
        found = {places[path]: path for path in sorted(self._rows.glob("part-*.parquet")) if path in places}
        return {number: Tally.from_json(facts_in(path)) for number, path in found.items()}

    def part_facts(self, plan: Plan, number: int) -> dict[str, Any]:
        """What the file of a finished part says of itself."""
        return facts_in(self.part_path(plan, number))

    def write_front(self, front: pa.Table, parts: Iterable[int]) -> None:
        write_bytes(self.path / "front.parquet", to_parquet(front, {"parts": sorted(parts)}))

    def front(self) -> tuple[pa.Table | None, set[int]]:
        """The front as it was last written, and the parts behind it; none where it cannot be read."""
        path = self.path / "front.parquet"
        if not path.exists():
            return None, set()
        try:
            return read_rows(path), set(facts_in(path)["parts"])
        except (ConfigError, KeyError):
            return None, set()

    def rows(self, plan: Plan, number: int) -> pa.Table:
        """The rows of a finished part."""
        return read_rows(self.part_path(plan, number))
