"""GGUF files, written by the `gguf` package: what is read equals what that package reads, on every bit."""

import contextlib
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader, GGUFWriter, dequantize, quantize
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import densimeter.formats as F
import densimeter.kernels as K
from densimeter.kernels.gguf import open_gguf

QUANTISED = ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"]
PLAIN = {"F16": "f2", "F32": "f4", "F64": "f8", "I8": "i1", "I16": "i2", "I32": "i4", "I64": "i8"}
NUMBERS = np.random.default_rng(0).standard_normal((2, 3, 64)).astype(np.float32)
BRAIN = NUMBERS.astype(ml_dtypes.bfloat16)


def write_gguf(path: Path, raw: dict[str, NDArray[np.uint8]] | None = None) -> Path:
    """NUMBERS in every type that the package can write, and `raw`, bytes under the names of their type."""
    writer = GGUFWriter(path, "llama")
    for name, dtype in PLAIN.items():
        writer.add_tensor(name, (40 * NUMBERS).astype(dtype))
    quantised = {name: quantize(NUMBERS, GGMLQuantizationType[name]) for name in QUANTISED}
    for name, data in {**quantised, "BF16": BRAIN.view(np.uint8), **(raw or {})}.items():
        writer.add_tensor(name, data, raw_dtype=GGMLQuantizationType[name])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_gguf(tmp_path / "model.gguf")


def test_quantised_types_keep_their_bytes_and_mean_the_same(path: Path) -> None:
    found = dict(K.read_gguf(path))
    for tensor in GGUFReader(path).tensors:
        if tensor.name not in QUANTISED:
            continue
        quantized = found[tensor.name]
        assert isinstance(quantized, K.QuantizedTensor)
        assert quantized.format == F.get(f"gguf_{tensor.name.lower()}")
        assert quantized.shape == NUMBERS.shape  # a GGUF file lists dimensions in reverse
        assert quantized.pack() == tensor.data.tobytes()
        expected = dequantize(tensor.data, tensor.tensor_type)
        assert quantized.dequantize().tobytes() == expected.tobytes()


def test_plain_types_are_arrays(path: Path) -> None:
    found = dict(K.read_gguf(path))
    for name, dtype in PLAIN.items():
        assert found[name].dtype == dtype  # type: ignore[union-attr]
        np.testing.assert_array_equal(found[name], (40 * NUMBERS).astype(dtype))
    assert found["BF16"].dtype == ml_dtypes.bfloat16  # type: ignore[union-attr]
    np.testing.assert_array_equal(found["BF16"].view(np.uint16), BRAIN.view(np.uint16))  # type: ignore[union-attr]
    assert found.keys() == {*QUANTISED, *PLAIN, "BF16"}


def test_other_types_are_named_before_anything_is_read(tmp_path: Path) -> None:
    k_quants = {"Q4_K": np.zeros((3, 144), np.uint8), "Q6_K": np.zeros((2, 210), np.uint8)}  # bytes of 256 values
    path = write_gguf(tmp_path / "k.gguf", k_quants)
    with pytest.raises(F.FormatError, match=r"k\.gguf: no format .* 2 tensors: Q4_K \(Q4_K\), Q6_K \(Q6_K\)"):
        K.read_gguf(path)


def test_other_types_have_values_all_the_same(tmp_path: Path) -> None:
    raw = np.random.default_rng(0).integers(0, 256, (3, 2 * 210), np.uint8)
    raw.reshape(3, 2, 210)[..., 208:] = np.frombuffer(np.float16(0.5).tobytes(), np.uint8)  # the block's scale is last
    values = dict(K.read_gguf(write_gguf(tmp_path / "k.gguf", {"Q6_K": raw}), dequantized=True))["Q6_K"]
    assert isinstance(values, np.ndarray)
    np.testing.assert_array_equal(values, dequantize(raw, GGMLQuantizationType.Q6_K))
    assert values.shape == (3, 2 * 256)


def test_opening_reads_no_tensor(path: Path) -> None:
    tensors = {tensor.name: tensor for tensor in open_gguf(path)}
    assert tensors["Q4_0"].nbytes == NUMBERS.size // 32 * 18
    assert tensors["Q4_0"].shape == NUMBERS.shape
    plain = tensors["F32"].read()
    assert isinstance(plain, np.ndarray)
    assert not plain.flags.owndata  # mapped


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "text.gguf").write_text("hello, this is no model")
    for name in ("text.gguf", "absent.gguf"):
        with pytest.raises(F.ConfigError, match=rf"{name}: .*expected a whole \.gguf file"):
            K.read_gguf(tmp_path / name)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_is_an_error_of_ours_or_harmless(path: Path, data: st.DataObject) -> None:
    raw = bytearray(path.read_bytes())
    damaged = path.with_name("damaged.gguf")
    del raw[data.draw(st.integers(0, len(raw)), label="cut at") :]
    for _ in range(data.draw(st.integers(0, 2), label="bytes changed") if raw else 0):
        raw[data.draw(st.integers(0, min(len(raw), 1200) - 1))] = data.draw(st.integers(0, 255))
    damaged.write_bytes(raw)
    with contextlib.suppress(F.ConfigError, F.FormatError):
        for _, tensor in K.read_gguf(damaged, dequantized=True):
            assert len(tensor.shape) >= 1
