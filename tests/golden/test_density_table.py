"""The default density table, whole: what `densimeter density` prints of each unit, in one flow and library."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from densimeter.rtl import yosys
from densimeter.simulator.density import density_table
from densimeter.simulator.schema.density import DensityConfig, default_document
from densimeter.simulator.schema.document import validate
from support.golden import Golden, Row

UNIT = ("format", "unit", "accumulator")
COSTS = (
    "bits_per_value",
    "memory_density",
    "lut_per_mac",
    "arithmetic_density_lut",
    "arithmetic_density_lut_vs_int8_mac",
    "arithmetic_density_lut_vs_int8_dot",
    "area_um2_per_mac",
    "arithmetic_density_area",
    "arithmetic_density_area_vs_int8_mac",
    "arithmetic_density_area_vs_int8_dot",
)
QUALITY = ("qsnr_weights_db", "qsnr_activations_db")

T = TypeVar("T")


def track(items: Iterable[T], label: str, total: int) -> Iterator[T]:
    yield from items


def rows(columns: Iterable[str], workload: str | None = None) -> list[Row]:
    config = validate(default_document(), DensityConfig)
    if workload is not None:
        config = config.model_copy(update={"workload": workload})
    table = density_table(config, fresh=False, track=track).to_json()["rows"]
    return [{name: row[name] for name in (*UNIT, *columns)} for row in table]


def test_costs(golden: Golden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of records alone, with tensors that stand for a model's."""
    monkeypatch.setattr(yosys, "installed_version", lambda: None)
    np.save(tmp_path / "weights.npy", np.random.default_rng(0).standard_normal((32, 64)).astype(np.float32))
    golden("density/costs.csv", rows(COSTS, str(tmp_path / "weights.npy")))


@pytest.mark.slow
def test_quality(golden: Golden) -> None:
    """On the weights and activations of MiniLM; "exact" formats change nothing."""
    golden("density/quality.csv", rows(QUALITY))
