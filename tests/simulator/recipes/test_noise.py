"""Controlled noise: its size, shape and place are those asked for, and the same every time."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from densimeter.formats.errors import ConfigError
from densimeter.kernels.operand_formats import LayerFormats
from densimeter.simulator.recipes import parse_recipe
from densimeter.simulator.recipes.noise import Noise


def drawn(size: float = 0.1, **options: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Rows whose sizes differ by up to a thousand, and their noise."""
    generator = np.random.default_rng(0)
    x = (generator.standard_normal((30, 2000)) * np.logspace(0, 3, 30)[:, None]).astype(np.float32)
    return x, Noise(**options).draw(x, size, np.random.default_rng(1))


def rms(x: NDArray[np.float32]) -> NDArray[np.float64]:
    root: NDArray[np.float64] = np.sqrt(np.mean(x.astype(np.float64) ** 2, axis=-1))
    return root


@pytest.mark.parametrize("shape", ["gaussian", "uniform", "rademacher"])
@pytest.mark.parametrize("placement", ["anywhere", "on_large", "on_small"])
def test_size_is_relative_to_the_row(shape: Any, placement: Any) -> None:
    x, noise = drawn(shape=shape, placement=placement)
    assert rms(noise) / rms(x) == pytest.approx(0.1, rel=0.08)  # 2000 values: a standard error of 1.6 %


@pytest.mark.parametrize(("shape", "kurtosis"), [("gaussian", 3), ("uniform", 9 / 5), ("rademacher", 1)])
def test_shapes_are_told_apart_by_their_fourth_moment(shape: Any, kurtosis: float) -> None:
    x, noise = drawn(shape=shape)
    standard = noise / (0.1 * rms(x)[:, None])
    assert np.mean(standard**4) == pytest.approx(kurtosis, rel=0.05)


def test_placement_follows_ranks() -> None:
    for placement, direction in (("on_large", 1), ("on_small", -1)):
        x, noise = drawn(placement=placement)
        order = np.argsort(np.abs(x[0]))[::direction]
        assert (np.diff(np.abs(noise[0][order])) >= 0).all()
    anywhere = drawn()[1]
    assert np.array_equal(np.sort(np.abs(anywhere[0])), np.sort(np.abs(noise[0])))  # the same noise, in another order


def layer(seed: int = 0, path: str = "0", **options: Any) -> Any:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    linear = torch.nn.Linear(64, 32)
    build = parse_recipe({"name": "noise", **options}).builder(torch.nn.Sequential(linear), None)
    return linear, build(linear, LayerFormats(), path, seed, None)


def test_noise_is_the_same_for_a_seed_and_another_for_another_layer() -> None:
    torch = pytest.importorskip("torch")
    weights = [layer(**which, weight=0.1)[1].linear.weight for which in ({}, {}, {"seed": 1}, {"path": "1"})]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert not torch.equal(weights[0], weights[3])


def test_operands_are_disturbed_as_asked() -> None:
    torch = pytest.importorskip("torch")
    x = torch.ones(4, 64)
    linear, still = layer()
    assert torch.equal(still(x), linear(x))
    linear, moved = layer(activation=0.1)
    assert moved.linear.weight is linear.weight
    assert not torch.equal(moved(x), moved(x))  # another draw each call
    linear, moved = layer(weight=0.1)
    assert torch.equal(moved(x), moved(x))
    assert not torch.equal(moved(x), linear(x))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"weight": -0.1}, r"weight is -0\.1, expected 0 or more"),
        ({"shape": "round"}, "shape is 'round', expected one of gaussian, uniform, rademacher"),
        ({"placement": "above"}, "placement is 'above', expected one of anywhere, on_large, on_small"),
        ({"shape": 3}, "shape is 3, expected a word"),
        ({"weight": "much"}, "weight is 'much', expected a number"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        parse_recipe({"name": "noise", **options})
