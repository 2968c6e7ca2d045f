"""The command line as a user meets it: what is printed, what is written, how mistakes are answered."""

from pathlib import Path

import numpy as np
import pytest

import densimeter.formats as F
from densimeter.kernels import load
from support.command import Densimeter


def test_formats_lists_the_catalog(densimeter: Densimeter) -> None:
    listed = densimeter("formats", "--json").json["formats"]
    assert [row["format"] for row in listed] == F.names()
    bfp6 = next(row for row in listed if row["format"] == "bfp6")
    assert bfp6["bits_per_value"] == 6 + 8 / 16
    assert bfp6["source"].endswith("arXiv 2310.05079")


def test_a_format_is_shown_with_every_value(densimeter: Densimeter) -> None:
    shown = densimeter("formats", "mxfp4")
    assert shown.code == 0
    assert "07 = 6" in shown.out
    assert "0f = -6" in shown.out
    values = densimeter("formats", "mxfp8_e4m3", "--json").json["values"]
    assert values[0x7E] == {"code": 0x7E, "value": 448.0}
    assert values[0x7F] == {"code": 0x7F, "value": "nan"}


def test_a_format_is_drawn_for_a_paper(densimeter: Densimeter, tmp_path: Path) -> None:
    drawn = densimeter("formats", "nvfp4", "--figure", tmp_path / "nvfp4.svg")
    assert drawn.code == 0
    assert "nvfp4.svg" in drawn.err  # standard output is the table's
    assert "and one float32 scale a tensor" in (tmp_path / "nvfp4.svg").read_text(encoding="utf-8")


def test_a_unit_has_no_figure(densimeter: Densimeter, tmp_path: Path) -> None:
    (tmp_path / "unit.yaml").write_text("{format: int8, lanes: 16, accumulator: int32}", encoding="utf-8")
    refused = densimeter("evaluate", tmp_path / "unit.yaml", "--figure", tmp_path / "unit.svg")
    assert refused.code == 2
    assert "--figure draws a machine" in refused.err
    assert not (tmp_path / "unit.svg").exists()


def test_a_composed_format_is_shown(densimeter: Densimeter) -> None:
    facts = densimeter("formats", "{element: e3m1, block: 24, scale: e8m0}", "--json").json
    assert facts["bits_per_value"] == pytest.approx(5 + 8 / 24)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["formats", "mxfp5"], "did you mean 'mxfp4'?"),
        (["formats", "{element: e3m2, blok: 3}"], "did you mean 'block'?"),
        (["formats", "{element: [}"], "is not valid YAML"),
        (["rtl", "emit", "-a", "bfp6", "-c", "fp23"], "accumulator is 'fp23', expected something like int32"),
        (["rtl", "emit", "-a", "bfp6", "-l", "5"], "5 lanes do not divide the block of bfp6 (16)"),
        (["rtl", "emit", "-a", "bfp6", "-l", "0"], "lanes is 0, expected 1 to 256"),
        (["rtl", "emit", "-a", "bfp6", "--part", "array", "--rows", "4"], "--rows and --cols go with --part array"),
        (["rtl", "emit", "-a", "bfp6", "--floats", "bfloat16"], "--floats goes with --part converter"),
        (
            ["rtl", "emit", "-a", "nf4_dq", "--part", "converter"],
            "nf4_dq has no converter: it needs the scales",
        ),
        (
            ["rtl", "emit", "-a", "bfp6", "--part", "dequantizer", "--floats", "float33"],
            "target is 'float33', expected",
        ),
        (["rtl", "test-array", "-a", "bfp6", "--dataflow", "output-stationary"], "did you mean 'output_stationary'?"),
        (["rtl", "prove", "-a", "int4", "-c", "fp32"], "a proof needs an integer, fixed or aligned register"),
        (["rtl", "synth", "-a", "int8", "-c", "int32", "--liberty", "nangate54"], "did you mean 'nangate45'?"),
        (["quantize", "none.npy", "-f", "bfp6", "-o", "x.safetensors"], "none.npy: no such file"),
        (["quantize", "none.npy", "-f", "bfp6", "-o", "x.npy"], "expected a name ending in .safetensors"),
        (["density", "none.yaml"], "check the path, or write an example with `densimeter init`"),
        (["formats", "mxfp4", "--figure", "a.jpg"], "expected a name ending in .svg, .png, .pdf"),
        (["formats", "--figure", "a.svg"], "--figure draws one format; name it"),
        (["density", "--figure", "a.jpg"], "expected a name ending in .svg, .png, .pdf"),
        (["report", "none"], "expected the folder of a run, which `densimeter run` makes"),
        (["rtl", "synth", "-a", "int8", "-c", "int32", "--liberty", __file__], "expected a Liberty file of cells"),
        (["density", "--tensors", "none.npy"], "none.npy: no such file"),
    ],
)
def test_bad_input_ends_with_code_2_and_one_message(
    densimeter: Densimeter, arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = densimeter(*arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.startswith("error: ")
    assert "Traceback" not in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_quantize_writes_what_it_reports(densimeter: Densimeter, tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal((8, 64)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    outcome = densimeter("quantize", tmp_path / "x.npy", "-f", "nvfp4", "-o", tmp_path / "q.safetensors", "--json")
    (row,) = outcome.json["tensors"]
    (tensor,) = load(tmp_path / "q.safetensors").values()
    error = np.square(x - tensor.dequantize(), dtype=np.float64).sum()
    assert row["qsnr_db"] == pytest.approx(10 * np.log10(np.square(x, dtype=np.float64).sum() / error))
    assert row["packed_bytes"] == 8 * 64 * 4.5 / 8 + 4 == tensor.nbytes
    assert tensor.format == F.get("nvfp4")


def test_quantize_keeps_the_old_file_when_it_fails(densimeter: Densimeter, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.full((2, 4), np.nan, np.float32))
    (tmp_path / "q.safetensors").write_text("old")
    outcome = densimeter("quantize", tmp_path / "x.npy", "-f", "bfp6", "-o", tmp_path / "q.safetensors")
    assert outcome.code == 2
    assert (tmp_path / "q.safetensors").read_text() == "old"


def test_emit_writes_one_self_contained_file(densimeter: Densimeter, tmp_path: Path) -> None:
    outcome = densimeter(
        "rtl", "emit", "-a", "bfp6", "-w", "bfp4", "-l", 8, "-c", "fixed48:-24", "-o", tmp_path / "new"
    )
    (path,) = (tmp_path / "new").iterdir()
    assert outcome.code == 0
    assert f"module {path.stem} (" in path.read_text()


@pytest.mark.rtl
def test_rtl_test_says_how_many_vectors_it_compared(densimeter: Densimeter) -> None:
    outcome = densimeter("rtl", "test", "-a", "bfp4", "-l", 4, "-c", "aligned24", "--vectors", 100, "--json")
    result = outcome.json
    assert outcome.code == 0
    assert result["mismatches"] == 0
    assert result["vectors_compared"] > (1 << 4) ** 2 + 100
    assert result["exhaustive_pairs"] is True


@pytest.mark.rtl
def test_a_missing_simulator_says_how_to_get_it(
    densimeter: Densimeter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    outcome = densimeter("rtl", "test", "-a", "bfp4", "-c", "aligned24")
    assert outcome.code == 1
    assert "apt install iverilog" in outcome.err


def test_doctor_names_every_tool(densimeter: Densimeter) -> None:
    tools = densimeter("doctor", "--json").json["tools"]
    names = {tool["tool"] for tool in tools}
    assert {"Icarus Verilog", "cocotb", "pyosys", "nangate45 cells", "torch"} <= names
    assert all(tool["found"] or tool["get"] for tool in tools)


@pytest.mark.parametrize(
    ("arguments", "module"),
    [
        (["--part", "array", "--rows", "2", "--cols", "3"], "densimeter_array_os_2x3_bfp6_bfp6_x16_fp32"),
        (["--part", "converter", "--floats", "bfloat16"], "densimeter_convert_bfloat16_bfp6_x16"),
        (["--part", "dequantizer", "--lanes", "4"], "densimeter_dequantize_bfp6_float32_x4"),
        (["--part", "output_converter", "-c", "fixed48:-24"], "densimeter_output_fixed48_m24"),
    ],
)
def test_every_part_is_emitted(densimeter: Densimeter, arguments: list[str], module: str, tmp_path: Path) -> None:
    outcome = densimeter("rtl", "emit", "-a", "bfp6", *arguments, "-o", tmp_path)
    assert outcome.code == 0, outcome.err
    (file,) = tmp_path.iterdir()
    assert file.stem.startswith(module)
    assert f"module {file.stem} (" in file.read_text(encoding="utf-8")


@pytest.mark.rtl
def test_an_array_is_tested(densimeter: Densimeter) -> None:
    arguments = "--rows", 2, "--cols", 2, "-m", 3, "-n", 2, "-k", 32, "--dataflow", "weight_stationary"
    tested = densimeter("rtl", "test-array", "-a", "bfp4", *arguments, "--json").json
    assert tested["mismatches"] == 0
    assert tested["cycles"] == tested["closed_form_cycles"] == 2 + 3 + 2 + 2 - 2


def test_a_unit_is_proven(densimeter: Densimeter) -> None:
    proof = densimeter("rtl", "prove", "-a", "int2", "-l", 1, "-c", "int8", "--json").json
    assert proof["proven"] is True
    assert proof["input_bits"] == 2 + 2 + 8 + 2
