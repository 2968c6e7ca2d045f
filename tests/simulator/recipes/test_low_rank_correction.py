"""QLLM's correction: the best product of its rank, from second moments; what it costs is counted."""

from fractions import Fraction
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray

import densimeter.formats as F
from densimeter.formats.errors import ConfigError
from densimeter.kernels import quantize
from densimeter.kernels.operand_formats import LayerFormats
from densimeter.simulator.recipes import InputStatistics, parse_recipe
from densimeter.simulator.recipes.low_rank_correction import Correction, learn

INPUTS, OUTPUTS, TOKENS = 32, 24, 4096
Doubles: TypeAlias = NDArray[np.float64]


def activations(seed: int = 0) -> NDArray[np.float32]:
    """Correlated channels, two of them twenty times as large."""
    generator = np.random.default_rng(seed)
    mixing = np.random.default_rng(5).standard_normal((INPUTS, INPUTS)) / 6 + np.eye(INPUTS)
    x = generator.standard_normal((TOKENS, INPUTS)) @ mixing
    x[:, [3, 20]] *= 20
    return x.astype(np.float32)


def weights() -> NDArray[np.float32]:
    return np.random.default_rng(1).standard_normal((OUTPUTS, INPUTS)).astype(np.float32)


def measured(x: NDArray[np.float32], q: NDArray[np.float32]) -> tuple[Doubles, Doubles]:
    """E[x q^T] and E[q q^T]."""
    both = x.astype(np.float64), q.astype(np.float64)
    return both[0].T @ both[1] / len(x), both[1].T @ both[1] / len(x)


def squared_error(x: NDArray[np.float32], q: NDArray[np.float32], held: NDArray[np.float32]) -> float:
    """Of the outputs of a token, on average."""
    return float(np.mean(np.sum((x @ weights().T - q @ held.T).astype(np.float64) ** 2, axis=1)))


def coarse() -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    x = activations()
    held = quantize(weights(), F.get("int3_channel")).dequantize()
    return x, quantize(x, F.get("int4_token")).dequantize(), held


def test_every_rank_lowers_the_error_on_the_tokens_behind_the_moments() -> None:
    x, q, held = coarse()
    errors = [squared_error(x, q, held)]
    for rank in (1, 2, 4, 8, OUTPUTS):
        found = learn(weights(), held, *measured(x, q), rank)
        errors.append(squared_error(x, q, held + found.up @ found.down))
    assert all(more < less for less, more in pairwise(errors))


def test_full_rank_is_least_squares() -> None:
    """No matrix serves better, but for what damping and factors in float16 cost."""
    x, q, held = coarse()
    found = learn(weights(), held, *measured(x, q), OUTPUTS)
    best = np.linalg.lstsq(q.astype(np.float64), x @ weights().T, rcond=None)[0].T.astype(np.float32)
    assert squared_error(x, q, held + found.up @ found.down) == pytest.approx(squared_error(x, q, best), rel=1e-3)


def test_an_error_of_low_rank_is_taken_back_whole() -> None:
    x, generator = activations(), np.random.default_rng(2)
    lost = (generator.standard_normal((OUTPUTS, 2)) @ generator.standard_normal((2, INPUTS))).astype(np.float32)
    held = weights() - lost
    found = learn(weights(), held, *measured(x, x), 2)
    assert squared_error(x, x, held + found.up @ found.down) < 1e-4 * squared_error(x, x, held)


def test_inputs_that_never_vary_are_no_trouble() -> None:
    """Dead channels and equal ones: the moments have no inverse."""
    x = activations()
    x[:, 5], x[:, 7] = 0, x[:, 6]
    q = quantize(x, F.get("int8_token")).dequantize()
    held = quantize(weights(), F.get("int3_channel")).dequantize()
    found = learn(weights(), held, *measured(x, q), 4)
    assert np.isfinite(found.up).all()
    assert np.isfinite(found.down).all()
    assert squared_error(x, q, held + found.up @ found.down) < squared_error(x, q, held)


def test_rounding_of_moments_to_float32_is_no_trouble() -> None:
    """One input a million times the power of others, and few tokens: eigenvalues below zero."""
    x = activations()[:16]
    x[:, 3] *= 1000
    cross, power = (moments.astype(np.float32).astype(np.float64) for moments in measured(x, x))
    assert np.linalg.eigvalsh(power)[0] < 0
    held = quantize(weights(), F.get("int3_channel")).dequantize()
    found = learn(weights(), held, cross, power, 4)
    assert squared_error(x, x, held + found.up @ found.down) < squared_error(x, x, held)


def test_factors_are_float16_and_their_bits_and_products_are_counted() -> None:
    x, q, held = coarse()
    found = learn(weights(), held, *measured(x, q), 3)
    assert isinstance(found, Correction)
    for factor in (found.down, found.up):
        assert np.array_equal(factor, factor.astype(np.float16))
    assert (found.down.shape, found.up.shape) == ((3, 32), (24, 3))
    assert found.products == 3 * (32 + 24)
    assert found.bits == 16 * 3 * (32 + 24)


def test_bad_ranks_are_refused() -> None:
    with pytest.raises(ConfigError, match="rank is -1, expected a whole number, 0 or more"):
        parse_recipe({"name": "qllm", "rank": -1})


FORMATS = LayerFormats(F.get("int3_channel"), F.get("int8_token"))


def treated(rank: int, formats: LayerFormats = FORMATS) -> Any:
    """The layer that the recipe makes, calibrated on the activations."""
    torch = pytest.importorskip("torch")
    linear = torch.nn.Linear(INPUTS, OUTPUTS)
    linear.weight.data, linear.bias.data = torch.from_numpy(weights()), torch.ones(OUTPUTS)
    x = activations()
    moments = (x.T @ x / np.float32(len(x))).astype(np.float32)
    statistics = InputStatistics({"0": np.abs(x).max(axis=0)}, {"0": ("0",)}, {"0": moments})
    build = parse_recipe({"name": "qllm", "rank": rank}).builder(torch.nn.Sequential(linear), statistics)
    return build(linear, formats, "0", 0, None)


def output_error(layer: Any, x: NDArray[np.float32]) -> float:
    torch = pytest.importorskip("torch")
    found = layer(torch.from_numpy(x)).detach().numpy()
    return float(np.mean(np.sum((found - x @ weights().T - 1).astype(np.float64) ** 2, axis=1)))


def test_a_layer_with_a_correction_is_nearer_on_tokens_that_calibration_never_saw() -> None:
    errors = [output_error(treated(rank), activations(seed=9)) for rank in (0, 2, 8)]
    assert errors[2] < 0.8 * errors[0]
    assert errors[2] < errors[1] < errors[0]


def test_a_layer_says_what_its_correction_costs() -> None:
    """3 bits and a float32 scale a row of 32; rank 4: 4 * (32 + 24) products and float16 numbers."""
    layer = treated(4)
    assert layer.side_products == 4 * (32 + 24)
    assert layer.bits_per_weight == 3 + Fraction(32, 32) + Fraction(16 * 4 * (32 + 24), 32 * 24)
    assert treated(0).bits_per_weight is treated(0).side_products is None


def test_the_same_calibration_makes_the_same_layer() -> None:
    one, again = treated(4).linear, treated(4).linear
    assert (one.down == again.down).all()
    assert (one.up == again.up).all()


def test_a_layer_without_formats_needs_next_to_nothing() -> None:
    assert output_error(treated(4, LayerFormats()), activations()) < 1e-4


def test_a_correction_is_no_part_of_a_unit() -> None:
    exact = LayerFormats(F.get("int4_channel"), F.get("int8_token"), accumulator=F.parse_accumulator("int32"))
    with pytest.raises(ConfigError, match="the input of a low-rank correction is dequantised before it is multiplied"):
        treated(4, exact)


def test_the_hardware_of_a_correction_is_told() -> None:
    assert "float16 multiply-accumulate units" in parse_recipe({"name": "qllm", "rank": 4}).hardware[1]
    assert len(parse_recipe("qllm").hardware) == 1
