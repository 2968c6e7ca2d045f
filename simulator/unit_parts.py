"""What the parts of a unit take: measured by a synthesis that keeps the hierarchy, beside the cost model's answer."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from densimeter.formats import Datapath
from densimeter.formats.errors import ConfigError, ModelRangeError
from densimeter.hwmodels.fitted_model import estimate
from densimeter.hwmodels.mac import CELL_FLOW, HEADLINE_FLOW
from densimeter.rtl.breakdown import cell_breakdown, lut_breakdown
from densimeter.rtl.cells.liberty import Library
from densimeter.rtl.emit import emit


def unit_parts(datapath: Datapath, libraries: Iterable[Library]) -> list[dict[str, Any]]:
    """For LUTs and each installed library: `target`, `flow`, `measured` by part, and the model's `modelled` estimate.

    LUTs or um2 of the whole unit. `modelled` is None, and `refusal` says why, where the model has no answer.
    """
    module = emit(datapath)
    found = [_told(datapath, "xc7", HEADLINE_FLOW, lut_breakdown(module.text, module.name, HEADLINE_FLOW))]
    for library in libraries:
        if library.path is not None:
            parts = cell_breakdown(module.text, module.name, CELL_FLOW, library)
            found.append(_told(datapath, library.name, CELL_FLOW, parts))
    return found


def _told(datapath: Datapath, target: str, flow: str, measured: dict[str, float]) -> dict[str, Any]:
    told: dict[str, Any] = {"target": target, "flow": flow, "measured": measured, "modelled": None, "refusal": ""}
    try:
        return told | {"modelled": asdict(estimate(datapath, target))}
    except (ConfigError, ModelRangeError) as error:
        return told | {"refusal": str(error)}
