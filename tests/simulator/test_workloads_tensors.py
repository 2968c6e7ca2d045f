"""Files given in place of the model: what is read from them, and what each bad one is told."""

import contextlib
import io
import pickle
from pathlib import Path

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from gguf import GGMLQuantizationType, GGUFWriter, dequantize, quantize
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from densimeter.formats.errors import ConfigError
from densimeter.simulator.workloads import tensors
from support.safetensors_bytes import write_safetensors

# Exact in every type, so that no conversion may change them.
EXACT = np.array([[0.0, -0.0, 1.0], [-1.5, 0.0078125, 96.0]], np.float32)


def save_npy(path: Path, array: npt.NDArray[np.generic]) -> Path:
    np.save(path, array)
    return path


@pytest.mark.parametrize("dtype", ["<f2", "<f4", "<f8", ">f4", ">f8"])
def test_npy_becomes_float32(tmp_path: Path, dtype: str) -> None:
    workload = tensors.load(save_npy(tmp_path / "layer.npy", EXACT.astype(dtype)), role="activation")
    (tensor,) = workload.tensors
    assert (workload.name, workload.source, workload.skipped) == ("layer", str(tmp_path / "layer.npy"), 0)
    assert (tensor.name, tensor.role) == ("layer", "activation")
    assert tensor.values.dtype == np.float32
    assert tensor.values.tobytes() == EXACT.tobytes()


def test_every_axis_but_the_last_becomes_rows(tmp_path: Path) -> None:
    array = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)
    for name, stored in {"c.npy": array, "fortran.npy": np.asfortranarray(array)}.items():
        (tensor,) = tensors.load(save_npy(tmp_path / name, stored)).tensors
        np.testing.assert_array_equal(tensor.values, array.reshape(6, 4))
        assert tensor.values.flags.c_contiguous


def test_float32_stays_in_the_file(tmp_path: Path) -> None:
    save_file({"w": EXACT}, tmp_path / "w.safetensors")
    for path in (save_npy(tmp_path / "w.npy", EXACT), tmp_path / "w.safetensors"):
        values = tensors.load(path).tensors[0].values
        assert not values.flags.owndata
        assert not values.flags.writeable


def test_safetensors_takes_floats_and_counts_the_rest(tmp_path: Path) -> None:
    path = write_safetensors(
        tmp_path / "model.safetensors",
        {
            "half": ("F16", EXACT.astype(np.float16)),
            "brain": ("BF16", EXACT.astype(ml_dtypes.bfloat16)),
            "single": ("F32", EXACT),
            "double": ("F64", EXACT.astype(np.float64)),
            "bias": ("F32", EXACT[0]),
            "ids": ("I64", np.ones((2, 2), np.int64)),
            "codes": ("U16", np.ones((2, 2), np.uint16)),
            "empty": ("F32", np.zeros((0, 4), np.float32)),
        },
    )
    workload = tensors.load(path)
    assert [tensor.name for tensor in workload.having("weight")] == ["half", "brain", "single", "double"]
    assert workload.having("activation") == ()
    assert workload.skipped == 4  # bias, ids, codes, empty
    for tensor in workload.tensors:
        assert tensor.values.tobytes() == EXACT.tobytes(), tensor.name


def test_npz_takes_floats_and_counts_the_rest(tmp_path: Path) -> None:
    np.savez_compressed(
        tmp_path / "x.npz", w=EXACT, half=EXACT.astype(np.float16), bias=EXACT[0], ids=np.ones((2, 2), int)
    )
    workload = tensors.load(tmp_path / "x.npz")
    assert ([tensor.name for tensor in workload.tensors], workload.skipped) == (["w", "half"], 2)
    for tensor in workload.tensors:
        assert tensor.values.tobytes() == EXACT.tobytes(), tensor.name


def test_gguf_takes_quantised_tensors_too(tmp_path: Path) -> None:
    writer = GGUFWriter(tmp_path / "m.gguf", "llama")
    numbers = np.linspace(-1, 1, 2 * 32, dtype=np.float32).reshape(2, 32)
    blocks = quantize(numbers, GGMLQuantizationType.Q8_0)
    writer.add_tensor("w", blocks, raw_dtype=GGMLQuantizationType.Q8_0)
    writer.add_tensor("bias", EXACT[0])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    workload = tensors.load(tmp_path / "m.gguf")
    (tensor,) = workload.tensors
    np.testing.assert_array_equal(tensor.values, dequantize(blocks, GGMLQuantizationType.Q8_0))
    assert workload.skipped == 1


def test_bfloat16_agrees_with_ml_dtypes_on_every_finite_code(tmp_path: Path) -> None:
    codes = np.arange(1 << 16, dtype=np.uint16)
    finite = codes[(codes & 0x7F80) != 0x7F80].reshape(2, -1)  # an all-ones exponent is Inf or NaN
    path = write_safetensors(tmp_path / "w.safetensors", {"w": ("BF16", finite)})
    expected = finite.view(ml_dtypes.bfloat16).astype(np.float32)
    assert tensors.load(path).tensors[0].values.tobytes() == expected.tobytes()


def test_float32_behind_an_odd_number_of_bytes_is_aligned(tmp_path: Path) -> None:
    flags = np.ones((1, 3), np.bool_)
    path = write_safetensors(tmp_path / "w.safetensors", {"flags": ("BOOL", flags), "w": ("F32", EXACT)})
    values = tensors.load(path).tensors[0].values
    assert values.flags.aligned
    assert values.tobytes() == EXACT.tobytes()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("weights.npy", "no such file"),
        ("weights.pt", r"suffix '\.pt', expected \.safetensors, .*\.gguf, \.npy, \.npz; convert the file"),
    ],
)
def test_a_path_that_cannot_be_read(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name}: .*{message}"):
        tensors.load(tmp_path / name)


@pytest.mark.parametrize("array", [np.ones(4, np.float32), np.ones((2, 2), np.int8), np.ones((0, 4), np.float32)])
def test_npy_without_a_usable_tensor(tmp_path: Path, array: npt.NDArray[np.generic]) -> None:
    with pytest.raises(ConfigError, match=r"w\.npy: none of its 1 tensors is usable, expected float16"):
        tensors.load(save_npy(tmp_path / "w.npy", array))


def test_safetensors_without_a_usable_tensor(tmp_path: Path) -> None:
    for count, entries in enumerate([{}, {"bias": ("F32", EXACT[0])}]):
        with pytest.raises(ConfigError, match=f"none of its {count} tensors is usable"):
            tensors.load(write_safetensors(tmp_path / "w.safetensors", entries))


class Trap:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_pickles_are_refused_and_never_run(tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    trap = np.empty((1, 1), object)
    trap[0, 0] = Trap(sprung)
    save_npy(tmp_path / "object.npy", trap)
    (tmp_path / "bare.npy").write_bytes(pickle.dumps(Trap(sprung)))
    np.savez(tmp_path / "object.npz", trap)
    for name in ("object.npy", "bare.npy", "object.npz"):
        with pytest.raises(ConfigError, match=rf"{name}: .*expected"):
            tensors.load(tmp_path / name)
    assert not sprung.exists()


def test_an_archive_is_not_an_array(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, a=EXACT)
    (tmp_path / "w.npy").write_bytes(buffer.getvalue())
    with pytest.raises(ConfigError, match=r"w\.npy: an \.npz archive, expected one plain array"):
        tensors.load(tmp_path / "w.npy")


@pytest.mark.parametrize(
    ("array", "first"),
    [
        (np.array([[1, 2], [3, np.nan]], np.float32), r"first nan at \[1, 1\]"),
        (np.array([[1, -np.inf], [3, 4]], np.float16), r"first -inf at \[0, 1\]"),
        (np.array([[1e39, 2], [3, 4]], np.float64), r"first inf at \[0, 0\]"),  # float32 ends at 3.4e38
    ],
)
def test_what_is_not_finite_is_named(tmp_path: Path, array: npt.NDArray[np.floating], first: str) -> None:
    save_file({"good": EXACT, "layer.7": array}, tmp_path / "w.safetensors")
    with pytest.raises(ConfigError, match=rf"w\.safetensors: tensor 'layer\.7' has 1 elements .*{first}"):
        tensors.load(tmp_path / "w.safetensors")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(suffix=st.sampled_from([".npy", ".npz", ".safetensors"]), data=st.data())
def test_damage_is_a_config_error_or_harmless(tmp_path: Path, suffix: str, data: st.DataObject) -> None:
    path = tmp_path / f"w{suffix}"
    if suffix == ".npy":
        save_npy(path, EXACT)
    elif suffix == ".npz":
        np.savez(path, w=EXACT)
    else:
        save_file({"w": EXACT}, path)
    raw = bytearray(path.read_bytes())
    del raw[data.draw(st.integers(0, len(raw)), label="cut at") :]
    for _ in range(data.draw(st.integers(0, 3), label="bytes changed") if raw else 0):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    with contextlib.suppress(ConfigError):
        assert all(np.isfinite(tensor.values).all() for tensor in tensors.load(path).tensors)
