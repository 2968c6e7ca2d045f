"""What a notebook shows of results: the same figures as a terminal, escaped."""

from dataclasses import replace

from densimeter.formats import parse
from densimeter.reports.columns import columns, text
from densimeter.reports.row import DensityRow, DensityTable
from densimeter.reports.table import Heading, Table, word
from densimeter.simulator import evaluate
from support.design_points import DESIGN


def test_a_density_table_shows_its_rows_and_what_they_rest_on(table: DensityTable) -> None:
    shown = table._repr_html_()
    assert shown.count("<tr>") == 1 + len(table.rows)
    (density,) = (column for column in columns(table) if column.brief == "LUT ×fp32")  # noqa: RUF001
    assert all(f">{text(density.value(row))}</td>" in shown for row in table.rows)
    assert table.baseline in shown


def test_names_are_escaped(table: DensityTable, bfp6: DensityRow) -> None:
    hostile = parse({"name": "<script>", "element": "int4", "block": 8, "scale": "e8m0"})
    shown = replace(table, rows=(replace(bfp6, format=hostile),))._repr_html_()
    assert "&lt;script&gt;" in shown
    assert "<script>" not in shown
    assert "<i>" not in Table("t", "<i>", (Heading("a", "<i>"),), ((word("<i>"),),))._repr_html_()


def test_a_machine_shows_its_layers() -> None:
    row = evaluate(DESIGN)
    shown = row._repr_html_()
    assert all(f">{product['name']}</td>" in shown for product in row["products"])
    assert "Area and energy by component" in shown


def test_a_unit_shows_its_figures_and_stays_a_dict() -> None:
    row = evaluate({"format": "bfp6", "lanes": 16, "accumulator": "aligned24"})
    assert row == dict(row)
    assert ">memory_density</td>" in row._repr_html_()
    assert ">4.923</td>" in row._repr_html_()  # 32 / (6 + 8/16)
