"""Low-rank codebooks: rank one is a scaled grid, learning never loses, more rank gains, bits to the digit."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import densimeter.formats as F
from densimeter.formats.errors import ConfigError
from densimeter.kernels import quantize
from densimeter.kernels.operand_formats import LayerFormats
from densimeter.simulator.recipes import InputStatistics, parse_recipe
from densimeter.simulator.recipes.lcq import LowRankCodebooks
from densimeter.simulator.recipes.low_rank_codebooks import Codebooks, even, learn

INT2, INT4 = F.get("int2_g64_affine"), F.get("int4_g64_affine")


def weights(rows: int = 64) -> NDArray[np.float32]:
    """Groups of 64 of two shapes, one heavy-tailed and one about -1 and 1, so that no one grid fits all."""
    generator = np.random.default_rng(0)
    tailed, split = generator.laplace(0, 1, (rows, 128)), generator.normal(0, 0.2, (rows, 128))
    return np.concatenate([tailed, split + generator.choice([-1, 1], split.shape)], axis=1).astype(np.float32)


def flat(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ones(weight.shape[1], np.float32)


def error(weight: NDArray[np.float32], hessian: NDArray[np.float32] | None = None, **options: Any) -> float:
    hessian = flat(weight) if hessian is None else hessian
    held = LowRankCodebooks(**options).learn(weight, hessian, INT2).held
    return float(np.sum(hessian * (held - weight).astype(np.float64) ** 2))


def test_rank_one_is_a_scale_times_the_grid_less_a_zero() -> None:
    generator = np.random.default_rng(0)
    scales = generator.integers(1, 100, (50, 1)).astype(np.float32)
    zeros = generator.integers(-500, 500, 50).astype(np.float32)
    grid = np.arange(16, dtype=np.float32)
    books = Codebooks(scales, grid[None], zeros)
    assert np.array_equal(books.values, scales * grid - zeros[:, None])


def test_before_learning_levels_are_those_of_the_affine_format() -> None:
    """scale = (greatest - least) / 15 and the least value, both in float32 where a format has them so."""
    w = weights()
    scale = {"kind": "affine", "element": "fp32", "zero": "fp32"}
    affine = quantize(w, F.parse({"element": "uint4", "block": 64, "scale": scale}))
    for rank in (1, 3):
        books = even(w.reshape(-1, 64), 16, rank)
        assert books.held(w.reshape(-1, 64)).reshape(w.shape) == pytest.approx(affine.dequantize(), abs=2e-6)


def test_every_weight_takes_the_nearest_level() -> None:
    w = weights().reshape(-1, 64)
    books = learn(w, np.ones_like(w), even(w, 4, 2), 3)
    distances = np.abs(w[..., None] - books.values[:, None, :])
    assert np.abs(books.held(w) - w) == pytest.approx(distances.min(axis=2), abs=1e-6)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_learning_never_raises_the_error(rank: int) -> None:
    w = weights().reshape(-1, 64)
    importance = np.random.default_rng(1).lognormal(0, 1, w.shape).astype(np.float32)
    books, before = even(w, 4, rank), np.inf
    for _ in range(6):
        now = float(np.sum(importance * (books.held(w) - w).astype(np.float64) ** 2))
        assert now <= before * (1 + 1e-6)
        books, before = learn(w, importance, books, 1), now


def test_groups_of_equal_weights_are_held() -> None:
    w = np.full((4, 64), 0.3, np.float32)
    assert LowRankCodebooks().learn(w, flat(w), INT2).held == pytest.approx(w, rel=1e-3)
    zero = np.zeros((4, 64), np.float32)
    assert not LowRankCodebooks().learn(zero, flat(zero), INT2).held.any()


def test_learning_and_rank_lose_less() -> None:
    w = weights()
    spread, one, two = error(w, rank=1, iterations=0), error(w, rank=1), error(w, rank=2)
    assert one < spread / 1.3
    assert two < one / 1.15


def test_important_inputs_err_less() -> None:
    w = weights()
    hessian = np.where(np.arange(256) % 4 == 0, 20, 1).astype(np.float32)
    assert error(w, hessian) < float(
        np.sum(hessian * (LowRankCodebooks().learn(w, flat(w), INT2).held - w).astype(np.float64) ** 2)
    )


def test_bits_are_codes_two_bytes_and_more_a_group_and_one_table_of_shapes() -> None:
    """Rank 2 on groups of 64: S twice and B, 8 bits each; a float32 factor for 256, three means; V in float16."""
    w = weights()
    group = 3 * (8 + Fraction(32, 256))
    for fmt, codes in ((INT2, 4), (INT4, 16)):
        found = LowRankCodebooks(rank=2, iterations=1).learn(w, flat(w), fmt)
        table = 2 * codes * 16 + 3 * 32
        assert found.bits_per_weight == fmt.element.bits + group / 64 + Fraction(table, w.size)
        assert found.codebooks.values.shape == (w.size // 64, codes)


def test_what_is_held_is_stored_in_eight_bits_and_float16() -> None:
    w = weights()
    books = LowRankCodebooks(iterations=2).learn(w, flat(w), INT2).codebooks
    assert np.array_equal(books.shapes, books.shapes.astype(np.float16))
    for row in (*books.scales.T, books.offsets):
        assert len(np.unique(row[:256])) <= 255  # of 256 groups, whose codes share a factor


def layer(formats: LayerFormats) -> Any:
    torch = pytest.importorskip("torch")
    linear = torch.nn.Linear(256, 64)
    linear.weight.data = torch.from_numpy(weights())
    statistics = InputStatistics({}, {}, {"0": np.eye(256, dtype=np.float32)})
    build = parse_recipe({"name": "lcq", "iterations": 2}).builder(torch.nn.Sequential(linear), statistics)
    return linear, build(linear, formats, "0", 0, None)


def test_layers_multiply_what_is_held() -> None:
    torch = pytest.importorskip("torch")
    w = weights()
    expected = LowRankCodebooks(iterations=2).learn(w, flat(w), INT2)
    linear, built = layer(LayerFormats(INT2))
    assert np.array_equal(built.linear.weight.detach().numpy(), expected.held)
    assert built.bits_per_weight == expected.bits_per_weight
    linear, built = layer(LayerFormats())
    assert torch.equal(built(torch.ones(1, 256)), linear(torch.ones(1, 256)))


def test_bad_options_and_formats_are_refused() -> None:
    with pytest.raises(ConfigError, match="rank is 0, expected a whole number, 1 or more"):
        parse_recipe({"name": "lcq", "rank": 0})
    with pytest.raises(ConfigError, match="weight is nf4 over 64 inputs, expected integers in groups"):
        LowRankCodebooks().learn(np.ones((1, 64), np.float32), np.ones(64, np.float32), F.get("nf4"))
