"""FPTQ: three schemes for activations, by the range that calibration showed."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import densimeter.formats as F
from densimeter.formats.errors import ConfigError
from densimeter.kernels.operand_formats import LayerFormats
from densimeter.simulator.recipes import InputStatistics, parse_recipe
from densimeter.simulator.recipes.fptq import equalising_factors

torch = pytest.importorskip("torch")

from densimeter.kernels.torch import QuantizedLinear, quantize_dequantize  # noqa: E402

W4A8 = LayerFormats(F.get("int4_g128"), F.get("int8_token"))
INPUTS, OUTPUTS = 64, 48


def activations(largest: float, seed: int = 0) -> Any:
    """256 tokens within +-1, but for two channels that reach +-largest."""
    x = np.random.default_rng(seed).uniform(-1, 1, (256, INPUTS)).astype(np.float32)
    x[:, [3, 20]] *= largest
    x[0, 3] = largest
    return torch.from_numpy(x)


def layer() -> Any:
    torch.manual_seed(0)
    return torch.nn.Linear(INPUTS, OUTPUTS)


def treated(linear: Any, x: Any, formats: LayerFormats = W4A8, **options: Any) -> Any:
    statistics = InputStatistics({"0": x.abs().amax(dim=0).numpy()}, {"0": ("0",)})
    build = parse_recipe({"name": "fptq", **options}).builder(torch.nn.Sequential(linear), statistics)
    return build(linear, formats, "0", 0, None)


def test_up_to_15_one_scale_that_calibration_fixed() -> None:
    """15 / 127 a step: what a later text brings beyond 15 saturates, and a small tensor has no finer steps."""
    linear = layer()
    found, step = treated(linear, activations(15)), np.float32(15) / 127
    x = 100 * activations(1)
    held = torch.clamp(torch.round(x / step), -127, 127) * step
    weight = quantize_dequantize(linear.weight, F.get("int4_g128")).detach()
    torch.testing.assert_close(found(x), torch.nn.functional.linear(held, weight, linear.bias), rtol=1e-5, atol=1e-4)


def test_from_150_a_scale_for_every_token() -> None:
    linear, x = layer(), activations(150)
    assert torch.equal(treated(linear, x)(x), QuantizedLinear.from_linear(linear, W4A8)(x))


def test_between_channels_are_equalised_by_logarithms_under_a_static_scale() -> None:
    """A channel of 62 becomes one of log2(2 + 62) = 6."""
    factors = equalising_factors(np.array([62, 2, 0], np.float32))
    assert factors == pytest.approx([62 / 6, 2 / 2, 1])
    linear, x = layer(), activations(62)
    found = treated(linear, x)
    assert (x / found.factors).abs().amax() == pytest.approx(6, rel=1e-6)
    step = np.float32(6) / 127
    held = torch.clamp(torch.round(x / found.factors / step), -127, 127) * step
    weight = quantize_dequantize(linear.weight.detach() * found.factors, F.get("int4_g128"))
    torch.testing.assert_close(found(x), torch.nn.functional.linear(held, weight, linear.bias), rtol=1e-4, atol=1e-2)


def test_float_outputs_are_unchanged_up_to_rounding() -> None:
    linear, x = layer(), activations(62)
    exact = LayerFormats(F.get("float32"), F.get("float32"))
    found = treated(linear, x, exact)
    assert found.factors.amax() > 10
    torch.testing.assert_close(found(x), linear(x), rtol=1e-5, atol=1e-4)


def test_equalising_helps_a_static_scale_where_channels_have_outliers() -> None:
    """Of activations alone: 62 against 1 leaves a plain static scale two steps for most channels."""
    linear, x, other = layer(), activations(62), activations(62, 1)
    formats = LayerFormats(activation=F.get("int8_token"))
    exact = linear(other)
    plain = (treated(linear, x, formats, static_to=100)(other) - exact).norm()
    assert (treated(linear, x, formats)(other) - exact).norm() < plain / 3


def test_an_accumulator_meets_static_codes() -> None:
    linear = layer()
    exact = replace(W4A8, accumulator=F.parse_accumulator("fp32"))
    for largest in (15, 62):
        x = activations(largest)
        torch.testing.assert_close(treated(linear, x, exact)(x), treated(linear, x)(x), rtol=1e-4, atol=1e-3)


def test_a_layer_without_statistics_or_format_is_left_to_rounding() -> None:
    linear, x = layer(), activations(10)
    build = parse_recipe("fptq").builder(torch.nn.Sequential(linear), InputStatistics({}, {}))
    assert torch.equal(build(linear, W4A8, "0", 0, None)(x), QuantizedLinear.from_linear(linear, W4A8)(x))
    weight_only = LayerFormats(F.get("int4_g128"))
    assert torch.equal(treated(linear, x, weight_only)(x), QuantizedLinear.from_linear(linear, weight_only)(x))


def test_ranges_out_of_order_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"static_to is 200 and dynamic_from 150\.0, expected 0 or more"):
        parse_recipe({"name": "fptq", "static_to": 200})
