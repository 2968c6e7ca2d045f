"""Proxy outliers: which input dimensions stay in float16, told by the layer before, and what they cost."""

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import densimeter.formats as F
import densimeter.kernels as K
from densimeter.formats.errors import ConfigError
from densimeter.kernels.operand_formats import LayerFormats, Recipe
from densimeter.simulator.recipes import InputStatistics, parse_recipe
from densimeter.simulator.recipes.proxy_outliers import hold_apart, input_deviations, largest_share

torch = pytest.importorskip("torch")

from densimeter.kernels.torch import quantize_model  # noqa: E402

INT4 = F.get("int4_channel")
GROUPS = [("q", "k", "v"), ("o",), ("gate", "up"), ("down",)]


def block() -> Any:
    """The layers of one transformer block, width 100: 10 heads of 10 that share 2 of values; an MLP of 50."""
    torch.manual_seed(0)
    sizes = {"q": (100, 100), "k": (100, 20), "v": (100, 20), "o": (100, 100)}
    sizes |= {"gate": (100, 50), "up": (100, 50), "down": (50, 100)}
    layers = {name: torch.nn.Linear(*size) for name, size in sizes.items()}
    model = torch.nn.ModuleDict({"embed": torch.nn.Embedding(30, 100), **layers})
    model.config = SimpleNamespace(num_attention_heads=10, hidden_size=100)
    return model


def deviation(weight: Any) -> NDArray[np.float64]:
    rows: NDArray[np.float64] = weight.detach().double().numpy().std(axis=1)
    return rows


def test_the_layer_before_is_the_last_whose_outputs_fit() -> None:
    model = block()
    found = input_deviations(model, GROUPS)
    assert found["q"] == pytest.approx(deviation(model["embed"].weight.T), rel=1e-5)
    assert found["q"] is found["k"] is found["v"]
    assert found["gate"] == pytest.approx(deviation(model["o"].weight), rel=1e-5)
    assert found["down"] == pytest.approx(deviation(model["up"].weight), rel=1e-5)


def test_query_heads_that_share_values_share_their_deviations() -> None:
    """Heads 0 to 4 read the first 10 dimensions of v, heads 5 to 9 the others."""
    model = block()
    one, other = deviation(model["v"].weight).reshape(2, 10)
    assert input_deviations(model, GROUPS)["o"] == pytest.approx(np.concatenate([*[one] * 5, *[other] * 5]), rel=1e-5)


def test_of_a_fused_projection_the_values_count() -> None:
    model = torch.nn.ModuleDict({"attn": torch.nn.Linear(8, 3 * 8), "proj": torch.nn.Linear(8, 8)})
    found = input_deviations(model, [("attn",), ("proj",)])
    assert found.keys() == {"proj"}
    assert found["proj"] == pytest.approx(deviation(model["attn"].weight[16:]), rel=1e-5)


def test_a_fiftieth_of_4_bit_weights_in_16_costs_024_bits() -> None:
    """p (16 - k) = 0.02 * (16 - 4) = 0.24 bits more than 4 and a float32 scale a row of 100 weights."""
    weight = np.random.default_rng(0).standard_normal((64, 100)).astype(np.float32)
    kept = largest_share(np.arange(100.0), 0.02)
    held, bits = hold_apart(weight, kept, INT4)
    assert bits - Fraction(32, 100) - 4 == Fraction("0.24")
    assert kept.nonzero()[0].tolist() == [98, 99]
    assert np.array_equal(held[:, 98:], weight[:, 98:].astype(np.float16))
    assert np.array_equal(held[:, :98], K.quantize(weight[:, :98], INT4).dequantize())


def test_it_helps_where_the_layer_before_makes_some_units_large() -> None:
    """Two rows of the layer before are twenty times as large; no token has been seen when they are found."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(100, 100, bias=False), torch.nn.Linear(100, 64, bias=False))
    model[0].weight.data[[7, 70]] *= 20
    statistics = InputStatistics({}, {"0": ("0",), "1": ("1",)})
    plan, x = Recipe(LayerFormats(weight=INT4), skip=("0",)), torch.randn(256, 100)
    build = parse_recipe("proxy_outliers").builder(model, statistics)
    treated = quantize_model(model, plan, build=build)
    plain = (quantize_model(model, plan)(x) - model(x)).norm()
    assert (treated(x) - model(x)).norm() < 0.4 * plain
    assert treated[1].bits_per_weight == 4 + Fraction(32, 100) + Fraction("0.24")


def test_a_layer_with_none_before_it_is_rounded_to_nearest() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(32, 8))
    build = parse_recipe("proxy_outliers").builder(model, InputStatistics({}, {"0": ("0",)}))
    formats = LayerFormats(weight=INT4)
    built: Any = build(model[0], formats, "0", 0, None)
    assert np.array_equal(built.weight, K.quantize(model[0].weight.detach().numpy(), INT4).dequantize())


def test_a_share_is_one() -> None:
    with pytest.raises(ConfigError, match="share is 2, expected 0 to 1"):
        parse_recipe({"name": "proxy_outliers", "share": 2})
