"""Information calibration: entropies, bits, and what a shift leaves of a weight."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import densimeter.formats as F
from densimeter.formats.errors import ConfigError
from densimeter.kernels import quantize
from densimeter.kernels.operand_formats import LayerFormats
from densimeter.simulator.recipes import parse_recipe
from densimeter.simulator.recipes.icq import calibrate, code_entropy_bits, stored_bits

NF4 = F.get("nf4_dq")


def weights(mean: float = 0.0, rows: int = 32) -> NDArray[np.float32]:
    """Blocks of 64, each about a mean of its own."""
    generator = np.random.default_rng(0)
    means = generator.normal(0, 1, (rows, 4, 1)) * mean
    return (means + generator.standard_normal((rows, 4, 64))).reshape(rows, 256).astype(np.float32)


def plain_entropy(w: NDArray[np.float32], fmt: F.BlockFormat = NF4) -> NDArray[np.float64]:
    return code_entropy_bits(quantize(w, fmt).codes.reshape(-1, 64), 1 << fmt.element.bits).reshape(len(w), -1)


def test_entropy_is_that_of_the_codes() -> None:
    codes = np.array([[0, 0, 0, 0], [0, 1, 2, 3], [5, 5, 9, 9], [1, 1, 1, 2]], np.uint8)
    uneven = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25))
    assert code_entropy_bits(codes, 16) == pytest.approx([0, 2, 1, uneven])


def test_bits_are_those_published() -> None:
    """4.127 of NF4 with double scales, and 0.126 for tau: 4.25."""
    scales, shifts = Fraction(8, 64) + Fraction(32, 64 * 256), Fraction(8, 64) + Fraction(16, 64 * 256)
    assert stored_bits(NF4) == 4 + scales + shifts
    assert float(shifts) == pytest.approx(0.126, abs=5e-4)
    assert float(stored_bits(NF4)) == pytest.approx(4.25, abs=5e-3)


@pytest.mark.parametrize("name", ["nf4_dq", "nf4", "kint3", "int4_g64"])
@pytest.mark.parametrize("mean", [0.0, 0.5])
def test_no_block_says_less_than_plain(name: str, mean: float) -> None:
    w, fmt = weights(mean), F.get(name)
    entropy = calibrate(w, fmt, 10, 0.1).entropy_bits
    assert (entropy >= plain_entropy(w, fmt)).all()
    assert entropy.mean() > plain_entropy(w, fmt).mean()


def test_more_candidates_say_more() -> None:
    w = weights(0.2)
    few, some, many = (calibrate(w, NF4, n, 0.1).entropy_bits.mean() for n in (0, 4, 40))
    assert plain_entropy(w).mean() < few < some < many


def test_shifts_are_near_the_median_or_zero() -> None:
    """0.1 sigma of the largest deviation either way, sigma = 1 / 1.8481 of it; tau's own rounding to 8 bits besides."""
    w = weights(0.5)
    shifts = calibrate(w, NF4, 10, 0.1).shifts
    blocks = w.reshape(len(w), 4, 64)
    middle = np.median(blocks, axis=2)
    reach = 0.1 / 1.8481 * np.abs(blocks - middle[..., None]).max(axis=2)
    rounding = 0.02 * np.abs(middle).max()
    assert ((np.abs(shifts - middle) <= reach + rounding) | (shifts == 0)).all()


def test_what_is_held_is_the_quantised_rest_and_the_shift() -> None:
    w = weights(0.5)
    stored = calibrate(w, NF4, 3, 0.1)
    moved = stored.shifts.repeat(64, axis=1)
    assert np.array_equal(stored.held, quantize(w - moved, NF4).dequantize() + moved)


def test_blocks_off_zero_lose_less() -> None:
    """Blocks about means as large as their deviation: plain NF4 spends levels where no weight is."""
    w = weights(2.0)
    plain, treated = quantize(w, NF4).dequantize() - w, calibrate(w, NF4, 20, 0.1).held - w
    assert np.sum(treated**2) < np.sum(plain**2) / 1.5


def test_bad_options_and_formats_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"candidates is 1\.5, expected a whole number"):
        parse_recipe({"name": "icq", "candidates": 1.5})
    with pytest.raises(ConfigError, match="reach is -1, expected 0 or more"):
        parse_recipe({"name": "icq", "reach": -1})
    for name, inputs in (("int4_channel", 64), ("nf4_dq", 96), ("e2m1", 64)):
        with pytest.raises(ConfigError, match=f"weight is {name} over {inputs} inputs, expected a format with scales"):
            calibrate(np.ones((2, inputs), np.float32), F.get(name), 1, 0.1)


def layer(formats: LayerFormats, observe: Any = None) -> Any:
    torch = pytest.importorskip("torch")
    linear = torch.nn.Linear(256, 32)
    linear.weight.data = torch.from_numpy(weights(0.5))
    build = parse_recipe({"name": "icq", "candidates": 2}).builder(torch.nn.Sequential(linear), None)
    return linear, build(linear, formats, "0", 0, observe)


def test_layers_multiply_what_is_held_and_say_their_bits() -> None:
    torch = pytest.importorskip("torch")
    linear, built = layer(LayerFormats(NF4))
    x = torch.from_numpy(np.random.default_rng(1).standard_normal((5, 256)).astype(np.float32))
    held = torch.from_numpy(calibrate(weights(0.5), NF4, 2, 0.1).held)
    assert torch.equal(built(x), torch.nn.functional.linear(x, held, linear.bias))
    assert built.bits_per_weight == stored_bits(NF4)


def test_layers_without_a_weight_format_stay() -> None:
    torch = pytest.importorskip("torch")
    linear, built = layer(LayerFormats())
    x = torch.ones(1, 256)
    assert torch.equal(built(x), linear(x))


def test_the_observer_sees_what_the_weight_became() -> None:
    pytest.importorskip("torch")
    seen: list[Any] = []
    layer(LayerFormats(NF4), lambda *told: seen.append(told))
    ((path, operand, values, quantized),) = seen
    assert (path, operand, quantized.format.name) == ("0", "weight", "nf4_dq shifted")
    assert np.array_equal(quantized.dequantize(), calibrate(values, NF4, 2, 0.1).held)


def test_an_accumulator_has_no_unit_for_it() -> None:
    pytest.importorskip("torch")
    formats = LayerFormats(F.get("int4_g64"), F.get("int8_g64"), accumulator=F.parse_accumulator("fp32"))
    with pytest.raises(ConfigError, match="accumulator is fp32, expected none: int4_g64 shifted is dequantised"):
        layer(formats)
