"""Searches that learn from what they have seen, for objectives too expensive to ask of every design: NSGA-II and TPE.

Samplers are Optuna's: NSGA-II (Deb et al., IEEE Trans. Evol. Comput. 6:2, 2002) and tree-structured Parzen estimators
(Bergstra et al., NIPS 2011; of several objectives: Ozaki et al., GECCO 2020). They are seeded and are asked for designs
a batch at a time, so the same sweep is the same search. One that was interrupted is therefore repeated from the start
with what its folder knows already, which costs the sampling alone, and goes on as if nothing had happened. Of a design
that a sampler asks for again nothing new would be learnt: a random one, not seen yet, takes its place.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from densimeter.formats.errors import ToolError
from densimeter.simulator.explore.engine import Progress, Run, resolved_text, versions
from densimeter.simulator.explore.inputs import inputs
from densimeter.simulator.explore.judging import Figures, judge
from densimeter.simulator.explore.load import Exploration
from densimeter.simulator.explore.numbering import Indices, as_indices
from densimeter.simulator.explore.part import FinishedPart, PartMaker
from densimeter.simulator.explore.permutation import order
from densimeter.simulator.explore.plan import Plan
from densimeter.simulator.explore.rows import row_names, to_parquet
from densimeter.simulator.explore.run_folder import RunFolder
from densimeter.simulator.explore.space import Space
from densimeter.simulator.explore.tally import Tally

if TYPE_CHECKING:
    import optuna

METHODS = ("nsga2", "tpe")
OUTCOMES = "outcomes"
"""The key, in the facts of a part, of its designs' indices with what each came to."""

Outcome = list[float] | None
"""The objectives of a design, or None for one that is refused: by a constraint, because it cannot be built, or because
one of them is no number."""

_FEWEST, _MOST, _GENERATIONS = 10, 50, 10


def search(
    exploration: Exploration,
    path: Path,
    *,
    advance: Callable[[int, int], None] = lambda done, planned: None,
    judging: Callable[[int, int], None] = lambda done, wanted: None,
) -> Run:
    """Search in the folder of a run until `designs` different ones were evaluated.

    advance, judging: as in `engine.run`, batch by batch. Raises ToolError where Optuna is not installed; ConfigError as
    `engine.run` does.
    """
    sweep, space = exploration.sweep, exploration.space
    designs = min(sweep.search.designs or space.size, space.size)
    plan, folder = Plan(designs, None, 1), RunFolder(path)
    with folder.locked(), _quiet():
        study = _study(exploration)
        folder.begin(resolved_text(exploration), versions(), inputs(exploration.space))
        progress = Progress(exploration, plan, folder)
        accuracies: dict[str, Figures] = {}
        maker = PartMaker(exploration, plan, "all", accuracies)

        def evaluated(positions: NDArray[np.int64], indices: Indices) -> tuple[pa.Table, Tally]:
            if space.judged:
                trials = [trial for trial in maker.trials(indices) if trial.key not in accuracies]
                accuracies.update(judge(trials, exploration.document, path, told=judging))
            rows, _, tally = maker.block(positions, indices)
            return rows, tally

        known: dict[int, Outcome] = {}
        strangers = _in_random_order(space, sweep.search.seed)
        try:
            while len(known) < designs:
                batch = min(_batch(exploration), designs - len(known))
                asked = _ask(study, space, batch, known, strangers)
                known |= _outcomes(list(asked), len(known), evaluated, progress, folder, plan, exploration)
                for index, trial in asked.items():
                    _tell(study, trial, known[index], len(sweep.objectives))
                advance(len(known), designs)
        finally:
            result = progress.checkpoint(done=len(known) == designs)
        return result


def _outcomes(
    new: Sequence[int],
    position: int,
    evaluated: Callable[[NDArray[np.int64], Indices], tuple[pa.Table, Tally]],
    progress: Progress,
    folder: RunFolder,
    plan: Plan,
    exploration: Exploration,
) -> dict[int, Outcome]:
    """What these designs come to: as the folder knows it, else evaluated and kept there."""
    if position in progress.tallies:
        kept = folder.part_facts(plan, position)[OUTCOMES]
        assert [index for index, _ in kept] == list(new), "a search of the same sweep asks for the same designs"
        return dict(kept)
    positions, indices = np.arange(position, position + len(new)), as_indices(new)
    rows, tally = evaluated(positions, indices)
    objectives = zip(*(rows[name].to_pylist() for name in exploration.sweep.objectives), strict=True)
    found = zip(rows["index"].to_pylist(), map(list, objectives), strict=True)
    accepted = {name: values for name, values in found if not any(map(math.isnan, values))}
    names = row_names(exploration.space, positions, indices).tolist()
    outcomes: dict[int, Outcome] = {index: accepted.get(name) for index, name in zip(new, names, strict=True)}
    parquet = to_parquet(rows, {**tally.to_json(), OUTCOMES: list(outcomes.items())})
    progress.finish(FinishedPart(position, tally, rows, parquet))
    return outcomes


def _study(exploration: Exploration) -> "optuna.Study":
    try:
        import optuna
    except ImportError as error:
        raise ToolError("optuna is missing, needed for nsga2 and tpe; run: pip install 'densimeter[search]'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    search = exploration.sweep.search
    seed = search.seed % 2**32  # all that its generators take
    directions = ["minimize" if way == "min" else "maximize" for way in exploration.sweep.objectives.values()]

    def refusal(trial: "optuna.trial.FrozenTrial") -> Sequence[float]:
        return (float(trial.user_attrs["refused"]),)

    sampler: optuna.samplers.BaseSampler
    if search.method == "nsga2":
        size = _batch(exploration)
        sampler = optuna.samplers.NSGAIISampler(population_size=size, seed=seed, constraints_func=refusal)
    else:
        sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True, constraints_func=refusal)
    return optuna.create_study(sampler=sampler, directions=directions)


def _batch(exploration: Exploration) -> int:
    """Designs that are asked for together: few, or a generation of NSGA-II, of which there are ten or more."""
    search = exploration.sweep.search
    if search.method == "tpe":
        return _FEWEST
    return max(_FEWEST, min(_MOST, (search.designs or _MOST) // _GENERATIONS))


def _ask(
    study: "optuna.Study", space: Space, count: int, known: Mapping[int, Outcome], strangers: Iterator[int]
) -> dict[int, "optuna.Trial"]:
    """So many designs that are not known, each with the trial that asks for it."""
    from optuna.trial import TrialState

    distributions = _distributions(space)
    asked: dict[int, optuna.Trial] = {}
    for trial in [study.ask(distributions) for _ in range(count)]:
        index = _index(space, trial.params)
        if index in known or index in asked:
            study.tell(trial, state=TrialState.FAIL)
        else:
            asked[index] = trial
    while len(asked) < count:
        index = next(stranger for stranger in strangers if stranger not in known and stranger not in asked)
        codes = space.codes(as_indices([index]))
        # Codes of an axis at rest may be none of its choices; any of these stands for it.
        study.enqueue_trial({axis: int(codes[axis][0]) % values for axis, values in _counts(space).items()})
        asked[index] = study.ask(distributions)
    return asked


def _index(space: Space, codes: Mapping[str, int]) -> int:
    """The design with these codes; where conditions switch axes off, others have the same."""
    return int(space.indices({axis: np.array([codes[axis]]) for axis in space.axes})[0])


def _in_random_order(space: Space, seed: int) -> Iterator[int]:
    """All designs."""
    drawn = order(space.size, seed)
    return (int(drawn(np.array([position]))[0]) for position in range(space.size))


def _counts(space: Space) -> dict[str, int]:
    """Values of each axis, without what it rests at."""
    return {axis.name: axis.count for axis in space.numbering.axes}


def _distributions(space: Space) -> dict[str, "optuna.distributions.BaseDistribution"]:
    """Codes of each axis: in their order where its values are numbers that rise or fall, else without one."""
    from optuna.distributions import CategoricalDistribution, IntDistribution

    return {
        name: IntDistribution(0, count - 1)
        if _ordered(np.asarray(space.labels[name])[:count])
        else CategoricalDistribution(range(count))
        for name, count in _counts(space).items()
    }


def _ordered(labels: NDArray[Any]) -> bool:
    if labels.dtype.kind != "f":
        return False
    steps = np.diff(labels)
    return bool((steps > 0).all() or (steps < 0).all())


def _tell(study: "optuna.Study", trial: "optuna.Trial", outcome: Outcome, objectives: int) -> None:
    """Objectives of a design. Those of a refused one are not looked at: it loses to any that is not."""
    trial.set_user_attr("refused", outcome is None)
    study.tell(trial, outcome if outcome is not None else [0.0] * objectives)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Optuna's warnings that constraints and several objectives are experimental there."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="optuna")
        warnings.filterwarnings("ignore", message=".*experimental")
        yield
