"""Floor 4: what users run. YAML in, design points evaluated on all floors below, result rows and reports out."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from densimeter.kernels import QuantizedTensor
    from densimeter.reports import DensityTable
    from densimeter.simulator.numerics import ErrorStatistics
    from densimeter.simulator.result_row import ResultRow

__all__ = ["density_table", "error_statistics", "evaluate"]

# Imports stand in functions, for the command line imports this package before it knows which command is meant.


def evaluate(design_point: Mapping[str, Any]) -> "ResultRow":
    """Evaluate a design point, written with the keys of the YAML: a unit or a machine.

    A unit is ``{"format": "bfp6", "lanes": 16, "accumulator": "aligned24"}``; a machine has `array`, `dram` and
    `workload` besides, or any other key of `schema.design.DesignPoint`, and gives the row of `machine_row`.

    Raises ConfigError for a bad design point, ToolError where a synthesis fails, and ModelRangeError where none can be
    had and the model does not answer.
    """
    from densimeter.simulator.evaluation import evaluate_document
    from densimeter.simulator.schema.document import Document

    return evaluate_document(Document("design point", dict(design_point), {}))


def density_table(config: Mapping[str, Any] | None = None) -> "DensityTable":
    """The table that `densimeter density` prints; `reports.density_figure` draws it.

    config: keys of its YAML in place of the built-in ones, ``{"units": [{"format": "bfp6", "lanes": 16}]}``.

    Raises ConfigError for a bad one, and what `simulator.density.density_table` raises.
    """
    from dataclasses import replace

    from densimeter.simulator.density import density_table as build
    from densimeter.simulator.schema.density import DensityConfig, default_document
    from densimeter.simulator.schema.document import validate

    document = default_document()
    if config is not None:
        document = replace(document, name="density", data={**document.data, **config}, lines={})
    return build(validate(document, DensityConfig), fresh=False, track=lambda items, label, total: iter(items))


def error_statistics(x: "ArrayLike", quantized: "QuantizedTensor") -> "ErrorStatistics":
    """What quantising did to the numbers of `x`: QSNR, the largest error, what saturated, a histogram."""
    import numpy as np

    from densimeter.simulator.numerics import error_statistics as compare

    return compare(np.asarray(x, np.float32), quantized)
