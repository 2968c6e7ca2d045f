"""Any list of products from YAML or CSV."""

from pathlib import Path

import pytest

from densimeter.formats.errors import ConfigError
from densimeter.hwmodels.gemm import Gemm, VectorWork
from densimeter.simulator.workloads.gemm_list import read_gemm_list

YAML = """\
name: mine
tokens: 4
gemms:
  - {name: fc1, m: 4, n: 8, k: 16, count: 2}
  - {name: scores, m: 4, n: 5, k: 6, first: query, second: key, result: probability}
vector_work:
  - {name: relu, elements: 32, operations_per_element: 1}
"""

CSV = """\
name, m, n, k, count, second
fc1, 4, 8, 16, 2,

7, 4, 5, 6, , value
"""


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_list_in_yaml(tmp_path: Path) -> None:
    found = read_gemm_list(write(tmp_path, "list.yaml", YAML))
    assert (found.name, found.phase, found.tokens) == ("mine", "custom", 4)
    assert found.gemms == (
        Gemm("fc1", 4, 8, 16, 2),
        Gemm("scores", 4, 5, 6, first="query", second="key", result="probability"),
    )
    assert found.vector_work == (VectorWork("relu", 32, 1),)


def test_a_table_has_one_row_a_product(tmp_path: Path) -> None:
    found = read_gemm_list(write(tmp_path, "list.csv", CSV))
    assert found.name == "list"
    assert found.gemms == (Gemm("fc1", 4, 8, 16, 2), Gemm("7", 4, 5, 6, second="value"))
    tabs = read_gemm_list(write(tmp_path, "list.tsv", CSV.replace(", ", "\t").replace(",\n", "\t\n")))
    assert tabs.gemms == found.gemms


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.yaml", YAML.replace("n: 8", "n: 0"), r"a\.yaml:4: gemms\[0\]\.n: 0: expected"),
        ("a.yaml", YAML.replace("m: 4, n: 8", "n: 8"), r"a\.yaml:4: gemms\[0\]\.m: missing"),
        ("a.yaml", YAML.replace("count", "cuont"), r"a\.yaml:4: gemms\[0\]\.cuont: unknown key; did you mean 'count'"),
        ("a.yaml", YAML.replace("second: key", "second: keys"), r"a\.yaml:5: gemms\[1\]\.second: 'keys': expected"),
        ("a.yaml", "gemms: []", r"a\.yaml:1: gemms: "),
        ("a.csv", CSV.replace("4, 8", "4, x"), r"a\.csv:2: gemms\[0\]\.n: 'x': expected a valid integer"),
        ("a.csv", CSV.replace("4, 5", "-4, 5"), r"a\.csv:4: gemms\[1\]\.m: '-4': expected"),
        ("a.csv", CSV.replace("6, , value", "6, , value, 3"), r"a\.csv:4: 1 cells more than the heading has"),
        ("a.csv", "name, m, n, k\n", r"a\.csv:1: gemms: "),
    ],
)
def test_a_wrong_list_is_told_where_and_what(name: str, text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        read_gemm_list(write(tmp_path, name, text))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for name in ("a.csv", "a.yaml"):
        with pytest.raises(ConfigError, match="cannot be read"):
            read_gemm_list(tmp_path / name)
