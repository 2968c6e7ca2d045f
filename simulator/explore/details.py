"""Details of a few designs of a run: the whole row that `evaluate` gives, layers included, beside the run's rows."""

import json
from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq

from densimeter.formats.errors import ConfigError
from densimeter.formats.files import write_text
from densimeter.simulator.evaluation import evaluate_document
from densimeter.simulator.explore.chosen import designs
from densimeter.simulator.explore.judging import accuracy_folder
from densimeter.simulator.explore.load import load
from densimeter.simulator.schema.document import Document


def chosen_designs(folder: Path, most: int) -> list[int]:
    """Indices of the front's designs: the best by each objective, then others by their index, `most` in all.

    Raises ConfigError for a folder that holds no run.
    """
    objectives = load(folder / "run.yaml").sweep.objectives
    try:
        front = pq.read_table(folder / "front.parquet", columns=["index", *objectives])
    except OSError as error:
        raise ConfigError(f"{folder}: has no front.parquet; expected the folder of `densimeter run`") from error
    rows = sorted(front.to_pylist(), key=lambda row: row["index"])
    signs = {name: 1 if way == "min" else -1 for name, way in objectives.items()}
    best = [min(rows, key=lambda row: sign * row[name])["index"] for name, sign in signs.items() if rows]
    return list(dict.fromkeys([*best, *(row["index"] for row in rows)]))[:most]


def add_details(folder: Path, indices: Iterable[int]) -> None:
    """Evaluate those designs and write the run's details.json."""
    kept = accuracy_folder(folder)
    details = {
        str(index): evaluate_document(Document("design point", design, {}), kept)
        for index, design in designs(folder, indices).items()
    }
    write_text(folder / "details.json", json.dumps(details, allow_nan=False))
