"""gguf (0.19.0), llama.cpp's Python package: the bytes of its block types; and where it means something else."""

import gguf
import numpy as np
import pytest
from gguf import GGMLQuantizationType as GgmlType
from numpy.typing import NDArray

import densimeter.kernels as K
from densimeter.formats import BlockFormat, get, parse
from support.batteries import any_bits, battery

BLOCK = 32
TYPES = ("Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1")
SIGNED = ("Q4_0", "Q5_0")
MXFP4 = get("gguf_mxfp4")
E2M1_MIDDLES = (0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5)


def their_bytes(x: NDArray[np.float32], kind: str) -> NDArray[np.uint8]:
    """[blocks, bytes of a block]"""
    with np.errstate(all="ignore"):  # fp16 overflow, and divisions by zero that it discards
        packed = gguf.quants.quantize(x.reshape(-1, BLOCK), GgmlType[kind])
    return np.asarray(packed, np.uint8)


def our_bytes(x: NDArray[np.float32], fmt: BlockFormat) -> NDArray[np.uint8]:
    packed = np.frombuffer(K.quantize(x.reshape(-1, BLOCK), fmt).pack(), np.uint8)
    return packed.reshape(x.size // BLOCK, -1)


def their_numbers(packed: NDArray[np.uint8], kind: str) -> NDArray[np.float32]:
    with np.errstate(all="ignore"):
        return np.asarray(gguf.quants.dequantize(packed, GgmlType[kind]), np.float32)


def our_numbers(packed: NDArray[np.uint8], fmt: BlockFormat) -> NDArray[np.float32]:
    return K.unpack(packed.tobytes(), fmt, (len(packed), BLOCK)).dequantize()


def block(*first: float) -> NDArray[np.float32]:
    """One block that begins with these numbers and goes on with zeros."""
    x = np.zeros(BLOCK, np.float32)
    x[: len(first)] = first
    return x


@pytest.mark.parametrize(
    "numbers", ["gaussian", "heavy_tailed", "one_sided", "tiny", "ties", "sizes", "near_powers_of_two"]
)
@pytest.mark.parametrize("kind", TYPES)
def test_bytes_are_equal(kind: str, numbers: str) -> None:
    x = battery(numbers)
    np.testing.assert_array_equal(our_bytes(x, get(f"gguf_{kind.lower()}")), their_bytes(x, kind))


@pytest.mark.parametrize("kind", ["Q8_0", "Q4_1", "Q5_1"])
@pytest.mark.parametrize("numbers", ["sparse", "zeros"])
def test_bytes_of_blocks_of_zeros_are_equal(kind: str, numbers: str) -> None:
    """The two others say it below."""
    x = battery(numbers)
    np.testing.assert_array_equal(our_bytes(x, get(f"gguf_{kind.lower()}")), their_bytes(x, kind))


@pytest.mark.parametrize("numbers", ["gaussian", "heavy_tailed", "one_sided", "tiny", "ties", "sizes", "zeros"])
@pytest.mark.parametrize("kind", TYPES)
def test_bytes_stand_for_the_same_numbers(kind: str, numbers: str) -> None:
    packed = their_bytes(battery(numbers), kind)
    np.testing.assert_array_equal(our_numbers(packed, get(f"gguf_{kind.lower()}")), their_numbers(packed, kind))


def test_bfloat16_is_equal() -> None:
    x = np.concatenate([battery("gaussian").ravel(), any_bits(1 << 20)])
    with np.errstate(over="ignore"):
        theirs = np.asarray(gguf.quants.quantize(x, GgmlType.BF16), np.uint8)
    np.testing.assert_array_equal(np.frombuffer(K.quantize(x, get("bfloat16")).pack(), np.uint8), theirs)


def test_a_type_that_the_catalog_lacks_is_composed() -> None:
    """IQ4_NL, which gguf reads and cannot write: sixteen levels and an fp16 scale for blocks of 32."""
    levels = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]
    element = {"kind": "codebook", "levels": levels}
    fmt = parse({"element": element, "block": BLOCK, "scale": "fp16", "layout": "ggml"})
    packed = our_bytes(battery("gaussian"), fmt)
    np.testing.assert_array_equal(our_numbers(packed, fmt), their_numbers(packed, "IQ4_NL"))


# Where gguf means something else: Q types


@pytest.mark.parametrize("kind", SIGNED)
def test_a_block_of_zeros_gets_a_negative_zero_for_its_scale(kind: str) -> None:
    """0 / -8 is -0.0, as in ggml itself. All values are zero either way; theirs read back as -0.0."""
    fmt, (theirs,) = get(f"gguf_{kind.lower()}"), their_bytes(block(), kind)
    (ours,) = our_bytes(block(), fmt)
    assert bytes(theirs[:2]) == b"\x00\x80"
    assert bytes(ours[:2]) == b"\x00\x00"
    assert bytes(theirs[2:]) == bytes(ours[2:])
    assert np.signbit(their_numbers(theirs[None], kind)).all()
    assert not np.signbit(our_numbers(ours[None], fmt)).any()


@pytest.mark.parametrize("kind", ["Q4_1", "Q5_1"])
def test_a_minimum_keeps_the_sign_of_its_zero(kind: str) -> None:
    """Ours stores plus zero. No value depends on it: scale * q is never -0.0."""
    x = np.full(BLOCK, -0.0, np.float32)
    fmt, (theirs,) = get(f"gguf_{kind.lower()}"), their_bytes(x, kind)
    assert bytes(theirs[2:4]) == b"\x00\x80"
    assert not our_bytes(x, fmt).any()
    assert not np.signbit(their_numbers(theirs[None], kind)).any()
    assert not np.signbit(our_numbers(theirs[None], fmt)).any()


@pytest.mark.parametrize(
    ("kind", "first", "theirs"),
    [
        ("Q8_0", 127 * 65520.0, np.inf),  # 65520 is the middle between 65504, the largest fp16, and 65536
        ("Q4_0", -8 * 65520.0, -np.inf),
        ("Q5_0", -16 * 65520.0, -np.inf),
        ("Q4_1", -65520.0, -np.inf),  # as the minimum
        ("Q5_1", -65520.0, -np.inf),
    ],
)
def test_a_scale_beyond_fp16_is_infinite(kind: str, first: float, theirs: float) -> None:
    """Theirs makes a block of infinities and NaN. Ours saturates at 65504: the largest value is off by 0.03 %."""
    fmt = get(f"gguf_{kind.lower()}")
    assert their_numbers(their_bytes(block(first), kind), kind)[0, 0] == (np.inf if first > 0 else theirs)
    np.testing.assert_allclose(our_numbers(our_bytes(block(first), fmt), fmt)[0, 0], first, rtol=3e-4)
    # Read back, a scale that is not finite makes the whole block NaN here; there, its zeros only.
    assert np.isnan(our_numbers(their_bytes(block(first), kind), fmt)).all()


@pytest.mark.parametrize("kind", SIGNED)
def test_the_reciprocal_of_a_subnormal_scale_overflows(kind: str) -> None:
    """1/scale is Inf, 0 * Inf NaN, and the conversion of that to an integer undefined. Ours saturates the reciprocal.

    The fp16 scale is zero in any case, and so are all values.
    """
    x, fmt = block(1e-39), get(f"gguf_{kind.lower()}")
    with np.errstate(all="ignore"):
        theirs = gguf.quants.quantize(x, GgmlType[kind])
    assert bytes(theirs) != our_bytes(x, fmt).tobytes()
    assert not their_numbers(theirs[None], kind).any()
    assert not K.quantize(x, fmt).dequantize().any()


@pytest.mark.parametrize("kind", TYPES)
def test_infinity_and_nan(kind: str) -> None:
    """A NaN makes its block NaN in both, through the scale. So does an Inf here; there, no value stays finite."""
    fmt = get(f"gguf_{kind.lower()}")
    for x in (block(np.nan, 1), block(np.inf, 1)):
        assert np.isnan(our_numbers(our_bytes(x, fmt), fmt)).all()
    assert np.isnan(their_numbers(their_bytes(block(np.nan, 1), kind), kind)).all()
    assert not np.isfinite(their_numbers(their_bytes(block(np.inf, 1), kind), kind)).any()


def test_rows_that_blocks_do_not_divide_are_refused() -> None:
    """Ours fills the last block of a row up with zeros."""
    x = battery("gaussian")[:2, :40]
    with pytest.raises(gguf.quants.QuantError):
        gguf.quants.quantize(x, GgmlType.Q4_0)
    assert len(K.quantize(x, get("gguf_q4_0")).pack()) == 2 * 2 * 18


# Where gguf means something else: MXFP4 and NVFP4


@pytest.mark.parametrize("numbers", ["gaussian", "heavy_tailed", "one_sided", "ties", "sizes"])
def test_mxfp4_is_equal_but_for_middles_and_negative_zeros(numbers: str) -> None:
    """Theirs takes the first level of least distance: a middle goes toward zero, and -0.0 becomes 0.0."""
    x = battery(numbers).reshape(-1, BLOCK)
    theirs, ours = their_bytes(x, "MXFP4"), our_bytes(x, MXFP4)
    np.testing.assert_array_equal(theirs[:, 0], ours[:, 0])
    scales = np.ldexp(1.0, ours[:, :1].astype(int) - 127)
    middle = np.isin(np.abs(x / scales), E2M1_MIDDLES)
    differs = their_numbers(theirs, "MXFP4") != our_numbers(ours, MXFP4)
    assert not (differs & ~middle).any()
    assert not (np.abs(their_numbers(theirs, "MXFP4")) > np.abs(our_numbers(ours, MXFP4))).any()


def test_mxfp4_bytes_stand_for_the_same_numbers() -> None:
    packed = our_bytes(battery("sizes"), MXFP4)
    np.testing.assert_array_equal(our_numbers(packed, MXFP4), their_numbers(packed, "MXFP4"))


@pytest.mark.parametrize(
    ("first", "theirs", "ours"),
    [
        (7.9999995, 8.0, 6.0),  # nextafter(8, 0): float32 log2 rounds up to 3, so that the scale is 2 and not 1
        (0.75, 0.5, 1.0),  # middles, under scale 1: toward zero and not to even
        (1.75, 1.5, 2.0),
        (3.5, 3.0, 4.0),
        (-0.1, 0.0, -0.0),  # rounds to zero, which has a sign here
        (1e-38, 0.0, 1.5 * 2.0**-127),  # the scale's exponent, -129, wraps to 254 as an unsigned byte
        (np.nan, 0.0, np.nan),
        (np.inf, 0.0, np.nan),
    ],
)
def test_mxfp4(first: float, theirs: float, ours: float) -> None:
    x = block(first, 0.0 if first in (np.inf, 7.9999995, 1e-38) or first != first else 6.0)
    for got, expected in (
        (their_numbers(their_bytes(x, "MXFP4"), "MXFP4")[0, 0], theirs),
        (our_numbers(our_bytes(x, MXFP4), MXFP4)[0, 0], ours),
    ):
        np.testing.assert_array_equal(got, np.float32(expected))
        assert np.isnan(expected) or np.signbit(got) == np.signbit(expected)


def test_nvfp4_scales_are_e4m3_but_for_nan() -> None:
    """gguf only reads it: 4 scales and 4 x 16 codes in 36 bytes, no tensor scale. Scale code 0x7F is zero, not NaN."""
    rng = np.random.default_rng(0)
    scales = np.resize(np.arange(128, dtype=np.uint8), (1024, 4))
    codes = rng.integers(0, 16, (1024, 4, 16), dtype=np.uint8)
    nibbles = codes[:, :, :8] | codes[:, :, 8:] << 4
    packed = np.concatenate([scales, nibbles.reshape(1024, 32)], axis=1)
    theirs = their_numbers(packed, "NVFP4")
    q = K.QuantizedTensor(get("nvfp4_one_level"), (1024, 64), 1, codes.reshape(1024, 64), scales)
    nan = scales.repeat(16, axis=1) == 0x7F
    np.testing.assert_array_equal(theirs[~nan], q.dequantize()[~nan])
    assert np.isnan(q.dequantize()[nan]).all()
    assert not theirs[nan].any()
