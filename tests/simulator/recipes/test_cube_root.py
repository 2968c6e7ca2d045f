"""The cube root: what is held exactly, and that errors grow with the numbers."""

from typing import Any

import numpy as np
import pytest

import densimeter.formats as F
from densimeter.formats.errors import ConfigError
from densimeter.kernels import quantize
from densimeter.kernels.operand_formats import LayerFormats
from densimeter.simulator.recipes import parse_recipe

torch = pytest.importorskip("torch")

INT4 = F.get("int4_channel")


def layer(weight: Any, formats: LayerFormats, observe: Any = None) -> Any:
    linear = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    linear.weight.data = torch.from_numpy(weight)
    return parse_recipe("cube_root").builder(torch.nn.Sequential(linear), None)(linear, formats, "0", 0, observe)


def held_weight(weight: Any) -> Any:
    return layer(weight, LayerFormats(INT4)).linear.linear.weight.detach().numpy()


def heavy_tailed(rows: int = 16) -> Any:
    return np.random.default_rng(0).laplace(0, 1, (rows, 256)).astype(np.float32)


def test_cubes_of_the_grid_are_held_exactly() -> None:
    """int4 over largest 7: roots -7..7 with a step of one."""
    cubes = np.arange(-7, 8, dtype=np.float32)[None] ** 3
    assert np.array_equal(held_weight(cubes), cubes)


def test_the_root_is_rounded_not_the_number() -> None:
    """Between 3^3 and 4^3 the border is 3.5^3 = 42.875, not 45.5."""
    weight = np.array([[343, 42, 43, 64, -42, -43]], np.float32)
    assert held_weight(weight).tolist() == [[343, 27, 64, 64, -27, -64]]


def test_errors_grow_with_the_numbers() -> None:
    """Uniform steps err alike everywhere; the cube's derivative is 3 y^2, so that small numbers hardly err."""
    weight = heavy_tailed()
    small = np.abs(weight) < np.median(np.abs(weight))

    def errors(held: Any) -> tuple[float, float]:
        squared = (held - weight) ** 2
        return float(squared[small].mean()), float(squared[~small].mean())

    uniform, cubed = errors(quantize(weight, INT4).dequantize()), errors(held_weight(weight))
    assert cubed[0] < uniform[0] / 3
    assert cubed[1] / cubed[0] > 3 * uniform[1] / uniform[0]


def test_activations_are_cubed_roots_too() -> None:
    weight, x = np.eye(15, dtype=np.float32), np.arange(-7, 8, dtype=np.float32)[None] ** 3
    built = layer(weight, LayerFormats(activation=F.get("int4_token")))
    assert np.array_equal(built(torch.from_numpy(x)).detach().numpy(), x)
    assert built(torch.from_numpy(x + 2)).detach().numpy()[0, 7] != 2  # 2 is not a cube


def test_without_formats_nothing_changes() -> None:
    weight, x = heavy_tailed(), torch.ones(2, 256)
    assert torch.equal(layer(weight, LayerFormats())(x), torch.nn.functional.linear(x, torch.from_numpy(weight)))


def test_bits_are_the_formats() -> None:
    """4, and a float32 scale for a row of 256."""
    assert layer(heavy_tailed(), LayerFormats(INT4)).bits_per_weight == 4 + 32 / 256
    assert layer(heavy_tailed(), LayerFormats()).bits_per_weight is None


def test_the_observer_sees_cubes() -> None:
    seen: list[Any] = []
    weight, x = heavy_tailed(), np.array([[8.0] * 255 + [343]], np.float32)
    formats = LayerFormats(INT4, F.get("int4_token"))
    layer(weight, formats, lambda *told: seen.append(told))(torch.from_numpy(x))
    (_, first, values, held), (_, second, given, taken) = seen
    assert (first, second) == ("weight", "activation")
    assert np.array_equal(values, weight)
    assert np.array_equal(held.dequantize(), held_weight(weight))
    assert np.array_equal(taken.dequantize(), given)


def test_an_accumulator_has_no_unit_for_it() -> None:
    formats = LayerFormats(F.get("int4_g64"), F.get("int8_g64"), accumulator=F.parse_accumulator("fp32"))
    with pytest.raises(ConfigError, match="a cube root is dequantised before it is multiplied"):
        layer(heavy_tailed(), formats)
