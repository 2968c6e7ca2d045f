"""One design point evaluated: what its formats store and what its arithmetic unit costs, as a flat result row."""

from collections.abc import Mapping
from typing import Any

from densimeter.hwmodels.mac import RECORDED_FLOWS, jobs, run_jobs, unit_cost
from densimeter.rtl.liberty import known_libraries
from densimeter.simulator.schema.document import Document, validate
from densimeter.simulator.schema.fields import UnitField


def evaluate(design_point: Mapping[str, Any]) -> dict[str, Any]:
    """Evaluate a unit: ``{"format": "bfp6", "lanes": 16, "accumulator": "aligned24"}``, the keys of the YAML.

    `activation` defaults to `format` and `lanes` to one block. Costs come from the records, else from a synthesis,
    which takes seconds to minutes; libraries neither on record nor installed are left out.

    Raises ConfigError for a bad design point and ToolError where a synthesis is needed and cannot be had.
    """
    unit = validate(Document("design point", dict(design_point), {}), UnitField)
    datapath = unit.datapath()
    planned = list(jobs(datapath, RECORDED_FLOWS, known_libraries()))
    found = dict(run_jobs(planned))
    cost = unit_cost(datapath.lanes, (found[job] for job in planned))
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
        "cost_source": "synthesis",
        "tool": cost.tool,
    }
