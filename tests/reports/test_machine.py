"""One machine's row as text: complete, in units, and safe with any name."""

import csv
import io
import re
from typing import Any

import pytest
from rich.console import Console

from densimeter.reports.machine import machine_tables, to_csv, to_markdown, to_terminal
from densimeter.reports.quantities import TOTALS
from densimeter.reports.table import Cell, Heading, Table, latex_text, to_latex
from densimeter.simulator import evaluate
from support.design_points import DESIGN


@pytest.fixture(scope="module")
def row() -> dict[str, Any]:
    return evaluate(DESIGN)


def records(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def printed(row: dict[str, Any], width: int) -> str:
    console = Console(width=width, file=io.StringIO())
    console.print(to_terminal(row, width))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_csv_holds_every_figure_as_it_was_computed(row: dict[str, Any]) -> None:
    files = {name: records(text) for name, text in to_csv(row).items()}
    assert {line["quantity"]: float(line["value"]) for line in files["totals"]} == {name: row[name] for name in TOTALS}
    assert {line["component"]: float(line["area_mm2"]) for line in files["components"] if line["area_mm2"]} == row[
        "areas_mm2"
    ]
    products, vector = files["layers"][: len(row["products"])], files["layers"][len(row["products"]) :]
    for line, product in zip(products, row["products"], strict=True):
        assert line["name"] == product["name"]
        for key in ("m", "k", "macs", "latency_s", "fill_share", "dram_bytes", "energy_j"):
            assert float(line[key]) == product[key]
    assert [line["name"] for line in vector] == [work["name"] for work in row["vector_work"]]


def test_every_total_of_a_row_is_declared(row: dict[str, Any]) -> None:
    """A figure that the model gains has to be given a title and a unit."""
    figures = {name for name, value in row.items() if isinstance(value, float)} - {"dram_bandwidth_gb_s"}
    bounds = {name for name in figures if name.endswith(("_low", "_high"))}
    assert figures - bounds - {"dram_efficiency"} == set(TOTALS)


def test_shares_of_layers_add_up_to_the_whole(row: dict[str, Any]) -> None:
    lines = records(to_csv(row)["layers"])
    assert sum(float(line["latency_share"]) for line in lines) == pytest.approx(1)
    components = records(to_csv(row)["components"])
    assert sum(float(line["energy_share"] or 0) for line in components) == pytest.approx(1)


def test_a_terminal_of_any_width_shows_whole_cells(row: dict[str, Any]) -> None:
    wide, narrow = printed(row, 160), printed(row, 80)
    for text in (wide, narrow):
        assert all(TOTALS[name].text(row[name]) in text for name in TOTALS)
        assert "lm_head" in text
        assert "\N{HORIZONTAL ELLIPSIS}" not in text
    assert "not shown at this width" not in wide
    (hidden,) = re.findall(r"not shown at this width: (.*)", narrow)
    assert {"MACs", "OP/B"} <= set(hidden.split(", "))
    assert not {"layer", "latency", "bound by", "energy"} & set(hidden.split(", "))


def test_what_no_figure_covers_is_said(row: dict[str, Any]) -> None:
    unpriced = row | {"unpriced": ["conversion of keys"], "feasible": False}
    for text in (printed(unpriced, 160), to_markdown(unpriced)):
        assert "Not priced: conversion of keys" in text
        assert "Not feasible" in text


def test_markdown_takes_names_literally(row: dict[str, Any]) -> None:
    product = row["products"][0] | {"name": "a|b_c <script>\n# d"}
    text = to_markdown(row | {"products": [product], "workload": "*w*"})
    assert "| a\\|b\\_c \\<script\\> \\# d |" in text
    assert text.startswith("# \\*w\\* on 32 x 32 units of 16 lanes\n")


def test_latex_takes_names_literally_and_has_a_line_a_row(row: dict[str, Any]) -> None:
    table = Table("t", "50 % & more", (Heading("a_b", "a_b"),), ((Cell(1, "1 mm²"),), (Cell("x", "\\x{}^~"),)))
    text = to_latex(table)
    assert "\\caption{50 \\% \\& more}" in text
    assert "a\\_b \\\\\n\\midrule\n1 mm\\textsuperscript{2} \\\\\n" in text
    assert "\\textbackslash{}x\\{\\}\\textasciicircum{}\\textasciitilde{} \\\\\n\\bottomrule" in text
    for one in machine_tables(row):
        assert to_latex(one).count(" \\\\\n") == len(one.rows) + 1
    assert latex_text("µ") == "\\textmu{}"
