"""Quantised tensors on disk: what is read back, what other programs find in the file, and what a bad file is told."""

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from gguf import GGMLQuantizationType, dequantize
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import densimeter.formats as F
import densimeter.kernels as K

VARIANTS = ["int4_tensor", "int4_g128_affine", "int3_g8_bf16", "mxfp4_b16x16", "bfp6_b4x3", "nf4_b32_dq"]
SHAPES = [((6, 80), 1), ((6, 80), 0), ((5, 7, 9), 1), ((3, 5), 1), ((33,), 0)]  # whole, moved, and ragged blocks


def numbers(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def assert_equal(found: K.QuantizedTensor, expected: K.QuantizedTensor) -> None:
    assert (found.format, found.shape, found.axis) == (expected.format, expected.shape, expected.axis)
    for part in ("codes", "scales", "scale_factors"):
        one, other = getattr(found, part), getattr(expected, part)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    assert (found.tensor_scale, found.scale_mean) == (expected.tensor_scale, expected.scale_mean)


def data_bytes(path: Path) -> int:
    """Bytes of a safetensors file behind its header."""
    raw = path.read_bytes()
    return len(raw) - 8 - int.from_bytes(raw[:8], "little")


@pytest.mark.parametrize("name", [*F.names(), *VARIANTS])
def test_every_format_comes_back_and_takes_its_own_size(name: str, tmp_path: Path) -> None:
    written = {f"{shape} {axis}": K.quantize(numbers(*shape), F.get(name), axis) for shape, axis in SHAPES}
    K.save(tmp_path / "q.safetensors", written)
    found = K.load(tmp_path / "q.safetensors")
    assert found.keys() == written.keys()
    for key, tensor in written.items():
        assert_equal(found[key], tensor)
    assert data_bytes(tmp_path / "q.safetensors") == sum(tensor.nbytes for tensor in written.values())


def test_each_tensor_has_its_own_declaration(tmp_path: Path) -> None:
    composed = F.parse({"element": "e3m1", "block": 24, "scale": "e8m0"})
    written = {"a": K.quantize(numbers(2, 48), composed), "a.codes": K.quantize(numbers(3, 4, 5), F.get("int8"), 1)}
    K.save(tmp_path / "q.safetensors", written)
    for name, tensor in K.load(tmp_path / "q.safetensors").items():
        assert_equal(tensor, written[name])
    with safe_open(tmp_path / "q.safetensors", "numpy") as file:
        described = json.loads(file.metadata()["densimeter"])
    assert described == {
        "layout": 1,
        "tensors": {
            "a": {"format": F.declaration(composed), "shape": [2, 48], "axis": 1},
            "a.codes": {"format": F.declaration(F.get("int8")), "shape": [3, 4, 5], "axis": 1},
        },
    }


# What a reader without densimeter does with the arrays.


def test_mxfp4_as_another_program_reads_it(tmp_path: Path) -> None:
    quantized = K.quantize(numbers(4, 64), F.get("mxfp4"))
    K.save(tmp_path / "q.safetensors", {"w": quantized})
    arrays = load_file(tmp_path / "q.safetensors")
    assert {name: (a.dtype, a.shape) for name, a in arrays.items()} == {
        "w.codes": (np.dtype(np.uint8), (4, 64 // 2)),
        "w.scales": (np.dtype(np.uint8), (4, 64 // 32)),
    }
    nibbles = np.stack([arrays["w.codes"] & 15, arrays["w.codes"] >> 4], axis=-1).reshape(4, 64)  # the low one first
    values = nibbles.view(ml_dtypes.float4_e2m1fn).astype(np.float32)
    scales = arrays["w.scales"].view(ml_dtypes.float8_e8m0fnu).astype(np.float32)
    np.testing.assert_array_equal(values * np.repeat(scales, 32, axis=1), quantized.dequantize())


def test_nvfp4_as_another_program_reads_it(tmp_path: Path) -> None:
    quantized = K.quantize(numbers(4, 64), F.get("nvfp4"))
    K.save(tmp_path / "q.safetensors", {"w": quantized})
    arrays = load_file(tmp_path / "q.safetensors")
    assert arrays["w.codes"].shape == (4, 64 // 2)
    assert arrays["w.scales"].shape == (4, 64 // 16)
    scales = arrays["w.scales"].view(ml_dtypes.float8_e4m3fn).astype(np.float64)
    assert scales.max() == 448  # the tensor scale makes the largest block scale the largest E4M3
    nibbles = np.stack([arrays["w.codes"] & 15, arrays["w.codes"] >> 4], axis=-1).reshape(4, 64)
    values = nibbles.view(ml_dtypes.float4_e2m1fn).astype(np.float64)
    products = values * np.repeat(scales, 16, axis=1) * np.float64(arrays["w.tensor_scale"][0])
    np.testing.assert_array_equal(products.astype(np.float32), quantized.dequantize())


def test_int8_per_row_needs_no_decoding(tmp_path: Path) -> None:
    quantized = K.quantize(numbers(4, 64), F.get("int8"))
    K.save(tmp_path / "q.safetensors", {"w": quantized})
    arrays = load_file(tmp_path / "q.safetensors")
    assert arrays["w.scales"].dtype == np.float32
    assert arrays["w.scales"].shape == (4, 1)
    np.testing.assert_array_equal(arrays["w.codes"].view(np.int8) * arrays["w.scales"], quantized.dequantize())


def test_six_bit_codes_stand_without_gaps(tmp_path: Path) -> None:
    fmt = F.parse({"element": "e2m3", "block": 4, "scale": "e8m0"})
    quantized = K.quantize(np.array([[1.0, 1.125, 1.25, 1.875]], np.float32), fmt)  # e2m3: 2^0 (1 + q/8), code 8 + q
    assert quantized.codes.tolist() == [[0x18, 0x19, 0x1A, 0x1F]]  # under the scale 2^-2: times 4, two binades up
    K.save(tmp_path / "q.safetensors", {"w": quantized})
    packed = 0x18 | 0x19 << 6 | 0x1A << 12 | 0x1F << 18
    assert load_file(tmp_path / "q.safetensors")["w.codes"].tolist() == [list(packed.to_bytes(3, "little"))]


def test_rows_that_end_within_a_byte_follow_each_other(tmp_path: Path) -> None:
    quantized = K.quantize(numbers(3, 5), F.get("int4"))  # 3 rows of 20 bits
    K.save(tmp_path / "q.safetensors", {"w": quantized})
    arrays = load_file(tmp_path / "q.safetensors")
    codes = quantized.codes.ravel()
    assert arrays["w.codes"].shape == (8,)  # ceil(3 * 5 * 4 / 8)
    assert (arrays["w.codes"] & 15).tolist() == codes[0::2].tolist()
    assert (arrays["w.codes"] >> 4).tolist() == [*codes[1::2].tolist(), 0]


def test_the_blocked_axis_stands_last(tmp_path: Path) -> None:
    x = numbers(64, 3, 2)
    K.save(tmp_path / "q.safetensors", {"w": K.quantize(x, F.get("mxfp8_e4m3"), axis=0)})
    arrays = load_file(tmp_path / "q.safetensors")
    moved = K.quantize(np.moveaxis(x, 0, -1), F.get("mxfp8_e4m3"))
    np.testing.assert_array_equal(arrays["w.codes"], moved.codes)  # [3, 2, 64]
    np.testing.assert_array_equal(arrays["w.scales"], moved.scales)


@pytest.mark.parametrize(
    ("name", "scales"),
    [
        ("int4_g32_bf16", ("BF16", [4, 2])),
        ("kint4", ("F16", [4, 1])),
        ("int4_tensor", ("F32", [])),
        ("mx9", ("U16", [4, 4])),  # 8 exponent bits and 8 microexponents
        ("int4_g32_affine", ("U8", [4, 2 * 20 // 8])),  # fp16 and a 4-bit zero point: 20 bits, two blocks a row
        ("mxfp4_b2x32", ("U8", [2, 2])),
    ],
)
def test_types_of_scales(name: str, scales: tuple[str, list[int]], tmp_path: Path) -> None:
    K.save(tmp_path / "q.safetensors", {"w": K.quantize(numbers(4, 64), F.get(name))})
    with safe_open(tmp_path / "q.safetensors", "numpy") as file:
        found = file.get_slice("w.scales")
        assert (found.get_dtype(), found.get_shape()) == scales


def test_gguf_formats_are_stored_as_gguf_stores_them(tmp_path: Path) -> None:
    quantized = K.quantize(numbers(3, 64), F.get("gguf_q4_1"))
    K.save(tmp_path / "q.safetensors", {"w": quantized})
    (blocks,) = load_file(tmp_path / "q.safetensors").values()
    assert blocks.shape == (3, 2 * (2 + 2 + 16))  # two blocks a row: fp16 scale, fp16 minimum, 32 nibbles
    np.testing.assert_array_equal(dequantize(blocks, GGMLQuantizationType.Q4_1), quantized.dequantize())


def test_wide_arrays_start_at_multiples_of_their_width(tmp_path: Path) -> None:
    K.save(tmp_path / "q.safetensors", {name: K.quantize(numbers(3, 5), F.get(name)) for name in F.names()})
    with (tmp_path / "q.safetensors").open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    widths = {"U8": 1, "F16": 2, "U16": 2, "F32": 4, "U32": 4}
    header.pop("__metadata__")
    for entry in header.values():
        assert (8 + length + entry["data_offsets"][0]) % widths[entry["dtype"]] == 0


# Bad files.


def save_with(path: Path, metadata: dict[str, str] | None, **arrays: NDArray[Any]) -> Path:
    save_file({name.replace("_", "."): array for name, array in arrays.items()}, path, metadata)
    return path


def described(**changes: object) -> dict[str, str]:
    """Metadata of one MXFP4 tensor `w` of shape [2, 32], with changes."""
    tensor = {"format": F.declaration(F.get("mxfp4")), "shape": [2, 32], "axis": 1} | changes
    return {"densimeter": json.dumps({"layout": 1, "tensors": {"w": tensor}})}


CODES, SCALES = np.zeros((2, 16), np.uint8), np.full((2, 1), 127, np.uint8)


def test_the_file_that_the_next_tests_damage_is_sound(tmp_path: Path) -> None:
    path = save_with(tmp_path / "q.safetensors", described(), w_codes=CODES, w_scales=SCALES)
    assert K.load(path)["w"].dequantize().tolist() == [[0.0] * 32] * 2


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (None, "no 'densimeter' in its metadata"),
        ({"densimeter": "{"}, "metadata 'densimeter' is not JSON"),
        ({"densimeter": "[]"}, r"is '\[\]', expected layout 1 and tensors"),
        ({"densimeter": '{"layout": 2, "tensors": {}}'}, "expected layout 1 and tensors"),
        (
            {"densimeter": '{"layout": 1, "tensors": {"w": 3}}'},
            "'w' is described as 3, expected format, shape and axis",
        ),
        (described(shape=[2, -32]), r"'w': shape is \[2, -32\], expected a list of 1 to 64 lengths"),
        (described(shape=[]), r"'w': shape is \[\]"),
        (described(axis=2), "'w': axis is 2, expected 0 to 1"),
        (described(format={"element": "e2m9x"}), "'w': its format is no declaration: element is 'e2m9x'"),
        (described(shape=[2, 64]), r"'w.codes' is U8 \[2, 16\], expected U8 \[2, 32\] for mxfp4 of shape \(2, 64\)"),
        (described(format=F.declaration(F.get("nvfp4"))), r"'w.scales' is U8 \[2, 1\], expected U8 \[2, 2\]"),
        (described(format=F.declaration(F.get("mxfp4")) | {"block": 64}), r"'w.codes' is .* expected U8 \[2, 32\]"),
    ],
)
def test_a_description_that_does_not_fit(metadata: dict[str, str] | None, message: str, tmp_path: Path) -> None:
    path = save_with(tmp_path / "q.safetensors", metadata, w_codes=CODES, w_scales=SCALES)
    with pytest.raises(F.ConfigError, match=rf"q\.safetensors: .*{message}"):
        K.load(path)


def test_an_array_that_is_missing_or_of_another_type(tmp_path: Path) -> None:
    with pytest.raises(F.ConfigError, match=r"'w\.scales' is missing, expected U8 \[2, 1\]"):
        K.load(save_with(tmp_path / "q.safetensors", described(), w_codes=CODES))
    wide = save_with(tmp_path / "q.safetensors", described(), w_codes=CODES, w_scales=SCALES.astype(np.uint16))
    with pytest.raises(F.ConfigError, match=r"'w\.scales' is U16 \[2, 1\], expected U8 \[2, 1\]"):
        K.load(wide)


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "text.safetensors").write_text("hello")
    for name in ("text.safetensors", "absent.safetensors"):
        with pytest.raises(F.ConfigError, match=rf"{name}: .*expected a whole \.safetensors file"):
            K.load(tmp_path / name)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_a_config_error_or_harmless(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "q.safetensors"
    K.save(path, {"w": K.quantize(numbers(2, 32), F.get("nf4_dq")), "v": K.quantize(numbers(2, 3), F.get("int8"))})
    raw = bytearray(path.read_bytes())
    del raw[data.draw(st.integers(0, len(raw)), label="cut at") :]
    for _ in range(data.draw(st.integers(0, 3), label="bytes changed") if raw else 0):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    with contextlib.suppress(F.ConfigError):
        for tensor in K.load(path).values():
            assert tensor.dequantize().shape == tensor.shape


# Whole or not at all.


def test_a_write_that_fails_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "q.safetensors"
    path.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(F.ConfigError, match=r"cannot write .*q\.safetensors: No space left on device"):
        K.save(path, {"w": K.quantize(numbers(2, 32), F.get("mxfp4"))})
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(F.ConfigError, match=r"cannot write .*: No such file or directory"):
        K.save(tmp_path / "none" / "q.safetensors", {"w": K.quantize(numbers(2, 32), F.get("mxfp4"))})
