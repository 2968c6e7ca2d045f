"""A table of accuracies: one row after the other, each kept when it is finished."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from densimeter.formats import Accumulator, BlockFormat, declaration
from densimeter.formats.errors import ConfigError, FormatError
from densimeter.simulator.accuracy.model import ModelFiles, find_model, load
from densimeter.simulator.accuracy.store import RowStore, digest
from densimeter.simulator.accuracy.windows import cut_windows, read_text, text_identity, token_ids
from densimeter.simulator.recipes import InputRanges, describe_recipe
from densimeter.simulator.schema.accuracy import AccuracyConfig, LayerField, RowField
from densimeter.simulator.schema.document import Document, KeyPath

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
Row = dict[str, Any]

_REFERENCE = "float32"
_KEPT_LOGITS_BYTES = 1 << 30


class Track(Protocol):
    """Shows progress over items: `commands.output.track`."""

    def __call__(self, items: Iterable[T], label: str, total: int) -> Iterator[T]: ...


@dataclass(frozen=True)
class Accuracy:
    """The rows, the float32 reference first, and what has to be known beside them."""

    rows: list[Row]
    remarks: list[str]


def run(
    document: Document, config: AccuracyConfig, folder: Path, track: Track, tell: Callable[[str], None]
) -> Accuracy:
    """Evaluate every row that `folder` does not hold yet, and return them all.

    Raises:
        ConfigError: with its place in the document, whatever in it cannot be carried out.
        ToolError: the packaged model, torch or transformers is not installed.
    """
    job = _Job.of(document, config)
    store, reference = RowStore(folder), job.reference()
    found = {row.name: store.find(row.name, job.row(row)) for row in config.rows}
    first = store.find(_REFERENCE, reference)
    missing = [row for row in config.rows if found[row.name] is None]
    if len(missing) < len(config.rows):
        tell(f"{len(config.rows) - len(missing)} of {len(config.rows)} rows are finished already")
    if missing or first is None:
        bench = _Bench.open(document, config, job, folder, missing)
        if first is None:
            first = bench.score(_REFERENCE, bench.model, track)
            store.keep(_REFERENCE, reference, first)
        for row in missing:
            with _at(document, ("rows", config.rows.index(row))):
                found[row.name] = finished = bench.evaluate(row, track)
            store.keep(row.name, job.row(row), finished)
    assert first is not None
    return Accuracy(
        [first, *(row for row in found.values() if row is not None)], [*job.files.remarks(), *_needs(config)]
    )


def _needs(config: AccuracyConfig) -> list[str]:
    """What the recipes of the table ask of hardware."""
    needs = {row.recipe.name: row.recipe.hardware for row in config.rows if row.recipe.hardware}
    return [f"{name} needs {'; '.join(hardware)}" for name, hardware in needs.items()]


@dataclass(frozen=True)
class _Job:
    """What figures depend on beside the code: all of it goes into the digest of a kept row."""

    config: AccuracyConfig
    files: ModelFiles
    text: str
    calibration_text: str

    @classmethod
    def of(cls, document: Document, config: AccuracyConfig) -> "_Job":
        with _at(document, ("model",)):
            files = find_model(config.model)
        with _at(document, ("text",)):
            text = read_text(config.text)
        with _at(document, ("calibration", "text")):
            other = text if config.calibration.text is None else read_text(config.calibration.text)
        return cls(config, files, text, other)

    def reference(self) -> dict[str, Any]:
        return {
            "version": version("densimeter"),
            "model": self.files.identity(),
            "text": text_identity(self.text),
            "tokens": self.config.tokens,
            "context_tokens": self.config.context_tokens,
        }

    def calibration(self) -> dict[str, Any]:
        calibration = {
            "text": text_identity(self.calibration_text),
            "follows_scored": self.config.calibration.text is None,
            "tokens": self.config.calibration.tokens,
        }
        return self.reference() | {"calibration": calibration}

    def row(self, row: RowField) -> dict[str, Any]:
        described = _described(row) | {
            "row": row.name,
            "seed": self.config.seed,
            "statistics_tokens": self.config.statistics_tokens,
        }
        return (self.calibration() if row.recipe.needs_calibration else self.reference()) | described


@dataclass(eq=False)
class _Bench:
    """The reference model with everything that a row is held against."""

    config: AccuracyConfig
    model: "torch.nn.Module"
    windows: list[list[int]]
    ranges: InputRanges | None
    _logits: dict[int, "torch.Tensor"] = field(default_factory=dict)
    _room: int = _KEPT_LOGITS_BYTES

    @classmethod
    def open(
        cls, document: Document, config: AccuracyConfig, job: _Job, folder: Path, rows: list[RowField]
    ) -> "_Bench":
        with _at(document, ("model",)):
            model, tokenizer = load(job.files)
        ids = token_ids(job.text, tokenizer)
        with _at(document, ("tokens",)):
            windows = cut_windows(ids, 0, config.tokens, config.context_tokens)
        ranges = None
        if any(row.recipe.needs_calibration for row in rows):
            own = config.calibration.text is None
            others, first = (ids, config.tokens) if own else (token_ids(job.calibration_text, tokenizer), 0)
            with _at(document, ("calibration", "tokens")):
                calibrating = cut_windows(others, first, config.calibration.tokens, config.context_tokens)
            ranges = _ranges(folder / f"calibration-{digest(job.calibration())}.safetensors", model, calibrating)
        return cls(config, model, windows, ranges)

    def evaluate(self, row: RowField, track: Track) -> Row:
        """Quantise the model as the row says, and score it."""
        from densimeter.kernels.torch import quantize_model
        from densimeter.simulator.accuracy.layers import LayerErrors

        errors = LayerErrors()
        build = row.recipe.builder(self.model, self.ranges)
        model = quantize_model(self.model, row.plan(self.config.seed), build=build, observe=errors)
        windows = -(-self.config.statistics_tokens // self.config.context_tokens)

        def watch_first(done: int) -> None:
            errors.watching = done < windows

        scored = self.score(row.name, model, track, watch_first)
        about = {
            "recipe": describe_recipe(row.recipe),
            "hardware": list(row.recipe.hardware),
            "formats": _described(row),
        }
        return scored | about | errors.summary() | {"layers": errors.rows()}

    def score(
        self, name: str, model: "torch.nn.Module", track: Track, before: Callable[[int], None] = lambda _: None
    ) -> Row:
        """Scores of one model; `before` is told how many windows are done."""
        from densimeter.simulator.accuracy.scores import NOTHING, compare, to_json

        started, scores = time.perf_counter(), NOTHING
        for i, window in enumerate(track(self.windows, name, len(self.windows))):
            before(i)
            reference = self._reference(i)
            scores += compare(reference if model is self.model else predict(model, window), reference, window)
        return {"row": name} | to_json(scores) | {"seconds": round(time.perf_counter() - started, 1)}

    def _reference(self, window: int) -> "torch.Tensor":
        """The reference's logits: kept while there is room, else computed again."""
        if window in self._logits:
            return self._logits[window]
        logits = predict(self.model, self.windows[window])
        if logits.nbytes <= self._room:
            self._logits[window], self._room = logits, self._room - logits.nbytes
        return logits


def predict(model: Any, window: list[int]) -> "torch.Tensor":
    """Logits ``[tokens, vocabulary]`` of every position."""
    import torch

    with torch.no_grad():
        logits: torch.Tensor = model(torch.tensor([window]), use_cache=False).logits[0]
    return logits


def _ranges(path: Path, model: "torch.nn.Module", windows: list[list[int]]) -> InputRanges:
    """Those that an earlier run kept, or measured now and kept."""
    from densimeter.simulator.accuracy.calibration import input_ranges, load_ranges, save_ranges

    if path.is_file():
        return load_ranges(path)
    ranges = input_ranges(model, windows)
    save_ranges(path, ranges)
    return ranges


def _described(row: RowField) -> dict[str, Any]:
    """The row without its name, in terms that JSON has."""
    layers = {pattern: _plain(layer) for pattern, layer in row.layers.items()}
    return {**_plain(row), "recipe": describe_recipe(row.recipe), "skip": list(row.skip), "layers": layers}


def _plain(layer: LayerField) -> dict[str, Any]:
    def plain(value: object) -> object:
        if isinstance(value, BlockFormat):
            return declaration(value)
        return str(value) if isinstance(value, Accumulator) else value

    return {name: plain(value) for name, value in layer.formats().items()}


@contextmanager
def _at(document: Document, path: KeyPath) -> Iterator[None]:
    """Errors of what stands at a path of the document, with its place."""
    try:
        yield
    except (ConfigError, FormatError) as error:
        raise ConfigError(document.problem(path, str(error))) from error
