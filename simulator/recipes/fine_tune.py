"""Fine-tuning under formats, as the block-quantisation paper does for 4 bits (Zhang et al., arXiv:2310.05079).

Each step runs the model with its operands rounded as the row says, bit for bit, on a piece of the calibration text. The
gradient of the loss passes straight through all rounding (Bengio et al., arXiv:1308.3432) to weights in float32, which
AdamW moves. Scored are these weights rounded to their format: nothing of the training is left in the hardware.

The model gets used to the text besides: a row of this recipe without formats tells how much.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from densimeter.formats.errors import ConfigError
from densimeter.simulator.recipes.treatment import Calibration, InputStatistics, Tuned, Walk

if TYPE_CHECKING:
    import torch

    from densimeter.kernels.torch import Builder, Recipe


@dataclass(frozen=True)
class FineTune:
    """Weights of the linear layers that the row does not skip, towards the next token of the text.

    steps: how many. step_tokens: of the text, in each. learning_rate: of the first step; it falls to zero as half a
    cosine does. The paper's code trains four epochs of a downstream task at 2e-5; so few steps have to be larger.
    """

    name: Literal["fine_tune"] = "fine_tune"
    steps: int = 24
    step_tokens: int = 128
    learning_rate: float = 3e-4
    calibration: ClassVar[Calibration] = "text"
    hardware: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        for key, count, least in (("steps", self.steps, 1), ("step_tokens", self.step_tokens, 2)):
            if not isinstance(count, int) or count < least:
                raise ConfigError(f"{key} is {count}, expected a whole number, {least} or more")
        if not 0 < self.learning_rate < 1:
            raise ConfigError(f"learning_rate is {self.learning_rate}, expected above 0, below 1")

    def tune(
        self, model: "torch.nn.Module", plan: "Recipe", windows: Sequence[Sequence[int]], kept: Path, walk: Walk
    ) -> Tuned:
        """The tuned model, in float32; `kept` is the file that an interrupted run goes on from.

        Raises:
            ConfigError: the text is shorter than a step, `plan` has an accumulator, or the file cannot be written.
        """
        from densimeter.simulator.recipes.tuning import tune

        ids = [token for window in windows for token in window]
        pieces = [ids[i : i + self.step_tokens] for i in range(0, len(ids) - self.step_tokens + 1, self.step_tokens)]
        if not pieces:
            raise ConfigError(f"the calibration text has {len(ids)} tokens, expected {self.step_tokens}, one step's")
        return tune(model, plan, pieces, self.steps, self.learning_rate, kept, walk)

    def builder(self, model: "torch.nn.Module", statistics: InputStatistics | None) -> "Builder":
        """Layers that round to nearest: what is special about the model are its weights."""
        from densimeter.kernels.torch import QuantizedLinear

        return QuantizedLinear.from_linear
