"""`densimeter quantize` on whole checkpoints: what is quantised, what is copied, what is reported, what is refused."""

import json
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFWriter, dequantize
from gguf import quantize as gguf_quantize
from numpy.typing import NDArray
from safetensors.numpy import save_file

import densimeter.formats as F
import densimeter.kernels as K
from support.command import Densimeter
from support.safetensors_bytes import read_safetensors, write_safetensors


def numbers(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Three matrices, and what a checkpoint holds besides."""
    return write_safetensors(
        tmp_path / "model.safetensors",
        {
            "layers.0.attn.weight": ("F32", numbers(4, 64)),
            "layers.1.attn.weight": ("F16", numbers(4, 64, seed=1).astype(np.float16)),
            "layers.1.mlp.weight": ("BF16", numbers(8, 32, seed=2).astype(ml_dtypes.bfloat16)),
            "norm.weight": ("BF16", numbers(64).astype(ml_dtypes.bfloat16)),
            "ids": ("I64", np.arange(6).reshape(2, 3)),
            "mask": ("BOOL", np.array([[True, False]])),
            "fp8": ("F8_E4M3", np.arange(8, dtype=np.uint8).reshape(2, 4)),
            "scalar": ("F32", np.array(3.0, np.float32)),
            "empty": ("F32", np.zeros((0, 4), np.float32)),
        },
    )


MATRICES = ["layers.0.attn.weight", "layers.1.attn.weight", "layers.1.mlp.weight"]


def names(outcome_json: object) -> list[str]:
    assert isinstance(outcome_json, dict)
    return [row["tensor"] for row in outcome_json["tensors"]]


def test_matrices_are_quantised_as_in_python(densimeter: Densimeter, model: Path, tmp_path: Path) -> None:
    outcome = densimeter("quantize", model, "-f", "mxfp4", "-o", tmp_path / "q.safetensors", "--json")
    assert names(outcome.json) == MATRICES
    found, (given, _) = K.load(tmp_path / "q.safetensors"), read_safetensors(model)
    assert list(found) == MATRICES
    types = {"F32": np.float32, "F16": np.float16, "BF16": ml_dtypes.bfloat16}
    for name, tensor in found.items():
        dtype, shape, raw = given[name]
        x = np.frombuffer(raw, types[dtype]).reshape(shape).astype(np.float32)
        np.testing.assert_array_equal(tensor.codes, K.quantize(x, F.get("mxfp4")).codes)
        np.testing.assert_array_equal(tensor.scales, K.quantize(x, F.get("mxfp4")).scales)


def test_all_else_is_copied_byte_by_byte(densimeter: Densimeter, model: Path, tmp_path: Path) -> None:
    outcome = densimeter("quantize", model, "-f", "mxfp4", "-o", tmp_path / "q.safetensors", "--json")
    (given, given_metadata), (found, metadata) = read_safetensors(model), read_safetensors(tmp_path / "q.safetensors")
    copied = [name for name in given if name not in MATRICES]
    assert outcome.json["copied"] == outcome.json["skipped"] == len(copied)
    assert {name: found[name] for name in copied} == {name: given[name] for name in copied}
    assert metadata.items() >= given_metadata.items()
    arrays = {f"{name}.{part}" for name in MATRICES for part in ("codes", "scales")}
    assert found.keys() == arrays | set(copied)


@pytest.mark.parametrize("name", F.names())
def test_every_format(name: str, densimeter: Densimeter, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=numbers(6, 80), b=numbers(3, 4, 5))
    outcome = densimeter("quantize", tmp_path / "x.npz", "-f", name, "-o", tmp_path / "q.safetensors", "--json")
    rows = {row["tensor"]: row for row in outcome.json["tensors"]}
    for key, x in (("a", numbers(6, 80)), ("b", numbers(3, 4, 5))):
        expected = K.quantize(x, F.get(name))
        found = K.load(tmp_path / "q.safetensors")[key]
        np.testing.assert_array_equal(found.codes, expected.codes)
        np.testing.assert_array_equal(found.dequantize(), expected.dequantize())
        assert rows[key]["packed_bytes"] == expected.nbytes
        assert rows[key]["max_abs_error"] == np.abs(x.astype(np.float64) - expected.dequantize()).max()


def test_patterns_choose(densimeter: Densimeter, model: Path, tmp_path: Path) -> None:
    def chosen(*options: str) -> list[str]:
        return names(
            densimeter("quantize", model, "-f", "int8", "-o", tmp_path / "q.safetensors", "--json", *options).json
        )

    assert chosen("--include", "*.attn.*") == MATRICES[:2]
    assert chosen("--include", "*.mlp.*", "--include", "layers.0.*") == [MATRICES[0], MATRICES[2]]
    assert chosen("--exclude", "layers.1.*") == MATRICES[:1]
    assert chosen("--include", "layers.1.*", "--exclude", "*.mlp.*") == [MATRICES[1]]


def test_an_excluded_matrix_is_copied(densimeter: Densimeter, model: Path, tmp_path: Path) -> None:
    densimeter("quantize", model, "-f", "int8", "-o", tmp_path / "q.safetensors", "--exclude", "*.mlp.*")
    (given, _), (found, _) = read_safetensors(model), read_safetensors(tmp_path / "q.safetensors")
    assert found["layers.1.mlp.weight"] == given["layers.1.mlp.weight"]


def test_the_rest_can_be_left_out(densimeter: Densimeter, model: Path, tmp_path: Path) -> None:
    outcome = densimeter(
        "quantize", model, "-f", "bfp6", "-o", tmp_path / "q.safetensors", "--only-quantized", "--json"
    )
    found, _ = read_safetensors(tmp_path / "q.safetensors")
    assert found.keys() == {f"{name}.{part}" for name in MATRICES for part in ("codes", "scales")}
    assert (outcome.json["copied"], outcome.json["skipped"]) == (0, 6)


def test_another_axis(densimeter: Densimeter, tmp_path: Path) -> None:
    x = numbers(64, 6)
    np.save(tmp_path / "x.npy", x)
    densimeter("quantize", tmp_path / "x.npy", "-f", "mxfp4", "-o", tmp_path / "q.safetensors", "--axis", "0")
    (tensor,) = K.load(tmp_path / "q.safetensors").values()
    assert tensor.axis == 0
    np.testing.assert_array_equal(tensor.dequantize(), K.quantize(x, F.get("mxfp4"), axis=0).dequantize())


def test_chance_depends_on_the_seed_and_the_name(densimeter: Densimeter, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=numbers(4, 64), b=numbers(4, 64))
    stochastic = "{base: mxfp4, rounding: stochastic}"

    def codes(seed: int) -> tuple[list[list[int]], list[list[int]]]:
        out = tmp_path / "q.safetensors"
        densimeter("quantize", tmp_path / "x.npz", "-f", stochastic, "-o", out, "--seed", seed)
        found = K.load(out)
        return found["a"].codes.tolist(), found["b"].codes.tolist()

    assert codes(1) == codes(1)
    assert codes(1) != codes(2)
    assert codes(1)[0] != codes(1)[1]  # the same numbers in another tensor


# Sources.


def write_gguf(path: Path) -> Path:
    writer = GGUFWriter(path, "llama")
    writer.add_tensor("norm", numbers(64))
    q4_0 = gguf_quantize(numbers(4, 64), GGMLQuantizationType.Q4_0)
    writer.add_tensor("w", q4_0, raw_dtype=GGMLQuantizationType.Q4_0)
    writer.add_tensor("k", np.zeros((2, 210), np.uint8), raw_dtype=GGMLQuantizationType.Q6_K)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_quantised_gguf_tensors_count_with_their_values(densimeter: Densimeter, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf")
    outcome = densimeter("quantize", path, "-f", "mxfp4", "-o", tmp_path / "q.safetensors", "--json")
    assert [(row["tensor"], row["source_type"]) for row in outcome.json["tensors"]] == [("w", "Q4_0"), ("k", "Q6_K")]
    q4_0 = gguf_quantize(numbers(4, 64), GGMLQuantizationType.Q4_0)
    values = dequantize(q4_0, GGMLQuantizationType.Q4_0)
    found = K.load(tmp_path / "q.safetensors")["w"]
    np.testing.assert_array_equal(found.codes, K.quantize(values, F.get("mxfp4")).codes)


def test_quantised_gguf_tensors_are_copied_in_their_own_format(densimeter: Densimeter, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf")
    densimeter("quantize", path, "-f", "mxfp4", "-o", tmp_path / "q.safetensors", "--exclude", "w")
    kept = K.load(tmp_path / "q.safetensors")["w"]
    assert kept.format == F.get("gguf_q4_0")
    assert kept.pack() == gguf_quantize(numbers(4, 64), GGMLQuantizationType.Q4_0).tobytes()


def test_a_type_that_no_format_stands_for_is_copied_as_its_values(densimeter: Densimeter, tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf")
    densimeter("quantize", path, "-f", "mxfp4", "-o", tmp_path / "q.safetensors", "--exclude", "k")
    dtype, shape, raw = read_safetensors(tmp_path / "q.safetensors")[0]["k"]
    assert (dtype, shape) == ("F32", [2, 256])
    np.testing.assert_array_equal(np.frombuffer(raw, "<f4"), 0)  # a scale of zero


def test_shards_become_one_file(densimeter: Densimeter, tmp_path: Path) -> None:
    save_file({"a": numbers(4, 32)}, tmp_path / "m-1.safetensors")
    save_file({"b": numbers(4, 32, seed=1), "n": numbers(4)}, tmp_path / "m-2.safetensors")
    places = {"a": "m-1.safetensors", "b": "m-2.safetensors", "n": "m-2.safetensors"}
    index = tmp_path / "m.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    outcome = densimeter("quantize", index, "-f", "mxfp4", "-o", tmp_path / "q.safetensors", "--json")
    assert names(outcome.json) == ["a", "b"]
    assert "n" in read_safetensors(tmp_path / "q.safetensors")[0]
    (tmp_path / "m-2.safetensors").unlink()
    outcome = densimeter("quantize", index, "-f", "mxfp4", "-o", tmp_path / "q.safetensors")
    assert "m-2.safetensors: no such file, but" in outcome.err


def test_foreign_byte_orders_and_layouts_are_copied_as_numbers(densimeter: Densimeter, tmp_path: Path) -> None:
    big = np.arange(6, dtype=">i4").reshape(2, 3)
    np.savez_compressed(
        tmp_path / "x.npz", w=np.asfortranarray(numbers(3, 64)), big=big, fortran=np.asfortranarray(big)
    )
    densimeter("quantize", tmp_path / "x.npz", "-f", "mxfp4", "-o", tmp_path / "q.safetensors")
    found, _ = read_safetensors(tmp_path / "q.safetensors")
    little = ("I32", [2, 3], big.astype("<i4").tobytes())
    assert (found["big"], found["fortran"]) == (little, little)
    np.testing.assert_array_equal(
        K.load(tmp_path / "q.safetensors")["w"].codes, K.quantize(numbers(3, 64), F.get("mxfp4")).codes
    )


# What is reported.


def test_totals_and_shares(densimeter: Densimeter, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "q.safetensors"
    report = densimeter("quantize", model, "-f", "mxfp4", "-o", out, "--json").json
    total, rows = report["total"], report["tensors"]
    assert total["values"] == 4 * 64 + 4 * 64 + 8 * 32 == sum(row["values"] for row in rows)
    assert total["packed_bytes"] == 768 * 4.25 / 8
    assert total["written_bytes"] == out.stat().st_size
    assert total["max_abs_error"] == max(row["max_abs_error"] for row in rows)
    histogram = total["error_histogram"]
    assert histogram["exact"] + sum(histogram["values"]) == 768
    assert len(histogram["log2_relative_error"]) == len(histogram["values"])
    assert rows[0]["shape"] == [4, 64]
    assert [row["source_type"] for row in rows] == ["F32", "F16", "BF16"]


def test_the_table_for_people(densimeter: Densimeter, model: Path, tmp_path: Path) -> None:
    shown = densimeter("quantize", model, "-f", "mxfp4", "-o", tmp_path / "q.safetensors", "--histogram").out
    assert "mxfp4: 4.25 bits per value" in shown
    assert all(name in shown for name in MATRICES)
    assert "3 tensors" in shown
    assert "█" in shown
    assert "2^-4 to 2^-3" in shown
    assert "6 tensors copied as they are" in shown


def test_names_with_brackets_are_shown_as_they_are(densimeter: Densimeter, tmp_path: Path) -> None:
    save_file({"blocks[0].w": numbers(2, 32)}, tmp_path / "m.safetensors")
    shown = densimeter("quantize", tmp_path / "m.safetensors", "-f", "mxfp4", "-o", tmp_path / "q.safetensors").out
    assert "blocks[0].w" in shown


def test_an_exact_format_says_so(densimeter: Densimeter, model: Path, tmp_path: Path) -> None:
    shown = densimeter("quantize", model, "-f", "float32", "-o", tmp_path / "q.safetensors", "--histogram").out
    assert "exact" in shown


def test_a_nan_that_the_format_can_hold_is_counted(densimeter: Densimeter, tmp_path: Path) -> None:
    x = numbers(2, 64)
    x[1, 3] = np.nan
    np.save(tmp_path / "x.npy", x)
    report = densimeter("quantize", tmp_path / "x.npy", "-f", "mxfp4", "-o", tmp_path / "q.safetensors", "--json").json
    assert report["total"]["not_finite"] == 32
    shown = densimeter("quantize", tmp_path / "x.npy", "-f", "mxfp4", "-o", tmp_path / "q.safetensors").out
    assert "32 values are NaN or infinite" in shown


# What is refused; nothing is left behind then.


def refused(densimeter: Densimeter, out: Path, *arguments: object) -> str:
    before = sorted(out.parent.iterdir())
    outcome = densimeter("quantize", *arguments, "-o", out)
    assert outcome.code == 2
    assert sorted(out.parent.iterdir()) == before
    return outcome.err


def test_a_nan_is_named_by_file_tensor_and_place(densimeter: Densimeter, tmp_path: Path) -> None:
    x = numbers(3, 2, 32)
    x[2, 1, 7] = np.nan
    save_file({"good": numbers(2, 32), "layer.7": x}, tmp_path / "m.safetensors")
    said = refused(densimeter, tmp_path / "q.safetensors", tmp_path / "m.safetensors", "-f", "bfp6")
    assert "m.safetensors: tensor 'layer.7': the first NaN is at [2, 1, 7]: 1 NaN in the input" in said


def test_a_pattern_without_a_match_names_the_nearest(densimeter: Densimeter, model: Path, tmp_path: Path) -> None:
    said = refused(densimeter, tmp_path / "q.safetensors", model, "-f", "bfp6", "--include", "layers.0.atn.weight")
    assert "--include 'layers.0.atn.weight' matches no tensor of" in said
    assert "the nearest are layers.0.attn.weight, layers.1.attn.weight" in said
    said = refused(densimeter, tmp_path / "q.safetensors", model, "-f", "bfp6", "--exclude", "*.mpl.*")
    assert "--exclude '*.mpl.*' matches no tensor" in said
    assert "layers.1.mlp.weight" in said


def test_nothing_to_quantise(densimeter: Densimeter, model: Path, tmp_path: Path) -> None:
    said = refused(densimeter, tmp_path / "q.safetensors", model, "-f", "bfp6", "--exclude", "layers.*")
    assert "--include and --exclude leave none of its 3 usable tensors" in said
    np.save(tmp_path / "v.npy", numbers(4))
    said = refused(densimeter, tmp_path / "q.safetensors", tmp_path / "v.npy", "-f", "bfp6")
    assert "v.npy: none of its 1 tensors is usable, expected floating point" in said


def test_an_axis_that_a_tensor_lacks(densimeter: Densimeter, model: Path, tmp_path: Path) -> None:
    said = refused(densimeter, tmp_path / "q.safetensors", model, "-f", "bfp6", "--axis", "2")
    assert "tensor 'layers.0.attn.weight' of shape (4, 64) has no axis 2" in said


def test_the_source_is_not_overwritten(densimeter: Densimeter, model: Path, tmp_path: Path) -> None:
    assert "is the file to read" in refused(densimeter, model, model, "-f", "bfp6")


def test_an_array_that_safetensors_cannot_hold(densimeter: Densimeter, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", w=numbers(2, 32), z=np.ones((2, 2), np.complex128))
    said = refused(densimeter, tmp_path / "q.safetensors", tmp_path / "x.npz", "-f", "bfp6")
    assert "tensor 'z' holds complex128, which a .safetensors file cannot" in said
    out = tmp_path / "q.safetensors"
    assert densimeter("quantize", tmp_path / "x.npz", "-f", "bfp6", "-o", out, "--only-quantized").code == 0


def test_two_arrays_of_one_name(densimeter: Densimeter, tmp_path: Path) -> None:
    save_file({"w": numbers(2, 32), "w.codes": numbers(4)}, tmp_path / "m.safetensors")
    said = refused(densimeter, tmp_path / "q.safetensors", tmp_path / "m.safetensors", "-f", "bfp6")
    assert "tensor 'w.codes' needs an array called 'w.codes', as another one does" in said


@pytest.mark.parametrize("name", ["x.npz", "x.gguf", "x.safetensors.index.json"])
def test_a_damaged_source(name: str, densimeter: Densimeter, tmp_path: Path) -> None:
    (tmp_path / name).write_text("none of these")
    assert f"{name}: " in refused(densimeter, tmp_path / "q.safetensors", tmp_path / name, "-f", "bfp6")
