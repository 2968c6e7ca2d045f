"""torchao (0.18.0, on a CPU): MX under four scale rules, NVFP4, affine integers; and where it means something else."""

import numpy as np
import pytest
from numpy.typing import NDArray

import densimeter.kernels as K
from densimeter.formats import get
from support.batteries import battery, near_multiples

torch = pytest.importorskip("torch")
mx = pytest.importorskip("torchao.prototype.mx_formats.mx_tensor")
nvfp4 = pytest.importorskip("torchao.prototype.mx_formats.nvfp4_tensor")
constants = pytest.importorskip("torchao.prototype.mx_formats.constants")
affine = pytest.importorskip("torchao.quantization.quant_primitives")

RULES = ("floor", "ceil", "even", "rceil")
ELEMENTS = {
    "mxfp8_e4m3": torch.float8_e4m3fn,
    "mxfp8_e5m2": torch.float8_e5m2,
    "mxfp6_e3m2": constants.DTYPE_FP6_E3M2,
    "mxfp6_e2m3": constants.DTYPE_FP6_E2M3,
    "mxfp4": torch.float4_e2m1fn_x2,
}
BATTERIES = ("gaussian", "heavy_tailed", "ties", "sizes", "near_powers_of_two", "sparse", "zeros")


def nibbles(packed: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Two codes a byte, the low nibble first, along the last axis."""
    return np.stack([packed & 15, packed >> 4], axis=-1).reshape(*packed.shape[:-1], -1)


def their_mx(x: NDArray[np.float32], name: str, rule: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """(scales, codes); the codes of mxfp4 packed as they pack them."""
    mode = mx.ScaleCalculationMode(rule)
    scales, codes = mx.to_mx(torch.from_numpy(x), ELEMENTS[name], 32, mode)
    return scales.view(torch.uint8).numpy(), codes.view(torch.uint8).numpy()


def their_values(x: NDArray[np.float32], name: str, rule: str) -> NDArray[np.float32]:
    mode = mx.ScaleCalculationMode(rule)
    scales, codes = mx.to_mx(torch.from_numpy(x), ELEMENTS[name], 32, mode)
    values: NDArray[np.float32] = mx.to_dtype(codes, scales, ELEMENTS[name], 32, torch.float32).numpy()
    return values


@pytest.mark.parametrize("numbers", BATTERIES)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ELEMENTS)
def test_microscaling_is_equal(name: str, rule: str, numbers: str) -> None:
    """Scales, codes and values; of mxfp4 also the packed bytes."""
    x, q = battery(numbers), K.quantize(battery(numbers), get(f"{name}_{rule}"))
    scales, codes = their_mx(x, name, rule)
    np.testing.assert_array_equal(scales, q.scales)
    np.testing.assert_array_equal(nibbles(codes) if name == "mxfp4" else codes.reshape(x.shape), q.codes)
    np.testing.assert_array_equal(their_values(x, name, rule), q.dequantize())
    if name == "mxfp4":
        assert codes.tobytes() + scales.tobytes() == q.pack()


@pytest.mark.parametrize("rule", RULES[:3])
@pytest.mark.parametrize("name", ELEMENTS)
@pytest.mark.parametrize("boundary", ["largest", "rounds up"])
def test_scales_are_equal_where_a_rule_decides(name: str, rule: str, boundary: str) -> None:
    """The largest of every block within two float32 steps of a power of two times the largest element, or times the
    middle between that and the next one: 6 and 7 for E2M1."""
    element = get(name).element
    step = 2.0**element.top_exponent
    x = near_multiples(float(element.largest) + step / 2 * (boundary == "rounds up"))
    q = K.quantize(x, get(f"{name}_{rule}"))
    scales, _ = their_mx(x, name, rule)
    np.testing.assert_array_equal(scales, q.scales)
    np.testing.assert_array_equal(their_values(x, name, rule), q.dequantize())


def test_nvfp4_is_equal() -> None:
    """Tensor scale, block scales, codes and packed bytes. Their product of scales is rounded to float32, and then the
    value: up to a float32 step from ours, which rounds the exact product once."""
    for x in (battery("gaussian"), battery("heavy_tailed")):
        factor = nvfp4.per_tensor_amax_to_scale(torch.from_numpy(x).abs().max())
        scales, packed = nvfp4.nvfp4_quantize(torch.from_numpy(x), 16, factor)
        q = K.quantize(x, get("nvfp4"))
        assert factor.item() == q.tensor_scale
        assert packed.numpy().tobytes() + scales.view(torch.uint8).numpy().tobytes() == q.pack()[:-4]
        values = nvfp4.NVFP4Tensor(packed, scales, 16, torch.float32, factor).dequantize().numpy()
        np.testing.assert_array_max_ulp(values, q.dequantize(), 1)


@pytest.mark.parametrize("numbers", ["gaussian", "heavy_tailed", "ties", "near_powers_of_two"])
def test_nvfp4_of_one_level_is_equal(numbers: str) -> None:
    """Where no block needs a scale below 2^-6: see below."""
    x = battery(numbers) * np.float32(64) if numbers == "near_powers_of_two" else battery(numbers)
    scales, packed = nvfp4.nvfp4_quantize(torch.from_numpy(x), 16)
    codes, stored = nibbles(packed.numpy()), scales.view(torch.uint8).numpy().reshape(-1, 16)
    q = K.quantize(x, get("nvfp4_one_level"))
    served = q.scales >= 8
    np.testing.assert_array_equal(stored[served], q.scales[served])
    np.testing.assert_array_equal(codes[served.repeat(16, axis=1)], q.codes[served.repeat(16, axis=1)])


def their_integers(
    x: NDArray[np.float32], kind: str, group: int, least: int, greatest: int
) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.integer]]:
    """(scales, zero points, codes); eps, below which they clamp a scale, is out of the way."""
    size, data = (1, group), torch.from_numpy(x)
    target = torch.uint8 if least == 0 else torch.int8
    scales, zeros = affine.choose_qparams_affine(
        data, affine.MappingType[kind], size, target, least, greatest, 1e-30, torch.float32, torch.int32
    )
    codes = affine.quantize_affine(data, size, scales, zeros, target, least, greatest)
    return scales.numpy(), zeros.numpy(), codes.numpy()


def near_a_middle(x: NDArray[np.float32], scales: NDArray[np.float32], group: int) -> NDArray[np.bool_]:
    """Whether x / scale is within four float32 steps of a middle between two integers."""
    quotient = x.astype(np.float64) / scales.astype(np.float64).repeat(group, axis=1)
    return np.abs(np.abs(quotient % 1.0) - 0.5) <= 4 * np.spacing(np.abs(quotient).astype(np.float32))


@pytest.mark.parametrize(("name", "bits", "group"), [("int4_g32_fp32", 4, 32), ("int8_g128_fp32", 8, 128)])
@pytest.mark.parametrize("numbers", ["gaussian", "heavy_tailed", "one_sided", "ties"])
def test_symmetric_integers_are_equal_but_for_middles(numbers: str, name: str, bits: int, group: int) -> None:
    """They multiply by the float32 reciprocal of the scale, which moves what is next to a middle. Scales are equal."""
    x, q = battery(numbers), K.quantize(battery(numbers), get(name))
    largest = (1 << (bits - 1)) - 1
    scales, _, codes = their_integers(x, "SYMMETRIC", group, -largest, largest)
    np.testing.assert_array_equal(scales, q.scales.view(np.float32))
    differs = codes.astype(np.int16) & ((1 << bits) - 1) != q.codes
    assert not (differs & ~near_a_middle(x, scales, group)).any()


@pytest.mark.parametrize("numbers", ["gaussian", "heavy_tailed", "one_sided", "ties"])
def test_affine_integers_are_equal_but_for_middles(numbers: str) -> None:
    """Scales and zero points equal; codes as above."""
    x, q = battery(numbers), K.quantize(battery(numbers), get("int4_g128_fp32_affine"))
    scales, zeros, codes = their_integers(x, "ASYMMETRIC", 128, 0, 15)
    stored = q.scales.astype(np.uint64)
    np.testing.assert_array_equal(scales.view(np.uint32), stored & 0xFFFF_FFFF)
    np.testing.assert_array_equal(zeros, stored >> 32)
    assert not ((codes != q.codes) & ~near_a_middle(x, scales, 128)).any()


# Where torchao means something else


def block(*first: float) -> NDArray[np.float32]:
    x = np.zeros((1, 32), np.float32)
    x[0, : len(first)] = first
    return x


@pytest.mark.parametrize(
    ("name", "largest"),
    [("mxfp8_e4m3", 448), ("mxfp8_e5m2", 57344), ("mxfp6_e3m2", 28), ("mxfp6_e2m3", 7.5), ("mxfp4", 6)],
)
def test_rceil_takes_a_scale_too_small(name: str, largest: float) -> None:
    """Its log2 in float32 takes the number next above 2^k for 2^k, from 2^4 up and 2^-5 down: the largest saturates.

    The instruction that it emulates (cvt.rp.satfinite.ue8m0x2) looks at the bits, and ours is exact.
    """
    for exponent in (4, 10, -6, -16):
        x = block(float(np.nextafter(np.float32(largest * 2.0**exponent), np.float32(np.inf))))
        assert int(their_mx(x, name, "rceil")[0][0, 0]) - 127 == exponent
        assert int(K.quantize(x, get(f"{name}_rceil")).scales[0, 0]) - 127 == exponent + 1


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", ELEMENTS)
def test_blocks_of_the_smallest_scale_lose_half_or_all(name: str, rule: str) -> None:
    """Scale 2^-127 is stored, but values are divided by 2^-126 (rceil: by one): half of each comes back, or zero."""
    x = block(2.0**-127)
    assert their_mx(x, name, rule)[0][0, 0] == K.quantize(x, get(f"{name}_{rule}")).scales[0, 0] == 0
    assert K.quantize(x, get(f"{name}_{rule}")).dequantize()[0, 0] == 2.0**-127
    half = 0.0 if rule == "rceil" else 2.0**-128
    assert their_values(x, name, rule)[0, 0] == half


@pytest.mark.parametrize("name", ELEMENTS)
def test_an_infinity_comes_back_and_all_else_in_its_block_vanishes(name: str) -> None:
    """The largest element under the scale of 2^128 is beyond float32. Ours makes the block NaN, as for a NaN."""
    np.testing.assert_array_equal(their_values(block(np.inf, 1.0), name, "floor")[0, :2], [np.inf, 0.0])
    assert np.isnan(K.quantize(block(np.inf, 1.0), get(name)).dequantize()).all()


@pytest.mark.parametrize("name", ELEMENTS)
def test_a_nan_makes_its_block_nan_in_both(name: str) -> None:
    x = block(np.nan, 1.0)
    assert their_mx(x, name, "floor")[0][0, 0] == K.quantize(x, get(name)).scales[0, 0] == 0xFF
    assert np.isnan(their_values(x, name, "floor")).all()
    assert np.isnan(K.quantize(x, get(name)).dequantize()).all()


def nvfp4_block(*first: float) -> NDArray[np.float32]:
    return block(*first)[:, :16]


def test_nvfp4_scales_stop_at_the_smallest_normal_number() -> None:
    """Theirs clamps scales at 2^-6, ours goes on to 2^-9, the smallest E4M3: three binades more for small blocks."""
    x = nvfp4_block(6 * 2.0**-8)
    scales, packed = nvfp4.nvfp4_quantize(torch.from_numpy(x), 16)
    theirs = nvfp4.NVFP4Tensor(packed, scales, 16, torch.float32).dequantize().numpy()
    q = K.quantize(x, get("nvfp4_one_level"))
    assert scales.float().item() == 2.0**-6
    assert theirs[0, 0] == 1.5 * 2.0**-6 == q.dequantize()[0, 0]  # 6/256 is exact under both
    assert q.scales[0, 0] == 2  # 2 * 2^-9


def test_nvfp4_of_zeros_is_nan() -> None:
    """With a tensor scale of zero, 0 * 0/0. Ours reads back as zeros."""
    x = torch.zeros(1, 16)
    factor = nvfp4.per_tensor_amax_to_scale(x.abs().max())
    scales, packed = nvfp4.nvfp4_quantize(x, 16, factor)
    assert torch.isnan(nvfp4.NVFP4Tensor(packed, scales, 16, torch.float32, factor).dequantize()).all()
    assert not K.quantize(x.numpy(), get("nvfp4")).dequantize().any()


def test_nvfp4_multiplies_by_a_rounded_reciprocal() -> None:
    """What is next to a middle may go the other way: 0.25 of 0.74999999 scales below goes to 1 and not to 0.5."""
    x = battery("ties")
    factor = nvfp4.per_tensor_amax_to_scale(torch.from_numpy(x).abs().max())
    scales, packed = nvfp4.nvfp4_quantize(torch.from_numpy(x), 16, factor)
    q = K.quantize(x, get("nvfp4"))
    np.testing.assert_array_equal(scales.view(torch.uint8).numpy().reshape(q.scales.shape), q.scales)
    differs = nibbles(packed.numpy()) != q.codes
    unit = q.scales.repeat(16, axis=1).view(np.uint8)
    exact = np.abs(x) / (
        K.QuantizedTensor(get("e4m3"), unit.shape, 1, unit, unit).dequantize() * np.float64(q.tensor_scale)
    )
    distance = np.abs(exact[..., None] - [0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5]).min(axis=-1)
    assert differs.any()
    assert distance[differs].max() < 2.0**-22
