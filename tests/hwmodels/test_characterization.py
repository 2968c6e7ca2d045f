"""Characterisation: a record comes before a synthesis, is whole or not there, and says what made it."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from densimeter.formats.errors import ConfigError, ToolError
from densimeter.hwmodels.characterization.characterize import characterize, identify
from densimeter.hwmodels.characterization.record import Record
from densimeter.hwmodels.characterization.store import Store
from densimeter.rtl import yosys
from densimeter.rtl.cells import liberty
from densimeter.rtl.cells.liberty import Library, find_library
from densimeter.rtl.synthesize import CellResult, LutResult
from support.tiny_library import TINY_LIBRARY

NAND = "module nand_unit (input clk, input a, input b, output reg q); always @(posedge clk) q <= ~(a & b); endmodule"
UNIT: dict[str, str | int] = {"activation": "bit", "weight": "bit", "lanes": 1, "accumulator": "none"}


@pytest.fixture
def tiny(tmp_path: Path) -> Library:
    path = tmp_path / "tiny.lib"
    path.write_text(TINY_LIBRARY)
    return find_library(path)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(committed=tmp_path / "records.jsonl", cache=tmp_path / "cache")


def record(top: str = "unit", luts: int = 104) -> Record:
    result = LutResult(luts=luts, shift_register_luts=0, carry4=23, flip_flops=32, muxf7=0, muxf8=0)
    return Record(identify(f"module {top}; endmodule", top, "carry", "xc7"), UNIT, result)


def test_a_synthesis_is_recorded_and_then_looked_up(tiny: Library, store: Store) -> None:
    made = characterize(NAND, "nand_unit", "star", tiny, unit=UNIT, store=store)
    assert isinstance(made.result, CellResult)
    assert made.result.area_um2 == 2 + 6
    assert made.identity.target == "tiny"
    assert made.identity.library_sha256 == tiny.sha256
    assert made.identity.tool == f"pyosys {yosys.installed_version()}"
    assert made.unit == UNIT
    assert store.lookup(made.key) == made


def test_a_recorded_unit_is_not_synthesised_again(tiny: Library, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    made = characterize(NAND, "nand_unit", "star", tiny, unit=UNIT, store=store)
    monkeypatch.setattr(yosys, "run", None)
    assert characterize(NAND, "nand_unit", "star", tiny, unit={}, store=store) == made


def test_fresh_synthesises_anew(tiny: Library, store: Store) -> None:
    made = characterize(NAND, "nand_unit", "star", tiny, unit=UNIT, store=store)
    assert isinstance(made.result, CellResult)
    store.add(dataclasses.replace(made, result=dataclasses.replace(made.result, area_um2=1.0)))
    assert characterize(NAND, "nand_unit", "star", tiny, unit=UNIT, fresh=True, store=store) == made
    assert store.lookup(made.key) == made


def test_every_part_of_the_identity_makes_another_key(tiny: Library) -> None:
    other_content = dataclasses.replace(tiny, sha256="0" * 64)
    identities = [
        identify(NAND, "nand_unit", "star", tiny),
        identify(NAND + " ", "nand_unit", "star", tiny),
        identify(NAND, "other", "star", tiny),
        identify(NAND, "nand_unit", "booth", tiny),
        identify(NAND, "nand_unit", "star", "xc7"),
        identify(NAND, "nand_unit", "star", other_content),
        dataclasses.replace(identify(NAND, "nand_unit", "star", tiny), tool="pyosys 0.1"),
    ]
    assert len({identity.key for identity in identities}) == len(identities)


def test_committed_figures_are_found_without_tool_or_library(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yosys, "installed_version", lambda: None)
    monkeypatch.setattr(liberty, "_nangate45_file", lambda: None)
    library = find_library("nangate45")
    result = CellResult(8.0, 0.798, 1, 0.03, 0.1)
    committed = Record(identify(NAND, "nand_unit", "star", library), UNIT, result)
    store.add(committed)
    store.export([committed.key])
    assert characterize(NAND, "nand_unit", "star", library, unit=UNIT, store=store) == committed
    with pytest.raises(ToolError, match=r"no record of nand_unit, flow booth, target nangate45.*pip install"):
        characterize(NAND, "nand_unit", "booth", library, unit=UNIT, store=store)


def test_without_a_record_missing_pyosys_is_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yosys, "installed_version", lambda: None)
    with pytest.raises(ToolError, match=r"no record of nand_unit.*xc7.*pyosys.*pip install 'densimeter\[rtl\]'"):
        characterize(NAND, "nand_unit", "carry", "xc7", unit=UNIT, store=store)


def test_a_record_survives_its_line() -> None:
    for made in (record(), dataclasses.replace(record(), result=CellResult(8.0, None, 1, 0.03, 0.1))):
        assert Record.from_line(made.to_line(), "here:1") == made


def test_the_line_of_a_record_says_all_and_no_time() -> None:
    line = json.loads(record().to_line())
    assert set(line) == {"key", "identity", "unit", "result"}
    assert set(line["identity"]) >= {"rtl_sha256", "top", "flow", "target", "library_sha256", "tool"}
    assert line["result"]["luts"] == 104


def test_committed_comes_before_cache(store: Store) -> None:
    store.add(record(luts=104))
    store.export([record().key])
    store.add(record(luts=9))
    assert store.lookup(record().key) == record(luts=104)


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: line[:-20],
        lambda line: "",
        lambda line: "[]",
        lambda line: line.replace('"luts":104', '"luts":"104"'),
        lambda line: line.replace('"luts":104', '"luts":104,"spare":1'),
        lambda line: line.replace('"flow":"carry"', '"flow":"star"'),
    ],
    ids=["truncated", "empty", "no object", "text for a number", "unknown field", "other identity"],
)
def test_a_damaged_committed_line_is_named(damage: Callable[[str], str], tmp_path: Path, store: Store) -> None:
    good = record("good").to_line()
    (tmp_path / "records.jsonl").write_text(f"{good}\n{damage(record().to_line())}\n{good}\n")
    with pytest.raises(ConfigError, match=r"records\.jsonl:2: "):
        store.lookup(record().key)


def test_a_damaged_cache_file_is_reported_and_synthesised_again(
    tiny: Library, store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = characterize(NAND, "nand_unit", "star", tiny, unit=UNIT, store=store)
    file = tmp_path / "cache" / f"{made.key}.json"
    file.write_text(file.read_text()[:50])
    assert characterize(NAND, "nand_unit", "star", tiny, unit=UNIT, store=store) == made
    assert f"{made.key}.json: not a whole synthesis record" in caplog.text
    assert store.lookup(made.key) == made


def test_a_cache_file_under_another_key_is_passed_over(store: Store, tmp_path: Path) -> None:
    store.add(record())
    (tmp_path / "cache" / f"{record().key}.json").rename(tmp_path / "cache" / f"{record('other').key}.json")
    assert store.lookup(record("other").key) is None


def test_export_sorts_merges_and_drops_the_stale(store: Store, tmp_path: Path) -> None:
    old, kept, new = record("old"), record("kept"), record("a_new_one")
    for made in (old, kept):
        store.add(made)
    store.export([kept.key, old.key])
    store.add(new)
    store.export([new.key, kept.key])
    lines = (tmp_path / "records.jsonl").read_text().splitlines()
    assert lines == [new.to_line(), kept.to_line()]
    assert store.committed() == [new, kept]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "records.jsonl"]


def test_export_refuses_a_key_without_a_record(store: Store, tmp_path: Path) -> None:
    store.add(record())
    with pytest.raises(ConfigError, match="no record for 1 of 2 keys"):
        store.export([record().key, record("never_made").key])
    assert not (tmp_path / "records.jsonl").exists()


def test_a_cache_that_cannot_be_written_says_where_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="XDG_CACHE_HOME"):
        Store(tmp_path / "records.jsonl", tmp_path / "file" / "cache").add(record())


def test_the_cache_stands_where_xdg_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    Store(tmp_path / "records.jsonl").add(record())
    assert [path.stem for path in (tmp_path / "densimeter" / "synthesis").iterdir()] == [record().key]


def test_the_committed_records_are_whole() -> None:
    assert Store().lookup("0" * 64) is None


def processes_in(folder: Path) -> list[str]:
    """Commands of the running processes whose working directory is below `folder`."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdecimal() and Path(os.readlink(process / "cwd")).is_relative_to(folder):
                found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return found


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="finds the processes in /proc")
def test_ctrl_c_ends_yosys_and_leaves_nothing(tmp_path: Path) -> None:
    design = "module top (input [63:0] a, input [63:0] b, output [127:0] y); assign y = a * b; endmodule"
    program = (
        "from densimeter.hwmodels.characterization.characterize import characterize\n"
        f"characterize({design!r}, 'top', 'star', 'xc7', unit={{}})"
    )
    scratch, cache = tmp_path / "scratch", tmp_path / "cache"
    scratch.mkdir()
    environment = {**os.environ, "TMPDIR": str(scratch), "XDG_CACHE_HOME": str(cache)}
    with subprocess.Popen(
        [sys.executable, "-c", program], env=environment, cwd=tmp_path, stderr=subprocess.PIPE, text=True
    ) as running:
        give_up = time.monotonic() + 60
        while not processes_in(scratch):
            assert running.poll() is None
            assert time.monotonic() < give_up
            time.sleep(0.1)
        time.sleep(0.5)  # well into the synthesis
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=60)
    assert errors.rstrip().endswith("KeyboardInterrupt")
    assert processes_in(scratch) == []
    assert list(scratch.iterdir()) == []
    assert not cache.exists()
