"""The density figure: what is drawn where."""

import dataclasses

import pytest

import densimeter.formats as formats
from densimeter.reports import DensityRow, DensityTable, density_figure


def test_every_row_is_a_marker_and_published_ones_are_hollow(table: DensityTable) -> None:
    links, hollow, rows, *_ = density_figure(table).data
    assert len(rows.x) == len(table.rows)
    assert (rows.x[1], rows.y[1]) == pytest.approx((32 / 6.5, 1164 / 58.8))
    # The paper's own memory density (5.0) where it gives one, else the format's.
    assert list(zip(hollow.x, hollow.y, strict=True)) == [(4.0, 7.7), (5.0, 19.0)]
    assert hollow.marker.symbol == ("diamond-open", "square-open")
    assert links.x[3:] == (rows.x[1], 5.0, None)


def test_labels_tell_rows_of_one_format_apart(table: DensityTable) -> None:
    rows = density_figure(table).data[2]
    labels = {"float32_ftz", "int8 MAC", "int8 dot", "bfp6 fixed48", "bfp6 aligned24", "bfp4"}
    assert {label for label in rows.text if label} <= labels
    assert sum(map(bool, rows.text)) >= 5


def test_exact_and_unmeasured_formats_have_colours_too(table: DensityTable) -> None:
    rows = density_figure(table).data[2]
    colors = dict(zip(rows.hovertext, rows.marker.color, strict=True))
    (exact,) = (color for text, color in colors.items() if text.startswith("<b>float32_ftz"))
    (unmeasured,) = (color for text, color in colors.items() if text.startswith("<b>bfp4"))
    assert (exact, unmeasured) == (50.0, "#888888")


def test_names_are_not_markup(table: DensityTable, bfp6: DensityRow) -> None:
    hostile = dataclasses.replace(formats.get("bfp6"), name="<b>x</b>")
    figure = density_figure(dataclasses.replace(table, rows=(dataclasses.replace(bfp6, format=hostile),)))
    rows = figure.data[2]
    assert rows.text == ("&lt;b&gt;x&lt;/b&gt;",)
    assert "<b>x</b>" not in rows.hovertext[0]


def test_a_table_without_luts_still_gives_a_figure(table: DensityTable, bfp6: DensityRow) -> None:
    figure = density_figure(dataclasses.replace(table, rows=(dataclasses.replace(bfp6, lut={}),)))
    assert len(figure.data[2].x) == 0
