"""A small folder of an exploration, as `densimeter run` leaves it, made of random designs of one space."""

import itertools
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from densimeter.reports.quantities import TOTALS
from densimeter.simulator import evaluate
from densimeter.simulator.explore.load import explore
from support.design_points import DESIGN

OBJECTIVES = {"tokens_per_s": "max", "energy_per_token_j": "min", "area_mm2": "min"}
AXES: dict[str, list[Any]] = {
    "format": ["bfp4", "bfp6", "bfp8", "mxfp4"],
    "array.rows": [8, 16, 32, 64],
    "array.cols": [16, 32, 64],
    "buffers.weight_kib": [256, 512],
}
SIZE = 4 * 4 * 3 * 2
SWEEP = {"name": "bfp-arrays", "design": DESIGN, "axes": AXES, "objectives": OBJECTIVES}


def row(index: int) -> dict[str, Any]:
    """One row of the run: axes, totals, components."""
    values = next(itertools.islice(itertools.product(*AXES.values()), index, None))
    found = evaluate(explore(SWEEP).space.design(index))
    totals = {name: value for name, value in found.items() if name in TOTALS or name.endswith(("_low", "_high"))}
    parts = {f"{group}.{part}": value for group in ("areas_mm2", "energies_j") for part, value in found[group].items()}
    return {"index": index, **dict(zip(AXES, values, strict=True)), **totals, **parts}


def front(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows that no other one beats in every objective, by brute force."""
    signs = {name: 1 if way == "min" else -1 for name, way in OBJECTIVES.items()}

    def cost(one: Mapping[str, Any]) -> tuple[float, ...]:
        return tuple(sign * one[name] for name, sign in signs.items())

    def beats(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
        return one != other and all(a <= b for a, b in zip(one, other, strict=True))

    costs = [cost(one) for one in rows]
    return [one for one, mine in zip(rows, costs, strict=True) if not any(beats(other, mine) for other in costs)]


def write_run(folder: Path, rows: list[dict[str, Any]], *, name: str = "bfp-arrays", state: str = "done") -> Path:
    """The folder of a run with these rows, two parts of them."""
    (folder / "rows").mkdir(parents=True)
    half = len(rows) // 2
    for part in (rows[:half], rows[half:]):
        table = pa.Table.from_pylist(part)
        coded = table.set_column(1, "format", table["format"].dictionary_encode())
        pq.write_table(coded, folder / "rows" / f"part-0-{part[0]['index']:012}.parquet")
    pq.write_table(pa.Table.from_pylist(front(rows)), folder / "front.parquet")
    (folder / "run.yaml").write_text(yaml.safe_dump(SWEEP | {"name": name}, sort_keys=False), encoding="utf-8")
    facts = {
        "name": name,
        "versions": {"densimeter": "0.1.0"},
        "axes": AXES,
        "columns": {"tokens_per_s": {"unit": "1/s", "meaning": "tokens of all sequences a second"}},
        "objectives": OBJECTIVES,
        "counts": {"designs": SIZE, "evaluated": len(rows), "rejected": 0, "infeasible": 0},
        "state": state,
    }
    (folder / "run.json").write_text(json.dumps(facts), encoding="utf-8")
    return folder


def random_rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows of that many random designs, by index."""
    return [row(index) for index in sorted(random.Random(seed).sample(range(SIZE), count))]
