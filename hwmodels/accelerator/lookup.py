"""Machines and workloads as the rows of numbers that compiled code and the cost formulas take.

A row is put together from pieces, each of which depends on a few of the machine's choices only: its unit, its array, a
buffer. `machine_rows` and `parts_rows` take pieces as tables with, for each design, the row that is meant. One machine
has tables of one row; a sweep looks every distinct piece up once. Both are answered by the same lines.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial

import numpy as np
from numba import njit
from numpy.typing import DTypeLike, NDArray

from densimeter.formats import BlockFormat, Datapath, FormatError, get
from densimeter.formats.errors import ConfigError, ModelRangeError
from densimeter.formats.grid import grid
from densimeter.formats.packing import layout
from densimeter.hwmodels.accelerator.cost import BUFFERS, PARTS
from densimeter.hwmodels.accelerator.machine import Machine, Storage
from densimeter.hwmodels.accelerator.mixture import Mixture, Stored, formats_of
from densimeter.hwmodels.accelerator.parts import (
    Part,
    buffer,
    converter_part,
    is_wired,
    register_part,
    unit_part,
    unit_period_ns,
    vector_part,
    wire,
)
from densimeter.hwmodels.accelerator.performance import MACHINE, PRODUCT
from densimeter.hwmodels.gemm import CACHED, Gemm, Workload
from densimeter.hwmodels.systolic import DATAFLOWS, INPUT_STATIONARY

_FLOAT32 = get("float32")
_WORD = 8
_NOTHING = Part(0.0, 0.0, 0.0)
_PART_FIGURES = ("area_mm2", "leakage_mw", "energy_pj", "area_band", "leakage_band", "energy_band")
_BUFFER_FIGURES = ("area_mm2", "leakage_mw", "read_pj_per_bit", "write_pj_per_bit")
_BUFFER_BANDS = ("area_band", "leakage_band", "energy_band")

Row = Mapping[str, float]
Gathered = tuple[NDArray[np.void], NDArray[np.intp]]
"""The rows of a piece, and for each design the number of its own."""


def _columns(dtype: np.dtype[np.void], *beginnings: str) -> list[tuple[str, DTypeLike]]:
    """The fields of a row whose names begin so."""
    return [(name, dtype[name]) for name in dtype.names or () if name.startswith(beginnings)]


PIECES: Mapping[str, np.dtype[np.void]] = {
    "unit": np.dtype(
        _columns(MACHINE, "lanes", "activation_bits", "weight_bits", "sum_bits")
        + _columns(PARTS, "clock_mhz", "unit_", "register_", "vector_area", "vector_leakage", "vector_energy", "wire_")
    ),
    "converters": np.dtype(_columns(PARTS, "activation_converter", "weight_converter", "result_converter")),
    "array": np.dtype(_columns(MACHINE, "rows", "cols", "dataflow", "double_buffered")),
    "vector": np.dtype(_columns(PARTS, "vector_lanes")),
    "capacities": np.dtype(_columns(MACHINE, *(f"{name}_capacity" for name in BUFFERS))),
    "overlap": np.dtype(_columns(MACHINE, "transfer_overlaps", "conversion")),
    "dram": np.dtype([("dram_bits_per_us", np.float64), *_columns(PARTS, "dram_")]),
    **{f"{name}_buffer": np.dtype(_columns(PARTS, f"{name}_buffer", "buffer_")) for name in BUFFERS},
}
"""The pieces of MACHINE and PARTS, which hold each of their fields once, but for the bands that buffers share."""


def clock_mhz(machine: Machine) -> float:
    """The machine's clock. Raises ConfigError for one that its unit does not reach."""
    period_ns = unit_period_ns(machine.datapath, machine.node_nm, synthesize=machine.synthesize)
    fastest = 1000 / period_ns
    if machine.clock_mhz is None:
        return fastest
    if machine.clock_mhz > fastest * (1 + 1e-9):
        raise ConfigError(
            f"clock_mhz is {machine.clock_mhz:g}, expected at most {fastest:.4g}: the unit takes {period_ns:.4g} ns"
        )
    return machine.clock_mhz


def machine_row(machine: Machine) -> NDArray[np.void]:
    """A row of MACHINE, as an array of one."""
    return machine_rows(_one_of_each(machine, "unit", "array", "capacities", "overlap", "dram"))


def parts_row(machine: Machine, storage: Storage) -> NDArray[np.void]:
    """A row of PARTS, as an array of one. Raises ModelRangeError for a part that no record, table or model covers."""
    pieces = _one_of_each(machine, "unit", "vector", "dram", *(f"{name}_buffer" for name in BUFFERS))
    return parts_rows(pieces | {"converters": gathered("converters", converters_piece(machine, storage))})


def machine_rows(pieces: Mapping[str, Gathered]) -> NDArray[np.void]:
    """Rows of MACHINE from the pieces that have fields of it."""
    rows = _joined(MACHINE, pieces)
    (units, unit), (drams, dram) = pieces["unit"], pieces["dram"]
    rows["dram_bits_per_cycle"] = drams["dram_bits_per_us"][dram] / units["clock_mhz"][unit]
    return rows


def parts_rows(pieces: Mapping[str, Gathered]) -> NDArray[np.void]:
    """Rows of PARTS from the pieces that have fields of it."""
    return _joined(PARTS, pieces)


def gathered(piece: str, row: Row) -> Gathered:
    """A piece of which there is one row, for one design."""
    return table(piece, [row]), np.zeros(1, np.intp)


def table(piece: str, rows: Iterable[Row]) -> NDArray[np.void]:
    """Rows of a piece as an array."""
    dtype = PIECES[piece]
    return np.array([tuple(row[name] for name in dtype.names or ()) for row in rows], dtype)


def unit_piece(machine: Machine) -> Row:
    """Depends on datapath, node, clock asked for and `synthesize`. Raises errors as `clock_mhz` does."""
    node_nm = machine.node_nm
    unit = unit_part(machine.datapath, node_nm, synthesize=machine.synthesize)
    parts = {"unit": unit, "register": register_part(node_nm)}
    return {
        "lanes": machine.datapath.lanes,
        "activation_bits": machine.activation_bits,
        "weight_bits": machine.weight_bits,
        "sum_bits": machine.datapath.register_bits,
        "clock_mhz": clock_mhz(machine),
        "wire_pj_per_bit_mm": wire(node_nm).factor,
        "wire_band": wire(node_nm).relative_band,
        **_part_fields(parts | {"vector": vector_part(node_nm)}),
    }


def converters_piece(machine: Machine, storage: Storage) -> Row:
    """Depends on the formats of datapath and storage, and on the node."""
    activation, weight = machine.datapath.operands
    return _part_fields(
        {
            "activation_converter": _costliest(storage.first_formats, activation, machine.node_nm),
            "weight_converter": _costliest(storage.second_formats, weight, machine.node_nm),
            "result_converter": _largest(_priced(_FLOAT32, fmt, machine.node_nm) for fmt in storage.result_formats),
        }
    )


def port_elements(array: Row, name: str) -> int:
    """Elements at the edge of an array where a buffer's port ends: streamed operands enter at the rows; stationary
    ones, a row of elements a cycle, at the columns, where sums leave."""
    at_rows = "weight" if array["dataflow"] == INPUT_STATIONARY else "activation"
    return int(array["rows" if name == at_rows else "cols"])


def buffer_piece(machine: Machine, name: str) -> Row:
    """Depends on the buffer's bytes, on the elements at its port, on the unit's piece and on the cell type.

    Raises ModelRangeError where the table has no such buffer.
    """
    operand_bits = {"activation": machine.activation_bits, "weight": machine.weight_bits}
    element_bits = machine.datapath.register_bits if name == "sum" else machine.datapath.lanes * operand_bits[name]
    found = buffer(
        getattr(machine.buffers, f"{name}_bytes"),
        port_elements(array_piece(machine), name) * element_bits,
        1000 / clock_mhz(machine),
        machine.node_nm,
        machine.sram_cell_type,
        "1r1w" if name == "sum" else "1rw",
    )
    figures = {f"{name}_buffer_{figure}": getattr(found, figure) for figure in _BUFFER_FIGURES}
    return figures | {f"buffer_{band}": getattr(found, band) for band in _BUFFER_BANDS}


def array_piece(machine: Machine) -> Row:
    """Depends on the array alone."""
    return {
        "rows": machine.rows,
        "cols": machine.cols,
        "dataflow": DATAFLOWS.index(machine.dataflow),
        "double_buffered": machine.double_buffered,
    }


def vector_piece(machine: Machine) -> Row:
    """Depends on the columns of the array, where no lanes are given."""
    return {"vector_lanes": machine.vector_operations_per_cycle}


def capacities_piece(machine: Machine) -> Row:
    """Depends on the bytes of the buffers."""
    return {f"{name}_capacity_bits": getattr(machine.buffers, f"{name}_bytes") * 8 / 2 for name in BUFFERS}


def overlap_piece(machine: Machine) -> Row:
    """Depends on what overlaps, and on the converters' rate."""
    return {
        "transfer_overlaps": machine.transfer_overlaps,
        "conversion_overlaps": machine.conversion_overlaps,
        "conversions_per_cycle": machine.conversions_per_cycle,
    }


def dram_piece(machine: Machine) -> Row:
    """Depends on the memory and the share of its bandwidth that is reached."""
    return {
        "dram_bits_per_us": machine.dram.bandwidth_gb_s * 8000 * machine.dram_efficiency,
        "dram_pj_per_bit": machine.dram.energy_pj_per_bit,
    }


def product_rows(workload: Workload, storage: Storage, datapath: Datapath) -> NDArray[np.void]:
    """Rows of PRODUCT, one for each of the workload's products."""
    rows = np.zeros(len(workload.gemms), PRODUCT)
    for row, gemm in zip(rows, workload.gemms, strict=True):
        values = _product(gemm, storage, datapath)
        for name in PRODUCT.names or ():
            row[name] = values[name]
    return rows


def unpriced_conversions(machine: Machine, storage: Storage) -> list[str]:
    """Conversions that the machine needs and whose circuit is neither generated nor on record: they cost nothing here.

    Each as a sentence with the reason.
    """
    activation, weight = machine.datapath.operands
    needed = [(fmt, activation) for fmt in storage.first_formats]
    needed += [(fmt, weight) for fmt in storage.second_formats]
    needed += [(_FLOAT32, fmt) for fmt in storage.result_formats]
    return list(dict.fromkeys(filter(None, (_reason(*pair, machine.node_nm) for pair in needed))))


@lru_cache(maxsize=65536)
def stored_bits(fmt: Stored, rows: int, length: int) -> int:
    """Bits of a ``[rows, length]`` tensor blocked along its last axis, scales and padding included."""
    if isinstance(fmt, Mixture):
        return math.ceil(rows * length * fmt.bits_per_value)
    return layout(fmt, grid(fmt, (rows, length), 1)).total_bytes * 8


def _product(gemm: Gemm, storage: Storage, datapath: Datapath) -> dict[str, float]:
    activation, weight = datapath.operands
    first, second, result = storage.of_product(gemm)
    first_bits = stored_bits(first, gemm.m, gemm.k)
    result_bits = stored_bits(result, gemm.m, gemm.n)
    return {
        "m": gemm.m,
        "n": gemm.n,
        "k": gemm.k,
        "count": gemm.count,
        "parts": gemm.parts,
        "first_bits": first_bits,
        "second_bits": stored_bits(second, gemm.n, gemm.k),
        "result_bits": result_bits,
        "first_tensor_bits": first_bits * gemm.parts,
        "result_tensor_bits": result_bits * gemm.parts,
        "result_cached": gemm.result in CACHED,
        "first_converts": _converts(first, activation),
        "second_converts": _converts(second, weight),
        "result_converts": any(_converts(_FLOAT32, fmt) for fmt in formats_of(result)),
    }


_OF_MACHINE: Mapping[str, Callable[[Machine], Row]] = {
    "unit": unit_piece,
    "array": array_piece,
    "vector": vector_piece,
    "capacities": capacities_piece,
    "overlap": overlap_piece,
    "dram": dram_piece,
    **{f"{name}_buffer": partial(buffer_piece, name=name) for name in BUFFERS},
}


def _one_of_each(machine: Machine, *pieces: str) -> dict[str, Gathered]:
    return {piece: gathered(piece, _OF_MACHINE[piece](machine)) for piece in pieces}


def _joined(dtype: np.dtype[np.void], pieces: Mapping[str, Gathered]) -> NDArray[np.void]:
    rows = np.zeros(len(next(iter(pieces.values()))[1]), dtype)
    for found, numbers in pieces.values():
        held = [name for name in dtype.names or () if name in (found.dtype.names or ())]
        if (into := _words(rows)) is not None and (words := _words(found)) is not None:
            columns = [[of.fields[name][1] // _WORD for name in held] for of in (dtype, found.dtype) if of.fields]
            _gather(into, words, numbers, *np.array(columns, np.intp))
        else:
            for name in held:
                rows[name] = found[name][numbers]
    return rows


def _words(rows: NDArray[np.void]) -> NDArray[np.uint64] | None:
    """Rows as a matrix, where every field is eight bytes wide."""
    if any(rows.dtype[name].itemsize != _WORD for name in rows.dtype.names or ()):
        return None
    return rows.view(np.uint64).reshape(len(rows), -1)


@njit(cache=True)
def _gather(into, words, numbers, into_columns, columns):  # type: ignore[no-untyped-def]
    """A few fields of each design's row of a piece, copied in one pass: a column at a time takes ten times as long."""
    for i in range(len(numbers)):
        for j in range(len(columns)):
            into[i, into_columns[j]] = words[numbers[i], columns[j]]


def _part_fields(parts: Mapping[str, Part]) -> dict[str, float]:
    return {f"{name}_{figure}": getattr(part, figure) for name, part in parts.items() for figure in _PART_FIGURES}


def _converts(stored: Stored, target: BlockFormat) -> bool:
    return not all(is_wired(fmt, target) for fmt in formats_of(stored))


def _costliest(stored: Iterable[BlockFormat], target: BlockFormat, node_nm: float) -> Part:
    """The largest of the converters that operands in these formats need on their way to the elements."""
    return _largest(_priced(fmt, target, node_nm) for fmt in stored)


def _largest(parts: Iterable[Part | None]) -> Part:
    return max(filter(None, parts), key=lambda part: part.area_mm2, default=_NOTHING)


def _priced(source: BlockFormat, target: BlockFormat, node_nm: float) -> Part | None:
    return None if _reason(source, target, node_nm) else converter_part(source, target, node_nm)


@lru_cache(maxsize=4096)
def _reason(source: BlockFormat, target: BlockFormat, node_nm: float) -> str | None:
    try:
        converter_part(source, target, node_nm)
    except (FormatError, ModelRangeError) as error:
        return f"converting {source.name} to {target.name} is not priced: {error}"
    return None
