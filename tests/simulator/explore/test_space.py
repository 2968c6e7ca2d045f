"""The space of a sweep held to brute force: the product of its axes minus constraints, every design once."""

import itertools
import json
import math
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from densimeter.formats import ConfigError
from densimeter.simulator.explore.load import Exploration, explore

DESIGN = {
    "format": "bfp6",
    "lanes": 16,
    "accumulator": "fp32",
    "array": {"rows": 32, "cols": 32},
    "dram": {"device": "hbm2e"},
    "workload": {"model": "opt-125m", "context": 64},
}


def sweep(axes: dict[str, Any], constraints: tuple[str, ...] = (), **design: Any) -> Exploration:
    return explore(
        {
            "name": "test",
            "design": DESIGN | design,
            "axes": axes,
            "constraints": list(constraints),
            "objectives": {"area_mm2": "min"},
        }
    )


def designs(found: Exploration) -> list[dict[str, Any]]:
    """Those that meet the constraints on settings, in the order of their indices."""
    indices = np.arange(found.space.size)
    return [found.space.design(int(i)) for i in indices[found.space.mask(found.space.codes(indices))]]


Flat = dict[str, Any]
Rule = tuple[str, Callable[[Flat], bool]]
BASE: Flat = {"format": "bfp6", "array.rows": 32, "array.cols": 32, "workload.batch": 1, "buffers.weight_kib": 512}
VALUES: dict[str, list[Any]] = {
    "format": ["bfp4", "bfp6", "bfp8"],
    "array.rows": [8, 16, 32, 64],
    "array.cols": [8, 24, 32],
    "workload.batch": [1, 3],
    "buffers.weight_kib": [128, 512.5, 1024],
}
RULES: list[Rule] = [
    ("format != 'bfp4'", lambda d: d["format"] != "bfp4"),
    ("array.rows >= 16", lambda d: d["array.rows"] >= 16),
    ("array.rows * array.cols <= 1024", lambda d: d["array.rows"] * d["array.cols"] <= 1024),
    ("workload.batch == 1 or array.cols % 16 == 0", lambda d: d["workload.batch"] == 1 or d["array.cols"] % 16 == 0),
    (
        "format in ['bfp6'] and not buffers.weight_kib > 600",
        lambda d: d["format"] == "bfp6" and d["buffers.weight_kib"] <= 600,
    ),
]


@st.composite
def drawn_sweeps(draw: st.DrawFn) -> tuple[dict[str, list[Any]], dict[str, Rule], list[Rule]]:
    """Axes with their values, conditions of some on axes before them, constraints."""
    names = draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, unique=True))
    axes = {name: draw(st.lists(st.sampled_from(VALUES[name]), min_size=1, unique=True)) for name in names}
    conditions = {}
    for i, name in enumerate(names):
        rule = draw(st.none() | st.sampled_from(RULES))
        if rule is not None and not any(later in rule[0] for later in names[i:]):
            conditions[name] = rule
    return axes, conditions, draw(st.lists(st.sampled_from(RULES), max_size=2, unique_by=lambda rule: rule[0]))


@settings(deadline=None, max_examples=60)
@given(drawn_sweeps())
def test_the_space_is_the_product_of_its_axes_minus_constraints(
    drawn: tuple[dict[str, list[Any]], dict[str, Rule], list[Rule]],
) -> None:
    axes, conditions, constraints = drawn
    expected = set()
    for values in itertools.product(*axes.values()):
        design = BASE.copy()
        for name, value in zip(axes, values, strict=True):
            if name not in conditions or conditions[name][1](design):
                design[name] = value
        if all(rule(design) for _, rule in constraints):
            expected.add(tuple(design.items()))
    written = {
        name: {"values": values, "when": conditions[name][0]} if name in conditions else values
        for name, values in axes.items()
    }
    if not expected:
        with pytest.raises(ConfigError, match=r"no design meets it|none of \d+ designs meets"):
            sweep(written, tuple(text for text, _ in constraints))
        return
    found = sweep(written, tuple(text for text, _ in constraints))
    flat = [
        tuple({name: _at(design, name, value) for name, value in BASE.items()}.items()) for design in designs(found)
    ]
    assert len(flat) == len(set(flat)) == found.space.allowed()
    assert set(flat) == expected
    indices = np.arange(found.space.size)
    assert found.space.indices(found.space.codes(indices)).tolist() == indices.tolist()


def _at(design: dict[str, Any], path: str, default: Any) -> Any:
    for step in path.split("."):
        design = design.get(step, {}) if isinstance(design, dict) else design
    return default if design == {} else design


def test_ranges_powers_and_lists() -> None:
    space = sweep(
        {
            "array.rows": {"powers_of_two": [5, 64]},
            "array.cols": {"range": [8, 30], "step": 8},
            "dram.efficiency": {"range": [0.1, 0.4], "step": 0.1},
            "lanes": [None, 8],
        }
    ).space
    assert space.values["array.rows"] == (8, 16, 32, 64)
    assert space.values["array.cols"] == (8, 16, 24)
    assert space.values["dram.efficiency"] == (0.1, 0.2, 0.3, 0.4)  # 0.1 + 0.2 is 0.3
    assert space.values["lanes"] == (None, 8)
    assert space.size == 4 * 3 * 4 * 2


def test_derived_values_follow_and_multiply_nothing() -> None:
    found = sweep(
        {
            "array.rows": [8, 16, 64],
            "array.cols": {"value": "max(array.rows // 2, 8)"},
            "format": ["bfp4", {"element": "e3m2", "block": 24, "scale": "e8m0"}],
            "activation": {"same_as": "format"},
            "lanes": {"value": "8 if activation == 'bfp4' else 24"},
            "storage.kv": {"value": "activation"},
        }
    )
    assert found.space.size == 3 * 2
    for design in designs(found):
        assert design["array"]["cols"] == max(design["array"]["rows"] // 2, 8)
        assert design["activation"] == design["format"] == design["storage"]["kv"]
        assert design["lanes"] == (8 if design["format"] == "bfp4" else 24)


def test_a_derived_value_follows_a_conditional_axis_to_its_rest() -> None:
    found = sweep(
        {
            "format": ["bfp4", "bfp6"],
            "array.rows": {"values": [8, 16], "when": "format == 'bfp4'"},
            "array.cols": {"value": "array.rows * 2"},
        }
    )
    shapes = [(d["format"], d["array"]["rows"], d["array"]["cols"]) for d in designs(found)]
    assert shapes == [("bfp4", 8, 16), ("bfp4", 16, 32), ("bfp6", 32, 64)]


def test_choices_change_several_settings_together() -> None:
    found = sweep(
        {
            "precision": {
                "choices": {
                    "w4a8": {"format": "bfp4", "activation": "bfp8"},
                    "w8a8": {"format": "int8", "accumulator": "int32"},
                }
            },
            "lanes": {"values": [8, 4], "when": "precision == 'w8a8'"},
        },
        ("not (precision == 'w8a8' and lanes == 4)",),
    )
    space = found.space
    assert space.size == 1 + 2
    assert space.axes == ("precision", "lanes")
    assert space.settings == ("format", "activation", "accumulator", "lanes")
    pairs = [(d["format"], d["activation"], d["accumulator"], d["lanes"]) for d in designs(found)]
    assert pairs == [("bfp4", "bfp8", "fp32", 16), ("int8", None, "int32", 8)]


def test_a_whole_mapping_can_be_an_axis_and_its_parts_have_names() -> None:
    found = sweep({"dram": [{"device": "hbm2e"}, {"device": "ddr5-4800", "count": 2}]}, ("dram.count > 1",))
    assert [design["dram"] for design in designs(found)] == [{"device": "ddr5-4800", "count": 2}]


def test_constraints_use_defaults_of_what_the_design_does_not_say() -> None:
    found = sweep({"array.rows": [8, 64]}, ("array.rows * buffers.weight_kib <= 8 * 512",))
    assert [design["array"]["rows"] for design in designs(found)] == [8]


def test_results_are_accepted_row_by_row() -> None:
    found = sweep({"array.rows": [8, 16]}, ("feasible", "area_mm2 * array.rows <= 100", "areas_mm2.units > 1"))
    assert found.result_names == ("area_mm2", "feasible", "areas_mm2.units")
    columns = {
        "feasible": np.array([1.0, 1.0, 0.0, 1.0]),
        "area_mm2": np.array([12.5, 12.5, 1.0, 1.0]),  # 12.5 * 8 is 100, 12.5 * 16 is 200
        "areas_mm2.units": np.array([2.0, 2.0, 2.0, 0.5]),
    }
    codes = found.space.codes(np.array([0, 1, 0, 0]))
    assert found.accepts(codes, columns).tolist() == [True, False, False, False]


def test_a_clock_is_the_design_s_where_it_sets_one_and_a_result_elsewhere() -> None:
    assert sweep({}, ("clock_mhz >= 100",), clock_mhz=200).result_constraints == ()
    assert len(sweep({}, ("clock_mhz >= 100",)).result_constraints) == 1


def test_drawing_gives_distinct_designs_of_a_huge_space() -> None:
    axes: dict[str, Any] = {name: {"range": [1, 5000]} for name in ("array.rows", "array.cols", "workload.context")}
    space = sweep(axes).space
    assert space.size == 5000**3
    drawn = space.draw(1000, seed=0)
    assert len(set(drawn.tolist())) == 1000
    assert space.indices(space.codes(drawn)).tolist() == drawn.tolist()
    assert space.draw(1000, seed=0).tolist() == drawn.tolist()
    assert drawn.mean() == pytest.approx(space.size / 2, rel=4 / math.sqrt(12 * 1000))


@pytest.mark.parametrize("count", [3, 5, 6, 9])
def test_drawing_from_a_small_space_repeats_none(count: int) -> None:
    space = sweep({"array.rows": [8, 16, 32], "array.cols": [8, 16]}).space
    drawn = space.draw(count, seed=0).tolist()
    assert len(drawn) == len(set(drawn)) == min(count, 6)


def test_a_space_without_axes_is_one_design() -> None:
    found = sweep({})
    assert found.space.size == 1
    assert designs(found) == [DESIGN]


def test_what_is_resolved_means_the_same() -> None:
    axes = {
        "format": ["bfp4", "bfp6"],
        "lanes": {"values": [None, 8], "when": "format == 'bfp6'"},
        "array.rows": {"range": [8, 24], "step": 8},
        "array.cols": {"same_as": "array.rows"},
    }
    found = sweep(axes, ("array.rows > 8", "area_mm2 < 5"))
    again = explore(json.loads(json.dumps(found.resolved())))
    assert designs(again) == designs(found)
    assert again.resolved() == found.resolved()


def test_a_space_goes_to_other_processes() -> None:
    found = sweep({"format": ["bfp4", "bfp6"], "lanes": {"values": [8], "when": "format == 'bfp6'"}}, ("lanes > 1",))
    assert designs(pickle.loads(pickle.dumps(found))) == designs(found)
