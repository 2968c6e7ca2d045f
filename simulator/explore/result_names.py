"""The names of result columns, which objectives and constraints may use: as the machine model itself gives them."""

from functools import cache

import numpy as np

from densimeter.hwmodels.accelerator.cost import PARTS
from densimeter.hwmodels.accelerator.evaluation import DEMANDS, results
from densimeter.hwmodels.accelerator.performance import COST, MACHINE
from densimeter.reports.quantities import ACCURACY
from densimeter.simulator.explore.expressions import Kind

TRUTHS = ("feasible",)
NOT_JUDGED = "expected a section `accuracy` in the design, which says on which model and text it is judged"


@cache
def result_kinds(*, judged: bool = False) -> dict[str, Kind]:
    """Totals, `areas_mm2.` and `energies_j.` of each component, with the kind of their values.

    judged: with the figures of designs that have the section `accuracy`.
    """
    found = results(*(np.ones(1, dtype) for dtype in (MACHINE, PARTS, COST, DEMANDS)))
    names = [*found.totals, *(ACCURACY if judged else ())]
    names += [f"areas_mm2.{component}" for component in found.areas_mm2]
    names += [f"energies_j.{component}" for component in found.energies_pj]
    return {name: "truth" if name in TRUTHS else "number" for name in names}
