"""The density table of a run: what the units of some of its designs cost and store, beside float32."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from densimeter.formats import Datapath
from densimeter.formats.errors import ModelRangeError
from densimeter.formats.files import write_text
from densimeter.hwmodels.characterization.known_names import known_unit
from densimeter.hwmodels.headline import float32_mac, headline_cost
from densimeter.hwmodels.mac import HEADLINE_FLOW, HEADLINE_LIBRARY
from densimeter.simulator.explore.chosen import designs
from densimeter.simulator.schema.fields import UnitField

_COSTS = ("lut_per_mac", "arithmetic_density_lut", "area_um2_per_mac", "arithmetic_density_area")


def add_densities(folder: Path, indices: Iterable[int]) -> None:
    """Write the run's density.csv, a row for each distinct unit of those designs.

    LUTs and cell area are the density table's headline, recorded or modelled; empty where neither answers.
    """
    units = (
        UnitField.model_validate({key: design[key] for key in UnitField.model_fields if key in design})
        for design in designs(folder, indices).values()
    )
    rows = [_row(datapath) for datapath in dict.fromkeys(unit.datapath() for unit in units)]
    out = io.StringIO()
    if rows:
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    write_text(folder / "density.csv", out.getvalue())


def _row(datapath: Datapath) -> dict[str, Any]:
    activation, weight = datapath.operands
    bits = activation.bits_per_value + weight.bits_per_value
    return {
        "format": " x ".join(dict.fromkeys((activation.name, weight.name))),
        "unit": "MAC" if datapath.lanes == 1 else f"{datapath.lanes} lanes",
        "accumulator": str(datapath.accumulator),
        "bits_per_value": float(bits / 2),
        "memory_density": float(64 / bits),
        **_costs(known_unit(datapath)),
    }


def _costs(datapath: Datapath) -> dict[str, float | str]:
    try:
        cost, baseline = headline_cost(datapath), headline_cost(float32_mac())
    except ModelRangeError:
        return dict.fromkeys(_COSTS, "")
    lut, area = cost.luts_per_mac(HEADLINE_FLOW), cost.area_um2_per_mac(HEADLINE_LIBRARY)
    ratios = baseline.luts_per_mac(HEADLINE_FLOW) / lut, baseline.area_um2_per_mac(HEADLINE_LIBRARY) / area
    return dict(zip(_COSTS, (lut, ratios[0], area, ratios[1]), strict=True))
