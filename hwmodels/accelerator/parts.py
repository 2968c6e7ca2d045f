"""What each part of a machine costs on its own, looked up once: the unit, registers, buffers, wires, converters.

Costs come from records of synthesis, from tables of CACTI runs and from published figures, each scaled to the machine's
node. A band is the factor less 1 by which a figure may be off either way: that of the fitted model where a unit was not
synthesised, times that in which sources on scaling between nodes differ.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

from densimeter.formats import BlockFormat, Datapath, FloatElement, IntElement
from densimeter.formats.errors import ModelRangeError
from densimeter.hwmodels.accelerator.machine import LOGIC_LIBRARY, LOGIC_NODE_NM, vector_datapath
from densimeter.hwmodels.characterization.known_names import known_format, known_unit
from densimeter.hwmodels.conversion import conversion_figures
from densimeter.hwmodels.figure import Figure
from densimeter.hwmodels.node import Scaled, scale_area, scale_delay, scale_energy, scale_leakage, wire_pj_per_bit_mm
from densimeter.hwmodels.register_bits import register_bit
from densimeter.hwmodels.sram import SramCost, sram, table_range
from densimeter.hwmodels.unit_figures import unit_figures


@dataclass(frozen=True)
class Part:
    """Area, leakage, and dynamic energy of one event: a unit's cycle, a bit written or read, a value converted."""

    area_mm2: float
    leakage_mw: float
    energy_pj: float
    area_band: float = 0.0
    leakage_band: float = 0.0
    energy_band: float = 0.0


@dataclass(frozen=True)
class Buffer:
    """Both halves of a buffer; energies are of a bit. The banks of a half work in parallel or in turns."""

    area_mm2: float
    leakage_mw: float
    read_pj_per_bit: float
    write_pj_per_bit: float
    cycle_ns: float
    area_band: float
    leakage_band: float
    energy_band: float


@lru_cache(maxsize=4096)
def unit_part(datapath: Datapath, node_nm: float, *, synthesize: bool = False) -> Part:
    """A dot-product unit, all lanes; its event is a cycle of work. synthesize: as `unit_figures` has it."""
    figures = unit_figures(known_unit(datapath), LOGIC_LIBRARY, synthesize=synthesize)
    return _scaled(figures.area_um2, figures.leakage_nw, figures.energy_fj, node_nm)


@lru_cache(maxsize=4096)
def unit_period_ns(datapath: Datapath, node_nm: float, *, synthesize: bool = False) -> float:
    """The shortest clock period of a unit."""
    figures = unit_figures(known_unit(datapath), LOGIC_LIBRARY, synthesize=synthesize)
    return figures.min_period_ns.value * scale_delay(LOGIC_NODE_NM, node_nm).factor


@lru_cache(maxsize=64)
def register_part(node_nm: float) -> Part:
    """A bit of register; its event is a cycle that writes it."""
    bit = register_bit(LOGIC_LIBRARY)
    area, leakage, energy = bit.area_um2, bit.leakage_nw, bit.write_pj * 1000
    return _scaled(_measured(area), _measured(leakage), _measured(energy), node_nm)


def vector_part(node_nm: float) -> Part:
    """A lane of the vector unit; its event is an operation."""
    return unit_part(vector_datapath(), node_nm)


@lru_cache(maxsize=64)
def wire(node_nm: float) -> Scaled:
    """Picojoules to move a bit a millimetre."""
    return wire_pj_per_bit_mm(node_nm)


@lru_cache(maxsize=65536)
def buffer(
    capacity_bytes: int, port_bits: float, period_ns: float, node_nm: float, cell_type: str, ports: str
) -> Buffer:
    """A double buffer whose halves each pass `port_bits` a cycle of `period_ns`.

    A half starts with the fewest banks, a power of two, that are as wide together as the port and no larger each than
    the table goes; they are cut in two until they keep up with the clock, taking turns.
    Raises ModelRangeError where no banks of the table do.
    """
    narrowest, widest = table_range("word_bits")
    smallest, largest = table_range("capacity_bytes")
    half_bytes = capacity_bytes // 2
    parallel = _power_of_two(port_bits / widest)
    word_bits = max(narrowest, math.ceil(port_bits / parallel))
    banks = max(parallel, _power_of_two(half_bytes / largest))
    what = f"a buffer of {capacity_bytes} bytes with a port of {port_bits:.0f} bits"
    if half_bytes // banks < smallest:
        raise ModelRangeError(
            f"{what} needs 2 x {banks} banks of less than {smallest} bytes each, the smallest in the table; "
            f"expected {2 * banks * smallest} bytes or more"
        )
    while half_bytes // banks >= smallest:
        held = half_bytes // banks * banks
        cost = sram(held, word_bits, node_nm=node_nm, cell_type=cell_type, ports=ports, banks=banks)
        if cost.cycle_ns <= period_ns:
            return _double(cost)
        banks *= 2
    raise ModelRangeError(
        f"{what} takes {cost.cycle_ns:.3g} ns a cycle even in its smallest banks, expected {period_ns:.3g} ns or less; "
        f"lower the clock or choose faster cells than {cell_type}"
    )


@lru_cache(maxsize=4096)
def converter_part(source: BlockFormat, target: BlockFormat, node_nm: float) -> Part | None:
    """A converter of one value a cycle; None where the codes of `source` are codes of `target` as they stand.

    An energy that was not measured is taken as the converter's area times the vector unit's energy per area, with a
    band of 1; so is its leakage.
    Raises FormatError for a pair that no circuit converts, ModelRangeError where one is not on record.
    """
    if is_wired(source, target):
        return None
    figures = conversion_figures(known_format(source), known_format(target), library=LOGIC_LIBRARY)
    unit = unit_figures(vector_datapath(), LOGIC_LIBRARY)
    areas = figures.area_um2.value / unit.area_um2.value
    leakage = figures.leakage_nw or Figure(unit.leakage_nw.value * areas, 1.0, "model")
    energy = figures.energy_fj or Figure(unit.energy_fj.value * areas, 1.0, "model")
    each = [
        Figure(figure.value / figures.values, figure.relative_band, figure.source)
        for figure in (figures.area_um2, leakage, energy)
    ]
    return _scaled(each[0], each[1], each[2], node_nm)


def is_wired(source: BlockFormat, target: BlockFormat) -> bool:
    """Whether wires alone convert: equal formats, or the same kind of scale and an element that only has more bits."""
    if source == target:
        return True
    if type(source.scale) is not type(target.scale):
        return False
    narrow, wide = source.element, target.element
    if isinstance(narrow, IntElement) and isinstance(wide, IntElement):
        return narrow.encoding == wide.encoding and narrow.bits <= wide.bits
    if isinstance(narrow, FloatElement) and isinstance(wide, FloatElement):
        return narrow.exponent_bits == wide.exponent_bits and narrow.mantissa_bits <= wide.mantissa_bits
    return False


def _scaled(area_um2: Figure, leakage_nw: Figure, energy_fj: Figure, node_nm: float) -> Part:
    scales = [scale(LOGIC_NODE_NM, node_nm) for scale in (scale_area, scale_leakage, scale_energy)]
    figures = (area_um2, leakage_nw, energy_fj)
    values = [figure.value * scale.factor for figure, scale in zip(figures, scales, strict=True)]
    bands = [_both(figure.relative_band, scale.relative_band) for figure, scale in zip(figures, scales, strict=True)]
    return Part(values[0] / 1e6, values[1] / 1e6, values[2] / 1e3, *bands)


def _both(band: float, scale_band: float) -> float:
    """A figure within value * (1 +- band) times a factor within factor * or / (1 + scale_band), as a ratio."""
    return max(1 + band, 1 / (1 - band) if band < 1 else 1 + band) * (1 + scale_band) - 1


def _measured(value: float) -> Figure:
    return Figure(value, 0.0, "simulation")


def _double(half: SramCost) -> Buffer:
    return Buffer(
        area_mm2=2 * half.area_mm2,
        leakage_mw=2 * half.leakage_mw,
        read_pj_per_bit=half.read_pj_per_bit,
        write_pj_per_bit=half.write_pj_per_bit,
        cycle_ns=half.cycle_ns,
        area_band=half.area_band,
        leakage_band=half.leakage_band,
        energy_band=half.energy_band,
    )


def _power_of_two(least: float) -> int:
    """The smallest power of two that is not below `least`, and at least 1."""
    return 1 << math.ceil(math.log2(max(1.0, least)))
