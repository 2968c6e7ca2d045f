"""A model with what it is scored on, set up for rows to be tried on it: by the accuracy table, and by sweeps.

    bench = Bench.open(BenchConfig(model="smollm2", tokens=2048), Path("out/accuracy"))
    bench.row(RowField(name="bfp6", weight=get("bfp6"), activation=get("bfp6")))["perplexity"]

A finished row is kept in the folder and found again under a digest of all that it depends on, its name aside.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from densimeter.simulator.accuracy.costs import row_costs
from densimeter.simulator.accuracy.job import At, Job, described, nowhere
from densimeter.simulator.accuracy.measure import Ids, Measure
from densimeter.simulator.accuracy.model import load
from densimeter.simulator.accuracy.store import RowStore, digest
from densimeter.simulator.accuracy.windows import cut_windows, token_ids
from densimeter.simulator.recipes import Calibration, InputStatistics, describe_recipe
from densimeter.simulator.schema.accuracy import BenchConfig, RowField

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
Row = dict[str, Any]

REFERENCE = "float32"
_LEVELS: tuple[Calibration, ...] = ("none", "ranges", "moments")


class Track(Protocol):
    """Shows progress over items: `commands.output.track`."""

    def __call__(self, items: Iterable[T], label: str, total: int) -> Iterator[T]: ...


def silent(items: Iterable[T], label: str, total: int) -> Iterator[T]:
    """The `Track` that shows nothing."""
    yield from items


class _Subject(NamedTuple):
    """The model in float32, its tokenizer, and what it is scored by."""

    model: "torch.nn.Module"
    tokenizer: Any
    measures: tuple[Measure, ...]


class Bench:
    """Rows of one configuration. The model is loaded when the first row is asked for that the folder does not hold."""

    def __init__(self, job: Job, folder: Path, needed: Calibration, at: At, track: Track) -> None:
        """`needed`: the most calibration that any row to come will want. Use `open`."""
        self.job = job
        self._folder, self._store = folder, RowStore(folder)
        self._needed, self._at, self._track = needed, at, track
        self._statistics: tuple[Calibration, InputStatistics | None] = ("none", None)

    @classmethod
    def open(
        cls,
        config: BenchConfig,
        folder: Path,
        *,
        rows: Sequence[RowField] = (),
        at: At = nowhere,
        track: Track = silent,
    ) -> "Bench":
        """Find the model's files and read the texts.

        rows: those that will be asked for, so that one pass of calibration serves all of them (without it, a row that
        wants more than those before it calibrates again). at: gives errors their place in a file.

        Raises:
            ConfigError: model, text or questions cannot be read.
            ToolError: the packaged model is not installed.
        """
        bench = cls(Job.of(config, at), folder, "none", at, track)
        missing = [row.recipe.calibration for row in rows if bench.find(row) is None]
        bench._needed = max(missing, key=_LEVELS.index, default="none")
        return bench

    def find(self, row: RowField) -> Row | None:
        """The finished row, if the folder holds it; loads nothing."""
        return _named(row.name, self._store.find(self.job.row(row)))

    def keep(self, row: RowField, found: Row) -> None:
        """Put a finished row into the folder, as `row` does with what it measures."""
        self._store.keep(row.name, self.job.row(row), found)

    def row(self, row: RowField) -> Row:
        """The figures of a row, found or measured now and kept, as plain JSON values.

        Keys: those of the measures (`perplexity`, `kl_nats`, ..., each mean with `_standard_error`), QSNRs and bits a
        weight, what its unit costs, what its recipe asks of hardware, and `layers`, an entry a layer and operand.

        Raises:
            ConfigError: the model cannot be read, the texts are too short, or the row does not fit the model.
            ToolError: torch or transformers is not installed.
        """
        found = self.find(row)
        if found is None:
            found = self._evaluate(row)
            self.keep(row, found)
        return found

    def reference(self) -> Row:
        """The row of the model in float32, found or measured now."""
        found = _named(REFERENCE, self._store.find(self.job.reference()))
        if found is None:
            found = {"row": REFERENCE, **self._score(REFERENCE, self._subject.model, None)}
            self._store.keep(REFERENCE, self.job.reference(), found)
        return found

    @cached_property
    def _subject(self) -> _Subject:
        from densimeter.simulator.accuracy.measures import measures

        with self._at(("model",)):
            model, tokenizer = load(self.job.files)
        return _Subject(model, tokenizer, measures(self.job, model, tokenizer, self._at))

    def _evaluate(self, row: RowField) -> Row:
        """Quantise the model as the row says, and score it."""
        from densimeter.kernels.torch import linear_layers, quantize_model
        from densimeter.simulator.accuracy.layers import LayerErrors, declared_bits, mean_bits

        reference, plan, errors = self._subject.model, row.plan(self.job.config.seed), LayerErrors()
        build = row.recipe.builder(reference, self._calibrated(row.recipe.calibration))
        model = quantize_model(reference, plan, build=build, observe=errors)
        weights = {path: linear.weight.numel() for path, linear in linear_layers(reference, plan)}
        scored = self._score(row.name, model, errors)
        bits = errors.weight_bits | declared_bits(model, weights)
        about = {
            "recipe": describe_recipe(row.recipe),
            "hardware": list(row.recipe.hardware),
            "formats": described(row),
        }
        found = {"row": row.name, **scored, "bits_per_weight": mean_bits(weights, bits), **errors.summary()}
        return found | row_costs(plan, weights, bits) | about | {"layers": errors.rows()}

    def _score(self, name: str, model: "torch.nn.Module", errors: Any) -> Row:
        """What every measure makes of the model; `errors` looks on until it has seen the tokens that it is to see."""
        started, seen = time.perf_counter(), 0

        def walk(inputs: Sequence[Ids]) -> Iterator[Ids]:
            nonlocal seen
            for ids in self._track(inputs, name, len(inputs)):
                if errors is not None:
                    errors.watching = seen < self.job.config.statistics_tokens
                yield ids
                seen += len(ids)

        figures: Row = {}
        for measure in self._subject.measures:
            figures |= measure.score(model, walk)
        return figures | {"seconds": round(time.perf_counter() - started, 1)}

    def _calibrated(self, wanted: Calibration) -> InputStatistics | None:
        """Statistics of at least the level wanted, from memory, from the folder, or measured now."""
        level, statistics = self._statistics
        if _LEVELS.index(level) >= _LEVELS.index(wanted):
            return statistics
        self._statistics = level, statistics = self._calibrate(max(wanted, self._needed, key=_LEVELS.index))
        return statistics

    def _calibrate(self, level: Calibration) -> tuple[Calibration, InputStatistics]:
        from densimeter.simulator.accuracy.calibration import calibrate, load_statistics, save_statistics

        paths = {each: self._folder / f"{each}-{digest(self.job.calibration())}.safetensors" for each in _LEVELS[1:]}
        for each in _LEVELS[_LEVELS.index(level) :]:
            if paths[each].is_file():
                return each, load_statistics(paths[each])
        statistics = calibrate(self._subject.model, self._calibration_windows(), level == "moments")
        save_statistics(paths[level], statistics)
        return level, statistics

    def _calibration_windows(self) -> list[list[int]]:
        config, tokenizer = self.job.config, self._subject.tokenizer
        own = config.calibration.text is None
        ids = token_ids(self.job.calibration_text, tokenizer)
        with self._at(("calibration", "tokens")):
            return cut_windows(ids, config.tokens if own else 0, config.calibration.tokens, config.context_tokens)


def _named(name: str, row: Row | None) -> Row | None:
    """A kept row under the name that it has now."""
    return None if row is None else row | {"row": name}
