"""Energy records: measured once, whole or not there, and never of a netlist that computes something else."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import densimeter.formats as F
from densimeter.formats.errors import ConfigError, ToolError
from densimeter.hwmodels.characterization.record import EnergyRecord, Record
from densimeter.hwmodels.characterization.store import EnergyStore
from densimeter.hwmodels.energy import StimulusRecipe, unit_energy
from densimeter.rtl.cells.liberty import Library, find_library
from densimeter.rtl.comparison import Delay, Vectors, vectors
from support.tiny_library import TINY_LIBRARY
from support.unit_streams import draw_stream

pytestmark = pytest.mark.rtl
UNIT = F.derive(F.get("int4"), F.get("int4"), 1, "int16")


@pytest.fixture
def tiny(tmp_path: Path) -> Library:
    path = tmp_path / "tiny.lib"
    path.write_text(TINY_LIBRARY)
    return find_library(path)


@pytest.fixture
def store(tmp_path: Path) -> EnergyStore:
    return EnergyStore(committed=tmp_path / "energy.jsonl", cache=tmp_path / "cache")


def drawn() -> Vectors:
    stream = draw_stream(UNIT, 50)
    return vectors(UNIT, stream.stimulus, stream.expected, stream.invalid, Delay())


def never() -> Vectors:
    raise AssertionError("the record should have answered")


def test_a_measurement_is_recorded_and_then_looked_up(tiny: Library, store: EnergyStore) -> None:
    made = unit_energy(UNIT, tiny, StimulusRecipe("fifty", drawn), store=store)
    assert made.identity.target == "tiny"
    assert made.identity.library_sha256 == tiny.sha256
    assert made.unit["stimulus"] == "fifty"
    assert made.result.cycles == 50
    assert (made.result.voltage_v, made.result.temperature_c) == (2, 25)
    assert made.result.energy_fj >= made.result.settled.total_fj > 0
    assert unit_energy(UNIT, tiny, StimulusRecipe("fifty", never), store=store) == made
    store.export([made.key])
    assert store.committed() == [made]


def test_another_stimulus_or_flow_is_another_record(tiny: Library, store: EnergyStore) -> None:
    made = unit_energy(UNIT, tiny, StimulusRecipe("fifty", drawn), store=store)
    other = unit_energy(UNIT, tiny, StimulusRecipe("other", drawn), store=store)
    booth = unit_energy(UNIT, tiny, StimulusRecipe("fifty", drawn), flow="booth", store=store)
    assert len({made.key, other.key, booth.key}) == 3
    assert made.result == other.result


def test_a_line_is_of_one_kind_of_record(tiny: Library, store: EnergyStore) -> None:
    line = unit_energy(UNIT, tiny, StimulusRecipe("fifty", drawn), store=store).to_line()
    assert EnergyRecord.from_line(line, "here:1").to_line() == line
    with pytest.raises(ConfigError, match=r"^here:1: not a whole synthesis record"):
        Record.from_line(line, "here:1")
    with pytest.raises(ConfigError, match=r"^here:1: this energy record was changed"):
        EnergyRecord.from_line(line.replace('"cycles":50', '"cycles":51').replace("fifty", "sixty", 1) + " ", "here:1")


def test_a_netlist_with_other_registers_has_no_energy(tiny: Library, store: EnergyStore) -> None:
    def wrong() -> Vectors:
        right = drawn()
        return dataclasses.replace(right, expected=right.expected ^ (np.arange(50) == 7).astype(np.uint64))

    with pytest.raises(ToolError, match=r"holds a wrong register \(accumulator\) after cycle 7"):
        unit_energy(UNIT, tiny, StimulusRecipe("fifty", wrong), store=store)
    assert store.committed() == []


def test_without_the_library_what_is_missing_is_named(store: EnergyStore, tiny: Library) -> None:
    missing = dataclasses.replace(tiny, path=None, how_to_get="ask for it")
    with pytest.raises(ToolError, match=r"no energy record of densimeter_int4.*ask for it"):
        unit_energy(UNIT, missing, StimulusRecipe("fifty", drawn), store=store)
