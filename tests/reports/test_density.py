"""The density table as text."""

import csv
import dataclasses
import io
import math

import pytest
from rich.console import Console

import densimeter.formats as formats
from densimeter.reports import DensityRow, DensityTable, to_csv, to_markdown, to_terminal
from densimeter.reports.columns import columns, text


def printed(table: DensityTable, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(to_terminal(table, width))
    return console.export_text()


def row_of(printed_table: str, *words: str) -> str:
    """The one line that holds all these words."""
    (line,) = [line for line in printed_table.splitlines() if all(word in line.split() for word in words)]
    return line


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (6461.7, "6462"),
        (106.0, "106"),
        (99.96, "100"),
        (58.8, "58.8"),
        (9.996, "10.0"),
        (1.8, "1.80"),
        (0.0911, "0.09"),
        (-2.345, "-2.35"),
        (0.0, "0.00"),
        (math.inf, "exact"),
        (None, "\N{EN DASH}"),
    ],
)
def test_figures_have_three_digits_and_no_exponent(value: float | None, shown: str) -> None:
    assert text(value) == shown


@pytest.mark.parametrize("width", [80, 100, 120, 160, 240])
def test_no_line_is_cut_or_wrapped(table: DensityTable, width: int) -> None:
    lines = printed(table, width).splitlines()
    assert max(map(len, lines)) <= width
    assert "\N{HORIZONTAL ELLIPSIS}" not in "".join(lines)
    assert row_of("\n".join(lines), "bfp6", "fixed48:-24")


def test_what_does_not_fit_is_dropped_whole_and_named(table: DensityTable) -> None:
    narrow, wide = printed(table, 100), printed(table, 400)
    assert "Not shown at this width" not in wide
    hidden = " ".join(narrow[narrow.index("Not shown at this width") :].split())
    assert "star /MAC" in hidden
    assert "LUT /MAC" not in hidden


def test_a_terminal_row_holds_our_figure_and_beside_it_the_papers(table: DensityTable) -> None:
    cells = row_of(printed(table, 400), "bfp6", "fixed48:-24").split()
    ours = cells.index("19.8")
    assert cells[ours + 1 : ours + 3] == ["19.0", "V"]


@pytest.fixture
def modelled(table: DensityTable, bfp6: DensityRow) -> DensityTable:
    """The table, and the headline's row once more as a model might estimate it."""
    estimated = dataclasses.replace(
        bfp6,
        accumulator="fixed40:-20",
        lut={"carry": dataclasses.replace(bfp6.lut["carry"], per_mac=54.2, relative_band=0.134)},
        min_period_ns={"nangate45": 4.2},
        min_period_bands={"nangate45": 0.18},
        cost_source="model",
    )
    return dataclasses.replace(table, rows=(*table.rows, estimated))


def test_an_estimate_is_marked_and_explained(table: DensityTable, modelled: DensityTable) -> None:
    assert "estimated by" not in {column.heading for column in columns(table)}
    assert "a model fitted to other units" not in printed(table, 400)
    shown = printed(modelled, 400)
    cells = row_of(shown, "bfp6", "fixed40:-20").split()
    assert cells[cells.index("54.2") + 1] == "\N{PLUS-MINUS SIGN}13%"
    assert cells[cells.index("4.20") + 1] == "\N{PLUS-MINUS SIGN}18%"
    assert cells[-1] == "model"
    assert "a model fitted to other units" in " ".join(shown.split())
    markdown = to_markdown(modelled)
    assert "| 54.2 \N{PLUS-MINUS SIGN}13% |" in markdown
    assert "19 of 20" in markdown


def test_csv_holds_the_band_of_an_estimate(modelled: DensityTable) -> None:
    *_, measured, estimated = csv.DictReader(io.StringIO(to_csv(modelled)))
    assert float(estimated["lut_per_mac_low"]) == pytest.approx(54.2 * (1 - 0.134))
    assert (estimated["lut_per_mac_relative_band_carry"], estimated["cost_source"]) == ("0.134", "model")
    assert (measured["lut_per_mac_relative_band_carry"], measured["cost_source"]) == ("0.0", "synthesis")


def test_csv_has_one_column_a_flow_and_library(table: DensityTable) -> None:
    lines = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert [line["format"] for line in lines] == [row.format.name for row in table.rows]
    bfp6 = lines[3]
    assert bfp6["accumulator"] == "fixed48:-24"
    assert (bfp6["lut_per_mac"], bfp6["lut_per_mac_star"], bfp6["lut_per_mac_booth"]) == ("58.8", "74.4", "")
    assert lines[0]["min_period_ns_nangate45"] == "5.97"
    assert lines[0]["qsnr_weights_exact"] == "True"
    published = "published_arithmetic_density_lut"
    assert [bfp6[published + end] for end in ("", "_trust", "_source")] == ["19.0", "V", "arXiv 2310.05079"]


def test_markdown_is_one_table_and_a_list(table: DensityTable) -> None:
    header, rule, *rest = to_markdown(table).splitlines()
    body = [line for line in rest if line.startswith("|")]
    assert len(body) == len(table.rows)
    assert {line.count("|") for line in (header, rule, *body)} == {header.count("|")}
    assert "| LUT \N{MULTIPLICATION SIGN}fp32 |" in header
    assert "- Against an int8 MAC it is 1.8, not 2.5." in rest


def test_markdown_takes_names_literally(table: DensityTable, bfp6: DensityRow) -> None:
    hostile = dataclasses.replace(formats.get("bfp6"), name="a|b<script>[x](y)\nz")
    one = dataclasses.replace(table, rows=(dataclasses.replace(bfp6, format=hostile),))
    line = to_markdown(one).splitlines()[2]
    assert line.startswith(r"| a\|b\<script\>\[x\](y) z |")


def test_a_terminal_takes_names_literally(table: DensityTable, bfp6: DensityRow) -> None:
    hostile = dataclasses.replace(formats.get("bfp6"), name="[red]x[/]")
    one = dataclasses.replace(table, rows=(dataclasses.replace(bfp6, format=hostile),))
    assert "[red]x[/]" in printed(one, 160)
