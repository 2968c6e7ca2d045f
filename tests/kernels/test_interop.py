"""Codes that travel to ml_dtypes and torch: they mean the same there, and come back unchanged."""

import builtins
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import NDArray

import densimeter.formats as F
import densimeter.kernels as K
from densimeter.kernels.interop import Parts, from_ml_dtypes, from_torch, to_ml_dtypes, to_torch

# Format, and what ml_dtypes calls the types of its values, scales and zeros.
TYPES: dict[str, tuple[str, str | None, str | None]] = {
    "float32": ("float32", None, None),
    "bfloat16": ("bfloat16", None, None),
    "float16": ("float16", None, None),
    "e4m3": ("float8_e4m3fn", None, None),
    "e5m2": ("float8_e5m2", None, None),
    "e3m4": ("float8_e3m4", None, None),
    "e4m3_ieee": ("float8_e4m3", None, None),
    "e4m3_fnuz": ("float8_e4m3fnuz", None, None),
    "e5m2_fnuz": ("float8_e5m2fnuz", None, None),
    "e4m3b11_fnuz": ("float8_e4m3b11fnuz", None, None),
    "e3m2": ("float6_e3m2fn", None, None),
    "e2m3": ("float6_e2m3fn", None, None),
    "e2m1": ("float4_e2m1fn", None, None),
    "mxfp8_e4m3": ("float8_e4m3fn", "float8_e8m0fnu", None),
    "mxfp4": ("float4_e2m1fn", "float8_e8m0fnu", None),
    "nvfp4": ("float4_e2m1fn", "float8_e4m3fn", None),
    "int8": ("int8", "float32", None),
    "int4_g32": ("int4", "float16", None),
    "int2_g32_bf16": ("int2", "bfloat16", None),
    "int8_tensor": ("int8", "float32", None),
    "gguf_q8_0": ("int8", "float16", None),
    "gguf_q4_1": ("uint4", "float16", "float16"),
    "int4_g32_affine": ("uint4", "float16", "uint4"),
}
TORCH = {"float4_e2m1fn": "float4_e2m1fn_x2"}
NOT_IN_TORCH = {"e3m4", "e4m3_ieee", "e4m3b11_fnuz", "e3m2", "e2m3", "int4_g32", "int2_g32_bf16"} | {
    "gguf_q4_1",
    "int4_g32_affine",
}
WITHOUT = ["tf32", "int6", "bfp6", "bl8", "mx9", "nf4", "nf4_dq", "gguf_q4_0", "gguf_q5_1", "minifloat8"]


def quantized(name: str) -> K.QuantizedTensor:
    return K.quantize(np.random.default_rng(0).standard_normal((4, 64)).astype(np.float32), F.get(name))


def assert_same(found: K.QuantizedTensor, expected: K.QuantizedTensor) -> None:
    assert (found.format, found.shape, found.axis) == (expected.format, expected.shape, expected.axis)
    assert found.tensor_scale == expected.tensor_scale
    for one, other in ((found.codes, expected.codes), (found.scales, expected.scales)):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def names(parts: Parts) -> tuple[str | None, ...]:
    return tuple(None if part is None else str(part.dtype).removeprefix("torch.") for part in parts[:3])


def spread(part: NDArray[Any]) -> NDArray[np.float64]:
    """What blocks share, repeated for each of the 64 values of a row."""
    return np.repeat(part.astype(np.float64), 64 // part.shape[-1], axis=-1)


@pytest.mark.parametrize("name", TYPES)
def test_ml_dtypes_names_the_types_and_gives_the_codes_back(name: str) -> None:
    tensor = quantized(name)
    parts = to_ml_dtypes(tensor)
    assert names(parts) == TYPES[name]
    back = from_ml_dtypes(
        parts.values, tensor.format, scales=parts.scales, zeros=parts.zeros, tensor_scale=parts.tensor_scale
    )
    assert_same(back, tensor)


@pytest.mark.parametrize("name", TYPES)
def test_ml_dtypes_arithmetic_gives_the_same_values(name: str) -> None:
    """value = (element - zero point) * scale, or element * scale + minimum; float64 holds the products exactly."""
    tensor = quantized(name)
    values, scales, zeros, factor = to_ml_dtypes(tensor)
    x = values.astype(np.float64)
    if zeros is not None and zeros.dtype == ml_dtypes.uint4:
        x -= spread(zeros)
    if scales is not None:
        x *= factor * (spread(scales) if scales.ndim else scales.astype(np.float64))
    x = x.astype(np.float32)
    if zeros is not None and zeros.dtype == np.float16:
        x += spread(zeros).astype(np.float32)
    np.testing.assert_array_equal(x, tensor.dequantize())


@pytest.mark.parametrize("name", WITHOUT)
def test_no_such_type_names_the_nearest(name: str) -> None:
    with pytest.raises(F.FormatError, match=rf"{name}: no type for element .*; the nearest are \w+, \w+, \w+"):
        to_ml_dtypes(quantized(name))


def test_the_nearest_are_of_the_same_kind_width_and_range() -> None:
    with pytest.raises(F.FormatError, match="the nearest are float8_e4m3fn, float8_e4m3, float8_e4m3fnuz"):
        to_ml_dtypes(quantized("minifloat8"))


def test_a_scale_without_a_type() -> None:
    fmt = F.parse({"element": "e4m3", "block": 32, "scale": {"kind": "power_of_two", "bits": 5, "bias": 15}})
    with pytest.raises(F.FormatError, match=r"no type for scale 2\^e, 5-bit e, floor; the nearest is float8_e8m0fnu"):
        to_ml_dtypes(K.quantize(np.ones((1, 32), np.float32), fmt))


def test_arrays_that_others_made() -> None:
    values = np.array([[1.5, -6.0] * 16], ml_dtypes.float4_e2m1fn)
    scales = np.array([[4.0]], ml_dtypes.float8_e8m0fnu)
    tensor = from_ml_dtypes(values, F.get("mxfp4"), scales=scales)
    assert tensor.dequantize().tolist() == [[4 * 1.5, 4 * -6.0] * 16]


def test_bits_above_a_narrow_type_mean_nothing() -> None:
    values = np.full((1, 32), 0xF2, np.uint8).view(ml_dtypes.float4_e2m1fn)  # 2 is the code of 1
    tensor = from_ml_dtypes(values, F.get("e2m1"))
    assert set(tensor.codes.ravel().tolist()) == {2}


@pytest.mark.parametrize(
    ("values", "scales", "message"),
    [
        (
            np.zeros((1, 32), np.int8),
            np.ones((1, 1), ml_dtypes.float8_e8m0fnu),
            "values are int8, expected float4_e2m1fn",
        ),
        (np.zeros((1, 32), ml_dtypes.float4_e2m1fn), None, "scales are missing, expected float8_e8m0fnu for mxfp4"),
        (
            np.zeros((1, 64), ml_dtypes.float4_e2m1fn),
            np.ones((1, 1), ml_dtypes.float8_e8m0fnu),
            r"scales are of shape \(1, 1\), expected \(1, 2\) for mxfp4 of shape \(1, 64\)",
        ),
        (np.zeros((), ml_dtypes.float4_e2m1fn), np.ones((), ml_dtypes.float8_e8m0fnu), "values are a scalar"),
    ],
)
def test_arrays_that_do_not_fit(values: NDArray[Any], scales: NDArray[Any] | None, message: str) -> None:
    with pytest.raises(F.FormatError, match=message):
        from_ml_dtypes(values, F.get("mxfp4"), scales=scales)


def test_another_axis_and_tiles() -> None:
    x = np.random.default_rng(0).standard_normal((64, 6)).astype(np.float32)
    for tensor in (K.quantize(x, F.get("mxfp4"), axis=0), K.quantize(x, F.get("mxfp4_b4x16"), axis=0)):
        parts = to_ml_dtypes(tensor)
        assert_same(from_ml_dtypes(parts.values, tensor.format, scales=parts.scales, axis=0), tensor)


@pytest.mark.parametrize("name", [name for name in TYPES if name not in NOT_IN_TORCH])
def test_torch_names_the_types_and_gives_the_codes_back(name: str) -> None:
    pytest.importorskip("torch")
    tensor = quantized(name)
    parts = to_torch(tensor)
    assert names(parts) == tuple(TORCH.get(str(kind), kind) for kind in TYPES[name])
    back = from_torch(
        parts.values, tensor.format, scales=parts.scales, zeros=parts.zeros, tensor_scale=parts.tensor_scale
    )
    assert_same(back, tensor)


@pytest.mark.parametrize(
    "name", ["bfloat16", "float16", "e4m3", "e5m2", "e4m3_fnuz", "e5m2_fnuz", "mxfp8_e4m3", "int8"]
)
def test_torch_reads_the_same_values(name: str) -> None:
    torch = pytest.importorskip("torch")
    tensor = quantized(name)
    values, scales, _, _ = to_torch(tensor)
    x = values.to(torch.float32)
    if scales is not None:
        x = x * scales.to(torch.float32).repeat_interleave(64 // scales.shape[-1], dim=-1)
    np.testing.assert_array_equal(x.numpy(), tensor.dequantize())


def test_torch_pairs_stand_low_nibble_first() -> None:
    torch = pytest.importorskip("torch")
    tensor = quantized("mxfp4")
    pairs = to_torch(tensor).values.view(torch.uint8).numpy()
    np.testing.assert_array_equal(pairs, tensor.codes[:, 0::2] | tensor.codes[:, 1::2] << 4)
    with pytest.raises(F.FormatError, match="a last axis of 3 cannot be stored as pairs"):
        to_torch(K.quantize(np.ones((2, 3), np.float32), F.get("e2m1")))


@pytest.mark.parametrize("name", sorted(NOT_IN_TORCH))
def test_torch_lacks_some(name: str) -> None:
    pytest.importorskip("torch")
    with pytest.raises(F.FormatError, match=r"no type for element .*; the nearest are"):
        to_torch(quantized(name))


def test_without_torch_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *arguments: Any, **named: Any) -> Any:
        if name == "torch":
            raise ImportError(name)
        return real(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(F.ToolError, match=r"pip install 'densimeter\[torch\]'"):
        to_torch(quantized("bfloat16"))
