"""GPTQ: rounding that the rest of a row makes up for, for any format."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import densimeter.formats as F
import densimeter.kernels as K
from densimeter.formats.errors import ConfigError
from densimeter.kernels.operand_formats import LayerFormats
from densimeter.simulator.recipes import InputStatistics, parse_recipe
from densimeter.simulator.recipes.gptq import feedback_factor

torch = pytest.importorskip("torch")

from densimeter.kernels.torch import QuantizedLinear  # noqa: E402

INPUTS, OUTPUTS, TOKENS = 96, 64, 512


def correlated(seed: int = 0) -> Any:
    """Tokens [512, 96] that 24 hidden causes make, with a little noise: channels predict each other."""
    rng, mixing = np.random.default_rng(seed), np.random.default_rng(7).standard_normal((24, INPUTS))
    causes = rng.standard_normal((TOKENS, 24))
    return torch.from_numpy((causes @ mixing + 0.3 * rng.standard_normal((TOKENS, INPUTS))).astype(np.float32))


def layer() -> Any:
    torch.manual_seed(0)
    return torch.nn.Linear(INPUTS, OUTPUTS)


def moments(x: Any) -> NDArray[np.float32]:
    second: NDArray[np.float32] = (x.T @ x / len(x)).numpy()
    return second


def treated(linear: Any, x: Any, formats: LayerFormats, **options: Any) -> Any:
    statistics = InputStatistics({"0": x.abs().amax(dim=0).numpy()}, {"0": ("0",)}, {"0": moments(x)})
    build = parse_recipe({"name": "gptq", **options}).builder(torch.nn.Sequential(linear), statistics)
    return build(linear, formats, "0", 0, None)


def test_the_factor_is_the_upper_cholesky_factor_of_the_damped_inverse() -> None:
    h = moments(correlated()).astype(np.float64)
    u = feedback_factor(h.astype(np.float32), 0.01).astype(np.float64)
    assert np.array_equal(u, np.triu(u))
    damped = h + 0.01 * np.diag(h).mean() * np.eye(INPUTS)
    assert u.T @ u @ damped == pytest.approx(np.eye(INPUTS), abs=1e-3)


@pytest.mark.parametrize("act_order", [False, True])
@pytest.mark.parametrize("name", ["int4_g128", "int4_channel", "bfp4", "mxfp4", "nvfp4", "nf4_dq", "int3_g128_affine"])
def test_outputs_are_nearer_than_by_rounding_to_nearest(name: str, act_order: bool) -> None:
    """On inputs that it has not seen; the weights themselves are farther away."""
    linear, x, other = layer(), correlated(), correlated(1)
    formats = LayerFormats(weight=F.get(name))
    plain, better = QuantizedLinear.from_linear(linear, formats), treated(linear, x, formats, act_order=act_order)
    exact = linear(other)
    assert (better(other) - exact).norm() < 0.6 * (plain(other) - exact).norm()
    assert (better.weight - linear.weight).norm() > (plain.weight - linear.weight).norm()


@pytest.mark.parametrize("act_order", [False, True])
def test_uncorrelated_inputs_give_rounding_to_nearest_bit_for_bit(act_order: bool) -> None:
    linear, formats = layer(), LayerFormats(F.get("mxfp4"), F.get("mxfp8_e4m3"))
    build = parse_recipe({"name": "gptq", "act_order": act_order}).builder(
        torch.nn.Sequential(linear), InputStatistics({}, {}, {"0": np.eye(INPUTS, dtype=np.float32)})
    )
    x = correlated()
    assert torch.equal(build(linear, formats, "0", 0, None)(x), QuantizedLinear.from_linear(linear, formats)(x))


def test_an_input_that_is_never_given_does_no_harm() -> None:
    linear, x = layer(), correlated()
    x[:, [0, 50]] = 0
    formats = LayerFormats(weight=F.get("bfp4"))
    exact = linear(x)
    plain = (QuantizedLinear.from_linear(linear, formats)(x) - exact).norm()
    assert (treated(linear, x, formats)(x) - exact).norm() < 0.6 * plain
    nothing = treated(linear, torch.zeros(TOKENS, INPUTS), formats)
    assert torch.equal(nothing.weight, QuantizedLinear.from_linear(linear, formats).weight)


def test_an_accumulator_is_given_the_same_codes() -> None:
    linear, x = layer(), correlated()
    formats = LayerFormats(F.get("bfp4"), F.get("bfp8"))
    exact = LayerFormats(F.get("bfp4"), F.get("bfp8"), accumulator=F.parse_accumulator("fp32"))
    torch.testing.assert_close(treated(linear, x, exact)(x), treated(linear, x, formats)(x), rtol=1e-4, atol=1e-4)


def test_observers_are_told_of_the_codes() -> None:
    linear, x, seen = layer(), correlated(), []
    statistics = InputStatistics({}, {}, {"0": moments(x)})
    build = parse_recipe("gptq").builder(torch.nn.Sequential(linear), statistics)
    built: Any = build(linear, LayerFormats(F.get("bfp4")), "0", 0, lambda *told: seen.append(told))
    ((path, operand, values, codes),) = seen
    assert (path, operand) == ("0", "weight")
    assert np.array_equal(values, linear.weight.detach().numpy())
    assert np.array_equal(codes.dequantize(), built.weight.numpy())
    assert isinstance(codes, K.QuantizedTensor)


def test_a_layer_without_statistics_or_format_is_left_to_rounding() -> None:
    linear, x = layer(), correlated()
    build = parse_recipe("gptq").builder(torch.nn.Sequential(linear), InputStatistics({}, {}, {}))
    formats = LayerFormats(F.get("bfp4"))
    found: Any = build(linear, formats, "0", 0, None)
    assert torch.equal(found.weight, QuantizedLinear.from_linear(linear, formats).weight)
    assert treated(linear, x, LayerFormats()).weight is linear.weight


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"damping": 0}, "damping is 0, expected a number above 0"),
        ({"act_order": 1}, "act_order is 1, expected true or false"),
        ({"damping": True}, "damping is True, expected a number"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_recipe({"name": "gptq", **options})
