"""Stimulus from real tensors: the same numbers for every format, in the groups that each unit takes."""

from pathlib import Path

import numpy as np
import pytest

import densimeter.formats as F
from densimeter.formats.errors import ToolError
from densimeter.hwmodels.characterization.store import EnergyStore
from densimeter.hwmodels.energy import PRODUCTS, unit_energy
from densimeter.kernels import QuantizedTensor
from densimeter.rtl.cells.liberty import find_library
from densimeter.simulator.activity import dot_products, recipe
from densimeter.simulator.rtl_regression import expected_registers
from densimeter.simulator.workloads import minilm


def datapath(name: str, lanes: int, accumulator: str) -> F.Datapath:
    return F.derive(F.get(name), F.get(name), lanes, accumulator)


@pytest.fixture(autouse=True)
def _model() -> None:
    try:
        minilm.model()
    except ToolError as error:
        pytest.skip(str(error))


def test_every_format_gets_the_same_numbers() -> None:
    wide, narrow = (dot_products(datapath(*unit), 3) for unit in (("float32", 1, "fp32"), ("bfp8", 16, "fp32")))
    assert wide.cycles == 3 * PRODUCTS
    assert narrow.cycles == 3 * PRODUCTS // 16
    exact = wide.activation.astype(np.uint32).view(np.float32).reshape(-1, 16)
    assert narrow.activation_scale is not None
    rounded = QuantizedTensor(
        F.get("bfp8"), exact.shape, 1, narrow.activation.astype(np.uint8), narrow.activation_scale[:, None]
    ).dequantize()
    # Seven bits below each block's largest power of two.
    assert np.abs(exact - rounded).max(axis=1) == pytest.approx(0, abs=float(np.abs(exact).max()) / 64)
    assert np.linalg.norm(exact - rounded) < 0.02 * np.linalg.norm(exact)


def test_every_output_starts_with_a_clear() -> None:
    clears = dot_products(datapath("bfp6", 16, "aligned24"), 4).clears
    assert np.flatnonzero(clears).tolist() == [0, 24, 48, 72]


def test_two_groups_of_a_block_share_its_scale() -> None:
    stimulus = dot_products(datapath("mxfp4", 16, "fp32"), 2)
    assert stimulus.weight_scale is not None
    pairs = stimulus.weight_scale.reshape(-1, 2)
    assert (pairs[:, 0] == pairs[:, 1]).all()


def test_the_draw_is_decided_by_its_seed() -> None:
    first, again, other = (dot_products(datapath("int8", 1, "int32"), 2, seed) for seed in (0, 0, 1))
    assert np.array_equal(first.activation, again.activation)
    assert not np.array_equal(first.activation, other.activation)
    assert recipe(datapath("int8", 1, "int32"), seed=1).description != recipe(datapath("int8", 1, "int32")).description


def test_a_longer_draw_goes_on_from_a_shorter_one() -> None:
    unit = datapath("int8", 1, "int32")
    few, more = dot_products(unit, 2), dot_products(unit, 3)
    assert np.array_equal(more.weight[: few.cycles], few.weight)


def test_the_registers_are_dot_products() -> None:
    unit = datapath("int8", 1, "int32")
    stimulus = dot_products(unit, 2)
    products = stimulus.activation.astype(np.int8).astype(int) * stimulus.weight.astype(np.int8).astype(int)
    sums = products.reshape(2, PRODUCTS).sum(axis=1)
    registers = expected_registers(unit, stimulus).accumulator[PRODUCTS - 1 :: PRODUCTS]
    assert registers.astype(np.uint32).astype(np.int32).tolist() == sums.tolist()


BFP4, BFP6, BFP8 = (datapath(name, 16, "aligned24") for name in ("bfp4", "bfp6", "bfp8"))
INT8, FLOAT32 = datapath("int8", 1, "int32"), datapath("float32_ftz", 1, "fp32_ftz")


@pytest.mark.rtl
@pytest.mark.parametrize(
    ("units", "measured_fj"),
    [
        pytest.param([BFP4, INT8], [429, 2066], id="two"),
        pytest.param(
            [BFP4, BFP6, BFP8, INT8, FLOAT32], [429, 831, 1433, 2066, 28417], marks=pytest.mark.slow, id="all"
        ),
    ],
)
def test_narrower_formats_use_less_energy(units: list[F.Datapath], measured_fj: list[float], tmp_path: Path) -> None:
    library = find_library("nangate45")
    if library.path is None:
        pytest.skip(f"nangate45 is not installed: {library.how_to_get}")
    store = EnergyStore(tmp_path / "energy.jsonl", tmp_path / "cache")
    per_mac = []
    for unit in units:
        record = unit_energy(unit, library, recipe(unit, outputs=1), store=store)
        per_mac.append(record.result.energy_fj / unit.lanes)
        assert 0 < record.result.glitch_share < 1
        assert store.lookup(record.key) == record
    assert per_mac == sorted(per_mac)
    # Measured with all eight outputs; one alone is another sample, and other versions of the tools move it too.
    assert per_mac == pytest.approx(measured_fj, rel=0.35)
