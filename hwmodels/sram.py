"""Area, energy, leakage and speed of SRAM macros, between the rows of a table that CACTI computed.

`technology/sram.csv` has a row a run, `technology/sram.yaml` says how they were made. Between rows, every figure is
straight in the logarithms of capacity and word width; outside them there is no answer. CACTI organises each macro anew,
so its figures step between some rows: a capacity left out and interpolated from half and twice it is off by 1 to 4 % in
the median, area and energies by 25 to 30 % at worst; a word width left out, by 1 to 5 % and up to 62 %
(tests/hwmodels/test_sram.py). CACTI itself is a model: its reads take 0.5 to 0.9 of what Horowitz published. Other
process nodes are scaled from the nearest one in the table, with the band in which sources on scaling differ.
"""

import csv
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from importlib import resources
from typing import Literal

from densimeter.formats.errors import ConfigError, ModelRangeError, nearest
from densimeter.hwmodels.node import scale_delay, scale_energy, scale_leakage, scale_sram_area

Shape = tuple[int, int]
"""Capacity in bytes, word width in bits."""
_SCALES = (scale_sram_area, scale_energy, scale_leakage, scale_delay)


@dataclass(frozen=True)
class Macro:
    """One row of the table: a macro, its energy an access of a whole word."""

    area_mm2: float
    read_pj: float
    write_pj: float
    leakage_mw: float
    access_ns: float
    cycle_ns: float


_FIGURES = [field.name for field in fields(Macro)]


@dataclass(frozen=True)
class SramCost:
    """An SRAM of one or more equal banks.

    Area and leakage are of all banks, energies a bit of an access to one bank, times of one bank; wires between banks
    are not in it (`node.wire_pj_per_bit_mm`). Bands are those of scaling from the table's nearest node, as in
    `node.Scaled`: a figure may be 1 + band times larger or smaller. They are 0 at a node of the table.
    """

    area_mm2: float
    read_pj_per_bit: float
    write_pj_per_bit: float
    leakage_mw: float
    access_ns: float
    cycle_ns: float
    area_band: float = 0.0
    energy_band: float = 0.0
    leakage_band: float = 0.0
    delay_band: float = 0.0


def sram(
    capacity_bytes: int,
    word_bits: int,
    *,
    node_nm: float,
    cell_type: str = "itrs-lstp",
    ports: str = "1rw",
    banks: int = 1,
) -> SramCost:
    """The cost of `capacity_bytes` in `banks` equal macros with words of `word_bits`.

    cell_type: transistors of cells and periphery, itrs-hp (fast, leaks a thousand times more), itrs-lop or itrs-lstp.
    ports: 1rw, one for reads and writes; 1r1w, one of each. Leakage is at 360 K.
    Raises ConfigError for an unknown cell type or ports, or banks that do not divide the capacity; ModelRangeError for
    a bank or word outside the table, or a node that no sources connect with it.
    """
    if banks < 1 or capacity_bytes % banks:
        raise ConfigError(f"banks is {banks}, expected a divisor of capacity_bytes, which is {capacity_bytes}")
    tables = macros()
    _check("cell_type", cell_type, {cell for _, cell, _ in tables})
    _check("ports", ports, {known for _, _, known in tables})
    if not 0 < node_nm < math.inf:
        raise ModelRangeError(f"node_nm is {node_nm}, expected a process node in nm, such as 22")
    table_nm = min({node for node, _, _ in tables}, key=lambda node: abs(math.log(node / node_nm)))
    macro = interpolate(tables[table_nm, cell_type, ports], capacity_bytes // banks, word_bits)
    area, energy, leakage, delay = (scale(table_nm, node_nm) for scale in _SCALES)
    return SramCost(
        area_mm2=macro.area_mm2 * area.factor * banks,
        read_pj_per_bit=macro.read_pj * energy.factor / word_bits,
        write_pj_per_bit=macro.write_pj * energy.factor / word_bits,
        leakage_mw=macro.leakage_mw * leakage.factor * banks,
        access_ns=macro.access_ns * delay.factor,
        cycle_ns=macro.cycle_ns * delay.factor,
        area_band=area.relative_band,
        energy_band=energy.relative_band,
        leakage_band=leakage.relative_band,
        delay_band=delay.relative_band,
    )


def interpolate(rows: Mapping[Shape, Macro], capacity_bytes: int, word_bits: int) -> Macro:
    """The macro of that shape from the four rows around it, in logarithms. Rows form a full grid of shapes.

    Raises ModelRangeError outside the grid.
    """
    known_capacities, known_widths = ({shape[axis] for shape in rows} for axis in (0, 1))
    capacities = _around("capacity of a bank (capacity_bytes / banks)", capacity_bytes, known_capacities)
    widths = _around("word_bits", word_bits, known_widths)
    corners = [((c, w), cs * ws) for c, cs in capacities.items() for w, ws in widths.items()]
    logs = {name: sum(share * math.log(getattr(rows[shape], name)) for shape, share in corners) for name in _FIGURES}
    return Macro(**{name: math.exp(log) for name, log in logs.items()})


def _around(name: str, value: int, points: set[int]) -> dict[int, float]:
    """The nearest grid points at or below and at or above a value, with their shares."""
    low = max((point for point in points if point <= value), default=None)
    high = min((point for point in points if point >= value), default=None)
    if low is None or high is None:
        raise ModelRangeError(f"{name} is {value}, expected {min(points)} to {max(points)}, the range of the table")
    if low == high:
        return {low: 1.0}
    share = math.log(value / low) / math.log(high / low)
    return {low: 1 - share, high: share}


def _check(name: str, value: str, known: set[str]) -> None:
    if value not in known:
        raise ConfigError(f"{name} is {value!r}, expected {', '.join(sorted(known))}{nearest(value, known)}")


@cache
def macros() -> Mapping[tuple[int, str, str], Mapping[Shape, Macro]]:
    """The table: by node in nm, cell type and ports, the macros by shape."""
    tables: dict[tuple[int, str, str], dict[Shape, Macro]] = {}
    file = resources.files("densimeter.hwmodels.technology").joinpath("sram.csv")
    for row in csv.DictReader(file.read_text(encoding="utf-8").splitlines()):
        table = tables.setdefault((int(row["node_nm"]), row["cell_type"], row["ports"]), {})
        shape = int(row["capacity_bytes"]), int(row["word_bits"])
        table[shape] = Macro(**{name: float(row[name]) for name in _FIGURES})
    return tables


def table_range(size: Literal["capacity_bytes", "word_bits"]) -> tuple[int, int]:
    """The smallest and the largest size of a macro in the table, the same for every node, cell type and ports."""
    index = ("capacity_bytes", "word_bits").index(size)
    known = [shape[index] for rows in macros().values() for shape in rows]
    return min(known), max(known)
