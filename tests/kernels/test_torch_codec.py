"""Plain torch operations against the compiled kernels, bit for bit: on the CPU always, on CUDA where there is a GPU."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import densimeter.formats as F
import densimeter.kernels as K
from densimeter.formats import BlockFormat, FormatError, get, resolve
from support.reference_tensor import assert_same_floats
from support.strategies import formats as drawn_formats

torch = pytest.importorskip("torch")

from densimeter.kernels.torch import quantize_dequantize  # noqa: E402
from densimeter.kernels.torch_codec import round_tensor, supports  # noqa: E402

LEFT_OUT = {
    "minifloat8_as_published": "quirks of published code",
    "bfp6_as_published": "quirks of published code",
    "gguf_q4_0": "quirks of published code",
    "nf4_dq": "a double scale",
}
COMPOSED = [
    "{element: {kind: int, bits: 5}, block: 8, scale: e8m0, rounding: nearest_away}",
    "{element: {kind: int, bits: 5}, block: 8, scale: e8m0, rounding: nearest_up}",
    "{element: {kind: int, bits: 5}, block: 8, scale: e8m0, rounding: toward_minus_infinity}",
    "{element: e4m3, block: [3, 7], scale: e8m0}",
    "{element: e5m2, rounding: toward_zero}",
    "{element: e5m2, overflow: saturate}",
    "{element: e2m1, block: row, scale: fp32}",
    "{element: int6, block: tensor, scale: fp32}",
    "{element: int6, block: tensor, scale: e4m3, specials: zero}",
]
DEVICES = [
    "cpu",
    pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")),
]


def numbers(rows: int, k: int, seed: int = 0) -> NDArray[np.float32]:
    """Gaussians of many sizes, quarters (ties), zeros of both signs, subnormals and numbers near overflow."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, k)) * 2.0 ** rng.integers(-12, 13, (rows, k))
    x = np.where(rng.random((rows, k)) < 0.2, np.round(4 * x) / 4, x)
    x[1, : k // 3], x[2, : k // 3] = 0.0, -0.0
    x[3] *= 2.0**-130
    x[4] *= 2.0**100
    return x.astype(np.float32)


def with_specials(x: NDArray[np.float32], fmt: BlockFormat) -> NDArray[np.float32]:
    """The same with infinities, and NaN where the format takes it."""
    changed = x.copy()
    changed[0, 5], changed[1, 40] = np.inf, -np.inf
    if not fmt.refuses_nan:
        changed[2, 9] = np.nan
    return changed


def compare(x: NDArray[np.float32], fmt: BlockFormat, device: str, axis: int = -1) -> None:
    actual = round_tensor(torch.from_numpy(x).to(device), fmt, axis)
    assert actual.device.type == device
    assert_same_floats(actual.cpu().numpy(), K.quantize_dequantize(x, fmt, axis))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", [name for name in F.names() if supports(get(name))])
def test_every_catalog_format_has_the_kernels_bits(name: str, device: str) -> None:
    x = numbers(7, 150)
    compare(x, get(name), device)
    compare(with_specials(x, get(name)), get(name), device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("declaration", [*COMPOSED, "mxfp4_rceil", "mxfp8_e4m3_even", "int4_g128_affine"])
def test_other_roundings_rules_and_shapes(declaration: str, device: str) -> None:
    fmt = resolve(declaration)
    x = numbers(7, 150)
    compare(x, fmt, device)
    compare(with_specials(x, fmt), fmt, device)
    compare(x, fmt, device, axis=0)
    compare(x.reshape(7, 3, 50), fmt, device, axis=1)


@settings(max_examples=60)
@given(fmt=drawn_formats(), seed=st.integers(0, 2**32 - 1))
def test_drawn_formats(fmt: BlockFormat, seed: int) -> None:
    if supports(fmt):
        compare(numbers(5, 37, seed), fmt, "cpu")


def test_few_names_of_the_catalog_are_left_out() -> None:
    """9 as published and 5 of GGUF, with quirks of their code; 2 with double scales."""
    assert len([name for name in F.names() if not supports(get(name))]) == 9 + 5 + 2


@pytest.mark.parametrize(("name", "reason"), LEFT_OUT.items())
def test_what_is_left_out_says_so_by_name(name: str, reason: str) -> None:
    with pytest.raises(FormatError, match=f"{name} has {reason}, which tensors on cpu do not offer; move it to the"):
        round_tensor(torch.ones(2, 64), get(name))


def test_stochastic_rounding_is_left_out() -> None:
    with pytest.raises(FormatError, match="has stochastic rounding"):
        round_tensor(torch.ones(2, 64), resolve("{element: int4, block: 8, scale: e8m0, rounding: stochastic}"))


def test_what_the_kernels_refuse_is_refused() -> None:
    with pytest.raises(FormatError, match="2 NaN in the input, and bfp6 has no code for NaN"):
        round_tensor(torch.tensor([[1.0, torch.nan, torch.nan]]), get("bfp6"))
    with pytest.raises(FormatError, match="cannot quantise a scalar"):
        round_tensor(torch.tensor(1.0), get("bfp6"))
    with pytest.raises(FormatError, match="axis is 2, expected -2 to 1"):
        round_tensor(torch.ones(2, 3), get("bfp6"), axis=2)


@pytest.mark.parametrize("shape", [(0, 16), (3, 0)])
def test_empty_tensors(shape: tuple[int, int]) -> None:
    assert round_tensor(torch.ones(shape), get("mxfp4")).shape == shape


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_other_dtypes_become_float32_first(dtype: Any) -> None:
    x = torch.from_numpy(numbers(5, 64)[:3]).to(dtype)
    assert_same_floats(round_tensor(x, get("mxfp4")).numpy(), K.quantize_dequantize(x.float().numpy(), get("mxfp4")))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("name", ["bfp6", "nvfp4", "gguf_q4_0"])  # the last one goes by way of the CPU
def test_tensors_on_a_gpu_stay_there(name: str) -> None:
    x = torch.from_numpy(numbers(5, 96)[:3]).cuda().requires_grad_()
    rounded = quantize_dequantize(x, get(name))
    assert rounded.is_cuda
    assert_same_floats(rounded.detach().cpu().numpy(), K.quantize_dequantize(x.detach().cpu().numpy(), get(name)))
    rounded.sum().backward()
    assert torch.equal(x.grad, torch.ones_like(x))


def test_the_bridge_takes_it_for_tensors_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which a machine without a GPU has the "meta" ones only, without numbers."""
    rounded = quantize_dequantize(torch.ones(2, 64, device="meta", dtype=torch.bfloat16), get("mxfp4"))
    assert (rounded.device.type, rounded.dtype, rounded.shape) == ("meta", torch.bfloat16, (2, 64))
