"""A finished or running exploration as reports see it, read from its folder; changes when the folder's layout does.

The folder holds run.yaml (the resolved sweep), run.json (what the run is and how far it got), front.parquet (the Pareto
front), rows/*.parquet (rows of designs, `index` first) and, where given, details.json (rows of `simulator.evaluate` by
index) and density.csv (a density table).
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from densimeter.formats.errors import ConfigError

MOST_ROWS = 20_000
"""Rows that a page embeds besides the front: a browser still draws and filters them at once."""


_FACTS = ("name", "state", "axes", "objectives", "counts")


@dataclass(frozen=True)
class Run:
    """One exploration.

    facts: run.json. rows: the front's, then others, in the order of their indices; all of the run's `row_count`, or a
    sample. front_count: how many of `rows` are the front. details: rows of machines by index. density: rows of CSV.
    """

    sweep: str
    facts: Mapping[str, Any]
    rows: pa.Table
    front_count: int
    row_count: int
    details: Mapping[int, Mapping[str, Any]]
    density: tuple[Mapping[str, str], ...]

    @property
    def name(self) -> str:
        return str(self.facts["name"])

    @property
    def axes(self) -> list[str]:
        """The columns that say which design a row is, in the order of the YAML."""
        return [name for name in self.facts["axes"] if name in self.rows.column_names]

    @property
    def objectives(self) -> dict[str, str]:
        """Column to "min" or "max"."""
        return dict(self.facts["objectives"])

    @property
    def scenarios(self) -> list[str]:
        """The axes within whose combinations designs are compared."""
        return list(self.facts.get("scenarios", ()))

    @property
    def front(self) -> pa.Table:
        return self.rows.slice(0, self.front_count)

    @property
    def is_sample(self) -> bool:
        return len(self.rows) < self.row_count


def read_run(folder: Path, *, most_rows: int = MOST_ROWS, seed: int = 0) -> Run:
    """Read a run, also one that is still going on: what is in its folder is whole.

    Of more than `most_rows` rows, the front and a random sample of that many are taken, always the same of one run.
    ConfigError for a folder that holds no run.
    """
    facts = _json(_text(folder, "run.json"), folder / "run.json")
    if missing := [key for key in _FACTS if key not in facts]:
        raise ConfigError(f"{folder}: its run.json lacks {', '.join(missing)}: no part of the run has finished yet")
    sweep = _text(folder, "run.yaml")
    front = _table(folder / "front.parquet")
    others, row_count = _other_rows(folder / "rows", front["index"].to_numpy(), most_rows, seed)
    rows = pa.concat_tables([front, *(part.select(front.column_names).cast(front.schema) for part in others)])
    return Run(
        sweep=sweep,
        facts=facts,
        rows=rows,
        front_count=front.num_rows,
        row_count=max(row_count, front.num_rows),
        details=_details(folder / "details.json"),
        density=_density(folder / "density.csv"),
    )


def _other_rows(folder: Path, front: NDArray[np.int64], most_rows: int, seed: int) -> tuple[list[pa.Table], int]:
    """Rows that are not in the front, at most `most_rows` of them, and how many rows there are in all.

    One file at a time is in memory.
    """
    paths = sorted(folder.glob("*.parquet"))
    counts = [pq.read_metadata(path).num_rows for path in paths]
    total = sum(counts)
    drawn = np.arange(total)
    if total > most_rows:
        drawn = np.sort(np.random.default_rng(seed).choice(total, most_rows, replace=False))
    starts = np.cumsum([0, *counts])
    return [
        part
        for path, start, stop in zip(paths, starts, starts[1:], strict=False)
        for part in _drawn(path, drawn[(drawn >= start) & (drawn < stop)] - start, front)
    ], total


def _drawn(path: Path, places: NDArray[np.int64], front: NDArray[np.int64]) -> Iterator[pa.Table]:
    if len(places):
        part = _table(path).take(pa.array(places))
        yield part.filter(pa.array(~np.isin(part["index"].to_numpy(), front)))


def _table(path: Path) -> pa.Table:
    """A Parquet file with its dictionary columns decoded, since parts may number their values differently."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise ConfigError(f"{path}: cannot be read as Parquet; expected the folder of `densimeter run`") from error
    plain = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(plain)).replace_schema_metadata(None)


def _text(folder: Path, name: str) -> str:
    try:
        return (folder / name).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{folder}: has no {name}; expected the folder of `densimeter run`") from error


def _json(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}: is not JSON ({error}); expected the folder of `densimeter run`") from error


def _details(path: Path) -> dict[int, Mapping[str, Any]]:
    if not path.exists():
        return {}
    return {int(index): row for index, row in _json(path.read_text(encoding="utf-8"), path).items()}


def _density(path: Path) -> tuple[Mapping[str, str], ...]:
    if not path.exists():
        return ()
    return tuple(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
