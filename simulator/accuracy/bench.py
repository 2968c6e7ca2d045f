"""A model with what it is scored on, set up for rows to be tried on it: by the accuracy table, and by sweeps.

    bench = Bench.open(BenchConfig(model="smollm2", tokens=2048), Path("out/accuracy"))
    bench.row(RowField(name="bfp6", weight=get("bfp6"), activation=get("bfp6")))["perplexity"]

A finished row is kept in the folder and found again under a digest of all that it depends on, its name aside.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from densimeter.formats.errors import ConfigError
from densimeter.simulator.accuracy.costs import row_costs
from densimeter.simulator.accuracy.job import At, Job, described, nowhere
from densimeter.simulator.accuracy.measure import Ids, Measure
from densimeter.simulator.accuracy.model import load
from densimeter.simulator.accuracy.store import RowStore, digest
from densimeter.simulator.accuracy.windows import cut_windows, token_ids
from densimeter.simulator.recipes import Calibration, InputStatistics, Tuning, describe_recipe
from densimeter.simulator.schema.accuracy import BenchConfig, RowField

if TYPE_CHECKING:
    import torch

    from densimeter.kernels.operand_formats import Recipe

T = TypeVar("T")
Row = dict[str, Any]

REFERENCE = "float32"
_LEVELS: tuple[Calibration, ...] = ("none", "text", "ranges", "moments")
_WITH_STATISTICS = _LEVELS[2:]


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
        weight, what its unit costs, what its recipe asks of hardware, `layers`, an entry a layer and operand, and
        `seconds`, the time that all of it took, loading and calibrating included where this row was first to need it.

        Raises:
            ConfigError: the model cannot be read, the texts are too short, or the row does not fit the model.
            ToolError: torch or transformers is not installed.
        """
        found = self.find(row)
        if found is None:
            found = _timed(lambda: self._evaluate(row))
            self.keep(row, found)
        return found

    def reference(self) -> Row:
        """The row of the model in float32, found or measured now."""
        found = _named(REFERENCE, self._store.find(self.job.reference()))
        if found is None:
            found = _timed(lambda: {"row": REFERENCE, **self._score(REFERENCE, self._subject.model, None)})
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
        from densimeter.simulator.accuracy.layers import LayerErrors, declared, mean_bits

        reference, plan, errors = self._subject.model, row.plan(self.job.config.seed), LayerErrors()
        tuned, about = self._tuned(row, plan)
        build = row.recipe.builder(tuned, self._calibrated(row.recipe.calibration))
        model = quantize_model(tuned, plan, build=build, observe=errors)
        weights = {path: linear.weight.numel() for path, linear in linear_layers(reference, plan)}
        scored = self._score(row.name, model, errors)
        bits = errors.weight_bits | declared(model, weights, "bits_per_weight")
        side = declared(model, weights, "side_products")
        about |= {
            "recipe": describe_recipe(row.recipe),
            "hardware": list(row.recipe.hardware),
            "formats": described(row),
        }
        found = {"row": row.name, **scored, "bits_per_weight": mean_bits(weights, bits), **errors.summary()}
        return found | row_costs(plan, weights, bits, side) | about | {"layers": errors.rows()}

    def _tuned(self, row: RowField, plan: "Recipe") -> tuple["torch.nn.Module", Row]:
        """The model that layers are built of, and what is to be said of how it came about."""
        if not isinstance(row.recipe, Tuning):
            return self._subject.model, {}
        if self.job.files.kind != "causal":
            with self._at(("model",)):
                raise ConfigError(f"{self.job.files.name}: expected a causal language model under {row.recipe.name}")
        windows = self._calibration_windows()
        kept = self._folder / f"tuned-{digest(self.job.row(row))}.safetensors"

        def walk(steps: Sequence[int]) -> Iterator[int]:
            return self._track(steps, f"{row.name}: training", len(steps))

        found = row.recipe.tune(self._subject.model, plan, windows, kept, walk)
        return found.model, {"training_losses_nats": found.losses_nats}

    def _score(self, name: str, model: "torch.nn.Module", errors: Any) -> Row:
        """What every measure makes of the model; `errors` looks on until it has seen the tokens that it is to see."""
        seen = 0

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
        return figures

    def _calibrated(self, wanted: Calibration) -> InputStatistics | None:
        """Statistics of at least the level wanted, if of any, from memory, from the folder, or measured now."""
        level, statistics = self._statistics
        if wanted not in _WITH_STATISTICS or _LEVELS.index(level) >= _LEVELS.index(wanted):
            return statistics
        self._statistics = level, statistics = self._calibrate(max(wanted, self._needed, key=_LEVELS.index))
        return statistics

    def _calibrate(self, level: Calibration) -> tuple[Calibration, InputStatistics]:
        """Statistics of a level or of a higher one that the folder holds."""
        from densimeter.simulator.accuracy.calibration import calibrate, load_ranges, save_ranges, with_moments

        known = digest(self.job.calibration())
        ranges, moments = (self._folder / f"{each}-{known}.safetensors" for each in _WITH_STATISTICS)
        if ranges.is_file() and moments.is_file():
            return "moments", with_moments(load_ranges(ranges), moments)
        if ranges.is_file() and level == "ranges":
            return level, load_ranges(ranges)
        windows = self._calibration_windows()
        statistics = calibrate(
            self._subject.model,
            windows,
            moments if level == "moments" else None,
            lambda ids: self._track(ids, "calibration", len(ids)),
        )
        save_ranges(ranges, statistics)
        return level, statistics

    def _calibration_windows(self) -> list[list[int]]:
        config, tokenizer = self.job.config, self._subject.tokenizer
        own = config.calibration.text is None
        ids = token_ids(self.job.calibration_text, tokenizer)
        with self._at(("calibration", "tokens")):
            return cut_windows(ids, config.tokens if own else 0, config.calibration.tokens, config.context_tokens)


def _timed(measure: Callable[[], Row]) -> Row:
    """What was measured, and the seconds that it took."""
    started = time.perf_counter()
    return measure() | {"seconds": round(time.perf_counter() - started, 3)}


def _named(name: str, row: Row | None) -> Row | None:
    """A kept row under the name that it has now."""
    return None if row is None else row | {"row": name}
