"""Result rows as Parquet tables: which columns the rows of a run have, and what their files say of themselves."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from densimeter.formats.errors import ConfigError
from densimeter.simulator.explore.expressions import Values
from densimeter.simulator.explore.numbering import Indices
from densimeter.simulator.explore.pareto import as_costs, grouped, non_dominated_in_groups
from densimeter.simulator.explore.result_names import TRUTHS
from densimeter.simulator.explore.space import Space
from densimeter.simulator.schema.sweep import Sweep

_METADATA = b"densimeter"


def design_columns(space: Space) -> list[str]:
    """Names of the columns that say which design a row is: axes, and settings that follow from them.

    A setting that results have too (the clock) is shown by its result.
    """
    results = space.results
    return [name for name in dict.fromkeys((*space.axes, *space.settings)) if name not in results]


def row_names(space: Space, positions: NDArray[np.int64], indices: Indices) -> NDArray[np.int64]:
    """The column `index` of designs: their indices, or in a vast space, whose indices no column holds, their positions
    in the order of the search."""
    return positions if space.is_vast else indices


def to_table(
    space: Space, names: NDArray[np.int64], codes: Mapping[str, NDArray[Any]], columns: Mapping[str, Values]
) -> pa.Table:
    """Rows of designs, named by `row_names`; the columns always the same ones in the same order."""
    arrays: dict[str, pa.Array] = {"index": pa.array(names, pa.int64())}
    for name in design_columns(space):
        labels = np.asarray(space.labels[name])
        if labels.dtype.kind == "U":
            arrays[name] = pa.array(labels.tolist(), pa.string()).take(pa.array(codes[name]))
        else:
            arrays[name] = pa.array(labels[codes[name]])
    for name in space.results:
        column = columns.get(name, np.zeros(len(names)))
        arrays[name] = pa.array(column != 0 if name in TRUTHS else column)
    return pa.table(arrays)


def no_rows(space: Space) -> pa.Table:
    """A table of no design."""
    nothing = np.zeros(0, np.int64)
    return to_table(space, nothing, dict.fromkeys(design_columns(space), nothing), {})


def on_front(table: pa.Table, sweep: Sweep) -> NDArray[np.bool_]:
    """Which rows are on the Pareto front of their scenario; rows equal in all objectives stay or go together."""
    costs = as_costs({name: table[name].to_numpy() for name in sweep.objectives}, sweep.objectives)
    return non_dominated_in_groups(costs, scenarios(table, sweep))


def scenarios(table: pa.Table, sweep: Sweep) -> NDArray[np.intp]:
    """A number from 0 on for the scenario of each row."""
    return grouped([table[name].to_numpy(zero_copy_only=False) for name in sweep.scenarios], len(table))


def outcomes(table: pa.Table, sweep: Sweep) -> NDArray[np.intp]:
    """A number from 0 on for each row, the same for those of one scenario that are equal in all objectives."""
    return grouped([scenarios(table, sweep), *(table[name].to_numpy() for name in sweep.objectives)], len(table))


def to_parquet(table: pa.Table, facts: Mapping[str, Any]) -> bytes:
    """A Parquet file with facts in its metadata; the same rows and facts give the same bytes."""
    table = table.combine_chunks().replace_schema_metadata({_METADATA: json.dumps(facts, sort_keys=True)})
    text = [field.name for field in table.schema if pa.types.is_string(field.type)]
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="snappy", use_dictionary=text)
    data: bytes = sink.getvalue().to_pybytes()
    return data


def facts_in(path: Path) -> dict[str, Any]:
    """What `to_parquet` was told. Raises ConfigError for a file that is not one of its."""
    try:
        facts: dict[str, Any] = json.loads(pq.read_schema(path).metadata[_METADATA])
    except (OSError, pa.ArrowInvalid, TypeError, KeyError, ValueError) as error:
        raise ConfigError(f"{path}: not a file of rows that densimeter wrote; delete it and run again") from error
    return facts


def read_rows(path: Path) -> pa.Table:
    """The rows of a file that has facts in it."""
    return pq.read_table(path).replace_schema_metadata(None)
