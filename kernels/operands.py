"""Codes unpacked for arithmetic: significands, exponents and specials as integer arrays."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from densimeter.formats.block import BlockFormat
from densimeter.formats.codebook import CodebookElement
from densimeter.formats.datapath import Datapath
from densimeter.formats.element import Element, FloatElement, IntElement, LogElement
from densimeter.formats.scale import FloatScale, PowerOfTwoScale
from densimeter.kernels.accumulator import FINITE, NAN, NEGATIVE_INFINITY, POSITIVE_INFINITY

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
    """Unpack [rows, K] codes and [rows, blocks] scale codes, padding K with the code of zero to whole groups."""
    padding = ((0, 0), (0, -codes.shape[1] % datapath.lanes))
    padded = np.pad(codes, padding, constant_values=fmt.element.padding_code)
    significands, exponents, specials = _decode(padded, fmt.element)
    values = significands
    if not datapath.windowed:
        values, exponents = significands << (exponents - fmt.element.lsb_exponent), np.empty((0, 0), np.int64)
    if not specials.any():
        specials = np.empty((0, 0), np.uint8)
    if fmt.has_unit_scale:
        scale_exponents, scale_significands = _decode_scales(scales, fmt)
        block = fmt.block_length(codes.shape[1])
    else:
        scale_exponents, scale_significands = np.zeros((len(codes), 1), np.int64), np.ones((len(codes), 1), np.int64)
        block = codes.shape[1] + datapath.lanes
    return Operand(values, exponents, specials, scale_exponents, scale_significands, block)


def _decode(
    codes: NDArray[np.unsignedinteger], element: Element
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8]]:
    """(signed significand, exponent of its lowest bit, special) of every code: `Element.decode` on arrays."""
    wide = codes.astype(np.int64)
    finite = np.full(codes.shape, FINITE, np.uint8)
    sign = wide >> (element.bits - 1)
    magnitude = wide & ((1 << (element.bits - 1)) - 1)
    if isinstance(element, IntElement | CodebookElement):
        return _integers(wide, element), np.full(codes.shape, element.lsb_exponent, np.int64), finite
    if isinstance(element, LogElement):
        ones = (magnitude >= element.smallest_field).astype(np.int64)
        return np.where(sign, -ones, ones), magnitude - element.bias, finite
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
    return np.where(sign, -significand, significand), exponents, specials


def _integers(codes: NDArray[np.int64], element: IntElement | CodebookElement) -> NDArray[np.int64]:
    """Every code in units of the element's lowest bit."""
    numbers = (element.decode(code) for code in range(1 << element.bits))
    table = np.array([-n.significand if n.negative else n.significand for n in numbers], np.int64)
    integers: NDArray[np.int64] = table[codes]
    return integers


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
        exponents, significands = wide, np.ones_like(wide)
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
