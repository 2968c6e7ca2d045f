"""Floor 4: what users run. YAML in, design points evaluated on all floors below, result rows and reports out."""

from collections.abc import Mapping
from typing import Any

__all__ = ["evaluate"]


def evaluate(design_point: Mapping[str, Any]) -> dict[str, Any]:
    """Evaluate a design point, written with the keys of the YAML: a unit or a machine.

    A unit is ``{"format": "bfp6", "lanes": 16, "accumulator": "aligned24"}``; a machine has `array`, `dram` and
    `workload` besides, or any other key of `schema.design.DesignPoint`, and gives the row of `machine_row`.

    Raises ConfigError for a bad design point, ToolError where a synthesis fails, and ModelRangeError where none can be
    had and the model does not answer.
    """
    # Imported here, for the command line imports this package before it knows which command is meant.
    from densimeter.simulator.evaluation import evaluate_document
    from densimeter.simulator.schema.document import Document

    return evaluate_document(Document("design point", dict(design_point), {}))
