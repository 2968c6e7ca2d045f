"""What calibration sees of a model's layers: ranges, second moments, and who shares an input."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from densimeter.simulator.accuracy.calibration import calibrate, load_statistics, save_statistics  # noqa: E402


class Gated(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Two layers that share an input, and one after them."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.gate, self.up, self.down = torch.nn.Linear(8, 6), torch.nn.Linear(8, 6), torch.nn.Linear(6, 8)

    def forward(self, ids: Any, use_cache: bool) -> Any:
        x = given(ids[0].tolist())
        return self.down(self.gate(x) * self.up(x))


def given(window: list[int]) -> Any:
    """A token's input is its own, whatever the window."""
    rows = [np.random.default_rng(token).standard_normal(8) for token in window]
    return torch.from_numpy(np.array(rows, np.float32))[None]


WINDOWS = [[0, 1, 2], [3, 4]]


def test_maxima_and_moments_are_over_all_tokens_of_all_windows() -> None:
    found = calibrate(Gated(), WINDOWS, with_moments=True)
    x = given([0, 1, 2, 3, 4])[0].numpy()
    assert np.array_equal(found.largest["up"], np.abs(x).max(axis=0))
    assert found.moments["up"] == pytest.approx(x.T @ x / (3 + 2), rel=1e-5, abs=1e-6)
    assert found.sharing == {"gate": ("gate", "up"), "up": ("gate", "up"), "down": ("down",)}


def test_layers_that_share_an_input_share_the_array_of_moments() -> None:
    moments = calibrate(Gated(), WINDOWS, with_moments=True).moments
    assert moments["gate"] is moments["up"]
    assert moments["down"].shape == (6, 6)


def test_moments_are_there_only_when_asked_for() -> None:
    assert calibrate(Gated(), WINDOWS).moments == {}


@pytest.mark.parametrize("with_moments", [False, True])
def test_files_hold_what_was_seen(tmp_path: Path, with_moments: bool) -> None:
    found = calibrate(Gated(), WINDOWS, with_moments)
    save_statistics(tmp_path / "a.safetensors", found)
    again = load_statistics(tmp_path / "a.safetensors")
    assert again.sharing == found.sharing
    for name in ("largest", "moments"):
        kept, seen = getattr(again, name), getattr(found, name)
        assert kept.keys() == seen.keys()
        assert all(np.array_equal(kept[path], seen[path]) for path in seen)
    if with_moments:
        assert again.moments["gate"] is again.moments["up"]
