"""2, 4 and 16 bits in a matrix: which group gets which, and what that takes."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import densimeter.formats as F
from densimeter.formats.errors import ConfigError
from densimeter.kernels import quantize
from densimeter.kernels.operand_formats import LayerFormats
from densimeter.simulator.recipes import InputStatistics, parse_recipe
from densimeter.simulator.recipes.mixed_2_4_16 import MixedPrecision

INT2 = F.get("int2_g64")
AFFINE = F.get("int2_g64_affine")


def weights(rows: int = 64, inputs: int = 1280) -> NDArray[np.float32]:
    """Groups of 64 of one row are as wide as each other; rows differ by up to eight times. Some outliers in all."""
    generator = np.random.default_rng(0)
    w = generator.standard_normal((rows, inputs)) * np.logspace(0, 3, rows, base=2)[:, None]
    w[generator.random(w.shape) < 0.002] *= 6
    return w.astype(np.float32)


def flat(inputs: int = 1280) -> NDArray[np.float32]:
    return np.ones(inputs, np.float32)


def test_bits_are_those_published() -> None:
    """2.85: a quarter in four bits, each group of 64 with a float16 scale, and 0.3125 % outliers with 16-bit indices.

    64 * 1280 weights are 1280 groups, 320 of them sensitive, and 256 outliers: no share is rounded.
    """
    mixed = MixedPrecision().mix(weights(), flat(), INT2)
    elements, outliers, scales = 2 * Fraction(3, 4) + 4 * Fraction(1, 4), Fraction(16 + 16, 320), Fraction(16, 64)
    assert mixed.bits_per_weight == elements + outliers + scales == Fraction("2.85")
    assert (mixed.sensitive.sum(), mixed.outliers.sum()) == (1280 / 4, 64 * 1280 / 320)


def test_groups_with_large_ranges_are_sensitive() -> None:
    w = np.random.default_rng(0).uniform(-1, 1, (4, 256)).astype(np.float32)
    w[2] *= 4
    assert MixedPrecision(outlier_share=0).mix(w, flat(256), INT2).sensitive.tolist() == [
        [False] * 4, [False] * 4, [True] * 4, [False] * 4
    ]  # fmt: skip


def test_groups_on_large_inputs_are_sensitive() -> None:
    w = np.random.default_rng(0).uniform(-1, 1, (4, 256)).astype(np.float32)
    hessian = np.array([1, 1, 4, 1], np.float32).repeat(64)
    assert MixedPrecision().mix(w, hessian, INT2).sensitive.tolist() == [[False, False, True, False]] * 4


def test_outliers_are_the_largest_weights_of_two_bit_groups_in_float16() -> None:
    w = weights()
    mixed = MixedPrecision().mix(w, flat(), INT2)
    narrow = ~mixed.sensitive.repeat(64, axis=1)
    assert (narrow[mixed.outliers]).all()
    assert np.abs(w[mixed.outliers]).min() >= np.abs(w[narrow & ~mixed.outliers]).max()
    assert np.array_equal(mixed.held[mixed.outliers], w[mixed.outliers].astype(np.float16))


def test_two_bit_groups_do_not_see_their_outliers() -> None:
    w = np.zeros((1, 64), np.float32)
    w[0, :5] = 1, -1, 0.4, 0.6, 100
    mixed = MixedPrecision(wide_share=0, outlier_share=1 / 64).mix(w, flat(64), INT2)
    assert mixed.held[0, :5].tolist() == [1, -1, 0, 1, 100]  # the scale is 1, not 100


def test_four_bit_groups_are_the_row_format_with_four_bits() -> None:
    w = weights()
    for narrow, wide in ((INT2, "int4_g64"), (AFFINE, "int4_g64_affine")):
        held = MixedPrecision(wide_share=1).mix(w, flat(), narrow).held
        assert np.array_equal(held, quantize(w, F.get(wide)).dequantize())


def output_error(w: NDArray[np.float32], hessian: NDArray[np.float32], recipe: MixedPrecision) -> float:
    return float(np.sum(hessian * (recipe.mix(w, hessian, AFFINE).held - w).astype(np.float64) ** 2))


def test_each_part_helps_and_ranking_beats_chance() -> None:
    w, hessian = weights(), np.random.default_rng(1).lognormal(0, 1, 1280).astype(np.float32)
    plain = output_error(w, hessian, MixedPrecision(wide_share=0, outlier_share=0))
    wide = output_error(w, hessian, MixedPrecision(outlier_share=0))
    both = output_error(w, hessian, MixedPrecision())
    # At random a quarter of the error would all but vanish: four bits err (3 / 15)^2 = 1 / 25 of what two do.
    assert wide < plain * (1 - 0.25 * 24 / 25) / 1.2
    assert both < wide / 1.1


def layer(formats: LayerFormats, moments: Any = None) -> Any:
    torch = pytest.importorskip("torch")
    linear = torch.nn.Linear(256, 32)
    found = {} if moments is None else {"0": moments}
    statistics = InputStatistics({}, {}, found)
    return linear, parse_recipe("mixed_2_4_16").builder(torch.nn.Sequential(linear), statistics)(
        linear, formats, "0", 0, None
    )


def test_layers_take_the_diagonal_of_the_moments() -> None:
    pytest.importorskip("torch")
    hessian = np.array([1, 1, 400, 1], np.float32).repeat(64)
    linear, built = layer(LayerFormats(INT2), np.diag(hessian) + 7)
    expected = MixedPrecision().mix(linear.weight.detach().numpy(), hessian + 7, INT2)
    assert np.array_equal(built.linear.weight.detach().numpy(), expected.held)
    assert built.bits_per_weight == expected.bits_per_weight


def test_without_calibration_or_format_layers_are_built_all_the_same() -> None:
    torch = pytest.importorskip("torch")
    linear, built = layer(LayerFormats(INT2))
    expected = MixedPrecision().mix(linear.weight.detach().numpy(), flat(256), INT2)
    assert np.array_equal(built.linear.weight.detach().numpy(), expected.held)
    linear, built = layer(LayerFormats())
    assert torch.equal(built(torch.ones(1, 256)), linear(torch.ones(1, 256)))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"wide_share": 1.5}, r"wide_share is 1\.5, expected 0 to 1"),
        ({"outlier_share": -1}, "outlier_share is -1, expected 0 to 1"),
        ({"index_bits": 0.5}, r"index_bits is 0\.5, expected a whole number"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        parse_recipe({"name": "mixed_2_4_16", **options})


@pytest.mark.parametrize("name", ["nf4", "int2_channel", "int2_g128"])
def test_formats_without_groups_of_integers_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"weight is {name} over 192 inputs, expected integers in groups"):
        MixedPrecision().mix(np.ones((1, 192), np.float32), flat(192), F.get(name))
