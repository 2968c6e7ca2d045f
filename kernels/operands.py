"""Codes unpacked for arithmetic: significands, exponents and specials as integer arrays."""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from densimeter.formats.block import BlockFormat
from densimeter.formats.datapath import Datapath, largest_shift, part_width
from densimeter.formats.element import Element, FloatElement
from densimeter.formats.number import Kind
from densimeter.formats.scale import FloatScale, PowerOfTwoScale
from densimeter.kernels.accumulator import FINITE, NAN, NEGATIVE_INFINITY, POSITIVE_INFINITY
from densimeter.kernels.parameters import code_dtype

LARGEST_TABLE_BITS = 16
"""Codes up to this width are decoded by table."""

NAN_SCALE = -1
"""Stands in `scale_exponents` for a scale code that makes its whole block NaN."""


class Operand(NamedTuple):
    """One side of a dot product, rows along the first axis.

    values: int64 [rows, K]; exact alignment: the value in units of the element's lowest bit; windowed: the signed
    significand.
    exponents: int64 [rows, K], exponents of the significands; empty where alignment is exact.
    specials: uint8 [rows, K], FINITE, NAN or an infinity; empty where there are none.
    scale_exponents, scale_significands: int64 [rows, blocks]; 0 and 1 where the unit applies no scale.
    block: values per scale.
    """

    values: NDArray[np.int64]
    exponents: NDArray[np.int64]
    specials: NDArray[np.uint8]
    scale_exponents: NDArray[np.int64]
    scale_significands: NDArray[np.int64]
    block: int


def unpack_operand(
    codes: NDArray[np.unsignedinteger],
    scales: NDArray[np.unsignedinteger],
    fmt: BlockFormat,
    datapath: Datapath,
) -> Operand:
    """Unpack [rows, K] codes and [rows, blocks] scale codes, padding K with the code of zero to whole groups.

    Rows of one group each may come with the scale codes of groups (`Datapath.group_scale`).
    """
    padded = pad_to_groups(codes, fmt, datapath.lanes)
    decoded = _decode(padded, fmt.element, aligned=not datapath.windowed)
    if part_width(fmt):
        shifts = microexponents(scales, fmt, padded.shape[1])
        decoded = _shifted(decoded, largest_shift(fmt), shifts)
    if fmt.has_unit_scale:
        scale_exponents, scale_significands = _decode_scales(scales, fmt)
        block = fmt.block_length(codes.shape[1])
    else:
        scale_exponents, scale_significands = np.zeros((len(codes), 1), np.int64), np.ones((len(codes), 1), np.int64)
        block = codes.shape[1] + datapath.lanes
    return Operand(*decoded, scale_exponents, scale_significands, block)


def pad_to_groups(codes: NDArray[np.unsignedinteger], fmt: BlockFormat, lanes: int) -> NDArray[np.unsignedinteger]:
    """[rows, K] codes with K filled up to whole groups."""
    padding = ((0, 0), (0, -codes.shape[1] % lanes))
    return np.pad(codes, padding, constant_values=fmt.element.padding_code)


def microexponents(scales: NDArray[np.unsignedinteger], fmt: BlockFormat, columns: int) -> NDArray[np.int64]:
    """[rows, columns]: the microexponents of so many values a row, from [rows, blocks] scale codes."""
    scale, width, block = fmt.scale, part_width(fmt), fmt.block_columns
    assert isinstance(scale, PowerOfTwoScale)
    assert block
    at = np.arange(columns)
    places = scale.bits + at % block // width * scale.microexponent_bits
    found: NDArray[np.int64] = scales.astype(np.int64)[:, at // block] >> places & scale.largest_shift
    return found


class Decoded(NamedTuple):
    """The first three parts of an `Operand`, of codes of any shape."""

    values: NDArray[np.int64]
    exponents: NDArray[np.int64]
    specials: NDArray[np.uint8]


_NO_EXPONENTS, _NO_SPECIALS = np.empty((0, 0), np.int64), np.empty((0, 0), np.uint8)


def _decode(codes: NDArray[np.unsignedinteger], element: Element, aligned: bool) -> Decoded:
    """Decode codes as `Element.decode` does; parts that say nothing are left empty."""
    if element.bits > LARGEST_TABLE_BITS:
        assert isinstance(element, FloatElement)
        decoded = _decode_floats(codes.astype(np.int64), element)
        if aligned:
            shifted = decoded.values << (decoded.exponents - element.lsb_exponent)
            decoded = Decoded(shifted, _NO_EXPONENTS, decoded.specials)
    else:
        table = element_table(element, aligned)
        exponents = _NO_EXPONENTS if aligned else table.exponents[codes]
        decoded = Decoded(table.values[codes], exponents, table.specials[codes] if element.has_nan else _NO_SPECIALS)
    return decoded if decoded.specials.any() else decoded._replace(specials=_NO_SPECIALS)


def _shifted(decoded: Decoded, largest: int, shifts: NDArray[np.int64]) -> Decoded:
    """Values shifted down: by their exponents, or, aligned in units lower by the largest shift, up by what is left."""
    if decoded.exponents.size:
        return decoded._replace(exponents=decoded.exponents - shifts)
    return decoded._replace(values=decoded.values << largest - shifts)


class ScaleTable(NamedTuple):
    """Scales as positions in a short table.

    codes: [groups of rows, blocks]. exponents, significands: of each position; NAN_SCALE among the exponents as in
    `Operand`.
    """

    codes: NDArray[np.unsignedinteger]
    exponents: NDArray[np.int64]
    significands: NDArray[np.int64]

    @property
    def exponent_range(self) -> tuple[int, int]:
        """Bounds of the exponents in use, NaN aside; (0, 0) without any."""
        if not self.codes.size:
            return 0, 0
        exponents = self.exponents[int(self.codes.min()) : int(self.codes.max()) + 1]
        exponents = exponents[exponents != NAN_SCALE]
        return (int(exponents.min()), int(exponents.max())) if exponents.size else (0, 0)

    @property
    def nan_rows(self) -> NDArray[np.bool_]:
        """Which groups of rows hold a NaN; empty where no scale can be NaN."""
        nan = self.exponents == NAN_SCALE
        return nan[self.codes].any(axis=1) if nan.any() else np.zeros(0, bool)


def scale_table(scales: NDArray[np.unsignedinteger], fmt: BlockFormat) -> ScaleTable:
    """The block scales that a unit applies; where it applies none, one that changes nothing."""
    if not fmt.has_unit_scale:
        return ScaleTable(np.zeros((1, 1), np.uint8), np.zeros(1, np.int64), np.ones(1, np.int64))
    assert fmt.scale is not None
    if part_width(fmt):
        scales = (scales & scales.dtype.type((1 << _shared_bits(fmt)) - 1)).astype(np.uint8)
    if _shared_bits(fmt) <= LARGEST_TABLE_BITS:
        return ScaleTable(scales, *_every_scale(fmt))
    codes, positions = np.unique(scales, return_inverse=True)
    return ScaleTable(positions.reshape(scales.shape).astype(np.uint32), *_decode_scales(codes, fmt))


@cache
def _every_scale(fmt: BlockFormat) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return _decode_scales(np.arange(1 << _shared_bits(fmt), dtype=np.uint32), fmt)


def _shared_bits(fmt: BlockFormat) -> int:
    """Bits of what a whole block shares: a scale code without its microexponents."""
    assert fmt.scale is not None
    return fmt.scale.bits if isinstance(fmt.scale, PowerOfTwoScale) else fmt.scale.code_bits


@cache
def element_table(element: Element, aligned: bool) -> Decoded:
    """Every code there is, of an element narrow enough for a table."""
    numbers = [element.decode(code) for code in range(1 << element.bits)]
    special = {(Kind.FINITE, False): FINITE, (Kind.FINITE, True): FINITE, (Kind.INFINITE, False): POSITIVE_INFINITY}
    special |= {(Kind.INFINITE, True): NEGATIVE_INFINITY}
    shifts = [n.exponent - element.lsb_exponent if aligned and n.kind is Kind.FINITE else 0 for n in numbers]
    values = [(-n.significand if n.negative else n.significand) << s for n, s in zip(numbers, shifts, strict=True)]
    return Decoded(
        np.array(values, np.int64),
        np.array([n.exponent for n in numbers], np.int64),
        np.array([special.get((n.kind, n.negative), NAN) for n in numbers], np.uint8),
    )


@cache
def code_table(fmt: BlockFormat, aligned: bool) -> Decoded:
    """Every code of `codes_with_shifts`."""
    table = element_table(fmt.element, aligned)
    if not part_width(fmt):
        return table
    largest = largest_shift(fmt)
    values = [table.values << (largest - shift if aligned else 0) for shift in range(largest + 1)]
    exponents = [table.exponents - shift for shift in range(largest + 1)]
    return Decoded(np.concatenate(values), np.concatenate(exponents), np.tile(table.specials, largest + 1))


def codes_with_shifts(
    codes: NDArray[np.unsignedinteger], scales: NDArray[np.unsignedinteger], fmt: BlockFormat, lanes: int
) -> NDArray[np.unsignedinteger]:
    """Codes [rows, K] with their microexponents above them, so that one table tells both; K in whole groups then."""
    if not part_width(fmt):
        return codes
    padded = pad_to_groups(codes, fmt, lanes).astype(code_dtype(code_bits(fmt)))
    shifts = microexponents(scales, fmt, padded.shape[1]).astype(padded.dtype)
    joined: NDArray[np.unsignedinteger] = padded | shifts << padded.dtype.type(fmt.element.bits)
    return joined


def code_bits(fmt: BlockFormat) -> int:
    """Bits of a code of `codes_with_shifts`."""
    return fmt.element.bits + largest_shift(fmt).bit_length()


def _decode_floats(codes: NDArray[np.int64], element: FloatElement) -> Decoded:
    """The same without a table, for elements too wide for one."""
    sign = codes >> (element.bits - 1)
    magnitude = codes & ((1 << (element.bits - 1)) - 1)
    field, mantissa = magnitude >> element.mantissa_bits, magnitude & ((1 << element.mantissa_bits) - 1)
    if element.hidden_bit:
        subnormal = field == 0
        significand = np.where(subnormal, mantissa * element.subnormals, mantissa | (1 << element.mantissa_bits))
        field = np.maximum(field, 1)
    else:
        significand = mantissa
    specials = _specials(magnitude, sign, element)
    significand = np.where(specials == FINITE, significand, 0)
    exponents = np.where(specials == FINITE, field - element.bias - element.mantissa_bits, element.lsb_exponent)
    return Decoded(np.where(sign, -significand, significand), exponents, specials)


def _specials(magnitude: NDArray[np.int64], sign: NDArray[np.int64], element: FloatElement) -> NDArray[np.uint8]:
    specials = np.full(magnitude.shape, FINITE, np.uint8)
    if element.specials == "fnuz":
        specials[(magnitude == 0) & (sign == 1)] = NAN
        return specials
    specials[magnitude > element.largest_magnitude_code] = NAN if element.has_nan else FINITE
    if element.has_infinity:
        infinite = magnitude == element.infinity_code
        specials[infinite] = np.where(sign[infinite], NEGATIVE_INFINITY, POSITIVE_INFINITY)
    return specials


def _decode_scales(
    scales: NDArray[np.unsignedinteger], fmt: BlockFormat
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(exponent code, signed significand) of every block scale, as the unit's scale stage sees them."""
    wide = scales.astype(np.int64)
    if isinstance(fmt.scale, PowerOfTwoScale):
        exponents, significands = wide & ((1 << fmt.scale.bits) - 1), np.ones_like(wide)
        not_finite = wide == fmt.scale.nan_code if fmt.scale.nan else np.zeros(wide.shape, bool)
    else:
        assert isinstance(fmt.scale, FloatScale)
        element = fmt.scale.element
        sign, magnitude = wide >> (element.bits - 1), wide & ((1 << (element.bits - 1)) - 1)
        field = magnitude >> element.mantissa_bits
        mantissa, hidden = magnitude & ((1 << element.mantissa_bits) - 1), 1 << element.mantissa_bits
        significands = mantissa | np.where(field > 0, hidden, 0)
        significands = np.where(sign == 1, -significands, significands)
        exponents = np.maximum(field, 1)
        not_finite = magnitude > element.largest_magnitude_code
    return np.where(not_finite, NAN_SCALE, exponents), significands
