"""From Verilog to LUTs or cell area: the recipes of the named flows and what is counted in their results.

A flow names how multipliers are mapped, which moves a figure by up to 3x; ratios are taken within one flow.

    LUTs (xc7: 7-series FPGA, no DSP blocks). Every flow lays each addition on a carry chain of its own.
    star         Yosys' own multiplier: a compressor tree of LUTs
    booth        Yosys' Booth multiplier
    carry        a row of carry chain for each bit of the narrower operand: the nearest to a vendor's LUT multiplier
    carry_booth  a row of carry chain for each two bits of an operand: half the LUTs (see techmap/carry_multiply.v)

    Cells (a Liberty library)
    star         Yosys' own multiplier; every operator is mapped by itself
    booth        Yosys' Booth multiplier; sums of three or more operands become carry-save trees

Star keeps operators apart because Yosys would else fold a product into the sums around it and pay for its sign bits up
to the width of the accumulator, or not, depending on how the sum is spelled: the area of an int8 unit moves by 30 %.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Literal

from densimeter.formats.errors import ConfigError, ToolError, nearest
from densimeter.rtl import yosys
from densimeter.rtl.cells.liberty import Library

Flow = Literal["star", "booth", "carry", "carry_booth"]

_ADD = "techmap -map carry_add.v"
_LUT_MULTIPLIERS: dict[Flow, list[str]] = {
    "star": [_ADD],
    "booth": ["booth", _ADD],
    "carry": ["techmap -map carry_multiply.v -map carry_add.v -D RADIX=2"],
    "carry_booth": ["techmap -map carry_multiply.v -map carry_add.v -D RADIX=4"],
}
_CELL_OPTIONS: dict[Flow, str] = {"star": "-noalumacc", "booth": "-booth"}
LUT_FLOWS = tuple(_LUT_MULTIPLIERS)
CELL_FLOWS = tuple(_CELL_OPTIONS)
# ABC's script in Yosys for a library without timing constraints, and then its report of the longest path.
_ABC = "strash;&get,-n;&fraig,-x;&put;scorr;dc2;dretime;strash;&get,-n;&dch,-f;&nf;&put;stime,-p"
# The same for a delay to be met: buffers for large fan-outs, gates made larger where paths are too long, then smaller
# where there is time left. Yosys puts the delay where {D} stands.
_TIMED_ABC = _ABC.replace("&nf;", "&nf,{D};").replace("stime,-p", "buffer,-c;topo;upsize,{D};dnsize,{D};stime,-p")

# What each figure counts. An inverter takes a LUT on the chip.
_LUT_COUNTS = {
    "luts": {"LUT1", "LUT2", "LUT3", "LUT4", "LUT5", "LUT6", "INV"},
    "shift_register_luts": {"SRL16E", "SRLC32E"},
    "carry4": {"CARRY4"},
    "flip_flops": {"FDRE", "FDSE", "FDCE", "FDPE"},
    "muxf7": {"MUXF7"},
    "muxf8": {"MUXF8"},
}


@dataclass(frozen=True)
class LutResult:
    """Cells of a 7-series FPGA. `luts` counts each of LUT1 to LUT6 and each inverter as one; two small LUTs that could
    share a site count as two. Shift-register LUTs stand apart."""

    luts: int
    shift_register_luts: int
    carry4: int
    flip_flops: int
    muxf7: int
    muxf8: int


@dataclass(frozen=True)
class CellResult:
    """Standard cells: total area, and delays before layout.

    `logic_delay_ns` is ABC's longest path through the combinational cells, from any input or flip-flop to any output
    or flip-flop, with the library's delay tables and loads of cell inputs only (no wires); buffers are inserted and
    gates resized only where a delay was asked for. `register_delay_ns` is clock-to-output plus setup of the slowest
    flip-flop used, in the middle of its tables; 0 where there is none.
    """

    area_um2: float
    nand2_area_um2: float | None
    flip_flops: int
    logic_delay_ns: float
    register_delay_ns: float

    @property
    def min_period_ns(self) -> float:
        """Shortest clock period, for operands that come from flip-flops like the unit's own; no clock skew."""
        return self.logic_delay_ns + self.register_delay_ns

    @property
    def gate_equivalents(self) -> float | None:
        return None if self.nand2_area_um2 is None else self.area_um2 / self.nand2_area_um2


@dataclass(frozen=True)
class Recipe:
    """A Yosys script and the files it reads besides the design and the library."""

    script: str
    files: Mapping[str, str]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(json.dumps([self.script, self.files], sort_keys=True).encode()).hexdigest()


def lut_recipe(top: str, flow: Flow) -> Recipe:
    """How `synthesize_luts` runs Yosys for a module and a flow."""
    _check(top, flow, LUT_FLOWS, "LUTs")
    synth = f"synth_xilinx -family xc7 -nodsp -flatten -noiopad -noclkbuf -top {top}"
    lines = [f"{synth} -run begin:coarse", *_LUT_MULTIPLIERS[flow], "opt_clean", f"{synth} -run coarse:"]
    script = _script(*lines, "tee -q -o stat.json stat -json")
    techmap = resources.files("densimeter.rtl") / "techmap"
    return Recipe(script, {name: (techmap / name).read_text() for name in re.findall(r"-map (\S+)", script)})


def cell_recipe(top: str, flow: Flow, logic_delay_ns: float | None = None) -> Recipe:
    """How `synthesize_cells` runs Yosys for a module and a flow; the library is linked to as cells.lib."""
    _check(top, flow, CELL_FLOWS, "cells")
    target, script = ("", _ABC) if logic_delay_ns is None else (f"-D {round(logic_delay_ns * 1000)} ", _TIMED_ABC)
    lines = [
        f"synth -flatten {_CELL_OPTIONS[flow]} -top {top}",
        "dfflibmap -liberty cells.lib",
        f"abc {target}-liberty cells.lib -script +{script}",
        "opt_clean",
        "tee -q -o stat.json stat -json -liberty cells.lib",
    ]
    return Recipe(_script(*lines), {})


def synthesize_luts(verilog: str, top: str, flow: Flow, timeout_s: float = 1800) -> LutResult:
    """LUTs of module `top` of the self-contained text `verilog`.

    Raises `ConfigError` for an unknown flow, `ToolError` when pyosys is missing, fails or runs out of time.
    """
    recipe = lut_recipe(top, flow)
    _, stat = yosys.run(recipe.script, {**recipe.files, "design.v": verilog}, "stat.json", timeout_s)
    cells = _cells(stat, frozenset().union(*_LUT_COUNTS.values()), "the LUT count")
    return LutResult(**{figure: sum(cells.get(cell, 0) for cell in counted) for figure, counted in _LUT_COUNTS.items()})


def synthesize_cells(
    verilog: str,
    top: str,
    flow: Flow,
    library: Library,
    timeout_s: float = 1800,
    *,
    logic_delay_ns: float | None = None,
) -> CellResult:
    """Area and delays of module `top` of the self-contained text `verilog` in standard cells.

    With `logic_delay_ns`, gates are sized for that longest path, as small as it allows; the result says whether it was
    reached.

    Raises `ConfigError` for an unknown flow, `ToolError` when pyosys or the library is missing, or Yosys fails or runs
    out of time.
    """
    recipe = cell_recipe(top, flow, logic_delay_ns)
    inputs: dict[str, str | Path] = {**recipe.files, "design.v": verilog, "cells.lib": library.file()}
    log, stat = yosys.run(recipe.script, inputs, "stat.json", timeout_s)
    cells = _cells(stat, library.cells, library.name)
    flip_flops = {cell: number for cell, number in cells.items() if library.is_flip_flop(cell)}
    return CellResult(
        area_um2=json.loads(stat)["design"]["area"],
        nand2_area_um2=library.nand2_area_um2,
        flip_flops=sum(flip_flops.values()),
        logic_delay_ns=_longest_path_ns(log) if len(flip_flops) < len(cells) else 0.0,
        register_delay_ns=max(map(library.register_delay_ns, flip_flops), default=0.0),
    )


def _check(top: str, flow: Flow, flows: tuple[Flow, ...], what: str) -> None:
    if flow not in flows:
        raise ConfigError(f"flow {flow!r}: {what} are made by {', '.join(flows)}{nearest(flow, flows)}")
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_$]*", top):
        raise ConfigError(f"top module {top!r}: expected a plain Verilog identifier")


def _script(*lines: str) -> str:
    return "\n".join(["read_verilog -sv design.v", *lines]) + "\n"


def _cells(stat: str, counted: frozenset[str], what: str) -> dict[str, int]:
    """Number of cells of each type. Cells that the figures leave out would make them too small, so they may not be."""
    cells: dict[str, int] = json.loads(stat)["design"]["num_cells_by_type"]
    cells.pop("$scopeinfo", None)  # where flattening notes the hierarchy: no circuit
    if not cells:
        raise ToolError("synthesis left no cells: no output of the top module depends on its inputs")
    if left_out := sorted(set(cells) - counted):
        raise ToolError(f"synthesis left cells that {what} does not count: {', '.join(left_out)}")
    return cells


def _longest_path_ns(log: str) -> float:
    delays = re.findall(r"Delay =\s*([\d.]+) ps", log)
    if not delays:
        raise ToolError("ABC reported no longest path (expected 'Delay = ... ps' in its log)")
    return round(float(delays[-1]) / 1000, 6)
