"""The codec at speed: one compiled loop over blocks for every format, equal to `formats.reference` bit for bit.

All arithmetic is float64 on float32 inputs, where it is exact: a float32 divided by a power of two is a float64 without
error, and a float32 divided by a scale of at most 28 significant bits cannot round onto a tie of an element of at
most 24 bits without being one (the distance is at least 2^-33 of the value, the rounding error 2^-53).
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit, prange
from numpy.typing import NDArray

from densimeter.formats.block import BlockFormat
from densimeter.formats.element import Element, FloatElement, IntElement, LogElement
from densimeter.formats.scale import FloatScale, PowerOfTwoScale
from densimeter.kernels.bits import SQRT2_MANTISSA, floor_log2, mantissa, power_of_two, round_half_even

_INT, _FLOAT, _FLOAT_NO_HIDDEN, _FLOAT_SATURATING, _LOG = range(5)
_NO_SCALE, _POWER_OF_TWO, _FLOAT_SCALE = range(3)
_INFINITY_BITS = np.uint32(0x7F800000)
_LARGEST_TABLE_BITS = 16
_ABOVE_FLOAT32 = 2.0**128  # stands for infinity, so that it saturates whatever it meets


class CodecParameters(NamedTuple):
    """A format's declaration flattened to numbers that compiled code can take."""

    kind: int
    sign_shift: int
    twos_complement: bool
    fraction_scale: float  # int: 2**fraction_bits
    largest_integer: int
    most_negative: int
    mantissa_bits: int
    bias: int
    lowest_exponent: int
    largest_field: int
    largest_code: int  # float: the code that overflow produces
    nan_code: int  # -1: the element has none
    flush_below_code: int  # float: magnitude codes below this become zero (elements without subnormals)
    epsilon: float
    epsilon_of_smallest: bool
    smallest: float
    flush_at: float
    scale_kind: int
    scale_bias: int
    scale_ceil: bool
    scale_offset: int
    scale_negated: bool
    scale_largest_code: int
    scale_nan_code: int  # -1: no NaN blocks
    scale_mantissa_bits: int
    scale_lowest_exponent: int
    element_largest: float


@cache
def parameters(fmt: BlockFormat) -> CodecParameters:
    """Flatten a format for the compiled loops."""
    element, quirks = fmt.element, fmt.quirks
    values: dict[str, Any] = dict.fromkeys(CodecParameters._fields, 0) | {
        "kind": _kind(fmt),
        "sign_shift": element.bits - 1,
        "fraction_scale": 1.0,
        "nan_code": -1,
        "epsilon": float(np.float32(quirks.epsilon)),
        "epsilon_of_smallest": quirks.epsilon_of_smallest,
        "smallest": 2.0**element.lsb_exponent,
        "flush_at": quirks.flush_at,
        "scale_nan_code": -1,
        "element_largest": float(element.largest),
        "twos_complement": isinstance(element, IntElement) and not element.sign_magnitude,
        "scale_ceil": False,
        "scale_negated": False,
    }
    if isinstance(element, IntElement):
        values |= {
            "fraction_scale": 2.0**element.fraction_bits,
            "largest_integer": element.largest_integer,
            "most_negative": -element.smallest_integer,
        }
    elif isinstance(element, FloatElement):
        values |= {
            "mantissa_bits": element.mantissa_bits,
            "bias": element.bias,
            "lowest_exponent": (1 if element.hidden_bit else 0) - element.bias,
            "largest_field": element.largest_exponent_field,
            "largest_code": element.infinity_code if fmt.overflows_to_infinity else element.largest_magnitude_code,
            "nan_code": element.nan_code if element.has_nan else -1,
            "flush_below_code": 0 if element.subnormals else 1 << element.mantissa_bits,
        }
    else:
        values |= {"bias": element.bias, "largest_field": (1 << element.exponent_bits) - 1}
    return CodecParameters(**(values | _scale_values(fmt)))


def _kind(fmt: BlockFormat) -> int:
    if isinstance(fmt.element, IntElement):
        return _INT
    if isinstance(fmt.element, LogElement):
        return _LOG
    if fmt.quirks.saturate_significand:
        return _FLOAT_SATURATING
    return _FLOAT if fmt.element.hidden_bit else _FLOAT_NO_HIDDEN


def _scale_values(fmt: BlockFormat) -> dict[str, int | bool]:
    scale = fmt.scale
    nan_code = scale.nan_code if scale is not None and scale.nan else -1
    if isinstance(scale, PowerOfTwoScale):
        return {
            "scale_kind": _POWER_OF_TWO,
            "scale_bias": scale.bias,
            "scale_ceil": scale.rule == "ceil",
            "scale_offset": fmt.scale_exponent_offset,
            "scale_negated": scale.negated,
            "scale_largest_code": scale.largest_code,
            "scale_nan_code": nan_code,
        }
    if isinstance(scale, FloatScale):
        return {
            "scale_kind": _FLOAT_SCALE,
            "scale_largest_code": scale.element.largest_magnitude_code,
            "scale_nan_code": nan_code,
            "scale_mantissa_bits": scale.element.mantissa_bits,
            "scale_lowest_exponent": 1 - scale.element.bias,
        }
    return {"scale_kind": _NO_SCALE}


@njit(inline="always")
def _encode_float(y, mantissa_bits, lowest):  # type: ignore[no-untyped-def]
    """Magnitude code of y >= 0 with a hidden bit; a significand that rounds up carries into the exponent by itself."""
    exponent = max(floor_log2(y), lowest)
    units = round_half_even(y * power_of_two(mantissa_bits - exponent))
    return ((exponent - lowest) << mantissa_bits) + np.int64(units)


@njit(inline="always")
def _encode_magnitude(y, pushed, p):  # type: ignore[no-untyped-def]
    """Magnitude code of y >= 0, in units of the block's scale, for float and log elements; `pushed`: y with epsilon."""
    if p.kind == _FLOAT:
        code = min(_encode_float(y, p.mantissa_bits, p.lowest_exponent), p.largest_code)
        return code if code >= p.flush_below_code else 0
    if p.kind == _FLOAT_NO_HIDDEN:
        exponent = max(floor_log2(y) + 1, p.lowest_exponent)
        units = np.int64(round_half_even(y * power_of_two(p.mantissa_bits - exponent)))
        carry = units >> p.mantissa_bits
        return min(((exponent + carry + p.bias) << p.mantissa_bits) | (units >> carry), p.largest_code)
    if p.kind == _LOG:
        if pushed == 0.0:
            return 0
        exponent = floor_log2(pushed) + (mantissa(pushed) > SQRT2_MANTISSA)
        return min(max(exponent + p.bias, 0), p.largest_field)
    return _encode_saturating(y, pushed, p)


@njit
def _encode_saturating(y, pushed, p):  # type: ignore[no-untyped-def]
    """The published rule: choose the exponent field of `pushed` first, then clip the significand to it."""
    if y == 0.0:
        return 0
    hidden_bit = p.lowest_exponent + p.bias  # 1 with a hidden bit, 0 without
    exponent = floor_log2(pushed)
    if hidden_bit == 0 and mantissa(pushed) != 0:
        exponent += 1
    field = min(max(exponent + p.bias, 0), p.largest_field)
    subnormal = hidden_bit == 1 and field == 0
    scaled = y * power_of_two(p.mantissa_bits + p.bias - field - subnormal)
    units = np.int64(round_half_even(min(scaled, 2.0**40)))
    hidden = (1 << p.mantissa_bits) if hidden_bit == 1 and not subnormal else 0
    code = (field << p.mantissa_bits) | min(max(units - hidden, 0), (1 << p.mantissa_bits) - 1)
    return min(code, p.largest_code)


@njit(inline="always")
def _scale_code(largest, tensor_factor, p):  # type: ignore[no-untyped-def]
    if p.scale_kind == _POWER_OF_TWO:
        if largest == 0.0:
            return p.scale_largest_code if p.scale_negated else 0
        exponent = floor_log2(largest) - p.scale_offset
        if p.scale_ceil and mantissa(largest) != 0:
            exponent += 1
        if p.scale_negated:
            exponent = -exponent
        return min(max(exponent + p.scale_bias, 0), p.scale_largest_code)
    if p.scale_kind == _NO_SCALE or tensor_factor == 0.0:
        return 0
    wanted = largest / (p.element_largest * tensor_factor)
    return min(_encode_float(wanted, p.scale_mantissa_bits, p.scale_lowest_exponent), p.scale_largest_code)


@njit(inline="always")
def _scale_value(code, tensor_factor, p):  # type: ignore[no-untyped-def]
    if p.scale_kind == _POWER_OF_TWO:
        return power_of_two(code - p.scale_bias)
    if p.scale_kind == _NO_SCALE:
        return 1.0
    field = code >> p.scale_mantissa_bits
    significand = code & ((1 << p.scale_mantissa_bits) - 1)
    if field > 0:
        significand |= 1 << p.scale_mantissa_bits
        field -= 1
    return (
        np.float64(significand) * power_of_two(field + p.scale_lowest_exponent - p.scale_mantissa_bits) * tensor_factor
    )


@njit(inline="always")
def _encode(x, unit, p):  # type: ignore[no-untyped-def]
    """Code of one float32 that is not NaN."""
    negative = np.float32(x).view(np.int32) < 0
    magnitude = min(np.float64(abs(x)), _ABOVE_FLOAT32)
    y = magnitude / unit if unit > 0.0 else 0.0
    pushed = y
    if p.epsilon != 0.0 and magnitude < _ABOVE_FLOAT32:
        epsilon = np.float32(p.epsilon * unit * p.smallest) if p.epsilon_of_smallest else np.float32(p.epsilon)
        negative = negative and abs(x) > epsilon
        pushed = np.float64(abs(x) + epsilon) / unit
    if magnitude <= p.flush_at:
        y = pushed = 0.0
    if p.kind == _INT:
        integer = np.int64(round_half_even(min(pushed * p.fraction_scale, 2.0**40)))
        if p.twos_complement:
            signed = -min(integer, p.most_negative) if negative else min(integer, p.largest_integer)
            return signed & ((np.int64(2) << p.sign_shift) - 1)
        return min(integer, p.largest_integer) | np.int64(negative) << p.sign_shift
    return np.int64(_encode_magnitude(y, pushed, p)) | np.int64(negative) << p.sign_shift


@njit
def _largest_number(bits):  # type: ignore[no-untyped-def]
    """Bits of the largest magnitude that is not NaN."""
    largest = np.uint32(0)
    for one in bits:
        magnitude_bits = one & np.uint32(0x7FFFFFFF)
        if magnitude_bits <= _INFINITY_BITS:
            largest = max(largest, magnitude_bits)
    return largest


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def _quantize_rows(x, block, tensor_factor, p, codes, scales, refused):  # type: ignore[no-untyped-def]
    """Quantise [rows, K] float32; `refused[row]` counts the NaNs that no code can hold."""
    rows, length = x.shape
    for row in prange(rows):
        values, bits, out = x[row], x[row].view(np.uint32), codes[row]
        for b in range(scales.shape[1]):
            start, stop = b * block, min((b + 1) * block, length)
            largest_bits = np.uint32(0)
            nans = 0
            for i in range(start, stop):
                magnitude_bits = bits[i] & np.uint32(0x7FFFFFFF)
                nans += magnitude_bits > _INFINITY_BITS
                largest_bits = max(largest_bits, magnitude_bits)
            if nans > 0 and p.scale_nan_code < 0:
                largest_bits = _largest_number(bits[start:stop])
            if largest_bits >= _INFINITY_BITS and p.scale_nan_code >= 0:
                scales[row, b] = p.scale_nan_code
                for i in range(start, stop):
                    out[i] = 0
                continue
            if nans > 0 and p.nan_code < 0:
                refused[row] += nans
                continue
            largest = min(np.float64(np.uint32(largest_bits).view(np.float32)), _ABOVE_FLOAT32)
            code = _scale_code(largest, tensor_factor, p)
            scales[row, b] = code
            unit = _scale_value(code, tensor_factor, p)
            for i in range(start, stop):
                if nans > 0 and np.isnan(values[i]):
                    out[i] = p.nan_code | np.int64(bits[i] >> np.uint32(31)) << p.sign_shift
                else:
                    out[i] = _encode(values[i], unit, p)


@njit
def _decode_float(code, p):  # type: ignore[no-untyped-def]
    """Value of a float code, for elements too wide for a table."""
    magnitude = code & ((np.int64(1) << p.sign_shift) - 1)
    field, fraction = magnitude >> p.mantissa_bits, magnitude & ((1 << p.mantissa_bits) - 1)
    hidden_bit = p.lowest_exponent + p.bias  # 1 with a hidden bit, 0 without
    if field > p.largest_field:
        value = np.nan if fraction else np.inf
    elif magnitude == p.nan_code:
        value = np.nan
    elif hidden_bit == 0:
        value = fraction * power_of_two(field + p.lowest_exponent - p.mantissa_bits)
    elif field == 0:
        value = 0.0 if p.flush_below_code else fraction * power_of_two(p.lowest_exponent - p.mantissa_bits)
    else:
        significand = fraction | (1 << p.mantissa_bits)
        value = significand * power_of_two(field - 1 + p.lowest_exponent - p.mantissa_bits)
    return -value if code >> p.sign_shift else value


@njit(parallel=True, nogil=True, cache=True, error_model="numpy")
def _dequantize_rows(codes, scales, block, tensor_factor, p, table, out):  # type: ignore[no-untyped-def]
    """Dequantise [rows, K] codes through a table of element values; one rounding, from float64 to float32."""
    rows, length = codes.shape
    for row in prange(rows):
        for b in range(scales.shape[1]):
            code = np.int64(scales[row, b])
            unit = np.nan if code == p.scale_nan_code else _scale_value(code, tensor_factor, p)
            for i in range(b * block, min((b + 1) * block, length)):
                value = table[codes[row, i]] if table.size > 0 else _decode_float(np.int64(codes[row, i]), p)
                out[row, i] = np.float32(value * unit)


@njit(parallel=True, nogil=True, cache=True)
def _largest_finite(x):  # type: ignore[no-untyped-def]
    """Largest finite magnitude of [rows, K] float32, a row at a time."""
    largest = np.zeros(x.shape[0], np.float32)
    for row in prange(x.shape[0]):
        for value in x[row]:
            if np.isfinite(value):
                largest[row] = max(largest[row], abs(value))
    return largest


def tensor_scale(x: NDArray[np.float32], fmt: BlockFormat) -> float:
    """The float32 factor of a whole [rows, K] tensor: ``max|x| / (largest element * largest scale)``; 1 without one."""
    if not (isinstance(fmt.scale, FloatScale) and fmt.scale.tensor_scale):
        return 1.0
    largest = float(_largest_finite(x).max(initial=0.0))
    with np.errstate(over="ignore"):
        factor = np.float32(largest / float(fmt.element.largest * fmt.scale.element.largest))
    return float(min(factor, np.finfo(np.float32).max))


def code_dtype(bits: int) -> np.dtype[np.unsignedinteger]:
    """The narrowest unsigned integer type that holds a code of this many bits."""
    return np.dtype(np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32)


def quantize_rows(
    x: NDArray[np.float32], fmt: BlockFormat, block: int, tensor_factor: float
) -> tuple[NDArray[np.unsignedinteger], NDArray[np.unsignedinteger], int]:
    """Quantise a C-contiguous [rows, K] array: (codes [rows, K], scale codes [rows, blocks], NaNs refused)."""
    rows, length = x.shape
    codes = np.empty((rows, length), code_dtype(fmt.element.bits))
    scales = np.empty((rows, fmt.blocks_per_row(length)), np.uint32)
    refused = np.zeros(rows, np.int64)
    _quantize_rows(x, block, tensor_factor, parameters(fmt), codes, scales, refused)
    scale_bits = fmt.scale.bits if fmt.scale is not None else 8
    return codes, scales.astype(code_dtype(scale_bits)), int(refused.sum())


def dequantize_rows(
    codes: NDArray[np.unsignedinteger],
    scales: NDArray[np.unsignedinteger],
    fmt: BlockFormat,
    block: int,
    tensor_factor: float,
    out: NDArray[np.float32],
) -> None:
    """Dequantise [rows, K] codes into `out`, C-contiguous float32 of the same shape."""
    table = value_table(fmt.element)
    _dequantize_rows(codes, scales.astype(np.uint32), block, tensor_factor, parameters(fmt), table, out)


@cache
def value_table(element: Element) -> NDArray[np.float64]:
    """The value of every code as float64, specials included; empty for elements wider than 16 bits."""
    if element.bits > _LARGEST_TABLE_BITS:
        return np.empty(0)
    return np.array([float(element.decode(code)) for code in range(1 << element.bits)])
