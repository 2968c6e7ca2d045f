"""What the figures of a row depend on, beside the code: the model's files, texts, questions and settings.

All of it goes into the digest under which a finished row is kept, so that nothing stale is found again.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from densimeter.formats import Accumulator, BlockFormat, declaration
from densimeter.simulator.accuracy.model import ModelFiles, find_model
from densimeter.simulator.accuracy.questions import Question, questions_identity, read_questions
from densimeter.simulator.accuracy.windows import read_text, text_identity
from densimeter.simulator.recipes import describe_recipe
from densimeter.simulator.schema.accuracy import BenchConfig, LayerField, RowField
from densimeter.simulator.schema.document import KeyPath

At = Callable[[KeyPath], AbstractContextManager[None]]
"""Wraps work on a value of the configuration, to give the errors in it their place in a file."""


def nowhere(_: KeyPath) -> AbstractContextManager[None]:
    """The `At` of a configuration that no file holds."""
    return nullcontext()


@dataclass(frozen=True)
class Job:
    """The inputs of a configuration, found and read; no model is loaded for it."""

    config: BenchConfig
    files: ModelFiles
    text: str
    calibration_text: str
    questions: tuple[Question, ...]

    @classmethod
    def of(cls, config: BenchConfig, at: At = nowhere) -> "Job":
        """Raises ConfigError for what cannot be found or read, ToolError where the packaged model is not installed."""
        with at(("model",)):
            files = find_model(config.model, config.kind)
        with at(("text",)):
            text = read_text(config.text)
        with at(("calibration", "text")):
            other = text if config.calibration.text is None else read_text(config.calibration.text)
        with at(("choices",)):
            questions = () if config.choices is None else read_questions(config.choices, files.kind)
        return cls(config, files, text, other, questions)

    def reference(self) -> dict[str, Any]:
        """What the float32 row depends on."""
        return {
            "version": version("densimeter"),
            "model": self.files.identity(),
            "text": text_identity(self.text),
            "tokens": self.config.tokens,
            "context_tokens": self.config.context_tokens,
            "choices": questions_identity(self.questions),
        }

    def calibration(self) -> dict[str, Any]:
        """What calibration depends on."""
        calibration = {
            "text": text_identity(self.calibration_text),
            "follows_scored": self.config.calibration.text is None,
            "tokens": self.config.calibration.tokens,
        }
        return self.reference() | {"calibration": calibration}

    def row(self, row: RowField) -> dict[str, Any]:
        """What a row depends on; its name is not part of it."""
        settings = {"seed": self.config.seed, "statistics_tokens": self.config.statistics_tokens}
        texts = self.calibration() if row.recipe.calibration != "none" else self.reference()
        return texts | described(row) | settings


def described(row: RowField) -> dict[str, Any]:
    """The row without its name, in terms that JSON has."""
    layers = {pattern: _plain(layer) for pattern, layer in row.layers.items()}
    return {**_plain(row), "recipe": describe_recipe(row.recipe), "skip": list(row.skip), "layers": layers}


def _plain(layer: LayerField) -> dict[str, Any]:
    def plain(value: object) -> object:
        if isinstance(value, BlockFormat):
            return declaration(value)
        return str(value) if isinstance(value, Accumulator) else value

    return {name: plain(value) for name, value in layer.formats().items()}
