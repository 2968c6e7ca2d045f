"""formats/README.md: its tables and examples are true."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml

import densimeter.kernels as K
from densimeter.formats import BlockFormat, get, names, parse

PAGE = (Path(__file__).parents[2] / "formats" / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def table(heading: str) -> list[list[str]]:
    """The cells of the table whose first heading is this, without its headings."""
    _, rows = PAGE.split(f"| {heading} |", 1)
    lines = rows.split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_catalog_table_names_every_format_with_its_bits() -> None:
    bits: dict[str, str] = {}
    for cells in table("names"):
        row, values = re.findall(r"`(\w+)`", cells[0]), cells[1].split(", ")
        bits |= dict(zip(row, values * (len(row) if len(values) == 1 else 1), strict=True))
    assert sorted(bits) == sorted(names())
    for name, shown in bits.items():
        assert f"{float(get(name).bits_per_value):.4g}" == shown, name


def test_the_worked_example_of_scale_rules() -> None:
    rules = re.findall(r"`(mxfp4_\w+)`", PAGE.split("| max |", 1)[1].splitlines()[0])
    assert len(rules) == 4
    for largest, *cells in table("max"):
        x = np.array([float(largest)], np.float32)
        for rule, shown in zip(rules, cells, strict=True):
            q = K.quantize(x, get(rule))
            scale, value = map(float, shown.split(", "))
            assert (2.0 ** (int(q.scales[0]) - 127), q.dequantize()[0]) == (scale, value), (largest, rule)


FAMILIES = {
    "MX": ["mxfp8_e4m3", "mxfp6_e3m2", "mxfp4", "mxint8"],
    "NVFP4": ["nvfp4", "nvfp4_one_level"],
    "BFP": ["bfp6"],
    "MSFP": ["msfp12"],
    "MX9/6/4": ["mx9", "mx6", "mx4"],
    "BM": ["bm8"],
    "BL": ["bl8"],
    "k-bit codebooks": ["kint4", "kfloat4", "kdyn8", "kquant3"],
    "GGUF": ["gguf_q8_0", "gguf_q4_0", "gguf_q4_1", "gguf_q5_0", "gguf_q5_1"],
    "_fnuz": ["e4m3_fnuz", "e5m2_fnuz", "e3m4_fnuz", "e2m1_fnuz"],
    "int2": ["int2", "int4_g128", "int8_g32_affine"],
}


def family_rows() -> list[tuple[str, str, str]]:
    """(format, what its NaN becomes, what its Inf becomes)"""
    found = []
    for family, nan, inf, *_ in table("family"):
        for part in re.split(r", | (?=`)| to ", family):
            members = FAMILIES.get(part.strip("`"), [part.strip("`")])
            found += [(name, nan, inf) for name in members]
    return found


def outcome(fmt: BlockFormat, special: float) -> str:
    x = np.zeros(max(fmt.block_values or 1, 2), np.float32)
    x[:2] = special, 1
    if np.isnan(special) and fmt.refuses_nan:
        return "refused"
    value, other = K.quantize(x, fmt).dequantize()[:2]
    if np.isnan(other):
        return "block NaN"
    return "kept" if np.isnan(special) == np.isnan(value) and np.isinf(special) == np.isinf(value) else "largest value"


@pytest.mark.parametrize(("name", "nan", "inf"), family_rows())
def test_the_table_of_special_values(name: str, nan: str, inf: str) -> None:
    fmt = get(name)
    assert outcome(fmt, np.nan) == nan
    assert outcome(fmt, np.inf) == ("kept" if name == "bm8" else inf.split(" (")[0])


def test_yaml_examples_can_be_read_and_used() -> None:
    declarations = [declaration for text in blocks("yaml") for declaration in yaml.safe_load(text)]
    assert len(declarations) > 5
    x = np.random.default_rng(0).standard_normal((16, 128)).astype(np.float32)
    for declaration in declarations:
        fmt = parse(declaration)
        values = K.quantize(x, fmt).dequantize()
        assert np.abs(values - x).mean() < 0.4, declaration


def test_python_examples_run() -> None:
    examples = blocks("python")
    assert examples
    for example in examples:
        exec(compile(example, "formats/README.md", "exec"), {})
