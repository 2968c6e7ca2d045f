"""QLLM: what taking apart leaves unchanged, what putting together changes, and which theta is found."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import densimeter.formats as F
from densimeter.formats.errors import ConfigError
from densimeter.kernels.operand_formats import LayerFormats
from densimeter.simulator.recipes import InputStatistics, parse_recipe
from densimeter.simulator.recipes.qllm import ChannelReassembly
from densimeter.simulator.recipes.reassembly import (
    assembly_error,
    copies_under,
    merging_errors,
    most_alike,
    reassemble,
)

NO_PAIRS = np.empty((0, 2), np.int64)
INT8 = LayerFormats(activation=F.get("int8_token"))
INT4 = LayerFormats(F.get("int8_channel"), F.get("int4_token"))
OUTLIERS = (3, 20)


def activations(tokens: int = 64) -> NDArray[np.float32]:
    """32 channels, two of them fifty times as large, and every two neighbours from 24 on nearly alike."""
    x = np.random.default_rng(0).standard_normal((tokens, 32))
    x[:, OUTLIERS] *= 50
    x[:, 25::2] = x[:, 24::2] + 0.01 * x[:, 25::2]
    return x.astype(np.float32)


def weights(outputs: int = 48) -> NDArray[np.float32]:
    return np.random.default_rng(1).standard_normal((outputs, 32)).astype(np.float32)


def moments(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return x.T @ x / np.float32(len(x))


def test_copies_bring_every_channel_below_theta() -> None:
    largest = np.array([10, 2.5, 2.6, 0], np.float32)
    assert copies_under(largest, 2.5).tolist() == [4, 1, 2, 1]  # 10 / 4 = 2.5, 2.6 / 2 = 1.3


def test_taking_apart_changes_no_product() -> None:
    """Four copies of x / 4: a power of two, and integers, so that every float32 sum is exact."""
    x, w = np.round(4 * activations()) * 4, np.round(8 * weights())
    copies = np.ones(32, np.int64)
    copies[list(OUTLIERS)] = 4
    room = np.stack([np.arange(24, 32, 2), np.arange(25, 32, 2)], axis=1)
    x[:, 25::2] = x[:, 24::2]  # equal channels are put together at no loss
    made = reassemble(copies, np.concatenate([room, [[0, 1], [4, 5]]]))
    assert made is not None
    x[:, [1, 5]] = x[:, [0, 4]]
    assert (made.first.shape, made.copies.max()) == ((32,), 4)
    assert np.array_equal(made.inputs(x) @ made.weight(w).T, x @ w.T)


def test_pairs_make_room_for_copies() -> None:
    """Channel 1 in three: two pairs are joined, the most alike first; (0, 4) is skipped, as 4 is taken already."""
    made = reassemble(np.array([1, 3, 1, 1, 1, 1]), np.array([[1, 2], [2, 4], [0, 4], [0, 5], [3, 5]]))
    assert made is not None
    assert made.first.tolist() == [0, 1, 1, 1, 2, 3]
    assert made.second.tolist() == [5, 1, 1, 1, 4, 3]
    assert made.factors == pytest.approx([1 / 2, 1 / 6, 1 / 6, 1 / 6, 1 / 2, 1 / 2])


def test_no_room_no_reassembly() -> None:
    assert reassemble(np.array([2, 1]), NO_PAIRS) is None


def test_a_pair_is_their_mean_with_the_sum_of_their_weights() -> None:
    made = reassemble(np.array([2, 1, 1]), np.array([[1, 2]]))
    assert made is not None
    assert made.inputs(np.array([[6, 3, 5]], np.float32)).tolist() == [[3, 3, 4]]
    assert made.weight(np.array([[1, 10, 20]], np.float32)).tolist() == [[1, 1, 30]]


def test_joining_costs_what_the_moments_say() -> None:
    x, w = activations(), weights()
    copies = np.ones(32, np.int64)
    copies[3] = 4
    made = reassemble(copies, np.array([[0, 1], [24, 25], [6, 9]]))
    assert made is not None
    measured = np.mean(np.sum((made.inputs(x) @ made.weight(w).T - x @ w.T).astype(np.float64) ** 2, axis=1))
    assert assembly_error(w, moments(x), made) == pytest.approx(measured, rel=1e-3)
    one = reassemble(np.array([2, *[1] * 31]), np.array([[6, 9]]))
    assert one is not None
    assert assembly_error(w, moments(x), one) == pytest.approx(merging_errors(w, moments(x))[6, 9], rel=1e-5)


def test_the_most_alike_are_found() -> None:
    alike = most_alike(merging_errors(weights(), moments(activations())), 4)
    assert sorted(map(tuple, alike.tolist())) == [(24, 25), (26, 27), (28, 29), (30, 31)]


def search(formats: LayerFormats, **options: Any) -> Any:
    x = activations()
    recipe = parse_recipe({"name": "qllm", **options})
    assert isinstance(recipe, ChannelReassembly)
    return recipe.search(weights(), np.abs(x).max(axis=0), moments(x), formats)


def test_outliers_are_taken_apart_where_formats_are_coarse() -> None:
    made = search(INT4, share=0.125)
    assert len(made.first) == 32
    assert set(made.first[made.copies > 1]) == set(OUTLIERS)
    assert set(made.first[made.first != made.second]) <= {24, 26, 28, 30}
    assert np.sum(made.first != made.second) <= 0.125 * 32


def test_nothing_is_done_without_formats_or_room() -> None:
    for made in (search(LayerFormats()), search(INT4, share=0)):
        assert made.first.tolist() == made.second.tolist() == list(range(32))


def test_bad_options_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"share is 0\.6, expected 0 to 0\.5"):
        ChannelReassembly(share=0.6)
    with pytest.raises(ConfigError, match="steps is 0, expected a whole number above 0"):
        ChannelReassembly(steps=0)


def test_layers_lose_less_than_rounded_to_nearest() -> None:
    """Steps a third as large for 30 channels; all copies of an outlier round alike, so that its own error stays."""
    torch = pytest.importorskip("torch")
    from densimeter.kernels.torch import QuantizedLinear

    linear, x = torch.nn.Linear(32, 48), activations()
    linear.weight.data = torch.from_numpy(weights())
    statistics = InputStatistics({"0": np.abs(x).max(axis=0)}, {"0": ("0",)}, {"0": moments(x)})
    build = parse_recipe({"name": "qllm", "share": 0.125}).builder(torch.nn.Sequential(linear), statistics)
    treated, plain = build(linear, INT8, "0", 0, None), QuantizedLinear.from_linear(linear, INT8)
    given = torch.from_numpy(x)
    exact = linear(given)
    assert (treated(given) - exact).norm() < (plain(given) - exact).norm() / 1.5


def test_layers_that_share_an_input_share_the_reassembly_and_others_stay() -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.ModuleDict({name: torch.nn.Linear(32, 48) for name in ("gate", "up", "other")})
    x = activations()
    largest, both = np.abs(x).max(axis=0), ("gate", "up")
    statistics = InputStatistics(
        dict.fromkeys(both, largest), dict.fromkeys(both, both), dict.fromkeys(both, moments(x))
    )
    build = parse_recipe("qllm").builder(model, statistics)
    gate, up, other = (build(model[name], INT4, name, 0, None) for name in ("gate", "up", "other"))
    assert torch.equal(gate.first, up.first)
    assert torch.equal(gate.second, up.second)
    assert not hasattr(other, "first")
