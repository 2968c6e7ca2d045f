"""bitsandbytes (0.50.2, on a CPU): codebooks, blockwise types, double quantisation; and where it means something else.

Both divide by the block's largest magnitude and take the nearest level. bitsandbytes multiplies by a float32
reciprocal, so that what is within a float32 step of the middle between two levels may go the other way.
"""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

import densimeter.kernels as K
from densimeter.formats import BlockFormat, CodebookElement, get, parse
from densimeter.formats.levels import levels
from support.batteries import battery

torch = pytest.importorskip("torch")
bnb = pytest.importorskip("bitsandbytes.functional")

BATTERIES = ("gaussian", "heavy_tailed", "one_sided", "tiny", "ties", "sizes", "sparse", "zeros")
FLOAT_EXPONENT_BITS = {3: 2, 4: 2, 5: 3, 6: 3, 7: 4, 8: 4}
STEP = 2.0**-23


def as_float32(numbers: Sequence[float]) -> NDArray[np.float32]:
    return np.array(numbers, np.float32)


def their_dynamic() -> list[float]:
    """The 8-bit dynamic map as they compute it, in float32."""
    return [float(level) for level in bnb.create_dynamic_map()]


def with_their_levels(**more: object) -> BlockFormat:
    """dyn8, or the double quantisation of nf4, over their own map."""
    element = {"kind": "codebook", "levels": their_dynamic()}
    if "base" in more:
        return parse({**more, "scale": {"kind": "double", "element": element}})
    return parse({"element": element, "block": 4096, "scale": "fp32", **more})


def assert_equal_but_for_middles(theirs: NDArray[np.float32], x: NDArray[np.float32], q: K.QuantizedTensor) -> None:
    """Their values are ours, except where x / scale is within a float32 step of the middle between two levels."""
    assert isinstance(q.format.element, CodebookElement)
    differs = theirs != q.dequantize()
    scales = q.scales.view(np.float32)[np.flatnonzero(differs) // (x.size // q.scales.size)]
    quotient = x[differs] / scales.astype(np.float64)
    ascending = np.unique(q.format.element.levels)
    middles = (ascending[1:] + ascending[:-1]) / 2
    assert (np.abs(quotient[:, None] - middles).min(axis=1) <= STEP).all()


def their_4bit(x: NDArray[np.float32], name: str) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
    """(codes, scales, values); of two codes in a byte theirs has the first in the high nibble."""
    packed, state = bnb.quantize_4bit(torch.from_numpy(x), blocksize=64, quant_type=name)
    raw = packed.numpy().ravel()
    values = bnb.dequantize_4bit(packed, state).numpy().ravel()
    return np.stack([raw >> 4, raw & 15], axis=-1).ravel(), state.absmax.numpy(), values


# Codebooks


@pytest.mark.parametrize("name", ["nf4", "fp4"])
def test_four_bit_codebooks_are_equal(name: str) -> None:
    np.testing.assert_array_equal(as_float32(levels(name)), bnb.get_4bit_type(name, device="cpu").numpy())


@pytest.mark.parametrize(("bits", "exponent_bits"), FLOAT_EXPONENT_BITS.items())
def test_float_codebooks_are_equal_but_for_subnormals(bits: int, exponent_bits: int) -> None:
    """Their subnormal levels are a quarter of what would go on evenly to zero: exponent -bias instead of 2 - bias."""
    mantissa_bits = bits - 1 - exponent_bits
    theirs = np.unique(bnb.create_fp8_map(True, exponent_bits, mantissa_bits, bits).numpy())
    ours = np.unique(as_float32(levels(f"float{bits}")))
    subnormals = (1 << mantissa_bits) - 1
    subnormal = np.isin(np.abs(ours), np.sort(np.abs(ours))[: 1 + 2 * subnormals])
    np.testing.assert_array_equal(theirs[~subnormal], ours[~subnormal])
    np.testing.assert_array_equal(theirs[subnormal], ours[subnormal] / 4)


@pytest.mark.parametrize("bits", range(2, 9))
def test_dynamic_codebooks_are_equal_to_a_float32_step(bits: int) -> None:
    """Theirs adds and divides in float32; ours rounds the exact fraction: 72 of 256 levels differ in the last bit."""
    theirs = np.unique(bnb.create_dynamic_map(True, bits - 1, bits).numpy())
    ours = as_float32(levels(f"dynamic{bits}"))
    np.testing.assert_array_max_ulp(theirs, ours, 1)
    assert bits < 8 or np.count_nonzero(theirs != ours) == 72


# NF4 and FP4


@pytest.mark.parametrize("numbers", BATTERIES)
@pytest.mark.parametrize("name", ["nf4", "fp4"])
def test_four_bit_values_are_equal_but_for_middles(name: str, numbers: str) -> None:
    x = battery(numbers).ravel()
    _, scales, values = their_4bit(x, name)
    q = K.quantize(x, get(name))
    np.testing.assert_array_equal(scales, q.scales.view(np.float32))
    assert_equal_but_for_middles(values, x, q)


@pytest.mark.parametrize("numbers", BATTERIES)
@pytest.mark.parametrize("name", ["nf4", "fp4"])
def test_four_bit_codes_stand_for_the_same_values(name: str, numbers: str) -> None:
    x = battery(numbers).ravel()
    codes, scales, values = their_4bit(x, name)
    np.testing.assert_array_equal(
        K.QuantizedTensor(get(name), x.shape, 0, codes, scales.view(np.uint32)).dequantize(), values
    )


# The 8-bit dynamic type


@pytest.mark.parametrize("numbers", ["gaussian", "heavy_tailed", "ties", "sizes"])
def test_dynamic_codes_are_equal_but_for_middles(numbers: str) -> None:
    """Against their PyTorch code, which serves float64, and over their map; their compiled code comes below."""
    x = battery(numbers)[:256].ravel()
    theirs, scales = torch.ops.bitsandbytes.quantize_blockwise.default(
        torch.from_numpy(x).double(), bnb.create_dynamic_map(), 4096
    )
    q = K.quantize(x, with_their_levels())
    np.testing.assert_array_equal(scales.numpy(), q.scales.view(np.float32))
    values = K.QuantizedTensor(q.format, x.shape, 0, theirs.numpy(), q.scales).dequantize()
    assert_equal_but_for_middles(values, x, q)


def test_dynamic_codes_stand_for_the_same_values() -> None:
    x = battery("gaussian").ravel()
    codes, state = bnb.quantize_blockwise(torch.from_numpy(x))
    scales = state.absmax.numpy().view(np.uint32)
    ours = K.QuantizedTensor(with_their_levels(), x.shape, 0, codes.numpy(), scales).dequantize()
    np.testing.assert_array_equal(ours, bnb.dequantize_blockwise(codes, state).numpy())


# Double quantisation


@pytest.mark.parametrize("numbers", ["gaussian", "heavy_tailed", "ties", "sizes"])
def test_double_quantisation_is_equal_but_for_middles(numbers: str) -> None:
    """Mean, factors and element codes; the codes of the scales as near as their compiled 8-bit quantiser comes."""
    x = battery(numbers).ravel()
    packed, state = bnb.quantize_4bit(torch.from_numpy(x), blocksize=64, quant_type="nf4", compress_statistics=True)
    fmt = with_their_levels(base="nf4")
    q = K.quantize(x, fmt)
    assert state.offset.item() == q.scale_mean
    np.testing.assert_array_equal(state.state2.absmax.numpy(), q.scale_factors)
    assert np.count_nonzero(state.absmax.numpy() != q.scales) < 0.01 * q.scales.size
    # Read back from their codes, every value is theirs.
    raw = packed.numpy().ravel()
    codes = np.stack([raw >> 4, raw & 15], axis=-1).ravel()
    read = K.QuantizedTensor(
        fmt, x.shape, 0, codes, state.absmax.numpy(), 1.0, state.state2.absmax.numpy(), state.offset.item()
    )
    np.testing.assert_array_equal(read.dequantize(), bnb.dequantize_4bit(packed, state).numpy().ravel())


@pytest.mark.parametrize("numbers", ["gaussian", "heavy_tailed"])
def test_scales_of_double_quantisation_are_equal_in_their_pytorch_code(numbers: str) -> None:
    x = battery(numbers).ravel()
    q = K.quantize(x, with_their_levels(base="nf4"))
    scales = np.abs(x).reshape(-1, 64).max(axis=1) - np.float32(q.scale_mean)
    theirs, _ = torch.ops.bitsandbytes.quantize_blockwise.default(
        torch.from_numpy(scales).double(), bnb.create_dynamic_map(), 256
    )
    np.testing.assert_array_equal(theirs.numpy(), q.scales)


# LLM.int8()


@pytest.mark.parametrize("numbers", ["gaussian", "heavy_tailed", "one_sided", "ties"])
def test_rows_of_int8_are_equal_but_for_middles(numbers: str) -> None:
    """Theirs rounds 127 / max, and its product with the value, to float32."""
    x = battery(numbers).astype(np.float16).astype(np.float32)
    theirs, largest, _ = bnb.int8_vectorwise_quant(torch.from_numpy(x).half())
    q = K.quantize(x, get("int8"))
    np.testing.assert_array_equal(np.float32(largest.numpy() / np.float32(127)), q.scales.view(np.float32).ravel())
    quotient = 127 * x.astype(np.float64) / largest.numpy().astype(np.float64)[:, None]
    differs = theirs.numpy() != q.codes.view(np.int8)
    assert (np.abs(np.abs(quotient[differs] % 1) - 0.5) <= 127 * STEP).all()


# Where bitsandbytes means something else


def block(size: int, *first: float) -> NDArray[np.float32]:
    x = np.zeros(size, np.float32)
    x[: len(first)] = first
    return x


def test_zero_is_not_zero_in_the_compiled_8_bit_quantiser() -> None:
    """It looks the code up in a table that is coarser than the levels next to zero: zeros read back as 2.1e-5 of the
    block's largest magnitude. Its own PyTorch code, and ours, takes the level 0.0."""
    x = block(4096, 1.0)
    codes, state = bnb.quantize_blockwise(torch.from_numpy(x))
    values = bnb.dequantize_blockwise(codes, state).numpy()
    np.testing.assert_array_equal(values[:3], as_float32([1.0, their_dynamic()[131], their_dynamic()[131]]))
    assert values[1] == pytest.approx(2.125e-5)
    python, _ = torch.ops.bitsandbytes.quantize_blockwise.default(
        torch.from_numpy(x).double(), bnb.create_dynamic_map(), 4096
    )
    q = K.quantize(x, with_their_levels())
    np.testing.assert_array_equal(python.numpy(), q.codes)
    np.testing.assert_array_equal(q.dequantize(), x)


def test_what_the_compiled_8_bit_quantiser_misses() -> None:
    """About one uniform value in a thousand gets a level that is not the nearest."""
    x = np.random.default_rng(0).uniform(-1, 1, 1 << 20).astype(np.float32)
    x[::4096] = 1
    codes, _ = bnb.quantize_blockwise(torch.from_numpy(x))
    missed = np.count_nonzero(codes.numpy() != K.quantize(x, with_their_levels()).codes)
    assert 100 < missed < 10_000


def test_a_block_of_zeros_gets_the_lowest_level() -> None:
    """Times a scale of zero: minus zeros. Ours takes the level zero."""
    codes, state = bnb.quantize_blockwise(torch.zeros(4096))
    assert (codes.numpy() == 0).all()
    values = bnb.dequantize_blockwise(codes, state).numpy()
    assert not values.any()
    assert np.signbit(values).all()
    assert not np.signbit(K.quantize(block(4096), get("dyn8")).dequantize()).any()


@pytest.mark.parametrize(("value", "theirs", "ours"), [(0.001, 8, 0), (-0.001, 0, 8)])
def test_the_two_zeros_of_fp4_are_exchanged(value: float, theirs: int, ours: int) -> None:
    """FP4 code 8 is -0.0, which their table holds as 0.0, so that its values show no sign; ours keep it."""
    x = block(64, 1.0, value)
    assert their_4bit(x, "fp4")[0][1] == theirs
    assert K.quantize(x, get("fp4")).codes[1] == ours
    assert not np.signbit(their_4bit(x, "fp4")[2][1])
    assert np.signbit(K.quantize(x, get("fp4")).dequantize()[1]) == (value < 0)


def test_a_middle_goes_to_the_lower_level() -> None:
    """Ours takes the level of even rank: of the FP4 levels in ascending order zero is the eighth, so its neighbours."""
    smallest = float(levels("fp4")[1])
    x = block(64, 1.0, smallest / 2, -smallest / 2)
    np.testing.assert_array_equal(their_4bit(x, "fp4")[2][1:3], as_float32([0, -smallest]))
    np.testing.assert_array_equal(K.quantize(x, get("fp4")).dequantize()[1:3], as_float32([smallest, -smallest]))


def test_the_first_of_two_codes_is_in_the_high_nibble() -> None:
    """Ours, as MX and GGUF, has it in the low one."""
    x = battery("gaussian")[0, :64].copy()
    theirs, _ = bnb.quantize_4bit(torch.from_numpy(x), blocksize=64, quant_type="nf4")
    packed = theirs.numpy().ravel()
    assert (packed << 4 | packed >> 4).tobytes() == K.quantize(x, get("nf4")).pack()[:32]


def test_blocks_straddle_rows() -> None:
    """Theirs run through the array: 3 rows of 100 have 5 blocks of 64. Ours stay within rows: 6, two a row."""
    x = battery("gaussian")[:3, :100].copy()
    _, state = bnb.quantize_4bit(torch.from_numpy(x), blocksize=64, quant_type="nf4")
    assert state.absmax.shape == (5,)
    assert K.quantize(x, get("nf4")).scales.shape == (3, 2)


@pytest.mark.parametrize(("bad", "theirs"), [(np.nan, [np.nan, np.nan, np.nan]), (np.inf, [np.inf, np.nan, np.nan])])
def test_infinity_and_nan(bad: float, theirs: list[float]) -> None:
    """A NaN makes the block NaN in both. An Inf stays one in theirs, and all else is NaN; ours makes the block NaN."""
    x = block(64, bad, 1.0)
    np.testing.assert_array_equal(their_4bit(x, "nf4")[2][:3], as_float32(theirs))
    assert np.isnan(K.quantize(x, get("nf4")).dequantize()).all()


def test_the_reciprocal_of_a_tiny_scale_is_clamped() -> None:
    """At 1/1e-38: a block whose largest value is 1e-39 is a tenth of its scale. Ours is exact."""
    x = block(64, 1e-39)
    assert their_4bit(x, "nf4")[2][0] == pytest.approx(0.0796e-39, rel=1e-3)  # level 0.0796 for 0.1
    assert K.quantize(x, get("nf4")).dequantize()[0] == x[0]
