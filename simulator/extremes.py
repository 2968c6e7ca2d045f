"""The extreme codes of an operand, and its codes as numbers: what directed stimulus and coverage both look for."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import (
    BlockFormat,
    Datapath,
    FloatElement,
    FloatScale,
    IntElement,
    LogElement,
    PowerOfTwoScale,
)
from densimeter.formats.datapath import part_width
from densimeter.formats.number import Kind

_TABLE_BITS = 16


@dataclass(frozen=True)
class Extremes:
    """Codes by sign, positive first; an unsigned element has only that one. None where the element has no such code."""

    largest: tuple[int, ...]
    smallest: tuple[int, ...]
    zero: int | None
    infinite: tuple[int, ...]
    nan: int | None


def extremes(fmt: BlockFormat) -> Extremes:
    """The extreme codes of an element for which there is a circuit."""
    element = fmt.element
    sign = 1 << (element.bits - 1)
    if isinstance(element, IntElement):
        if not element.signed:
            return Extremes((sign * 2 - 1,), (1,), 0, (), None)
        if element.sign_magnitude:
            return Extremes((sign - 1, 2 * sign - 1), (1, sign | 1), 0, (), None)
        top, mask = element.code_offset, 2 * sign - 1
        return Extremes((sign - 1 ^ top, sign ^ top), (1 ^ top, mask ^ top), top, (), None)
    if isinstance(element, LogElement):
        smallest = element.smallest_field
        zero = 0 if element.zero else None
        return Extremes((sign - 1, 2 * sign - 1), (smallest, sign | smallest), zero, (), None)
    assert isinstance(element, FloatElement)
    largest = element.largest_magnitude_code
    smallest = 1 if element.subnormals or not element.hidden_bit else 1 << element.mantissa_bits
    infinite = (element.infinity_code, sign | element.infinity_code) if element.has_infinity else ()
    nan = element.nan_code if element.has_nan else None
    return Extremes((largest, sign | largest), (smallest, sign | smallest), 0, infinite, nan)


def scale_extremes(fmt: BlockFormat) -> tuple[int, int]:
    """The smallest and the largest finite scale code of an operand whose scale the unit applies, microexponents
    aside."""
    scale = fmt.scale
    if isinstance(scale, PowerOfTwoScale):
        return 0, scale.largest_code
    assert isinstance(scale, FloatScale)
    return 0, scale.element.largest_magnitude_code


def scale_sign(fmt: BlockFormat) -> int:
    """The bit that makes a scale code negative; 0 where no scale is."""
    signed = isinstance(fmt.scale, FloatScale) and fmt.scale.anchor == "signed"
    return 1 << fmt.scale.code_bits - 1 if fmt.scale is not None and signed else 0


def without_microexponents(fmt: BlockFormat, codes: NDArray[np.unsignedinteger]) -> NDArray[np.unsignedinteger]:
    """What of scale codes a whole block shares."""
    if not part_width(fmt):
        return codes
    assert isinstance(fmt.scale, PowerOfTwoScale)
    return codes & codes.dtype.type((1 << fmt.scale.bits) - 1)


def microexponents(datapath: Datapath, fmt: BlockFormat, codes: NDArray[np.unsignedinteger]) -> NDArray[np.int64]:
    """[cycles, parts]: the microexponents in an operand's scale codes; no parts where it has none."""
    if not isinstance(fmt.scale, PowerOfTwoScale):
        return np.zeros((len(codes), 0), np.int64)
    places = fmt.scale.bits + np.arange(datapath.microexponents(fmt)) * fmt.scale.microexponent_bits
    found: NDArray[np.int64] = codes.astype(np.int64)[:, None] >> places & fmt.scale.largest_shift
    return found


def lane_values(
    datapath: Datapath, fmt: BlockFormat, codes: NDArray[np.unsignedinteger], scales: NDArray[np.unsignedinteger] | None
) -> NDArray[np.float64]:
    """Element codes as numbers, shifted down by the microexponents of their lanes."""
    width = part_width(fmt)
    if not width or scales is None:
        return values(fmt, codes)
    shifts = microexponents(datapath, fmt, scales).repeat(width, axis=1)[:, : datapath.lanes]
    return np.ldexp(values(fmt, codes), -shifts)


def values(fmt: BlockFormat, codes: NDArray[np.unsignedinteger]) -> NDArray[np.float64]:
    """Element codes as numbers, scales aside."""
    element = fmt.element
    if element.bits <= _TABLE_BITS:
        looked_up: NDArray[np.float64] = _table(fmt)[codes]
        return looked_up
    assert isinstance(element, FloatElement)
    assert element.hidden_bit
    wide = codes.astype(np.int64)
    mantissa = wide & (1 << element.mantissa_bits) - 1
    field = wide >> element.mantissa_bits & (1 << element.exponent_bits) - 1
    significand = np.where(field > 0, mantissa | 1 << element.mantissa_bits, mantissa * element.subnormals)
    magnitude = np.ldexp(significand.astype(np.float64), np.maximum(field, 1) - element.bias - element.mantissa_bits)
    special = np.where((mantissa > 0) & (field > element.largest_exponent_field), np.nan, np.inf)
    magnitude = np.where(field > element.largest_exponent_field, special, magnitude)
    return np.where(wide >> (element.bits - 1) > 0, -magnitude, magnitude)


def scale_values(fmt: BlockFormat, codes: NDArray[np.unsignedinteger]) -> NDArray[np.float64]:
    """Scale codes as numbers, a tensor's scale and microexponents aside; NaN where the block is."""
    scale = fmt.scale
    if isinstance(scale, PowerOfTwoScale):
        numbers = np.ldexp(1.0, without_microexponents(fmt, codes).astype(np.int64) - scale.bias)
    else:
        assert isinstance(scale, FloatScale)
        numbers = values(BlockFormat("scale", scale.element), codes)
        numbers = np.where(np.isfinite(numbers), numbers, np.nan)
    return np.where(codes == scale.nan_code, np.nan, numbers) if fmt.nan_block else numbers


@cache
def _table(fmt: BlockFormat) -> NDArray[np.float64]:
    numbers = [fmt.element.decode(code) for code in range(1 << fmt.element.bits)]
    special = {Kind.NAN: np.nan, Kind.INFINITE: np.inf}
    return np.array(
        [special[n.kind] * (-1 if n.negative else 1) if n.kind in special else float(n.value) for n in numbers]
    )
