"""The YAML of a sweep as a JSON Schema (draft 2020-12), with which editors complete keys and mark mistakes.

It says what stands where; what values mean together, only `load` knows.
"""

import math
from typing import Any

from densimeter.hwmodels.dram import drams
from densimeter.simulator.explore.result_names import TRUTHS, result_kinds
from densimeter.simulator.explore.settings import settings
from densimeter.simulator.schema.design import DesignPoint
from densimeter.simulator.schema.sweep import Sweep

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The schema. A design need not be complete: axes and included files say the rest."""
    sweep, design = Sweep.model_json_schema(), DesignPoint.model_json_schema()
    definitions = sweep.pop("$defs") | design.pop("$defs") | {"DesignPoint": design}
    for definition in (sweep, *definitions.values()):
        definition.pop("required", None)
    definitions["DramField"]["properties"]["device"] = {"anyOf": [{"enum": list(drams())}, {"type": "null"}]}
    definitions["Axis"] = {"anyOf": [{"type": "array", "minItems": 1}, {"$ref": "#/$defs/AxisField"}]}
    reference = {"$ref": "#/$defs/Axis"}
    properties = sweep["properties"]
    properties["design"] = {"$ref": "#/$defs/DesignPoint"}
    properties["axes"] = {
        "type": "object",
        "properties": dict.fromkeys(settings(), reference),
        "additionalProperties": reference,
    }
    # A measure's name is the sweep's own.
    names = [name for name in result_kinds(judged=True) if name not in TRUTHS]
    properties["objectives"]["propertyNames"] = {"anyOf": [{"enum": names}, {"pattern": r"^[A-Za-z_][A-Za-z0-9_]*$"}]}
    finite: dict[str, Any] = _finite({"$schema": _DIALECT, **sweep, "$defs": definitions})
    return finite


def _finite(value: Any) -> Any:
    """Without defaults that JSON cannot say."""
    if isinstance(value, dict):
        sayable = {key: v for key, v in value.items() if not (isinstance(v, float) and not math.isfinite(v))}
        return {key: _finite(inner) for key, inner in sayable.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list) else value
