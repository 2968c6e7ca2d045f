"""Which design a row of a run is: what its column `index` says, or in a vast space, what the search drew there."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from densimeter.simulator.explore.load import Exploration, load
from densimeter.simulator.explore.numbering import as_indices
from densimeter.simulator.explore.plan import plan_of
from densimeter.simulator.explore.rows import facts_in
from densimeter.simulator.explore.run_folder import ROWS
from densimeter.simulator.explore.search import METHODS, OUTCOMES


def designs(folder: Path, names: Iterable[int]) -> dict[int, dict[str, Any]]:
    """The design points of rows, by their column `index`. Raises ConfigError for a folder that holds no run."""
    exploration = load(folder / "run.yaml")
    space, names = exploration.space, list(names)
    indices = _drawn(exploration, folder, names) if space.is_vast else names
    return {name: space.design(index) for name, index in zip(names, indices, strict=True)}


def _drawn(exploration: Exploration, folder: Path, positions: list[int]) -> list[int]:
    if exploration.sweep.search.method not in METHODS:
        found: list[int] = plan_of(exploration).indices(as_indices(positions)).tolist()
        return found
    parts = sorted((folder / ROWS).glob("part-*.parquet"))
    indices = [index for part in parts for index, _ in facts_in(part)[OUTCOMES]]
    return [indices[position] for position in positions]
