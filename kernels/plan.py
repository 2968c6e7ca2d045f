"""Which instructions and registers compute a matrix product with the bits of `dot`, and why that is exact.

A group's sum of products of small integers is the same in any order where it fits: 31 bits and a sign for integer
instructions, 24 and 53 bits for float32 and float64. Its width follows from the formats (`Datapath.sum_bits`) or, for
elements of a wide range, from the values at hand: a sum of n products has at most the bits that the blocks of its row
and of its column span, together, and log2(n). Times its scales it is exact too, in float32 or float64; what the
accumulator does then is done value by value (`registers`).

Rows with a NaN, an Inf or too wide a block are left out: a plan names them.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from densimeter.formats.accumulator import AlignedAccumulator, FixedAccumulator, Fp32Accumulator, IntAccumulator
from densimeter.formats.block import BlockFormat
from densimeter.formats.datapath import Datapath
from densimeter.formats.scale import FloatScale
from densimeter.kernels import processor
from densimeter.kernels.accumulator import FINITE
from densimeter.kernels.adders import Exact, Truncated
from densimeter.kernels.operands import LARGEST_TABLE_BITS, ScaleTable, code_bits, code_table
from densimeter.kernels.panels import bits_of_rows, block_spans
from densimeter.kernels.planes import Window, cut_windows, narrow_windows, wide_windows
from densimeter.kernels.registers import (
    ORIGIN,
    Aligned32,
    Aligned64,
    Fixed,
    Float32,
    Float32Shifted,
    Flushed,
    Fused,
    Rounded,
)
from densimeter.kernels.split import Split, SplitCut, SplitNarrow

_INT32_BITS, _FLOAT32_BITS, _FLOAT64_BITS, _MAGIC_BITS, _ORIGIN_BITS = 31, 24, 53, 22, 51
_SMALLEST_EXPONENT, _LARGEST_EXPONENT = -126, 127  # of a normal float32
_FAR = 900  # exponents up to here leave float64 room
_LARGEST_BYTE, _LARGEST_INT16 = 127, 32767
_SPECIAL = 1 << 62
_LARGEST_SLOW_SHARE = 1 / 32  # of rows, which one by one take twenty times as long


@dataclass(frozen=True)
class Coded:
    """One side of the product: codes [rows, K] of its `code_table`, and the block scales that the unit applies."""

    format: BlockFormat
    codes: NDArray[np.unsignedinteger]
    scales: ScaleTable

    @property
    def block(self) -> tuple[int, int]:
        """Rows and columns that share a scale."""
        columns = self.format.block_columns
        return (self.format.block_rows, columns) if self.format.has_unit_scale and columns else self.codes.shape

    @property
    def has_significands(self) -> bool:
        """Whether scales are more than powers of two."""
        return self.format.has_unit_scale and isinstance(self.format.scale, FloatScale)

    @cached_property
    def exponent_range(self) -> tuple[int, int]:
        """Of the scales in use."""
        return self.scales.exponent_range

    @cached_property
    def row_bits(self) -> NDArray[np.int64]:
        """Bits of which every row has some value in units of the element's lowest, and `_SPECIAL` for NaN and Inf."""
        numbers = code_table(self.format, True)
        specials = (numbers.specials != FINITE).astype(np.int64) * _SPECIAL
        table: NDArray[np.int64] = np.abs(numbers.values) | specials
        return bits_of_rows(self.codes, table)


class Plan(NamedTuple):
    """How a product is computed.

    dtype: of the panels; it chooses the instruction. adder, register: what becomes of products, and of groups
    (`adders`, `split`, `registers`). lanes: products a group. lsb_exponent: scales are in units of two to this.
    windows: of both sides, where they are in two planes.
    """

    dtype: str
    adder: type
    register: Any
    lanes: int
    lsb_exponent: int = 0
    windows: tuple[Window, ...] = ()


def plan(a: Coded, w: Coded, datapath: Datapath) -> Plan | None:
    """The plan for two operands, or None where the product has to be computed otherwise."""
    if any(code_bits(side.format) > LARGEST_TABLE_BITS for side in (a, w)):
        return None
    if datapath.windowed and not _window_fits(datapath):
        return None
    lowest, highest = scaled_exponents(a, w, datapath)
    if lowest < -_FAR or highest > _FAR:
        return None
    match datapath.accumulator:
        case Fp32Accumulator():
            return _float_plan(a, w, datapath)
        case FixedAccumulator(bits=bits, lsb_exponent=lsb) if bits <= _ORIGIN_BITS + 1:
            return _fixed_plan(a, w, datapath, bits, lsb)
        case IntAccumulator() as accumulator:
            return _integer_plan(a, w, accumulator, datapath)
        case AlignedAccumulator() as accumulator:
            return _aligned_plan(a, w, accumulator, datapath)
    return None


def _window_fits(datapath: Datapath) -> bool:
    """Whether every product is a float32 number and every sum an int32."""
    significand_bits = sum(fmt.element.significand_bits for fmt in datapath.operands)
    return significand_bits <= _FLOAT32_BITS and datapath.sum_bits - 1 <= _INT32_BITS


def scaled_exponents(a: Coded, w: Coded, datapath: Datapath) -> tuple[int, int]:
    """Bounds of the exponents that groups' sums have in the end."""
    low, high = (sum(ends) for ends in zip(a.exponent_range, w.exponent_range, strict=True))
    return datapath.exponent_offset + low, datapath.exponent_offset + high


def slow_rows(a: Coded, w: Coded, datapath: Datapath, how: Plan) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Rows of either side whose outputs the plan does not compute."""
    spare = _FLOAT64_BITS - (datapath.lanes - 1).bit_length() - (datapath.scaled_sum_bits - datapath.sum_bits)
    sides = a, w
    slow = [_special_rows(side) for side in sides]
    if how.adder in (Split, SplitNarrow):
        slow = [rows | _unfit_rows(side, window) for rows, side, window in zip(slow, sides, how.windows, strict=True)]
    elif datapath.scaled_sum_bits - 1 > _FLOAT64_BITS and not datapath.windowed:
        widths = [block_spans(side.codes, code_table(side.format, True).values, datapath.lanes) for side in sides]
        if sum(int(width.max(initial=0)) for width in widths) > spare:
            slow = [rows | (width > spare // 2) for rows, width in zip(slow, widths, strict=True)]
    return slow[0], slow[1]


def _special_rows(side: Coded) -> NDArray[np.bool_]:
    rows = np.zeros(len(side.codes), bool)
    if side.format.element.has_nan:
        rows |= side.row_bits >= _SPECIAL
    if (nan := side.scales.nan_rows).any():
        rows |= nan.repeat(side.block[0])[: len(rows)]
    return rows


def _unfit_rows(side: Coded, window: Window) -> NDArray[np.bool_]:
    """Rows with bits below both planes."""
    unfit: NDArray[np.bool_] = (side.row_bits & ((1 << max(window.low, 0)) - 1)) != 0
    return unfit


def _group_plan(a: Coded, w: Coded, datapath: Datapath, register: Any) -> Plan:
    """One group after the other, as the unit takes them."""
    lanes, has_pairs = datapath.lanes, processor.multiplies_pairs()
    if datapath.windowed:
        if has_pairs and (windows := cut_windows(datapath)):
            return Plan("int16", SplitCut, register, lanes, windows=windows)
        return Plan("float32", Truncated, register, lanes)
    dtype = _multiplier([_range(fmt) for fmt in datapath.operands], datapath.sum_bits - 1)
    if has_pairs and dtype == "float64":
        return _split_plan(a, w, datapath, register) or Plan(dtype, Exact, register, lanes)
    return Plan(dtype, Exact, register, lanes)


def _split_plan(a: Coded, w: Coded, datapath: Datapath, register: Any) -> Plan | None:
    """Two planes for either side, or None where they would leave out more than a few rows."""
    windows = wide_windows(_tops(a, w), datapath)
    if windows is None:
        return None
    shares = [_unfit_rows(side, window).mean() for side, window in zip((a, w), windows, strict=True)]
    if max(shares) > _LARGEST_SLOW_SHARE:
        return None
    return Plan("int16", Split, register, datapath.lanes, windows=windows)


def _narrow(a: Coded, w: Coded, datapath: Datapath, found: Plan) -> Plan:
    """The plan with sums of two planes that become float32 at less cost, where they are that narrow."""
    windows = narrow_windows(_tops(a, w), datapath) if found.adder is Split else None
    return found._replace(adder=SplitNarrow, windows=windows) if windows else found


def _tops(a: Coded, w: Coded) -> tuple[int, int]:
    """Bits of the largest value of either side."""
    left, right = (int((side.row_bits & (_SPECIAL - 1)).max(initial=0)).bit_length() for side in (a, w))
    return left, right


def _multiplier(ranges: list[tuple[int, int]], bits: int) -> str:
    """The fastest type whose products of values in these ranges are added exactly to a sum of so many bits.

    float64 where none is: that needs `slow_rows`.
    """
    smallest, largest = min(low for low, _ in ranges), max(high for _, high in ranges)
    if (
        bits <= _INT32_BITS
        and processor.multiplies_bytes()
        and smallest >= -_LARGEST_BYTE - 1
        and largest <= _LARGEST_BYTE
    ):
        return "int8"
    if bits <= _INT32_BITS and processor.multiplies_pairs() and max(-smallest, largest) <= _LARGEST_INT16:
        return "int16"
    return "float32" if bits <= _FLOAT32_BITS else "float64"


def _range(fmt: BlockFormat) -> tuple[int, int]:
    values = code_table(fmt, True).values
    return int(values.min()), int(values.max())


def _fixed_plan(a: Coded, w: Coded, datapath: Datapath, bits: int, lsb_exponent: int) -> Plan:
    half = float(1 << (bits - 1))
    register = Fixed(ORIGIN - half, ORIGIN + half - 1, math.ldexp(1.0, lsb_exponent), 0)
    return _group_plan(a, w, datapath, register)._replace(lsb_exponent=lsb_exponent)


def _float_plan(a: Coded, w: Coded, datapath: Datapath) -> Plan | None:
    """Normal numbers are never flushed, and their sums never tiny: these are multiples of the same powers of two."""
    lowest, highest = scaled_exponents(a, w, datapath)
    bits = datapath.scaled_sum_bits - 1
    normal = lowest >= _SMALLEST_EXPONENT and highest + bits <= _LARGEST_EXPONENT
    if normal and datapath.lanes == 1 and not datapath.scaled and not datapath.windowed and bits <= _FLOAT32_BITS:
        return Plan("float32", Exact, Fused(), 1, 0)
    in_float64 = Rounded() if datapath.accumulator.subnormals else Flushed()  # type: ignore[union-attr]
    found = _group_plan(a, w, datapath, in_float64)
    first, last = a.exponent_range
    largest_before_columns = bits + (last - first + 1) // 2
    if found.dtype == "float64" or not normal or largest_before_columns > _LARGEST_EXPONENT:
        return found
    is_integer = found.dtype != "float32" or datapath.windowed
    if is_integer and datapath.sum_bits - 1 <= _MAGIC_BITS and bits <= _FLOAT32_BITS and not a.has_significands:
        return found._replace(register=Float32Shifted())
    # An integer sum is rounded as it becomes a float32, which powers of two do not undo.
    if bits <= _FLOAT32_BITS or (is_integer and bits == datapath.sum_bits - 1):
        return _narrow(a, w, datapath, found._replace(register=Float32()))
    return found


def _integer_plan(a: Coded, w: Coded, accumulator: IntAccumulator, datapath: Datapath) -> Plan | None:
    """Groups as long as their sums allow where no register saturates on the way; wrapping can wait for the end."""
    bits, saturates = accumulator.bits, accumulator.overflow == "saturate"
    count = a.codes.shape[1]
    found = _fixed_plan(a, w, datapath, bits, datapath.product_lsb_exponent)
    whole = -(-count // datapath.lanes) * datapath.lanes
    width = (whole << datapath.product_bits).bit_length()
    if saturates and width >= bits:
        return found if bits <= _ORIGIN_BITS + 1 and datapath.sum_bits <= _FLOAT64_BITS else None
    if width > _ORIGIN_BITS:
        return None
    found = found._replace(register=Fixed(-math.inf, math.inf, found.register.unit, 64 - bits))
    if datapath.windowed or any(_fills_with_more_than_zero(fmt) for fmt in datapath.operands):
        return found
    ranges = [_range(fmt) for fmt in datapath.operands]
    short = min(width, _INT32_BITS)
    lanes = max(1, min(whole, (1 << _INT32_BITS) - 1 >> datapath.product_bits))
    if datapath.product_bits < _INT32_BITS and (dtype := _multiplier(ranges, short)).startswith("int"):
        return _exactly(found, dtype, lanes)
    return _exactly(found, "float32" if width <= _FLOAT32_BITS else "float64", max(whole, 1))


def _exactly(found: Plan, dtype: str, lanes: int) -> Plan:
    """The plan with values multiplied as they are, in another type or groups of another length."""
    return found._replace(dtype=dtype, adder=Exact, lanes=lanes, windows=())


def _fills_with_more_than_zero(fmt: BlockFormat) -> bool:
    """Whether the code that fills a last group is worth something: groups must be the unit's then."""
    return fmt.element.decode(fmt.element.padding_code).significand != 0


def _aligned_plan(a: Coded, w: Coded, accumulator: AlignedAccumulator, datapath: Datapath) -> Plan | None:
    """Significands of scales are multiplied to the values beforehand: what is left of scales are exponent codes."""
    numbers = accumulator.bits, datapath.guard_bits, datapath.register_lsb_exponent
    register = Aligned32(*numbers) if accumulator.bits <= _INT32_BITS else Aligned64(*numbers)
    found = _group_plan(a, w, datapath, register)
    if not (a.has_significands or w.has_significands):
        return found
    if datapath.windowed:
        return None
    ranges = []
    for side in (a, w):
        factor = int(np.abs(side.scales.significands).max(initial=1))
        widest = factor * max(map(abs, _range(side.format)))
        ranges.append((-widest, widest))
    return _exactly(found, _multiplier(ranges, datapath.scaled_sum_bits - 1), found.lanes)
