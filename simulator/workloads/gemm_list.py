"""A workload from a file: any list of matrix products, as YAML or CSV."""

import csv
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from densimeter.formats.errors import ConfigError
from densimeter.hwmodels.gemm import Gemm, Operand, VectorWork, Workload
from densimeter.simulator.schema.document import Document, KeyPath, read, validate
from densimeter.simulator.schema.fields import StrictModel

_Size = Annotated[int, Field(ge=1, strict=True)]
_SUFFIXES = {".csv": ",", ".tsv": "\t"}


class GemmEntry(StrictModel):
    """A product ``[m, k] x [n, k].T``, `count` times; the fields are those of `Gemm`."""

    name: Annotated[str, Field(min_length=1)]
    m: _Size
    n: _Size
    k: _Size
    count: _Size = 1
    first: Operand = "activation"
    second: Operand = "weight"
    result: Operand = "activation"
    parts: _Size = 1


class VectorEntry(StrictModel):
    """`operations_per_element` on each of `elements`."""

    name: Annotated[str, Field(min_length=1)]
    elements: _Size
    operations_per_element: _Size


class GemmList(StrictModel):
    """The YAML of a list; a CSV has one row a product, under a heading of the same keys."""

    name: str | None = None
    tokens: _Size = 1
    gemms: Annotated[tuple[GemmEntry, ...], Field(min_length=1)]
    vector_work: tuple[VectorEntry, ...] = ()


def read_gemm_list(path: Path | str) -> Workload:
    """The workload of a .yaml, .csv or .tsv file.

    Raises ConfigError, with file, line, key and expectation, where the file cannot be read or is not such a list.
    """
    path = Path(path)
    document = _read_table(path) if path.suffix in _SUFFIXES else read(path)
    found = validate(document, GemmList)
    return Workload(
        name=found.name or path.stem,
        phase="custom",
        tokens=found.tokens,
        gemms=tuple(Gemm(**dict(entry)) for entry in found.gemms),
        vector_work=tuple(VectorWork(**dict(entry)) for entry in found.vector_work),
    )


def _read_table(path: Path) -> Document:
    """The rows of a table as a document, each value on its row's line."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, delimiter=_SUFFIXES[path.suffix], skipinitialspace=True, strict=True)
            rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"{path}: cannot be read ({reason}); expected a table of matrix products") from error
    lines: dict[KeyPath, int] = {("gemms", i): line for i, (line, _) in enumerate(rows)}
    return Document(str(path), {"gemms": [_row(path, line, row) for line, row in rows]}, lines)


def _row(path: Path, line: int, row: dict[Any, Any]) -> dict[str, Any]:
    """A row without its empty cells, whole numbers as such."""
    if None in row:
        raise ConfigError(f"{path}:{line}: {len(row[None])} cells more than the heading has, expected as many")
    cells = {key.strip(): value.strip() for key, value in row.items() if value and value.strip()}
    return {key: int(text) if key != "name" and text.isdecimal() else text for key, text in cells.items()}
