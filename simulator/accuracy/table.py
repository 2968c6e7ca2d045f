"""The table of accuracies for people (terminal, Markdown) and for programs (CSV)."""

import csv
import io
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from rich.table import Table

from densimeter.simulator.commands.output import plain_table

Row = dict[str, Any]


class _Column(NamedTuple):
    """heading, the key whose values it shows, and how a value of a row is shown."""

    heading: str
    key: str
    cell: Callable[[Row], str]


def _number(heading: str, key: str, digits: str, factor: float = 1.0) -> _Column:
    def cell(row: Row) -> str:
        value = row.get(key)
        return "" if value is None else format(factor * value, f"z{digits}")

    return _Column(heading, key, cell)


def _with_error(heading: str, key: str, digits: str, factor: float = 1.0, shift: float = 0.0) -> _Column:
    def cell(row: Row) -> str:
        if key not in row:
            return ""
        value, error = row[key], row.get(f"{key}_standard_error")
        if value is None:
            return "not finite"
        spread = "" if error is None else f" ± {format(factor * error, digits)}"
        return f"{format(factor * (value - shift), f'z{digits}')}{spread}"

    return _Column(heading, key, cell)


def _density(heading: str, key: str) -> _Column:
    """A ratio, and in per cent how far an estimate may be off."""

    def cell(row: Row) -> str:
        value, band = row.get(key), row.get(f"{key}_relative_band")
        return "" if value is None else f"{value:.3g}" + (f" ± {100 * band:.0f} %" if band else "")

    return _Column(heading, key, cell)


_COLUMNS = (
    _with_error("perplexity", "perplexity", ".2f"),
    _with_error("above float32 %", "perplexity_ratio", ".2f", 100, 1),
    _number("KL nats", "kl_nats", ".4f"),
    _with_error("top-1 %", "top1_agreement", ".1f", 100),
    _with_error("choices %", "choices_accuracy", ".1f", 100),
    _with_error("per char. %", "choices_accuracy_normalised", ".1f", 100),
    _with_error("same choice %", "choices_agreement", ".1f", 100),
    _with_error("cosine", "embedding_cosine", ".5f"),
    _number("worst cosine", "worst_embedding_cosine", ".5f"),
    _with_error("nearest %", "nearest_agreement", ".1f", 100),
    _with_error("5 nearest %", "neighbours_agreement", ".1f", 100),
    _number("bits/weight", "bits_per_weight", ".3g"),
    _number("side MAC %", "side_products_share", ".2f", 100),
    _number("memory x", "memory_density", ".3g"),
    _density("area x", "arithmetic_density_area"),
    _density("LUT x", "arithmetic_density_lut"),
    _number("QSNR w", "weight_qsnr_db", ".1f"),
    _number("QSNR a", "activation_qsnr_db", ".1f"),
    _number("saturated %", "saturated_share", ".3g", 100),
    _number("s", "seconds", ".0f"),
)


def to_terminal(rows: Sequence[Row], title: str) -> Table:
    """One line a row; figures with the standard error of their mean over tokens, questions or sentences."""
    columns = _columns(rows)
    table = plain_table(title, "row", *(f">{column.heading}" for column in columns))
    for row in rows:
        table.add_row(row["row"], *(column.cell(row) for column in columns))
    return table


def to_markdown(rows: Sequence[Row], remarks: Sequence[str]) -> str:
    """The same columns, and the remarks below."""
    columns = _columns(rows)
    lines = [
        "| row | " + " | ".join(column.heading for column in columns) + " |",
        "|:--|" + "--:|" * len(columns),
        *(f"| {_escaped(row['row'])} | " + " | ".join(c.cell(row) for c in columns) + " |" for row in rows),
    ]
    return "\n".join([*lines, *(f"\n{remark}." for remark in remarks)]) + "\n"


def _columns(rows: Sequence[Row]) -> list[_Column]:
    """Those of which some row has something to show."""
    return [column for column in _COLUMNS if any(column.key in row for row in rows)]


def to_csv(rows: Sequence[Row]) -> str:
    """Every plain figure of every row, unrounded."""
    return _csv([{key: value for key, value in row.items() if not isinstance(value, dict | list)} for row in rows])


def layers_to_csv(rows: Sequence[Row]) -> str:
    """Every operand of every layer of every row."""
    return _csv([{"row": row["row"]} | layer for row in rows for layer in row.get("layers", [])])


def _csv(rows: Sequence[Row]) -> str:
    """A heading of all keys in the order of their first appearance; empty where a row lacks one."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(dict.fromkeys(key for row in rows for key in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
