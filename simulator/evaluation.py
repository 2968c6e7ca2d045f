"""One design point evaluated: a unit with its formats, or a whole machine with what it runs, as a result row."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from densimeter.hwmodels.mac import RECORDED_FLOWS, jobs, out_of_reach, run_jobs, unit_cost
from densimeter.rtl.cells.liberty import known_libraries
from densimeter.simulator.machine_row import machine_row
from densimeter.simulator.result_row import ResultRow
from densimeter.simulator.schema.design import DesignPoint
from densimeter.simulator.schema.document import Document, validate
from densimeter.simulator.schema.fields import UnitField


def evaluate_document(document: Document, folder: Path | None = None) -> ResultRow:
    """What `densimeter.simulator.evaluate` does, for a parsed file: what is wrong is reported by file and line.

    folder: where accuracies are kept and found again.
    """
    of_machines = DesignPoint.model_fields.keys() - UnitField.model_fields.keys()
    if isinstance(document.data, Mapping) and not of_machines.isdisjoint(document.data):
        design = validate(document, DesignPoint)
        return ResultRow({**machine_row(design), **_accuracy(design, document, folder)})
    return ResultRow(_unit_row(validate(document, UnitField)))


def _accuracy(design: DesignPoint, document: Document, folder: Path | None) -> dict[str, Any]:
    """The figures of a design that is judged, and as `accuracy` the whole row behind them but for single layers."""
    if design.accuracy is None:
        return {}
    from densimeter.simulator.design_accuracy import Trials, figures, located, trial_of

    at = located(document, ("accuracy",))
    with ExitStack() as stack:
        kept = Path(stack.enter_context(TemporaryDirectory())) if folder is None else folder
        with at(()):
            row = Trials(kept, at).row(trial_of(design))
    return {**figures(row), "accuracy": {name: value for name, value in row.items() if name != "layers"}}


def _unit_row(unit: UnitField) -> dict[str, Any]:
    """What its formats store and what the unit costs.

    `activation` defaults to `format` and `lanes` to one block. Costs come from the records, else from a synthesis,
    which takes seconds to minutes, else from the cost model: `cost_source` is then "model", and the relative bands say
    how far each figure may be off. Flows and libraries that none of them answers for are left out.
    """
    datapath = unit.datapath()
    planned = list(jobs(datapath, RECORDED_FLOWS, known_libraries()))
    modelled = out_of_reach(planned)
    found = dict(run_jobs([job for job in planned if job not in modelled]))
    cost = unit_cost(datapath.lanes, map(found.get, planned), modelled)
    activation, weight = datapath.operands
    bits = activation.bits_per_value + weight.bits_per_value
    return {
        "format": weight.name,
        "activation": activation.name,
        "lanes": datapath.lanes,
        "accumulator": str(datapath.accumulator),
        "bits_per_value": float(bits / 2),
        "memory_density": float(64 / bits),
        "product_bits": datapath.product_bits,
        "sum_bits": datapath.sum_bits,
        "register_bits": datapath.register_bits,
        **cost.figures(),
        "flip_flops_per_mac": cost.flip_flops_per_mac,
        **cost.bands(),
        "cost_source": cost.source,
        "tool": cost.tool,
    }
