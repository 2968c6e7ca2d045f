"""What calibration sees of a model's layers: ranges, second moments, and who shares an input."""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from densimeter.formats.errors import ConfigError

torch = pytest.importorskip("torch")

from densimeter.simulator.accuracy import moments as module  # noqa: E402
from densimeter.simulator.accuracy.calibration import calibrate, load_ranges, save_ranges, with_moments  # noqa: E402
from densimeter.simulator.accuracy.moments import MomentSums  # noqa: E402


class Gated(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Two layers that share an input, one after them, and one that only sees tokens from 4 on."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.gate, self.up, self.down = torch.nn.Linear(8, 6), torch.nn.Linear(8, 6), torch.nn.Linear(6, 8)
        self.rare, self.never = torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)

    def forward(self, ids: Any, use_cache: bool) -> Any:
        x = given(ids[0].tolist())
        y = self.down(self.gate(x) * self.up(x))
        return self.rare(y) if 4 in ids else y


def given(window: list[int]) -> Any:
    """A token's input is its own, whatever the window."""
    rows = [np.random.default_rng(token).standard_normal(8) for token in window]
    return torch.from_numpy(np.array(rows, np.float32))[None]


WINDOWS = [[0, 1, 2], [3, 4]]


@pytest.mark.parametrize("rows_bytes", [1, 3 * 8 * 4, 1 << 25])
def test_maxima_and_moments_are_over_all_tokens_of_all_windows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_bytes: int
) -> None:
    """However few rows of a matrix are in memory at once: one, three of eight, all."""
    monkeypatch.setattr(module, "_ROWS_BYTES", rows_bytes)
    found = calibrate(Gated(), WINDOWS, tmp_path / "m.safetensors")
    x = given([0, 1, 2, 3, 4])[0].numpy()
    assert np.array_equal(found.largest["up"], np.abs(x).max(axis=0))
    assert found.moments["up"] == pytest.approx(x.T @ x / (3 + 2), rel=1e-5, abs=1e-6)
    assert found.sharing == {"gate": ("gate", "up"), "up": ("gate", "up"), "down": ("down",), "rare": ("rare",)}


def test_a_layer_is_averaged_over_the_tokens_that_it_saw(tmp_path: Path) -> None:
    model = Gated()
    moments = calibrate(model, WINDOWS, tmp_path / "m.safetensors").moments
    with torch.no_grad():
        y = model.down(model.gate(given([3, 4])) * model.up(given([3, 4])))[0].numpy()
    assert moments["rare"] == pytest.approx(y.T @ y / 2, rel=1e-5, abs=1e-6)
    assert "never" not in moments


def test_layers_that_share_an_input_share_the_moments_of_the_file(tmp_path: Path) -> None:
    """One matrix a group, and one of zeros for a layer that might have run."""
    moments = calibrate(Gated(), WINDOWS, tmp_path / "m.safetensors").moments
    kept = load_file(tmp_path / "m.safetensors")
    assert kept.keys() == {"gate", "down", "rare", "never"}
    assert np.array_equal(moments["up"], kept["gate"])
    assert (len(moments), moments["down"].shape) == (4, (6, 6))
    assert not kept["never"].any()


def test_moments_are_mapped_from_the_file_and_stay_as_they_are(tmp_path: Path) -> None:
    moments = calibrate(Gated(), WINDOWS, tmp_path / "m.safetensors").moments
    assert isinstance(moments["gate"].base, np.memmap)
    assert not moments["gate"].flags.writeable


def test_moments_are_there_only_when_asked_for() -> None:
    assert calibrate(Gated(), WINDOWS).moments == {}


def test_the_walk_goes_through_every_window_once(tmp_path: Path) -> None:
    walked: list[Any] = []

    def walk(windows: Any) -> Any:
        for window in windows:
            walked.append(window)
            yield window

    calibrate(Gated(), WINDOWS, tmp_path / "m.safetensors", walk)
    assert walked == WINDOWS


def test_files_hold_what_was_seen(tmp_path: Path) -> None:
    ranges, moments = tmp_path / "r.safetensors", tmp_path / "m.safetensors"
    found = calibrate(Gated(), WINDOWS, moments)
    save_ranges(ranges, found)
    again = with_moments(load_ranges(ranges), moments)
    assert again.sharing == found.sharing
    for name in ("largest", "moments"):
        kept, seen = getattr(again, name), getattr(found, name)
        assert kept.keys() == seen.keys()
        assert all(np.array_equal(kept[path], seen[path]) for path in seen)


def test_an_interrupted_calibration_leaves_no_file(tmp_path: Path) -> None:
    def stop(ids: Any) -> Any:
        yield ids[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        calibrate(Gated(), WINDOWS, tmp_path / "m.safetensors", stop)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"cannot write .*file/m: .*; expected room for 0\.0 GB of second moments"):
        MomentSums(tmp_path / "file" / "m", {"a": 8})


def test_a_disk_that_is_too_small_is_known_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """4 * 50,000^2 bytes."""

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(ConfigError, match=r"No space left on device; expected room for 10\.0 GB"):
        MomentSums(tmp_path / "m", {"a": 50_000})
    assert list(tmp_path.iterdir()) == []
