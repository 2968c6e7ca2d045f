"""AWQ: factors and clipping searched on the output's error."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import densimeter.formats as F
import densimeter.kernels as K
from densimeter.formats.errors import ConfigError
from densimeter.kernels.operand_formats import LayerFormats
from densimeter.simulator.recipes import InputStatistics, parse_recipe
from densimeter.simulator.recipes.awq import Awq, channel_factors
from densimeter.simulator.recipes.output_error import block_errors, output_error

torch = pytest.importorskip("torch")

from densimeter.kernels.torch import QuantizedLinear  # noqa: E402

INPUTS, OUTPUTS = 64, 48
SALIENT = (3, 20)


def activations(seed: int = 0) -> Any:
    """512 tokens of 64 channels, two of them thirty times as large."""
    x = np.random.default_rng(seed).standard_normal((512, INPUTS)).astype(np.float32)
    x[:, SALIENT] *= 30
    return torch.from_numpy(x)


def layer() -> Any:
    torch.manual_seed(0)
    return torch.nn.Linear(INPUTS, OUTPUTS)


def moments(x: Any) -> NDArray[np.float32]:
    second: NDArray[np.float32] = (x.T @ x / len(x)).numpy()
    return second


def treated(linear: Any, x: Any, formats: LayerFormats, **options: Any) -> Any:
    statistics = InputStatistics({}, {"0": ("0",)}, {"0": moments(x)})
    build = parse_recipe({"name": "awq", **options}).builder(torch.nn.Sequential(linear), statistics)
    return build(linear, formats, "0", 0, None)


def test_the_error_of_an_output_follows_from_second_moments() -> None:
    x, difference = activations().numpy(), np.random.default_rng(1).standard_normal((5, INPUTS)).astype(np.float32)
    second = moments(torch.from_numpy(x))
    assert output_error(difference, second) == pytest.approx(np.square(x @ difference.T).sum(axis=1).mean(), rel=1e-4)
    blocks = block_errors(difference, second, 24)  # 24 + 24 + 16 inputs
    for block, columns in enumerate((slice(0, 24), slice(24, 48), slice(48, 64))):
        alone = np.square(x[:, columns] @ difference[:, columns].T).mean(axis=0)
        assert blocks[:, block] == pytest.approx(alone, rel=1e-3)


def test_float_outputs_are_unchanged_up_to_rounding() -> None:
    linear, x = layer(), activations()
    exact = LayerFormats(weight=F.get("float32"))
    torch.testing.assert_close(treated(linear, x, exact)(x), linear(x), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", ["int4_g128", "int4_channel", "int3_g128_affine", "bfp4", "mxfp4"])
def test_outputs_are_nearer_than_by_rounding_to_nearest(name: str) -> None:
    """Two channels make nearly all of the output: on inputs not seen, it falls by a fifth or more."""
    linear, formats, other = layer(), LayerFormats(weight=F.get(name)), activations(1)
    exact = linear(other)
    plain = (QuantizedLinear.from_linear(linear, formats)(other) - exact).norm()
    assert (treated(linear, activations(), formats)(other) - exact).norm() < 0.8 * plain


def test_large_channels_get_large_factors_of_geometric_middle_one() -> None:
    s = channel_factors(np.array([16.0, 1.0, 0.0, 4.0]), 0.5)
    assert s == pytest.approx([2, 0.5, 0.5, 1])  # 4, 1, 1 (never given), 2, all divided by sqrt(4 * 1)
    factors = treated(layer(), activations(), LayerFormats(weight=F.get("int4_g128"))).factors.numpy()
    assert set(np.argsort(factors)[-2:]) == set(SALIENT)


def test_factors_never_lose_against_none() -> None:
    """alpha = 0 is among those tried; for a weight that its format holds exactly nothing is better."""
    weight = K.quantize(layer().weight.detach().numpy(), F.get("bfp4")).dequantize()
    even = np.eye(INPUTS, dtype=np.float32)
    assert Awq().factors([weight], F.get("bfp4"), even) == pytest.approx(np.ones(INPUTS))


@pytest.mark.parametrize(
    "name", ["int3_g128", "int4_channel", "int4_tensor", "bfp4", "mxfp4", "bfp4_b16x16", "float16"]
)
def test_clipping_never_loses_and_stays_within_each_block(name: str) -> None:
    """Heavy tails: a block's largest weight is worth giving up for finer steps of the others."""
    fmt = F.get(name)
    weight = np.random.default_rng(2).standard_t(3, (OUTPUTS, INPUTS)).astype(np.float32)
    second = np.eye(INPUTS, dtype=np.float32)
    plain, narrow = K.quantize(weight, fmt).dequantize(), Awq().clipped(weight, fmt, second).dequantize()
    gain = output_error(narrow - weight, second) / max(output_error(plain - weight, second), 1e-30)
    assert gain <= 1
    if name in ("int3_g128", "int4_channel", "int4_tensor"):
        assert gain < 0.9
    none = Awq(smallest_clip=1).clipped(weight, fmt, second).dequantize()
    assert np.array_equal(none, plain)


def test_layers_that_share_an_input_share_the_factors() -> None:
    gate, up = layer(), torch.nn.Linear(INPUTS, 8)
    model, x = torch.nn.ModuleDict({"gate": gate, "up": up}), activations()
    group, second = ("gate", "up"), moments(x)
    statistics = InputStatistics({}, dict.fromkeys(group, group), dict.fromkeys(group, second))
    build = parse_recipe("awq").builder(model, statistics)
    formats = LayerFormats(weight=F.get("int4_g128"))
    built: list[Any] = [build(model[path], formats, path, 0, None) for path in group]
    assert torch.equal(built[0].factors, built[1].factors)


def test_a_layer_without_statistics_is_rounded_to_nearest() -> None:
    linear, formats, x = layer(), LayerFormats(F.get("int4_g128"), F.get("int8_token")), activations()
    build = parse_recipe("awq").builder(torch.nn.Sequential(linear), InputStatistics({}, {}))
    assert torch.equal(build(linear, formats, "0", 0, None)(x), QuantizedLinear.from_linear(linear, formats)(x))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps is 0, expected a whole number above 0"),
        ({"steps": 2.5}, "steps is 2.5, expected a whole number"),
        ({"smallest_clip": 0}, "smallest_clip is 0, expected above 0, at most 1"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_recipe({"name": "awq", **options})
