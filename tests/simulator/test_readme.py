"""The README's table is what the command prints."""

import re
from pathlib import Path
from typing import Any

from densimeter.formats import names
from support.command import Densimeter

README = Path(__file__).parents[2] / "README.md"
COLUMNS = {
    "bits": "bits_per_value",
    "memory": "memory_density",
    "LUT/MAC": "lut_per_mac",
    "LUT density": "arithmetic_density_lut",
    "vs int8 MAC": "arithmetic_density_lut_vs_int8_mac",
    "area density": "arithmetic_density_area",
    "QSNR weights": "qsnr_weights_db",
    "QSNR activ.": "qsnr_activations_db",
}


def readme_rows() -> list[dict[str, str]]:
    lines = [line for line in README.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    headings = cells[0]
    return [dict(zip(headings, row, strict=True)) for row in cells[2:] if len(row) == len(headings)]


def significant(text: str) -> int:
    return len(re.sub(r"^0+\.?0*|\D", "", text))


def agrees(shown: str, row: dict[str, Any], key: str) -> bool:
    """Equal to the digits shown; "exact" stands for a format that changes nothing."""
    if shown == "exact":
        return bool(row[key.replace("_db", "_exact")])
    return float(f"{row[key]:.{significant(shown)}g}") == float(shown)


def test_every_figure_of_the_readme_is_what_density_prints(densimeter: Densimeter) -> None:
    rows = densimeter("density", "--json").json["rows"]
    by_unit = {(row["format"], row["unit"], row["accumulator"]): row for row in rows}
    shown = readme_rows()
    assert len(shown) > 10
    for line in shown:
        row = by_unit[line["format"], line["unit"], line["accumulator"]]
        for heading, key in COLUMNS.items():
            assert agrees(line[heading], row, key), (line["format"], heading, line[heading], row[key])


def test_the_count_of_formats_is_that_of_the_catalog() -> None:
    assert f"**Formats**: {len(names())} have names" in README.read_text(encoding="utf-8")
