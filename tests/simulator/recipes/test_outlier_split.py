"""LLM.int8's decomposition: which channels are set aside, and what each of the two products holds."""

from typing import Any

import numpy as np
import pytest

import densimeter.formats as F
from densimeter.kernels.operand_formats import LayerFormats
from densimeter.simulator.recipes import parse_recipe

torch = pytest.importorskip("torch")

from densimeter.kernels.torch import QuantizedLinear, quantize_dequantize  # noqa: E402

INT8 = LayerFormats(F.get("int8_channel"), F.get("int8_token"))


def layer() -> Any:
    torch.manual_seed(0)
    return torch.nn.Linear(32, 48)


def activations(*outliers: int) -> Any:
    """2 sequences of 10 tokens; no magnitude beyond 6 but in one token of each channel named."""
    x = torch.from_numpy(np.random.default_rng(0).uniform(-6, 6, (2, 10, 32)).astype(np.float32))
    for token, channel in enumerate(outliers):
        x[1, token, channel] = -60
    return x


def split(linear: Any, formats: LayerFormats = INT8, threshold: float = 6) -> Any:
    recipe = parse_recipe({"name": "outlier_split", "threshold": threshold})
    return recipe.builder(torch.nn.Sequential(linear), None)(linear, formats, "0", 0, None)


def test_outlier_channels_are_those_with_a_magnitude_beyond_the_threshold() -> None:
    x = activations(3, 20)
    x[0, 0, 7] = 6.0  # on the threshold, not beyond it
    assert split(layer()).outlier_channels(x).nonzero()[:, 0].tolist() == [3, 20]
    assert split(layer(), threshold=60).outlier_channels(x).sum() == 0


def test_without_outliers_it_is_round_to_nearest_bit_for_bit() -> None:
    linear, x = layer(), activations()
    assert torch.equal(split(linear)(x), QuantizedLinear.from_linear(linear, INT8)(x))


def test_outlier_columns_are_exact_in_float16() -> None:
    """Nothing but outlier channels in the input: what comes out is their float16 product, whatever the formats."""
    linear, x = layer(), activations(3, 20)
    regular = [channel for channel in range(32) if channel not in (3, 20)]
    x[..., regular] = 0
    exact = x.half().double() @ linear.weight.half().double().T + linear.bias.double()
    for formats in (INT8, LayerFormats(F.get("int2"), F.get("int2"))):
        torch.testing.assert_close(split(linear, formats)(x), exact.float(), rtol=1e-6, atol=1e-5)


def test_the_rest_is_quantised_as_if_outliers_were_not_there() -> None:
    linear, x = layer(), activations(3, 20)
    rest = x.clone()
    rest[..., [3, 20]] = 0
    held = quantize_dequantize(rest, F.get("int8_token"))
    weight = quantize_dequantize(linear.weight, F.get("int8_channel")).detach()
    aside = x[..., [3, 20]].half().float() @ linear.weight[:, [3, 20]].half().float().T
    torch.testing.assert_close(split(linear)(x), torch.nn.functional.linear(held, weight, linear.bias) + aside)


def test_without_formats_only_the_outliers_are_rounded() -> None:
    """To float16, of 11 bits: a relative error of 2^-11 in each of two factors."""
    linear, x = layer(), activations(3, 20)
    error = (split(linear, LayerFormats())(x) - linear(x)).abs()
    aside = x[..., [3, 20]].abs() @ linear.weight[:, [3, 20]].abs().T
    assert (error <= 2.1 * 2**-11 * aside + 1e-4).all()


def test_it_helps_where_there_are_outliers() -> None:
    """An outlier ten times as large as the rest makes the other steps of its token ten times as coarse."""
    linear, x = layer(), activations(3, 20)
    exact = linear(x)
    plain = (QuantizedLinear.from_linear(linear, INT8)(x) - exact)[1, :2].norm()
    treated = (split(linear)(x) - exact)[1, :2].norm()
    assert treated < plain / 3
