"""SmoothQuant: an equivalence, and ranges that meet in the middle."""

from typing import Any

import numpy as np
import pytest

import densimeter.formats as F
from densimeter.kernels.operand_formats import LayerFormats
from densimeter.simulator.recipes import InputStatistics, parse_recipe
from densimeter.simulator.recipes.smoothquant import smoothing_factors

torch = pytest.importorskip("torch")

from densimeter.kernels.torch import QuantizedLinear, Recipe, quantize_model  # noqa: E402
from densimeter.simulator.accuracy.calibration import calibrate  # noqa: E402

OUTLIERS = (3, 20)


def activations(seed: int = 0) -> Any:
    """64 tokens of 32 channels, two of them fifty times as large."""
    x = np.random.default_rng(seed).standard_normal((64, 32)).astype(np.float32)
    x[:, OUTLIERS] *= 50
    return torch.from_numpy(x)


def layer() -> Any:
    torch.manual_seed(0)
    return torch.nn.Linear(32, 48)


def smoothed(linear: Any, x: Any, formats: LayerFormats, alpha: float = 0.5) -> Any:
    statistics = InputStatistics({"0": x.abs().amax(dim=0).numpy()}, {"0": ("0",)})
    build = parse_recipe({"name": "smoothquant", "alpha": alpha}).builder(torch.nn.Sequential(linear), statistics)
    return build(linear, formats, "0", 0, None)


@pytest.mark.parametrize("alpha", [0, 0.3, 0.5, 0.8, 1])
def test_float_outputs_are_unchanged_up_to_rounding(alpha: float) -> None:
    """Each product takes two more roundings of relative 2^-24: x / s, and W * s."""
    linear, x = layer(), activations()
    products = x.abs() @ linear.weight.abs().T + linear.bias.abs()
    bound = 2 * 2**-24 * products + 32 * 2**-24 * products  # and the sum of 32 may round otherwise
    assert ((smoothed(linear, x, LayerFormats(), alpha)(x) - linear(x)).abs() <= bound).all()


def test_float_outputs_are_unchanged_bit_for_bit_by_powers_of_two() -> None:
    """max|X| = 2^2k and max|W| = 1 give s = 2^k: dividing and multiplying by it are exact."""
    x, linear = activations(), layer()
    exponents = torch.arange(32) % 5
    x = x / x.abs().amax(dim=0) * 4.0**exponents
    weight = linear.weight.detach()
    linear.weight.data = weight / weight.abs().amax(dim=0)
    treated = smoothed(linear, x, LayerFormats())
    assert torch.equal(treated.factors, 2.0**exponents)
    assert torch.equal(treated(x), linear(x))


def test_at_one_half_activations_and_weights_get_the_same_range() -> None:
    x, w = np.array([100.0, 0.01, 3]), np.array([0.04, 1, 3])
    s = smoothing_factors(x.astype(np.float32), w.astype(np.float32), 0.5)
    assert s == pytest.approx([50, 0.1, 1])  # sqrt(100 / 0.04), sqrt(0.01 / 1), sqrt(3 / 3)
    assert x / s == pytest.approx(w * s)


def test_a_channel_that_is_always_zero_is_left_alone() -> None:
    zero, one = np.zeros(1, np.float32), np.ones(1, np.float32)
    assert smoothing_factors(zero, one, 0.5) == smoothing_factors(one, zero, 0.5) == 1


def test_it_helps_where_channels_have_outliers() -> None:
    """The paper's case, int8 with one scale a tensor: the error of the product falls by more than half."""
    linear, x = layer(), activations()
    formats = LayerFormats(F.get("int8_channel"), F.get("int8_tensor"))
    exact = linear(x)
    plain = (QuantizedLinear.from_linear(linear, formats)(x) - exact).norm()
    treated = (smoothed(linear, x, formats)(x) - exact).norm()
    assert treated < plain / 2


def test_layers_that_share_an_input_share_the_factors() -> None:
    """So that one normalisation before them can take the factors in: of the larger weight maxima of both."""

    class Pair(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.gate, self.up, self.down = layer(), torch.nn.Linear(32, 48), torch.nn.Linear(48, 8)

        def forward(self, ids: Any, use_cache: bool) -> Any:
            x = activations(int(ids[0, 0]))
            return self.down(self.gate(x) * self.up(x))

    model = Pair()
    statistics = calibrate(model, [[0, 0], [1, 1]])
    assert statistics.sharing == {"gate": ("gate", "up"), "up": ("gate", "up"), "down": ("down",)}
    largest = torch.maximum(activations(0).abs().amax(dim=0), activations(1).abs().amax(dim=0))
    assert np.array_equal(statistics.largest["gate"], largest.numpy())
    treated = quantize_model(model, Recipe(), build=parse_recipe("smoothquant").builder(model, statistics))
    assert torch.equal(treated.gate.factors, treated.up.factors)
    columns = torch.maximum(model.gate.weight.abs().amax(dim=0), model.up.weight.abs().amax(dim=0))
    assert treated.gate.factors.numpy() == pytest.approx((largest / columns).sqrt().detach().numpy())


def test_a_layer_that_calibration_did_not_reach_is_rounded_to_nearest() -> None:
    linear, formats = layer(), LayerFormats(F.get("int8_channel"), F.get("int8_token"))
    build = parse_recipe("smoothquant").builder(torch.nn.Sequential(linear), InputStatistics({}, {}))
    x = activations()
    assert torch.equal(build(linear, formats, "0", 0, None)(x), QuantizedLinear.from_linear(linear, formats)(x))
