"""A format's declaration flattened to numbers that compiled code can take."""

from fractions import Fraction
from functools import cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from densimeter.formats.block import BlockFormat, Quirks
from densimeter.formats.codebook import CodebookElement
from densimeter.formats.element import Element, FloatElement, IntElement, LogElement
from densimeter.formats.number import significant_bits
from densimeter.formats.rounding import Rounding
from densimeter.formats.scale import AffineScale, FloatScale, PowerOfTwoScale

INT, AFFINE, RECIPROCAL, FLOAT, FLOAT_NO_HIDDEN, FLOAT_SATURATING, LOG, CODEBOOK = range(8)
NO_SCALE, POWER_OF_TWO, FLOAT_SCALE, SIGNED_SCALE, ZERO_POINT, MINIMUM = range(6)
FLOOR, CEIL, EVEN, RCEIL = range(4)
NEAREST_EVEN, NEAREST_AWAY, NEAREST_UP, TOWARD_ZERO, TOWARD_MINUS_INFINITY, STOCHASTIC = range(6)
NAN_BLOCK, NAN_KEPT, NAN_ZERO, NAN_REFUSED = range(4)

_VECTOR_ROUNDINGS = (NEAREST_EVEN, NEAREST_AWAY, TOWARD_ZERO)
_RULES = {"floor": FLOOR, "ceil": CEIL, "even": EVEN, "rceil": RCEIL}
_ROUNDINGS = {
    "nearest_even": NEAREST_EVEN,
    "nearest_away": NEAREST_AWAY,
    "nearest_up": NEAREST_UP,
    "toward_zero": TOWARD_ZERO,
    "toward_minus_infinity": TOWARD_MINUS_INFINITY,
    "stochastic": STOCHASTIC,
}
_LARGEST_TABLE_BITS = 16
_FLOAT64_BITS = 53
_SMALLEST_FLOAT64 = 5e-324


class FloatFields(NamedTuple):
    """A float element, be it of values, of a scale or of a minimum."""

    sign_shift: int
    mantissa_bits: int
    bias: int
    hidden_bit: int
    lowest_exponent: int
    largest_field: int
    largest_code: int  # of a finite magnitude
    nan_code: int  # -1: none
    negative_zero: bool  # else the NaN stands there
    flush_below_code: int  # magnitude codes below this become zero (elements without subnormals)


class ElementFields(NamedTuple):
    """How values become codes and back."""

    kind: int
    vectors: bool  # whether float64 vectors encode it
    rounding: int
    bits: int
    code_bytes: int
    sign_magnitude: bool
    code_offset: int
    smallest_integer: int
    largest_integer: int
    units: float  # int: 2**fraction_bits
    smallest: float
    largest: float
    overflow_code: int  # -1: saturates
    nan_policy: int
    epsilon: float
    epsilon_of_smallest: bool
    flush_at: float
    log_bias: int
    log_smallest_field: int
    log_largest_field: int
    levels: int  # codebook
    positive_zero_code: int  # -1: none
    negative_zero_code: int


class ScaleFields(NamedTuple):
    """How a block's scale is chosen, stored and read."""

    kind: int
    unrounded: bool  # values are divided by the float32 scale before it is rounded to its stored form
    bits: int  # of the exponent, or of the float below the zero
    code_bytes: int
    exponent_stored: bool  # beside a zero, instead of a float
    bias: int
    rule: int
    offset: int
    even_threshold: float  # significands from here on round up to two
    negated: bool
    largest_code: int
    nan_code: int  # -1: none
    micro_parts: int
    micro_bits: int
    micro_largest: int
    anchor: float  # signed: what the extreme value is divided by
    zero_largest: int


class CodecFields(NamedTuple):
    """All of a format. Flat tuples, because a parallel loop of Numba takes no nested ones."""

    element: ElementFields
    float: FloatFields  # the element
    scale: ScaleFields
    stored: FloatFields  # a float scale
    minimum: FloatFields  # the minimum above it


@cache
def parameters(fmt: BlockFormat) -> CodecFields:
    """Flatten a format (not a double scale's: its `first_level`)."""
    scale = fmt.scale
    stored = _float_fields(scale.element if isinstance(scale, FloatScale | AffineScale) else None)
    minimum = _float_fields(scale.zero if isinstance(scale, AffineScale) else None)
    return CodecFields(_element_fields(fmt), _float_fields(fmt.element), _scale_fields(fmt), stored, minimum)


def code_dtype(bits: int) -> np.dtype[np.unsignedinteger]:
    """The narrowest unsigned integer type that holds a code of this many bits."""
    return np.dtype(np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32 if bits <= 32 else np.uint64)


@cache
def value_table(element: Element) -> NDArray[np.float64]:
    """The value of every code as float64, specials included; empty for elements wider than 16 bits."""
    if element.bits > _LARGEST_TABLE_BITS:
        return np.empty(0)
    return np.array([float(element.decode(code)) for code in range(1 << element.bits)])


@cache
def ladder(fmt: BlockFormat) -> NDArray[np.float64]:
    """A codebook for compiled code, [4, 2**bits]; [4, 0] for other elements.

    Rows: levels in ascending order; their codes; between each level and the next, the threshold from which the next one
    is taken (infinity after the last); and what a difference to it must exceed: zero, or less where equality is enough.
    """
    element = fmt.element
    if not isinstance(element, CodebookElement):
        return np.empty((4, 0))
    rows = np.full((4, 1 << element.bits), np.inf)
    rows[3] = 0.0
    for rank, (level, code) in enumerate(element.ladder):
        zero_code = element.positive_zero_code if level == 0 else None
        rows[0, rank], rows[1, rank] = float(level), code if zero_code is None else zero_code
    for rank, ((lower, _), (upper, _)) in enumerate(pairwise(element.ladder)):
        threshold, inclusive = _threshold(lower, upper, rank % 2 == 1, fmt.rounding)
        rows[2, rank], rows[3, rank] = float(threshold), -_SMALLEST_FLOAT64 if inclusive else 0.0
    return rows


def _threshold(lower: Fraction, upper: Fraction, odd: bool, rounding: Rounding) -> tuple[Fraction, bool]:
    """The number from which the upper level is taken, and whether by that number itself; not for chance."""
    below_zero = abs(upper) <= abs(lower)
    if rounding == "toward_zero" and below_zero:
        return lower, False
    if rounding in ("toward_zero", "toward_minus_infinity"):
        return upper, True
    tie_up = {"nearest_even": odd, "nearest_away": not below_zero}.get(rounding, True)
    return (lower + upper) / 2, tie_up


def _element_fields(fmt: BlockFormat) -> ElementFields:
    element, quirks = fmt.element, fmt.quirks
    values: dict[str, Any] = dict.fromkeys(ElementFields._fields, 0) | {
        "kind": _kind(fmt),
        "vectors": _has_vectors(fmt),
        "rounding": _ROUNDINGS[fmt.rounding],
        "bits": element.bits,
        "code_bytes": code_dtype(element.bits).itemsize,
        "sign_magnitude": isinstance(element, IntElement) and element.sign_magnitude,
        "units": 1.0,
        "smallest": 2.0**element.lsb_exponent,
        "largest": float(element.largest),
        "overflow_code": -1,
        "nan_policy": _nan_policy(fmt),
        "epsilon": float(np.float32(quirks.epsilon)),
        "epsilon_of_smallest": quirks.epsilon_of_smallest,
        "flush_at": float(quirks.flush_at),
    }
    match element:
        case IntElement():
            values |= {
                "code_offset": element.code_offset,
                "smallest_integer": element.smallest_integer,
                "largest_integer": element.largest_integer,
                "units": 2.0**element.fraction_bits,
            }
        case FloatElement() if fmt.overflows_to_special:
            values["overflow_code"] = element.infinity_code if element.has_infinity else element.nan_code
        case LogElement():
            values |= {
                "log_bias": element.bias,
                "log_smallest_field": element.smallest_field,
                "log_largest_field": (1 << element.exponent_bits) - 1,
            }
        case CodebookElement():
            zeros = element.positive_zero_code, element.negative_zero_code
            values |= {
                "levels": len(element.ladder),
                "positive_zero_code": -1 if zeros[0] is None else zeros[0],
                "negative_zero_code": -1 if zeros[1] is None else zeros[1],
            }
    return ElementFields(**values)


def _kind(fmt: BlockFormat) -> int:
    match fmt.element:
        case IntElement():
            if fmt.quirks.float32_reciprocal:
                return RECIPROCAL
            return AFFINE if isinstance(fmt.scale, AffineScale) else INT
        case LogElement():
            return LOG
        case CodebookElement():
            return CODEBOOK
        case FloatElement(hidden_bit=hidden_bit):
            return FLOAT_SATURATING if fmt.quirks.saturate_significand else FLOAT if hidden_bit else FLOAT_NO_HIDDEN


def _has_vectors(fmt: BlockFormat) -> bool:
    """Whether float64 vectors encode the format; what is rare is left to the scalar code."""
    kind = _kind(fmt)
    if fmt.quirks != Quirks() or fmt.rounding == "stochastic":
        return False
    if kind == CODEBOOK:
        return _has_exact_thresholds(fmt)
    special = fmt.overflows_to_special and not fmt.element.has_infinity
    return (
        kind in (INT, AFFINE, FLOAT)
        and _ROUNDINGS[fmt.rounding] in _VECTOR_ROUNDINGS
        and not (kind == FLOAT and special)
    )


def _has_exact_thresholds(fmt: BlockFormat) -> bool:
    """Whether every threshold of a codebook times any scale is a float64."""
    assert isinstance(fmt.element, CodebookElement)
    scale_bits = fmt.scale.element.significand_bits if isinstance(fmt.scale, FloatScale) else 1
    steps = pairwise(fmt.element.ladder)
    thresholds = (_threshold(lower, upper, False, fmt.rounding)[0] for (lower, _), (upper, _) in steps)
    return all(significant_bits(threshold) + scale_bits <= _FLOAT64_BITS for threshold in thresholds)


def _nan_policy(fmt: BlockFormat) -> int:
    if fmt.nan_block:
        return NAN_BLOCK
    return NAN_KEPT if fmt.keeps_nan else NAN_REFUSED if fmt.refuses_nan else NAN_ZERO


def _scale_fields(fmt: BlockFormat) -> ScaleFields:
    scale = fmt.scale
    values: dict[str, Any] = dict.fromkeys(ScaleFields._fields, 0) | {
        "code_bytes": code_dtype(scale.code_bits if scale is not None else 8).itemsize,
        "exponent_stored": False,
        "unrounded": fmt.quirks.float32_reciprocal,
        "even_threshold": 2.0,
        "negated": False,
        "nan_code": scale.nan_code if scale is not None and scale.nan else -1,
        "anchor": 1.0,
    }
    if isinstance(scale, PowerOfTwoScale):
        values |= {
            "kind": POWER_OF_TWO,
            "bits": scale.bits,
            "bias": scale.bias,
            "rule": _RULES[scale.rule],
            "offset": fmt.scale_exponent_offset,
            "even_threshold": 2.0 - 2.0 ** -(fmt.top_fraction_bits + 1),
            "negated": scale.negated,
            "largest_code": scale.largest_code,
            "micro_parts": scale.microexponents,
            "micro_bits": scale.microexponent_bits,
            "micro_largest": scale.largest_shift,
        }
    elif isinstance(scale, FloatScale):
        values |= {"kind": FLOAT_SCALE, "bits": scale.element.bits}
        if scale.anchor == "signed":
            assert isinstance(fmt.element, IntElement)
            values |= {"kind": SIGNED_SCALE, "anchor": fmt.element.smallest_integer * 2.0**fmt.element.lsb_exponent}
    elif isinstance(scale, AffineScale):
        values |= {"kind": MINIMUM if scale.has_minimum else ZERO_POINT, "bits": scale.element.bits}
        if isinstance(scale.element, PowerOfTwoScale):
            exponent = scale.element
            values |= {"exponent_stored": True, "bias": exponent.bias, "largest_code": exponent.largest_code}
        if isinstance(scale.zero, IntElement):
            values["zero_largest"] = scale.zero.largest_integer
    return ScaleFields(**values)


def _float_fields(element: Element | PowerOfTwoScale | None) -> FloatFields:
    """Flatten a float element; zeros for anything else."""
    if not isinstance(element, FloatElement):
        return FloatFields(0, 0, 0, 0, 0, 0, 0, -1, True, 0)
    return FloatFields(
        sign_shift=element.bits - 1,
        mantissa_bits=element.mantissa_bits,
        bias=element.bias,
        hidden_bit=int(element.hidden_bit),
        lowest_exponent=int(element.hidden_bit) - element.bias,
        largest_field=element.largest_exponent_field,
        largest_code=element.largest_magnitude_code,
        nan_code=element.nan_code if element.has_nan else -1,
        negative_zero=element.has_negative_zero,
        flush_below_code=0 if element.subnormals or not element.hidden_bit else 1 << element.mantissa_bits,
    )
