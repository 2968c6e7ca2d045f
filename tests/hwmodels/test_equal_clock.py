"""Units at one clock period: the fewest stages that meet it, from records or syntheses, and what follows from them."""

from pathlib import Path

import pytest

import densimeter.formats as F
from densimeter.formats.errors import ConfigError, ToolError
from densimeter.hwmodels import equal_clock
from densimeter.hwmodels.equal_clock import EqualClock, EqualClockStore, at_period
from densimeter.rtl import yosys
from densimeter.rtl.cells.liberty import Library, find_library
from densimeter.rtl.emit import deepest_pipeline
from densimeter.rtl.synthesize import CellResult, cell_recipe
from support.tiny_library import TINY_LIBRARY

INT2 = F.derive(F.get("int2"), F.get("int2"), 2, F.parse_accumulator("int8"))


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Library:
    """A library whose register takes 70 ps and 25 ps of setup, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "tiny.lib"
    path.write_text(TINY_LIBRARY)
    return find_library(path)


@pytest.fixture
def store(tmp_path: Path) -> EqualClockStore:
    return EqualClockStore(committed=tmp_path / "equal_clock.jsonl", cache=tmp_path / "cache")


def _periods(found: EqualClock) -> dict[int, float]:
    return {variant.pipeline: variant.result.min_period_ns for variant in found.tried}


def test_the_fewest_stages_that_meet_the_period_are_chosen(tiny: Library, store: EqualClockStore) -> None:
    found = at_period(INT2, 100.0, tiny, store=store)
    plain_ns = found.plain.result.min_period_ns
    assert found.chosen is not None
    assert (found.chosen.pipeline, list(_periods(found))) == (0, [0])
    # Just out of a single cycle's reach, and within that of more stages: those before were tried and were too slow.
    between = (found.floor_ns + plain_ns) / 2
    assert found.floor_ns < between < plain_ns
    found = at_period(INT2, between, tiny, store=store)
    assert found.chosen is not None
    *missed, chosen = _periods(found).values()
    assert chosen <= between < min(missed)
    assert found.chosen.result.flip_flops > found.plain.result.flip_flops
    assert found.area_um2_per_mac == found.chosen.result.area_um2 / 2


def test_below_the_floor_nothing_is_tried(tiny: Library, store: EqualClockStore) -> None:
    found = at_period(INT2, 0.1, tiny, store=store)
    assert found.floor_ns > 0.1
    assert (found.chosen, found.area_um2_per_mac, found.tried) == (None, None, ())
    assert found.fastest.pipeline == deepest_pipeline(INT2)
    fastest = found.fastest.result
    # Two products a period: 2 / (um2 * ns) in 10^9 a second and mm2.
    assert found.peak_gmac_per_s_mm2 == pytest.approx(2 / (fastest.area_um2 * fastest.min_period_ns) * 1e6)


def test_what_is_on_record_is_not_synthesised_again(
    tiny: Library, store: EqualClockStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = at_period(INT2, 1.0, tiny, store=store)
    monkeypatch.setattr(yosys, "run", None)
    assert at_period(INT2, 1.0, tiny, store=store) == found
    assert {record.unit["pipeline"] for record in found.records} >= {0, deepest_pipeline(INT2)}


def test_what_cannot_be_synthesised_is_named(
    tiny: Library, store: EqualClockStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = at_period(INT2, 1.0, tiny, store=store)
    assert found.chosen is not None
    monkeypatch.setattr(equal_clock, "synthesize_cells", _no_tool)
    with pytest.raises(ToolError, match=r"no record of densimeter_int2_int2_x2_int8, .* and pyosys is missing"):
        at_period(INT2, 1.1, tiny, store=store)


def _no_tool(*_: object, **__: object) -> CellResult:
    raise ToolError("pyosys is missing")


def test_a_period_shorter_than_a_flip_flop_is_refused(tiny: Library, store: EqualClockStore) -> None:
    # Clock to output 70 ps, setup 25 ps.
    with pytest.raises(ConfigError, match=r"period 0\.09 ns: expected more than the 0.095 ns of a flip-flop"):
        at_period(INT2, 0.09, tiny, store=store)


def test_a_delay_to_meet_makes_another_recipe() -> None:
    plain, slow, fast = (cell_recipe("unit", "star", delay) for delay in (None, 2.0, 1.0))
    assert "upsize" not in plain.script
    assert "abc -D 2000 -liberty" in slow.script
    assert len({plain.sha256, slow.sha256, fast.sha256}) == 3


def test_sizing_shortens_paths_and_costs_area() -> None:
    library = find_library("nangate45")
    if library.path is None:
        pytest.skip("NanGate 45 is not installed")
    found = at_period(F.derive(F.get("int4"), F.get("int4"), 1, "int24"), 2.0, library)
    plain, fastest = found.plain.result, found.fastest.result
    assert fastest.logic_delay_ns < 0.8 * plain.logic_delay_ns
    assert fastest.area_um2 > plain.area_um2
