"""What the formats of a design point do to a language model: the row of `densimeter accuracy` that they amount to."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from densimeter.formats import Accumulator, BlockFormat, FormatError, default_lanes
from densimeter.formats.errors import ConfigError
from densimeter.hwmodels.accelerator.machine import FIRST, SECOND
from densimeter.hwmodels.accelerator.mixture import Mixture, Stored
from densimeter.reports.quantities import ACCURACY
from densimeter.simulator.design import storage_of
from densimeter.simulator.recipes import describe_recipe
from densimeter.simulator.schema.accuracy import BenchConfig, LayerField, RowField
from densimeter.simulator.schema.design import DesignPoint
from densimeter.simulator.schema.document import Document, KeyPath, expectation

if TYPE_CHECKING:
    from densimeter.simulator.accuracy.bench import Bench

FIGURES = tuple(ACCURACY)
"""The result columns of a design that is judged, as rows of `densimeter accuracy` call them."""

At = Callable[[KeyPath], AbstractContextManager[None]]


class SectionError(ConfigError):
    """A section `accuracy` asks for what is not there: a model, a text, more tokens than it has."""


@dataclass(frozen=True)
class Trial:
    """All that a design's accuracy depends on: a model and text, and the formats that are tried on it."""

    config: BenchConfig
    row: RowField

    @property
    def key(self) -> str:
        """Tells trials apart."""
        from densimeter.simulator.accuracy.job import described
        from densimeter.simulator.accuracy.store import digest

        return digest({**self.config.model_dump(mode="json"), **described(self.row)})


def trial_of(design: DesignPoint) -> Trial:
    """The trial of a design that has a section `accuracy`.

    An operand that is stored in one format and computed in another is rounded twice; the trial rounds it once, to the
    one with fewer bits a value, on which the error depends. Hardware has no other part in it, unless the section asks
    for the accumulator. Raises ConfigError for a mixture of formats, which says not what each weight becomes.
    """
    section = design.accuracy
    assert section is not None
    activation, weight = design.datapath().operands
    storage = storage_of(design)
    layers = {
        pattern: LayerField.model_validate(
            {
                operand: _rounded(stored, computed)
                for operand, stored, computed in (
                    ("weight", layer.weight, weight),
                    ("activation", layer.activation, activation),
                )
                if stored is not None
            }
        )
        for pattern, layer in design.storage.layers.items()
    }
    accumulator = _accumulator(design) if section.accumulator else None
    operands = {operand: _rounded(storage.of(operand), activation) for operand in FIRST}
    operands |= {operand: _rounded(storage.of(operand), weight) for operand in SECOND}
    try:
        row = RowField(
            name="formats",
            **operands,
            accumulator=accumulator,
            attention_accumulator=accumulator,
            value_axis=section.value_axis,
            recipe=describe_recipe(section.recipe),
            skip=section.skip,
            layers=layers,
        )
    except ValidationError as error:
        raise ConfigError(f"accuracy: {expectation(error.errors(include_url=False)[0])}") from error
    return Trial(section.bench(), row)


def _rounded(stored: Stored, computed: BlockFormat) -> BlockFormat:
    if isinstance(stored, Mixture):
        raise ConfigError(f"storage.weight is {stored.name}, which has no accuracy of its own; expected one format")
    return stored if stored.bits_per_value <= computed.bits_per_value else computed


def _accumulator(design: DesignPoint) -> Accumulator:
    """The unit's, where the kernels compute as the unit does: with its own formats and its usual lanes."""
    datapath, storage = design.datapath(), storage_of(design)
    others = {*storage.first_formats, *storage.second_formats} - set(datapath.operands)
    usual = default_lanes(*datapath.operands)
    if others or design.storage.layers or datapath.lanes != usual:
        raise ConfigError(
            f"accuracy.accumulator is true, expected {usual} lanes, and operands stored in the formats of the unit"
        )
    return design.accumulator


class Trials:
    """Carries trials out, or finds them in a folder where an earlier run kept them; models stay loaded."""

    def __init__(self, folder: Path, at: At) -> None:
        """at: gives errors in the section their place."""
        self._folder, self._at = folder, at
        self._benches: dict[BenchConfig, Bench] = {}

    def row(self, trial: Trial) -> dict[str, Any]:
        """The row of a trial, as `Bench.row` has it, measured now if need be.

        Raises ConfigError for a section that asks for what is not there, FormatError or ConfigError for formats that do
        not fit the model, ToolError where torch or transformers is missing.
        """
        row = self._bench(trial).row(trial.row)
        with self._at(("model",)):
            if missing := [name for name in FIGURES if name not in row]:
                raise ConfigError(f"{trial.config.model!r} gives no {missing[0]}; expected a causal language model")
        return row

    def find(self, trial: Trial) -> dict[str, Any] | None:
        """The row that was kept; nothing is loaded for it. Raises ConfigError as `row` does."""
        return self._bench(trial).find(trial.row)

    def keep(self, trial: Trial, row: Mapping[str, Any]) -> None:
        """Keep a row that was measured elsewhere, unless it is there."""
        from densimeter.simulator.accuracy.store import RowStore

        if self.find(trial) is None:
            RowStore(self._folder).keep(trial.row.name, self._bench(trial).job.row(trial.row), row)

    def _bench(self, trial: Trial) -> "Bench":
        from densimeter.simulator.accuracy.bench import Bench

        if trial.config not in self._benches:
            self._benches[trial.config] = Bench.open(trial.config, self._folder, rows=[trial.row], at=self._at)
        return self._benches[trial.config]


def figures(row: Mapping[str, Any]) -> dict[str, float | None]:
    """The result columns of a row; None where a figure is not finite."""
    return {name: row[name] for name in FIGURES}


def as_column(figure: float | None) -> float:
    """A figure as a number: what is not finite is the worst that there is."""
    return math.inf if figure is None else figure


def located(document: Document, section: KeyPath) -> At:
    """Errors with their place in a file whose section `accuracy` stands there."""

    @contextmanager
    def at(path: KeyPath) -> Iterator[None]:
        try:
            yield
        except (ConfigError, FormatError) as error:
            raise SectionError(document.problem((*section, *path), str(error))) from error

    return at
