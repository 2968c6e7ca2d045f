"""Square millimetres and joules of machines, component by component: counts times what each part costs.

Everything here is arithmetic on one row of each structured array, MACHINE and COST of `performance` and PARTS below, in
plain functions that compiled loops call: one machine and a sweep of millions are answered by the same lines.

Not counted: DRAM itself, its interface on the chip and its background power, the clock tree, wiring beyond the buses
between buffers and array, and control.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from densimeter.hwmodels.compiled import jitable
from densimeter.hwmodels.systolic import INPUT_STATIONARY, OUTPUT_STATIONARY, WEIGHT_STATIONARY

Column = NDArray[np.float64]

_KINDS = ("area", "leakage", "energy")
LOGIC = ("unit", "register", "vector", "activation_converter", "weight_converter", "result_converter")
BUFFERS = ("activation", "weight", "sum")
_COMPONENTS = ("units", "registers", *(f"{buffer}_buffer" for buffer in BUFFERS), "converters", "vector_unit")

PARTS = np.dtype(
    [(f"{part}_{figure}", np.float64) for part in LOGIC for figure in ("area_mm2", "leakage_mw", "energy_pj")]
    + [
        (f"{buffer}_buffer_{figure}", np.float64)
        for buffer in BUFFERS
        for figure in ("area_mm2", "leakage_mw", "read_pj_per_bit", "write_pj_per_bit")
    ]
    + [(f"{part}_{kind}_band", np.float64) for part in (*LOGIC, "buffer") for kind in _KINDS]
    + [(name, np.float64) for name in ("wire_pj_per_bit_mm", "wire_band", "dram_pj_per_bit", "clock_mhz")]
    + [("vector_lanes", np.int64)]
)
"""What the parts of a machine cost: see `parts`. A band is the factor less 1 by which a figure may be off."""


AREAS = np.dtype([(name, np.float64) for name in _COMPONENTS])
"""Area in mm2 by component."""
ENERGIES = np.dtype([(name, np.float64) for name in (*_COMPONENTS, "network", "dram", "leakage")])
"""Energy in pJ by component; leakage is that of all of them."""


@jitable
def set_areas(machine: Any, part: Any, areas: Any) -> None:
    """Fill a row of AREAS."""
    areas.units = machine.rows * machine.cols * part.unit_area_mm2
    areas.registers = register_bits(machine) * part.register_area_mm2
    areas.activation_buffer = part.activation_buffer_area_mm2
    areas.weight_buffer = part.weight_buffer_area_mm2
    areas.sum_buffer = part.sum_buffer_area_mm2
    activations, weights, results = converters(machine)
    areas.converters = (
        activations * part.activation_converter_area_mm2
        + weights * part.weight_converter_area_mm2
        + results * part.result_converter_area_mm2
    )
    areas.vector_unit = part.vector_lanes * part.vector_area_mm2


@jitable
def leakage_mw(machine: Any, part: Any) -> float:
    """Leakage power of all components."""
    activations, weights, results = converters(machine)
    leakage: float = (
        machine.rows * machine.cols * part.unit_leakage_mw
        + register_bits(machine) * part.register_leakage_mw
        + part.activation_buffer_leakage_mw
        + part.weight_buffer_leakage_mw
        + part.sum_buffer_leakage_mw
        + activations * part.activation_converter_leakage_mw
        + weights * part.weight_converter_leakage_mw
        + results * part.result_converter_leakage_mw
        + part.vector_lanes * part.vector_leakage_mw
    )
    return leakage


@jitable
def set_energies(
    part: Any,
    cost: Any,
    energies: Any,
    vector_operations: float,
    area_mm2: float,
    leakage_power_mw: float,
    seconds: float,
) -> None:
    """Fill a row of ENERGIES. From buffer to array a bit travels half the side of a square of the machine's area."""
    energies.units = part.unit_energy_pj * cost.element_cycles
    energies.registers = part.register_energy_pj * cost.register_bits
    energies.activation_buffer = (
        part.activation_buffer_read_pj_per_bit * cost.activation_read_bits
        + part.activation_buffer_write_pj_per_bit * cost.activation_write_bits
    )
    energies.weight_buffer = (
        part.weight_buffer_read_pj_per_bit * cost.weight_read_bits
        + part.weight_buffer_write_pj_per_bit * cost.weight_write_bits
    )
    energies.sum_buffer = (
        part.sum_buffer_read_pj_per_bit * cost.sum_read_bits + part.sum_buffer_write_pj_per_bit * cost.sum_write_bits
    )
    energies.converters = (
        part.activation_converter_energy_pj * cost.activation_conversions
        + part.weight_converter_energy_pj * cost.weight_conversions
        + part.result_converter_energy_pj * cost.result_conversions
    )
    energies.vector_unit = part.vector_energy_pj * vector_operations
    energies.network = part.wire_pj_per_bit_mm * math.sqrt(area_mm2) / 2 * cost.network_bits
    energies.dram = part.dram_pj_per_bit * dram_bits(cost)
    energies.leakage = leakage_power_mw * seconds * 1e9


@jitable
def components_total(parts: Any) -> float:
    """The sum over a row of AREAS, or over what ENERGIES shares with it."""
    buffers = parts.activation_buffer + parts.weight_buffer + parts.sum_buffer
    total: float = parts.units + parts.registers + buffers + parts.converters + parts.vector_unit
    return total


@jitable
def total_energy_pj(energies: Any) -> float:
    """The sum over a row of ENERGIES."""
    total: float = components_total(energies) + energies.network + energies.dram + energies.leakage
    return total


@jitable
def register_bits(machine: Any) -> float:
    """Flip-flops of the array besides those in its units: operands held and passed on, skew, results shifted out."""
    rows, cols = float(machine.rows), float(machine.cols)
    activation, weight = machine.lanes * machine.activation_bits, machine.lanes * machine.weight_bits
    row_skew, col_skew = rows * (rows - 1) / 2, cols * (cols - 1) / 2
    shadow = 1.0 if machine.double_buffered else 0.0
    bits: float
    if machine.dataflow == WEIGHT_STATIONARY:
        bits = rows * cols * (activation + (1 + shadow) * weight) + row_skew * activation
    elif machine.dataflow == OUTPUT_STATIONARY:
        bits = rows * cols * (activation + weight + shadow * machine.sum_bits)
        bits += row_skew * activation + col_skew * weight
    else:
        bits = rows * cols * (weight + (1 + shadow) * activation) + row_skew * weight
    return bits


@jitable
def converters(machine: Any) -> tuple[int, int, int]:
    """Converters of one value a cycle at the array's edge: of activations, of weights, of results."""
    rows, cols, lanes = machine.rows, machine.cols, machine.lanes
    if machine.dataflow == INPUT_STATIONARY:
        return cols * lanes, rows * lanes, cols
    return rows * lanes, cols * lanes, cols


@jitable
def dram_bits(cost: Any) -> float:
    """Bits across the DRAM interface, either way."""
    bits: float = cost.dram_first_bits + cost.dram_second_bits + cost.dram_sum_bits + cost.dram_result_bits
    return bits


@jitable
def area_bounds(part: Any, areas: Any) -> tuple[float, float]:
    """The least and the most that all may take, were all components off by their bands at once."""
    low = high = 0.0
    buffers = areas.activation_buffer + areas.weight_buffer + areas.sum_buffer
    for value, band in (
        (areas.units, part.unit_area_band),
        (areas.registers, part.register_area_band),
        (buffers, part.buffer_area_band),
        (
            areas.converters,
            max(part.activation_converter_area_band, part.weight_converter_area_band, part.result_converter_area_band),
        ),
        (areas.vector_unit, part.vector_area_band),
    ):
        low += value / (1 + band)
        high += value * (1 + band)
    return low, high


@jitable
def energy_bounds(part: Any, energies: Any) -> tuple[float, float]:
    """The same of energies; that of the DRAM has no band."""
    low = high = energies.dram
    buffers = energies.activation_buffer + energies.weight_buffer + energies.sum_buffer
    for value, band in (
        (energies.units, part.unit_energy_band),
        (energies.registers, part.register_energy_band),
        (buffers, part.buffer_energy_band),
        (
            energies.converters,
            max(
                part.activation_converter_energy_band,
                part.weight_converter_energy_band,
                part.result_converter_energy_band,
            ),
        ),
        (energies.vector_unit, part.vector_energy_band),
        (energies.network, part.wire_band),
        (energies.leakage, max(part.unit_leakage_band, part.buffer_leakage_band)),
    ):
        low += value / (1 + band)
        high += value * (1 + band)
    return low, high
