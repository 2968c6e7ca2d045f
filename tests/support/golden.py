"""Rows of figures as files that can be read and compared."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence

import pytest

Row = Mapping[str, object]
Golden = Callable[[str, Sequence[Row]], None]
DIGITS = 6


def as_csv(rows: Sequence[Row]) -> str:
    sink = io.StringIO()
    writer = csv.DictWriter(sink, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _written(value) for name, value in row.items()} for row in rows)
    return sink.getvalue()


def assert_same(known: str, found: str) -> None:
    """Equal texts, but for the last digit of a figure, which another processor may round the other way."""
    rows, others = (list(csv.reader(io.StringIO(text))) for text in (known, found))
    assert [len(row) for row in rows] == [len(row) for row in others], f"other rows:\n{found}"
    for row, other in zip(rows, others, strict=True):
        for heading, old, new in zip(rows[0], row, other, strict=True):
            if old != new:
                assert _is_number(old), f"{heading}: {old} is now {new!r} in {other}"
                assert _is_number(new), f"{heading}: {old} is now {new!r} in {other}"
                assert float(new) == pytest.approx(float(old), rel=2 * 10.0**-DIGITS), f"{heading} of {other}"


def _written(value: object) -> object:
    return f"{value:.{DIGITS}g}" if isinstance(value, float) else "" if value is None else value


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
