"""The YAML section of a design point that says on which model and text its numbers are judged."""

from typing import Annotated

from pydantic import Field

from densimeter.kernels.operand_formats import OUTPUT_EMBEDDINGS, ValueAxis
from densimeter.simulator.recipes.round_to_nearest import RoundToNearest
from densimeter.simulator.schema.accuracy import PACKAGED_TEXT, BenchConfig, CalibrationField, RecipeField
from densimeter.simulator.schema.fields import StrictModel


class AccuracyField(StrictModel):
    """What the formats of a design are tried on, in the words of `densimeter accuracy`; its keys mean the same here.

    accumulator: whether products are added up as the unit adds them, bit for bit, which takes far longer; else in
    float32. Hardware besides has no part in the numbers.
    """

    model: str = "smollm2"
    text: str = PACKAGED_TEXT
    tokens: Annotated[int, Field(ge=2)] = 1024
    context_tokens: Annotated[int, Field(ge=2)] = 512
    recipe: RecipeField = RoundToNearest()
    skip: tuple[str, ...] = OUTPUT_EMBEDDINGS
    value_axis: ValueAxis = "tokens"
    accumulator: bool = False
    seed: Annotated[int, Field(ge=0)] = 0
    calibration: CalibrationField = CalibrationField()

    def bench(self) -> BenchConfig:
        """What rows are tried on; error statistics of single layers are left out."""
        return BenchConfig(
            model=self.model,
            text=self.text,
            tokens=self.tokens,
            context_tokens=self.context_tokens,
            statistics_tokens=0,
            seed=self.seed,
            calibration=self.calibration,
        )
