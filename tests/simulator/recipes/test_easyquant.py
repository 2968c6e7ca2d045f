"""EasyQuant: few outliers apart, scales where the gradient of the error vanishes."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import densimeter.formats as F
import densimeter.kernels as K
from densimeter.formats.errors import ConfigError
from densimeter.kernels.operand_formats import LayerFormats
from densimeter.simulator.recipes import parse_recipe
from densimeter.simulator.recipes.easyquant import EasyQuant, far_out, fitted

torch = pytest.importorskip("torch")

OUTPUTS, INPUTS = 64, 512
INT4 = F.get("int4_channel")


def weights() -> NDArray[np.float32]:
    """N(0, 0.02), and one weight in a thousand twenty times as large."""
    rng = np.random.default_rng(0)
    w = rng.normal(0, 0.02, (OUTPUTS, INPUTS)).astype(np.float32)
    w.ravel()[rng.choice(w.size, w.size // 1000, replace=False)] *= 20
    return w


def errors(held: NDArray[np.float32], w: NDArray[np.float32]) -> NDArray[np.float64]:
    sums: NDArray[np.float64] = np.square((held - w).astype(np.float64)).sum(axis=1)
    return sums


def test_outliers_are_few_and_float16_to_the_bit() -> None:
    w = weights()
    outliers = far_out(w, 3)
    assert 0 < outliers.mean() < 0.01
    assert np.array_equal(outliers, np.abs(w - w.mean()) >= 3 * w.std())
    held, _ = EasyQuant().hold(w, INT4)
    assert np.array_equal(held[outliers], w[outliers].astype(np.float16))


def test_bits_count_values_positions_and_pointers() -> None:
    """4 bits and a float32 scale a row; 16 + 16 bits an outlier; 32 a row for where its outliers begin."""
    w = weights()
    _, bits = EasyQuant().hold(w, INT4)
    outliers = int(far_out(w, 3).sum())
    assert bits == 4 + Fraction(32, INPUTS) + Fraction(outliers * (16 + 16), w.size) + Fraction(32, INPUTS)


@pytest.mark.parametrize("name", ["int4_channel", "int4_g128", "int3_g128", "int4_tensor", "nf4"])
def test_scales_end_where_the_gradient_vanishes_and_never_lose(name: str) -> None:
    w, fmt = weights(), F.get(name)
    plain, found = K.quantize(w, fmt), fitted(w, fmt, 100)
    assert np.square(found.dequantize() - w).sum() < np.square(plain.dequantize() - w).sum()
    if name != "int4_channel":
        return
    scales = found.scales.view(np.float32).astype(np.float64)
    q = found.dequantize() / scales
    gradient = 2 * ((found.dequantize() - w) * q).sum(axis=1)
    assert np.abs(gradient) == pytest.approx(0, abs=1e-3 * np.square(q).sum(axis=1).mean() * scales.mean())
    assert (errors(found.dequantize(), w) <= errors(plain.dequantize(), w)).all()


def test_no_steps_leave_the_scales_as_they_are() -> None:
    w = weights()
    assert np.array_equal(fitted(w, INT4, 0).dequantize(), K.quantize(w, INT4).dequantize())


def test_it_helps_where_rows_have_outliers() -> None:
    """A row's outlier makes its steps up to twenty times as coarse; held apart, it does not."""
    w = weights()
    held, _ = EasyQuant().hold(w, INT4)
    assert errors(held, w).sum() < errors(K.quantize(w, INT4).dequantize(), w).sum() / 10


def test_a_layer_reports_its_bits_and_multiplies_what_is_held() -> None:
    torch.manual_seed(0)
    linear = torch.nn.Linear(32, 48)
    built: Any = parse_recipe("easyquant").builder(torch.nn.Sequential(linear), None)(
        linear, LayerFormats(INT4), "0", 0, None
    )
    held, bits = EasyQuant().hold(linear.weight.detach().numpy(), INT4)
    x = torch.randn(5, 32)
    assert built.bits_per_weight == bits
    torch.testing.assert_close(built(x), torch.nn.functional.linear(x, torch.from_numpy(held), linear.bias))


@pytest.mark.parametrize("name", ["mxfp4", "nvfp4", "int4_g128_affine", "gguf_q4_0", "float32"])
def test_formats_without_a_scale_to_fit_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"weight is {name}, expected one with a float scale"):
        fitted(weights(), F.get(name), 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigmas": 0}, "sigmas is 0, expected a number above 0"),
        ({"steps": -1}, "steps is -1, expected a whole number"),
    ],
)
def test_bad_options_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_recipe({"name": "easyquant", **options})
