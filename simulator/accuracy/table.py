"""The table of accuracies for people (terminal, Markdown) and for programs (CSV)."""

import csv
import io
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from rich.table import Table

from densimeter.simulator.commands.output import plain_table

Row = dict[str, Any]


class _Column(NamedTuple):
    heading: str
    cell: Callable[[Row], str]


def _number(key: str, digits: str) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        value = row.get(key)
        return "" if value is None else format(value, f"z{digits}")

    return cell


def _with_error(key: str, digits: str, factor: float = 1.0, shift: float = 0.0) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        value, error = row.get(key), row.get(f"{key}_standard_error")
        if value is None:
            return "not finite"
        spread = "" if error is None else f" ± {format(factor * error, digits)}"
        return f"{format(factor * (value - shift), f'z{digits}')}{spread}"

    return cell


def _share(row: Row) -> str:
    value = row.get("saturated_share")
    return "" if value is None else f"{100 * value:.3g}"


_COLUMNS = (
    _Column("perplexity", _with_error("perplexity", ".2f")),
    _Column("above float32 %", _with_error("perplexity_ratio", ".2f", 100, 1)),
    _Column("KL nats", _number("kl_nats", ".4f")),
    _Column("top-1 %", _with_error("top1_agreement", ".1f", 100)),
    _Column("bits/weight", _number("bits_per_weight", ".3g")),
    _Column("QSNR weights", _number("weight_qsnr_db", ".1f")),
    _Column("QSNR activ.", _number("activation_qsnr_db", ".1f")),
    _Column("saturated %", _share),
    _Column("s", _number("seconds", ".0f")),
)


def to_terminal(rows: Sequence[Row], title: str) -> Table:
    """One line a row; figures with the standard error of their mean over tokens."""
    table = plain_table(title, "row", *(f">{column.heading}" for column in _COLUMNS))
    for row in rows:
        table.add_row(row["row"], *(column.cell(row) for column in _COLUMNS))
    return table


def to_markdown(rows: Sequence[Row], remarks: Sequence[str]) -> str:
    """The same columns, and the remarks below."""
    lines = [
        "| row | " + " | ".join(column.heading for column in _COLUMNS) + " |",
        "|:--|" + "--:|" * len(_COLUMNS),
        *(f"| {_escaped(row['row'])} | " + " | ".join(c.cell(row) for c in _COLUMNS) + " |" for row in rows),
    ]
    return "\n".join([*lines, *(f"\n{remark}." for remark in remarks)]) + "\n"


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
