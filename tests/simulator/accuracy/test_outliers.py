"""How values spread."""

import numpy as np
import pytest

from densimeter.simulator.accuracy.outliers import NOTHING, spread


def drawn(*shape: int, seed: int = 0) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_a_normal_distribution_has_kurtosis_three_and_a_spike_a_high_one() -> None:
    x = drawn(512, 64)
    assert spread(x, by_channel=True).kurtosis == pytest.approx(3, abs=0.1)
    x[7, 3] = 100
    found = spread(x, by_channel=True).to_json()
    assert found["kurtosis"] > 100
    assert (found["max_abs"], found["channels"], found["outlier_channels"]) == (100, 64, 1)


def test_kurtosis_is_about_the_mean() -> None:
    """Of +1 and -1 in equal parts it is 1, wherever they are shifted to."""
    x = np.array([[1, -1]] * 5, np.float32)
    assert spread(x, by_channel=False).kurtosis == 1
    assert spread(x + 8, by_channel=False).kurtosis == pytest.approx(1)


def test_parts_add_up_to_the_whole() -> None:
    x = drawn(2, 30, 8)
    whole, parts = spread(x, by_channel=True), NOTHING + spread(x[0], by_channel=True) + spread(x[1], by_channel=True)
    assert parts.to_json() == pytest.approx(whole.to_json())
    assert parts.largest.tolist() == np.abs(x).max(axis=(0, 1)).tolist()


def test_without_channels_none_are_counted() -> None:
    found = spread(np.full((3, 4), 7, np.float32), by_channel=False).to_json()
    assert found == {"max_abs": 7, "kurtosis": None, "channels": None, "outlier_channels": None}
