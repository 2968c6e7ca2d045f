"""What a bit of register costs in a cell library: measured on a plain register, as units are, and kept as data."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import yaml

from densimeter.formats.errors import ConfigError, nearest
from densimeter.hwmodels.energy import measure
from densimeter.hwmodels.mac import CELL_FLOW
from densimeter.rtl.cells.liberty import Library
from densimeter.rtl.comparison import Vectors
from densimeter.rtl.synthesize import synthesize_cells

_BITS, _CYCLES = 64, 2048
_TOP = "densimeter_register"
_VERILOG = f"""module {_TOP} (
    input wire clk,
    input wire [{_BITS - 1}:0] d,
    output reg [{_BITS - 1}:0] accumulator
);
    always @(posedge clk) accumulator <= d;
endmodule
"""


@dataclass(frozen=True)
class RegisterBit:
    """One flip-flop, before layout.

    write_pj: the dynamic energy of a cycle that brings a random bit, with the clock's and that of the net before it.
    leakage_nw: the mean over the cell's states.
    """

    area_um2: float
    write_pj: float
    leakage_nw: float


def register_bit(library: str = "nangate45") -> RegisterBit:
    """The recorded register bit of a library; ConfigError for a library without one."""
    if library not in (known := _recorded()):
        expected = f"expected {', '.join(known)}{nearest(library, known)}"
        raise ConfigError(f"no register is on record for cell library {library!r}, {expected}")
    return known[library]


def measure_register_bit(library: Library) -> RegisterBit:
    """The same, measured now. Raises ToolError where Yosys, Icarus or the library is missing."""
    words = np.random.default_rng(0).integers(0, 256, (_CYCLES, _BITS // 8), dtype=np.uint8)
    taken = words.view("<u8")[:, 0].astype(np.uint64)
    power = measure(_VERILOG, _TOP, CELL_FLOW, library, Vectors({"d": words}, taken, None, np.arange(_CYCLES)))
    cells = synthesize_cells(_VERILOG, _TOP, CELL_FLOW, library)
    return RegisterBit(cells.area_um2 / _BITS, power.energy_fj / _BITS / 1000, power.leakage_nw / _BITS)


@cache
def _recorded() -> Mapping[str, RegisterBit]:
    text = resources.files("densimeter.hwmodels.technology").joinpath("registers.yaml").read_text(encoding="utf-8")
    return {name: RegisterBit(**bit) for name, bit in yaml.safe_load(text)["libraries"].items()}
