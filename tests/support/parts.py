"""Parts of a run as worker processes evaluate them in tests; a module of its own, which workers can import."""

import os
import signal
from pathlib import Path

from densimeter.simulator.explore.part import EvaluatePart, FinishedPart


class SmallParts(EvaluatePart):
    """Evaluates parts as small as those of this process, in a worker that was not told."""

    def __call__(self, number: int) -> FinishedPart:
        from densimeter.simulator.explore import plan

        plan.BLOCK = 24
        return super().__call__(number)


class DeadlyParts(SmallParts):
    """Kills its worker the first time that part 4 is asked for; a file remembers."""

    def __call__(self, number: int) -> FinishedPart:
        marker = Path(os.environ["DENSIMETER_TEST_MARKER"])
        if number == 4 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(number)
