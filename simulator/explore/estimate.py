"""How many designs a sweep means, and how long they take: measured on a sample, before anything is run."""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from densimeter.simulator.explore.columns import Evaluated, Evaluator
from densimeter.simulator.explore.load import Exploration

_COUNTED = 2**22
_SAMPLED, _FEW = 2**14, 2**6


@dataclass(frozen=True)
class Estimate:
    """designs: of the space; allowed: those that meet the constraints on settings, counted where `exact`, else inferred
    from a sample; planned: those that the search evaluates, after `preparation_s` (parts looked up, code loaded) at
    `designs_per_s` on this machine, in one process; 0 where a sample finds none allowed.

    built: the share of allowed designs that can be built at all; refusals: why others cannot, by kind. trials: sets of
    formats whose accuracy the sample wants, at most one a planned design; the time that they take is not in the rate.
    """

    designs: int
    allowed: int
    exact: bool
    planned: int
    preparation_s: float
    designs_per_s: float
    built: float
    refusals: dict[str, str]
    trials: int = 0

    @property
    def seconds(self) -> float:
        """What the planned designs take."""
        return self.preparation_s + (self.planned / self.designs_per_s if self.designs_per_s else 0.0)


def estimate(exploration: Exploration) -> Estimate:
    """Count, and evaluate a sample twice: the first time looks parts up and compiles, the second one shows the rate.

    Where layers have formats of their own, hardly two designs share anything: of a few, the first time is the rate.
    """
    space, search = exploration.space, exploration.sweep.search
    drawn = space.draw(_SAMPLED, search.seed)
    kept = space.mask(space.codes(drawn))
    exact = space.size <= _COUNTED
    allowed = space.allowed() if exact else space.size * int(np.count_nonzero(kept)) // len(kept)
    planned = allowed if search.designs is None else min(search.designs, allowed)
    sample = drawn[kept][: _FEW if space.layered else None]
    if not len(sample):
        return Estimate(space.size, allowed, exact, planned, 0.0, 0.0, 0.0, {})
    evaluator, codes = Evaluator(space), space.codes(sample)
    _, first_s = _timed(evaluator, codes, len(sample))
    found, again_s = _timed(evaluator, codes, len(sample))
    return Estimate(
        designs=space.size,
        allowed=allowed,
        exact=exact,
        planned=planned,
        preparation_s=0.0 if space.layered else max(first_s - again_s, 0.0),
        designs_per_s=len(sample) / (first_s if space.layered else again_s),
        built=len(found.rows) / len(sample),
        refusals={kind: refusal.reason for kind, refusal in found.refusals.items()},
        trials=min(len(evaluator.trials(codes, len(sample))), planned) if space.judged else 0,
    )


def _timed(evaluator: Evaluator, codes: dict[str, NDArray[np.int32]], count: int) -> tuple[Evaluated, float]:
    started = time.perf_counter()
    found = evaluator.evaluate(codes, count)
    return found, time.perf_counter() - started
