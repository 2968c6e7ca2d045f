"""A table of accuracies: one row after the other, each kept when it is finished."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from densimeter.formats.errors import ConfigError, FormatError
from densimeter.hwmodels.mac import HEADLINE_FLOW, HEADLINE_LIBRARY
from densimeter.simulator.accuracy.bench import Bench, Row, Track
from densimeter.simulator.commands.check import duration
from densimeter.simulator.schema.accuracy import AccuracyConfig
from densimeter.simulator.schema.document import Document, KeyPath


@dataclass(frozen=True)
class Accuracy:
    """The rows, the float32 reference first, and what has to be known beside them."""

    rows: list[Row]
    remarks: list[str]

    @property
    def seconds(self) -> float:
        """What measuring all rows took, in this run and in earlier ones that it found them of."""
        seconds: float = sum(row["seconds"] for row in self.rows)
        return round(seconds, 3)


def run(
    document: Document, config: AccuracyConfig, folder: Path, track: Track, tell: Callable[[str], None]
) -> Accuracy:
    """Evaluate every row that `folder` does not hold yet, and return them all.

    Raises:
        ConfigError: with its place in the document, whatever in it cannot be carried out.
        ToolError: the packaged model, torch or transformers is not installed.
    """

    @contextmanager
    def at(path: KeyPath) -> Iterator[None]:
        try:
            yield
        except _PlacedError:
            raise
        except (ConfigError, FormatError) as error:
            raise _PlacedError(document.problem(path, str(error))) from error

    bench = Bench.open(config, folder, rows=config.rows, at=at, track=track)
    finished = sum(bench.find(row) is not None for row in config.rows)
    if finished:
        tell(f"{finished} of {len(config.rows)} rows are finished already")
    rows = [bench.reference()]
    for i, row in enumerate(config.rows):
        with at(("rows", i)):
            rows.append(bench.row(row))
    found = Accuracy(rows, [*bench.job.files.remarks(), *_costs(rows), *_needs(config)])
    found.remarks.append(f"all of it took {duration(found.seconds)} to measure")
    return found


def _costs(rows: Sequence[Row]) -> list[str]:
    """What densities are of, and why rows have none."""
    missing: dict[str, list[str]] = {}
    for row in rows:
        if "no_unit" in row:
            missing.setdefault(row["no_unit"], []).append(row["row"])
    about = [f"no arithmetic density for {', '.join(names)}: {reason}" for reason, names in missing.items()]
    if any(row.get("unit") for row in rows):
        where = f"area in {HEADLINE_LIBRARY}, LUTs in flow {HEADLINE_FLOW}"
        about.insert(0, f"densities are over float32, of linear layers alone; {where}")
    return about


class _PlacedError(ConfigError):
    """One that says already where in the document it lies."""


def _needs(config: AccuracyConfig) -> list[str]:
    """What the recipes of the table ask of hardware."""
    needs: dict[str, dict[str, None]] = {}
    for row in config.rows:
        needs.setdefault(row.recipe.name, {}).update(dict.fromkeys(row.recipe.hardware))
    return [f"{name} needs {'; '.join(hardware)}" for name, hardware in needs.items() if hardware]
