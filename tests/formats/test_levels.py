"""The published codebooks against their formulas, computed here by other means: numpy, and scipy's quantiles."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

from densimeter.formats import CodebookElement, FormatError
from densimeter.formats.levels import levels, name_of, named_levels

FAMILIES = [(name.rstrip("0123456789"), int(name[-1])) for name in named_levels() if name not in ("nf4", "fp4")]


def same(actual: tuple[float, ...], expected: NDArray[np.float64], steps: int = 0) -> None:
    """Equal as float32, or up to some float32 steps where the formula was evaluated in float64."""
    rounded = expected.astype(np.float32)
    np.testing.assert_array_max_ulp(np.array(actual, np.float32), rounded, maxulp=steps)
    np.testing.assert_array_equal(np.signbit(actual), np.signbit(rounded))


def test_nf4_is_the_table_of_its_appendix() -> None:
    """QLoRA, arXiv 2305.14314, appendix E, rounded to seven digits."""
    below = (-1, -0.6961928, -0.5250731, -0.3949175, -0.2844414, -0.1847734, -0.0910500)
    above = (0, 0.0795803, 0.1609302, 0.2461123, 0.3379152, 0.4407098, 0.5626170, 0.7229568, 1)
    np.testing.assert_allclose(levels("nf4"), below + above, atol=1e-7)


def test_nf4_is_made_of_quantiles() -> None:
    """Quantiles from 1/2 to delta, mirrored, 8 steps up and 7 down, divided by the largest; delta as in bitsandbytes.

    delta = 1 - (1/32 + 1/30) / 2; the published numbers carry the error of float32 quantiles.
    """
    delta = 1 - (1 / 32 + 1 / 30) / 2
    up, down = norm.ppf(np.linspace(0.5, delta, 9)), norm.ppf(np.linspace(0.5, delta, 8))
    expected = np.concatenate([-down[:0:-1], [0.0], up[1:]]) / up[-1]
    np.testing.assert_allclose(levels("nf4"), expected, atol=3e-7)


def test_fp4_is_the_table_of_bitsandbytes() -> None:
    table = (0, 0.0052083333, 0.6666667, 1, 0.3333333, 0.5, 0.1666667, 0.25)
    np.testing.assert_allclose(levels("fp4"), (*table, *(-v for v in table)), atol=1e-7)
    assert [code for code, level in enumerate(levels("fp4")) if np.signbit(level)] == list(range(8, 16))


@pytest.mark.parametrize("bits", range(2, 9))
def test_int_is_evenly_spaced(bits: int) -> None:
    """i / (2^(k-1) - 1)."""
    largest = 2 ** (bits - 1) - 1
    same(levels(f"int{bits}"), np.arange(-largest, largest + 1) / largest)


@pytest.mark.parametrize(("bits", "exponent_bits"), [(2, 1), (3, 2), (4, 2), (5, 3), (6, 3), (7, 4), (8, 4)])
def test_float_is_a_float_over_its_largest_value(bits: int, exponent_bits: int) -> None:
    """Code by code: 0.q times 2 in the lowest binade, 1.q times 2^E above; no Inf, no NaN; the sign on top."""
    one = 2 ** (bits - 1 - exponent_bits)
    codes = np.arange(2 ** (bits - 1))
    field, mantissa = codes // one, codes % one / one
    magnitudes = np.where(field == 0, 2 * mantissa, (1 + mantissa) * 2.0**field)
    magnitudes /= magnitudes[-1]
    same(levels(f"float{bits}"), np.concatenate([magnitudes, -magnitudes]))


@pytest.mark.parametrize("bits", range(2, 9))
def test_dynamic_is_decades_of_fractions(bits: int) -> None:
    """As bitsandbytes builds its map: decade i of k-1 holds the means of 2^i + 1 boundaries from 0.1 to 1."""
    decades = [
        10.0 ** (i - (bits - 2)) * np.convolve(np.linspace(0.1, 1, 2**i + 1), [0.5, 0.5], "valid")
        for i in range(bits - 1)
    ]
    positive = np.concatenate(decades)
    expected = np.sort(np.concatenate([-positive, [0.0, 1.0], positive]))
    assert len(expected) == 2**bits
    same(levels(f"dynamic{bits}"), expected, steps=1)


@pytest.mark.parametrize("bits", range(2, 9))
def test_dynamic_is_symmetric_but_for_one(bits: int) -> None:
    level = np.array(levels(f"dynamic{bits}"))
    assert level[-1] == 1
    np.testing.assert_array_equal(level[:-1], -level[-2::-1])
    assert abs(level[0]) < 1


def test_dynamic8_spans_seven_decades() -> None:
    """Smallest 0.55 * 10^-6; largest below one 0.1 + 0.9 * 127/128, here as (2 * 63 + 1) / 128."""
    positive = [level for level in levels("dynamic8") if level > 0]
    assert positive[0] == pytest.approx(0.55e-6, rel=1e-7)
    assert positive[-2] == pytest.approx(0.1 + 0.9 * 127 / 128, rel=1e-7)


@pytest.mark.parametrize("bits", range(2, 9))
def test_quantile_is_the_middle_of_neighbouring_quantiles(bits: int) -> None:
    """q_i = (ppf(i / (2^k + 1)) + ppf((i + 1) / (2^k + 1))) / 2, i from 1, over the largest."""
    quantiles = norm.ppf(np.arange(1, 2**bits + 1) / (2**bits + 1))
    middles = (quantiles[:-1] + quantiles[1:]) / 2
    middles[len(middles) // 2] = 0  # by symmetry; scipy leaves 1e-17
    assert len(middles) == 2**bits - 1
    same(levels(f"quantile{bits}"), middles / middles[-1], steps=1)


@pytest.mark.parametrize("name", named_levels())
def test_every_set_lies_in_the_unit_interval_and_serves_as_an_element(name: str) -> None:
    element = CodebookElement(levels(name))
    assert element.largest == 1
    assert element.bits == int(name[-1])
    assert 0.0 in element.levels


@pytest.mark.parametrize(("family", "bits"), FAMILIES)
def test_how_many_levels(family: str, bits: int) -> None:
    """All codes, but for one that evenly spaced and quantile levels leave unused."""
    assert len(levels(f"{family}{bits}")) == 2**bits - (family in ("int", "quantile"))


def test_which_widths_exist() -> None:
    for family in ("int", "float", "dynamic", "quantile"):
        assert [bits for name, bits in FAMILIES if name == family] == [2, 3, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("name", named_levels())
def test_a_name_is_found_again(name: str) -> None:
    """int2 and quantile2 are one set, -1 0 1, which goes by the first name."""
    assert name_of(levels(name)) == ("int2" if name == "quantile2" else name)


def test_names_tell_zeros_apart() -> None:
    flipped = tuple(-level for level in levels("float3"))
    assert name_of(flipped) is None, "the same numbers under other codes"
    assert name_of((0.0, 1.0)) is None


@pytest.mark.parametrize("name", ["nf5", "int1", "int9", "float1", "float", "", "quantile10", "nf3"])
def test_other_names_are_told_the_families(name: str) -> None:
    with pytest.raises(FormatError, match=f"codebook levels '{name}' are unknown.*int, float, dynamic or quantile"):
        levels(name)


def test_a_near_name_is_suggested() -> None:
    with pytest.raises(FormatError, match=r"did you mean 'quantile4'\?"):
        levels("quantil4")
