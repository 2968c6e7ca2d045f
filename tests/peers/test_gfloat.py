"""gfloat (0.5.2): element types under every rounding, and MX blocks; and where it means something else.

Its `round_ndarray` decides in float64, so that its answers for float32 numbers are exact.
"""

import numpy as np
import pytest
from gfloat import (
    BlockFormatInfo,
    Domain,
    FormatInfo,
    RoundMode,
    compute_scale_amax,
    decode_float,
    encode_ndarray,
    quantize_block,
    round_ndarray,
)
from gfloat import formats as theirs
from numpy.typing import NDArray

import densimeter.kernels as K
from densimeter.formats import get, parse
from densimeter.formats.rounding import NOISE_BITS, noise
from support.batteries import any_bits, around, battery


def fnuz(bits: int, precision: int) -> FormatInfo:
    """The finite formats of IEEE P3109 are the "finite, unsigned zero" ones: bias one higher, NaN for negative zero."""
    return theirs.format_info_p3109(bits, precision, domain=Domain.Finite)


ELEMENTS = {
    "e4m3": theirs.format_info_ocp_e4m3,
    "e5m2": theirs.format_info_ocp_e5m2,
    "e3m2": theirs.format_info_ocp_e3m2,
    "e2m3": theirs.format_info_ocp_e2m3,
    "e2m1": theirs.format_info_ocp_e2m1,
    "e4m3_fnuz": fnuz(8, 4),
    "e5m2_fnuz": fnuz(8, 3),
    "e3m4_fnuz": fnuz(8, 5),
    "e3m2_fnuz": fnuz(6, 3),
    "e2m3_fnuz": fnuz(6, 4),
    "e2m1_fnuz": fnuz(4, 2),
    "bfloat16": theirs.format_info_bfloat16,
    "float16": theirs.format_info_binary16,
}
BLOCKS = {
    "mxfp8_e4m3": theirs.format_info_mxfp8_e4m3,
    "mxfp8_e5m2": theirs.format_info_mxfp8_e5m2,
    "mxfp6_e3m2": theirs.format_info_mxfp6_e3m2,
    "mxfp6_e2m3": theirs.format_info_mxfp6_e2m3,
    "mxfp4": theirs.format_info_mxfp4_e2m1,
    "mxint8": theirs.format_info_mxint8,
}
MODES = {
    "nearest_even": RoundMode.TiesToEven,
    "nearest_away": RoundMode.TiesToAway,
    "toward_zero": RoundMode.TowardZero,
    "toward_minus_infinity": RoundMode.TowardNegative,
}
FINE_BITS = 40


def values_of(info: FormatInfo) -> NDArray[np.float64]:
    return np.array([decode_float(info, code).fval for code in range(1 << info.bits)])


def points(info: FormatInfo) -> NDArray[np.float32]:
    return np.concatenate([around(values_of(info)), any_bits(1 << 17), battery("gaussian")[:512].ravel()])


def their_codes(info: FormatInfo, x: NDArray[np.float32], mode: RoundMode, saturate: bool) -> NDArray[np.uint64]:
    rounded = round_ndarray(info, x.astype(np.float64), mode, sat=saturate)
    return np.asarray(encode_ndarray(info, rounded), np.uint64)


@pytest.mark.parametrize(("name", "info"), ELEMENTS.items())
def test_every_code_stands_for_the_same_number(name: str, info: FormatInfo) -> None:
    ours = [float(get(name).element.decode(code)) for code in range(1 << info.bits)]
    np.testing.assert_array_equal(ours, values_of(info))
    signs = np.signbit(ours) == np.signbit(values_of(info))
    assert (signs | np.isnan(ours)).all()


@pytest.mark.parametrize("rounding", MODES)
@pytest.mark.parametrize(("name", "info"), ELEMENTS.items())
def test_every_rounding_chooses_the_same_code(name: str, info: FormatInfo, rounding: str) -> None:
    x = points(info)
    fmt = parse({"base": name, "rounding": rounding, "overflow": "saturate"})
    np.testing.assert_array_equal(K.quantize(x, fmt).codes, their_codes(info, x, MODES[rounding], saturate=True))


@pytest.mark.parametrize("rounding", MODES)
@pytest.mark.parametrize(("name", "info"), [(name, info) for name, info in ELEMENTS.items() if info.num_nans])
def test_every_rounding_overflows_alike(name: str, info: FormatInfo, rounding: str) -> None:
    """To Inf or NaN, but not for a finite number that rounds toward zero. Their NaN is the code with all bits set."""
    x = points(info)
    fmt = parse({"base": name, "rounding": rounding, "overflow": "special"})
    ours, expected = K.quantize(x, fmt).codes, their_codes(info, x, MODES[rounding], saturate=False)
    nan = np.isnan(values_of(info))
    np.testing.assert_array_equal(nan[ours], nan[expected])
    np.testing.assert_array_equal(ours[~nan[ours]], expected[~nan[ours]])


@pytest.mark.parametrize("name", ["e4m3", "e5m2", "e2m1", "e3m2_fnuz", "bfloat16"])
def test_stochastic_rounding_compares_the_same_noise(name: str) -> None:
    """Theirs rounds up when fraction + noise >= 1, ours when noise < fraction: their noise is 1 - ours - 2^-40.

    The fractions here are multiples of 2^-40, so that the last term makes one comparison of both.
    """
    info = ELEMENTS[name]
    x = (np.random.default_rng(1).integers(-(1 << 22), 1 << 22, 20_000) * 2.0**-20).astype(np.float32)
    chances = np.array([noise(3, i) for i in range(x.size)], np.int64)
    bits = (1 << FINE_BITS) - (chances << (FINE_BITS - NOISE_BITS)) - 1
    rounded = round_ndarray(
        info, x.astype(np.float64), RoundMode.StochasticFastest, sat=True, srbits=bits, srnumbits=FINE_BITS
    )
    fmt = parse({"base": name, "rounding": "stochastic", "overflow": "saturate"})
    np.testing.assert_array_equal(K.quantize(x, fmt, seed=3).codes, encode_ndarray(info, rounded))


def their_blocks(info: BlockFormatInfo, x: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.array([quantize_block(info, block, compute_scale_amax) for block in x.reshape(-1, info.k)]).reshape(
        x.shape
    )


@pytest.mark.parametrize("numbers", ["gaussian", "heavy_tailed", "ties", "sizes", "near_powers_of_two"])
@pytest.mark.parametrize(("name", "info"), BLOCKS.items())
def test_microscaling_blocks_have_the_same_values(name: str, info: BlockFormatInfo, numbers: str) -> None:
    x = battery(numbers)[:16]
    np.testing.assert_array_equal(K.quantize(x, get(name)).dequantize(), their_blocks(info, x.astype(np.float64)))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "info"), BLOCKS.items())
def test_a_million_values_in_microscaling_blocks(name: str, info: BlockFormatInfo) -> None:
    x = battery("sizes")
    np.testing.assert_array_equal(K.quantize(x, get(name)).dequantize(), their_blocks(info, x.astype(np.float64)))


# Where gfloat means something else


def block(*first: float) -> NDArray[np.float32]:
    x = np.zeros(32, np.float32)
    x[: len(first)] = first
    return x


def test_float32_log2_takes_the_scale_of_the_next_power_of_two() -> None:
    """Below 8, float32 log2 is 3: scale 2 instead of 1, under which 7.9999995 rounds to 8. In float64 it is right."""
    x, info = block(7.9999995), BLOCKS["mxfp4"]
    assert their_blocks(info, x)[0] == 8
    assert their_blocks(info, x.astype(np.float64))[0] == K.quantize(x, get("mxfp4")).dequantize()[0] == 6


def test_infinity_and_nan() -> None:
    """Theirs saturates an Inf under scale 2^127 in float64, and raises for a NaN that no element can hold.

    OCP leaves both open. Ours makes the block NaN, through the scale.
    """
    assert their_blocks(BLOCKS["mxfp4"], block(np.inf).astype(np.float64))[0] == 6 * 2.0**127
    with pytest.raises(ValueError, match="No NaN in format"):
        their_blocks(BLOCKS["mxfp4"], block(np.nan).astype(np.float64))
    assert np.isnan(their_blocks(BLOCKS["mxfp8_e4m3"], block(np.nan).astype(np.float64))).all()
    for bad in (np.inf, np.nan):
        assert np.isnan(K.quantize(block(bad), get("mxfp4")).dequantize()).all()
