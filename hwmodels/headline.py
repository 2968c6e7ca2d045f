"""The headline of the density table for any unit: its cost in one LUT flow and one cell library, beside float32's."""

from functools import cache

from densimeter.formats import Datapath, derive, get
from densimeter.hwmodels.mac import HEADLINE_FLOW, HEADLINE_LIBRARY, UnitCost, jobs, unit_cost
from densimeter.rtl.cells.liberty import find_library


def float32_mac() -> Datapath:
    """What every density of the project is relative to: float32 that flushes subnormals, multiplied and added."""
    fmt = get("float32_ftz")
    return derive(fmt, fmt, 1, "fp32_ftz")


@cache
def headline_cost(unit: Datapath) -> UnitCost:
    """From records, else the fitted model; nothing is synthesised. Raises ModelRangeError where neither answers."""
    planned = list(jobs(unit, (HEADLINE_FLOW,), (find_library(HEADLINE_LIBRARY),)))
    records = {job: job.on_record() for job in planned}
    return unit_cost(unit.lanes, records.values(), [job for job, record in records.items() if record is None])
