"""The examples that ship with the package, run as they stand: their fronts, and what became of their designs."""

from pathlib import Path

import pytest

from densimeter.simulator.commands.init import sweeps
from densimeter.simulator.explore.engine import run
from densimeter.simulator.explore.load import load
from support.golden import Golden

CONFIGS = Path(__file__).parents[2] / "simulator" / "configs"
# Where a language model judges designs, an example takes minutes and an extra.
FAST = [name for name, text in sweeps().items() if "accuracy:" not in text]


@pytest.mark.parametrize("name", FAST)
def test_front_of_an_example(name: str, golden: Golden, tmp_path: Path) -> None:
    exploration = load(CONFIGS / f"{name}.yaml")
    found = run(exploration, tmp_path / "run")
    assert found.is_done
    shown = [*found.facts["axes"], *exploration.sweep.objectives]
    golden(f"fronts/{name}.csv", [{key: row[key] for key in shown} for row in found.front.to_pylist()])
    golden(f"fronts/{name}_counts.csv", [found.facts["counts"]])


def test_every_scenario_that_has_a_design_has_a_front(tmp_path: Path) -> None:
    """Batches 1 and 8 of the shape of the array; 64 sequences do not fit the memory, which the example says."""
    found = run(load(CONFIGS / "array_shape.yaml"), tmp_path / "run")
    assert {row["workload.batch"] for row in found.front.to_pylist()} == {1, 8}
