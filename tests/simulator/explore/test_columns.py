"""Columns of a sweep are what `simulator.evaluate` says of each of its designs, to the last bit."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from densimeter.formats.errors import DensimeterError
from densimeter.hwmodels.accelerator import lookup
from densimeter.hwmodels.accelerator.cost import PARTS
from densimeter.hwmodels.accelerator.performance import MACHINE
from densimeter.simulator import evaluate
from densimeter.simulator.explore.columns import SECTIONS, Evaluator
from densimeter.simulator.explore.load import explore
from densimeter.simulator.explore.result_names import result_kinds
from densimeter.simulator.schema.design import DesignPoint
from support.spaces import space_of
from support.sweeps import SWEEP

# Every setting varies; what cannot be built is rare enough that many designs can.
EVERYTHING: dict[str, list[Any]] = {
    "format": ["bfp6", "mxfp4", "bfp8", "bfp4", {"element": "e3m2", "block": 24, "scale": "e8m0"}],
    "activation": [None, None, None, "mxfp8_e4m3"],
    "accumulator": ["aligned24", "aligned24", "fp32"],
    "lanes": [8, 16],
    "storage.weight": [None, "bfp4"],
    "storage.activation": [None, "bfp8"],
    "storage.key": [None, "mxfp4"],
    "storage.value": [None, "mxfp4", "bfp8"],
    "storage.query": [None, "bfp8"],
    "storage.probability": [None, "bfp8"],
    "storage.output": [None, "bfloat16"],
    "storage.layers[*.q_proj].weight": [None, "bfp4"],
    "storage.layers[*.layers.1.*].activation": [None, None, "bfp8"],
    "array.rows": [8, 31, 64],
    "array.cols": [16, 100],
    "array.dataflow": ["weight_stationary", "output_stationary", "input_stationary"],
    "array.double_buffered": [True, False],
    "buffers.activation_kib": [512, 1024, 777.5],
    "buffers.weight_kib": [256, 512, 2048, 4096, 1024, 8192, 0.0001],
    "buffers.sum_kib": [128, 256],
    "dram": [{"device": "hbm2e"}, {"bandwidth_gb_s": 50, "energy_pj_per_bit": 5, "capacity_gib": 4, "efficiency": 0.7}],
    "overlap": [{}, {"transfer": False}, {"conversion": False, "conversions_per_cycle": 16}],
    "clock_mhz": [None, None, 100, 900],
    "node_nm": [45, 45, 22, 32, 3],
    "sram_cells": ["itrs-hp", "itrs-lop"],
    "vector_lanes": [None, 64],
    "workload.model": ["llama-2-7b", "opt-125m"],
    "workload.phase": ["decode", "prefill"],
    "workload.batch": [1, 8],
    "workload.context": [64, 128, 4096],
}


def test_columns_equal_single_evaluations() -> None:
    space = space_of(EVERYTHING)
    indices = space.draw(1500, seed=0)
    found = Evaluator(space).evaluate(space.codes(indices), len(indices))
    place = {row: i for i, row in enumerate(found.rows.tolist())}
    for row, index in enumerate(indices.tolist()):
        try:
            single = evaluate(space.design(index))
        except DensimeterError:
            assert row not in place
            continue
        flat = {name: value for name, value in single.items() if name in result_kinds()}
        flat |= {f"areas_mm2.{name}": value for name, value in single["areas_mm2"].items()}
        flat |= {f"energies_j.{name}": value for name, value in single["energies_j"].items()}
        assert flat == {name: column[place[row]] for name, column in found.columns.items()}
    assert len(found.rows) > 300
    assert {"unit", "buffers", "workload", "node_nm", "tiling"} & set(found.refusals)
    assert sum(refusal.count for refusal in found.refusals.values()) == len(indices) - len(found.rows)


def test_a_design_is_the_same_in_any_company() -> None:
    """Alone, among others, and by an evaluator that has seen others before."""
    space = space_of(EVERYTHING)
    evaluator, indices = Evaluator(space), space.draw(200, seed=1)
    together = evaluator.evaluate(space.codes(indices), len(indices))
    for place, row in list(enumerate(together.rows.tolist()))[:20]:
        for one in (evaluator, Evaluator(space)):
            alone = one.evaluate(space.codes(indices[row : row + 1]), 1)
            assert {name: column[0] for name, column in alone.columns.items()} == {
                name: column[place] for name, column in together.columns.items()
            }


def test_refusals_name_the_first_design_of_their_kind() -> None:
    space = space_of({"clock_mhz": [100, 1e6], "buffers.weight_kib": [0.0001, 512]})
    found = Evaluator(space).evaluate(space.codes(np.arange(4)), 4)
    assert found.rows.tolist() == [1]  # 100 MHz, 512 KiB
    assert {kind: (refusal.count, refusal.row) for kind, refusal in found.refusals.items()} == {
        "buffers": (2, 0),
        "unit": (1, 3),
    }
    assert found.refusals["buffers"].reason.startswith("weight_bytes is 0")
    assert found.refusals["unit"].reason.startswith("clock_mhz is 1e+06, expected at most")


def test_nothing_that_can_be_built() -> None:
    space = space_of({"clock_mhz": [1e6]})
    found = Evaluator(space).evaluate(space.codes(np.arange(1)), 1)
    assert (len(found.rows), found.columns, found.refusals["unit"].count) == (0, {}, 1)


def test_no_designs_at_all() -> None:
    space = space_of({"clock_mhz": [100]})
    found = Evaluator(space).evaluate(space.codes(np.zeros(0, np.int64)), 0)
    assert (len(found.rows), found.refusals) == (0, {})


def test_every_key_of_a_design_has_a_section_and_every_section_was_varied() -> None:
    assert sorted(key for keys in SECTIONS.values() for key in keys) == sorted(DesignPoint.model_fields)
    # Of the others the tests are in test_judging.py, and at the end of this file.
    assert {path.split(".")[0] for path in EVERYTHING} == DesignPoint.model_fields.keys() - {"accuracy", "synthesize"}


@pytest.mark.parametrize("row", [MACHINE, PARTS])
def test_pieces_hold_every_field_once(row: np.dtype[np.void]) -> None:
    """But for dram_bits_per_cycle, which two of them make together, and the bands that all buffers share."""
    held = [name for piece in lookup.PIECES.values() for name in piece.names or () if name in (row.names or ())]
    shared = [name for name in held if name.startswith("buffer_")]
    assert sorted([*held, *(["dram_bits_per_cycle"] if row is MACHINE else [])]) == sorted(
        [*(row.names or ()), *shared[len(set(shared)) :]]
    )


def test_a_section_may_have_more_settings_than_an_integer_holds() -> None:
    """Thirty-two axes of three values, two bits each: more than 63 bits together."""
    axes = {f"storage.layers[model.layers.{i}.*].weight": ["bfp4", "bfp6", "bfp8"] for i in range(32)}
    space = space_of(axes)
    indices = space.draw(20, seed=0)
    found = Evaluator(space).evaluate(space.codes(indices), len(indices))
    bits = [evaluate(space.design(index))["bits_per_weight"] for index in indices[:3].tolist()]
    assert found.columns["bits_per_weight"][:3].tolist() == bits


@pytest.mark.rtl
def test_units_are_synthesised_where_a_design_asks_for_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is synthesised has no band; what is estimated has one. Energies are estimated either way."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    space = explore(
        {
            **SWEEP,
            "design": {**SWEEP["design"], "format": "int3", "accumulator": "int32", "lanes": 2},
            "axes": {"synthesize": [False, True]},
            "constraints": [],
        }
    ).space
    columns = Evaluator(space).evaluate(space.codes(np.arange(2)), 2).columns
    spread = columns["area_mm2_high"] - columns["area_mm2_low"]
    assert spread[1] == 0 < spread[0]
    assert columns["areas_mm2.units"][0] != columns["areas_mm2.units"][1]
    assert len(list(tmp_path.rglob("*.json"))) == 1
