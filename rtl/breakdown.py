"""Where a unit's LUTs or cell area go: a synthesis that keeps the hierarchy, added up by part.

Without the hierarchy, logic is shared across its borders, so parts here add up to somewhat more than the unit's figure:
shares are what they tell. A module belongs to the part of the outermost module that has one; the magnitude of a signed
sum counts with the decoders, whose module it uses.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from densimeter.rtl import yosys
from densimeter.rtl.cells.liberty import Library
from densimeter.rtl.synthesize import Flow, Recipe, cell_recipe, lut_recipe

_PARTS = {
    "dm_decode": "decoders",
    "dm_multiply": "multipliers",
    "dm_align": "alignment",
    "dm_sum": "tree",
    "dm_fp32_convert": "rounding",
    "dm_specials": "specials",
    "dm_accumulate": "accumulator",
}
"""Parts by the start of a module's name. A product that is looked up, in dm_product itself, counts as a multiplier."""
OTHER = "scales and signs"
REGISTERS = "registers"


def lut_breakdown(verilog: str, top: str, flow: Flow, timeout_s: float = 1800) -> dict[str, float]:
    """LUTs of each part of module `top`, and its flip-flops under "registers"; errors as in `synthesize_luts`."""
    modules = _synthesize(lut_recipe(top, flow), top, verilog, {}, timeout_s)
    return _parts(modules, top, lambda cell: re.fullmatch(r"LUT\d|INV|FD[RSCP]E", cell) is not None, _is_fpga_register)


def cell_breakdown(verilog: str, top: str, flow: Flow, library: Library, timeout_s: float = 1800) -> dict[str, float]:
    """Cell area in um2 of each part of module `top`, its flip-flops under "registers"; errors as in
    `synthesize_cells`."""
    modules = _synthesize(cell_recipe(top, flow), top, verilog, {"cells.lib": library.file()}, timeout_s)
    return _parts(modules, top, library.cell_area_um2, library.is_flip_flop)


def _is_fpga_register(cell: str) -> bool:
    return cell.startswith("FD")


def _synthesize(recipe: Recipe, top: str, verilog: str, files: Mapping[str, Path], timeout_s: float) -> dict[str, Any]:
    """Yosys' statistics of each module, from a recipe that is kept from flattening."""
    read, rest = recipe.script.replace(" -flatten", "").split("\n", 1)
    # Constants, such as the exponents of integers, are carried across the borders that are kept.
    prepared = [read, f"hierarchy -top {top}", "proc", *["opt_hier", "opt"] * 3]
    _, stat = yosys.run(
        "\n".join([*prepared, rest]), {**recipe.files, **files, "design.v": verilog}, "stat.json", timeout_s
    )
    modules: dict[str, Any] = json.loads(stat)["modules"]
    return modules


def _parts(
    modules: Mapping[str, Any], top: str, cost: Callable[[str], float], is_register: Callable[[str], bool]
) -> dict[str, float]:
    found: dict[str, float] = {}
    for cell, part, number in _leaves(modules, top if top in modules else f"\\{top}", OTHER):
        name = REGISTERS if is_register(cell) else part
        found[name] = found.get(name, 0.0) + cost(cell) * number
    return {name: value for name, value in found.items() if value}


def _leaves(modules: Mapping[str, Any], name: str, part: str) -> Iterator[tuple[str, str, int]]:
    """Every kind of cell under a module, with its part and number."""
    for cell, number in modules[name]["num_cells_by_type"].items():
        inner = cell if cell in modules else f"\\{cell}"
        if inner in modules:
            for leaf, of, count in _leaves(modules, inner, _part(inner, part)):
                yield leaf, of, count * number
        elif cell != "$scopeinfo":
            yield cell, part, number


def _part(module: str, outer: str) -> str:
    """The part of a module under one that belongs to `outer`."""
    if outer not in (OTHER, "multipliers"):
        return outer
    base = re.search(r"dm_\w+", module)
    if base is None:
        return outer
    if base[0].startswith("dm_product"):
        return "multipliers"
    return next((part for start, part in _PARTS.items() if base[0].startswith(start)), outer)
