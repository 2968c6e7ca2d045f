"""Quantise-dequantise in plain torch operations, for tensors on devices that the kernels do not run on.

The arithmetic is that of `encode` and `scales` on whole tensors: float64 and integers, each operation rounded by itself
and exact where they say so, which IEEE 754 makes the same on every device. What is left out raises FormatError:
published quirks, stochastic rounding, double and signed scales.
"""

import math
from typing import NamedTuple

import torch

from densimeter.formats.block import BlockFormat, Quirks
from densimeter.formats.errors import FormatError
from densimeter.formats.grid import Grid, checked_axis, grid
from densimeter.formats.scale import DoubleScale, FloatScale
from densimeter.kernels.bits import SQRT2_MANTISSA
from densimeter.kernels.encode import ABOVE_FLOAT32
from densimeter.kernels.parameters import (
    AFFINE,
    CEIL,
    CODEBOOK,
    EVEN,
    FLOAT_SCALE,
    INT,
    LOG,
    MINIMUM,
    NAN_BLOCK,
    NAN_KEPT,
    NAN_REFUSED,
    NEAREST_EVEN,
    NEAREST_UP,
    NO_SCALE,
    POWER_OF_TWO,
    RCEIL,
    TOWARD_MINUS_INFINITY,
    TOWARD_ZERO,
    ZERO_POINT,
    CodecFields,
    ElementFields,
    FloatFields,
    ScaleFields,
    ladder,
    parameters,
)

_LARGEST_FLOAT32 = torch.finfo(torch.float32).max
_BIAS, _MANTISSA_BITS = 1023, 52
_MANTISSA_MASK = (1 << _MANTISSA_BITS) - 1
_MANY = 2.0**40  # more units than any element has


class _Shared(NamedTuple):
    """What the values of a block share, [..., 1]: value = (element - zero) * unit + minimum."""

    unit: torch.Tensor
    zero: torch.Tensor | float = 0.0
    minimum: torch.Tensor | float = -0.0


def supports(fmt: BlockFormat) -> bool:
    """Whether `round_tensor` takes the format."""
    return _reason_against(fmt) is None


def round_tensor(tensor: torch.Tensor, fmt: BlockFormat, axis: int = -1) -> torch.Tensor:
    """``kernels.quantize_dequantize(tensor, fmt, axis)`` as float32 on the tensor's device, bit for bit (but for what a
    NaN holds), without a gradient.

    Raises FormatError for formats that it leaves out, by name; for a NaN that the format refuses; and for scalars.
    """
    if (reason := _reason_against(fmt)) is not None:
        raise FormatError(f"{fmt.name} has {reason}, which tensors on {tensor.device} do not offer; move it to the CPU")
    if tensor.ndim == 0:
        raise FormatError("cannot quantise a scalar; expected a tensor with at least one axis")
    axis = checked_axis(axis, tensor.shape)
    values = tensor.detach().to(torch.float32)
    over = grid(fmt, tensor.shape, axis)
    rows = values if fmt.block == "tensor" else values.movedim(axis, -1)
    if values.numel() == 0:
        return values.clone()
    fields = parameters(fmt)
    _refuse(rows, fmt, fields.element)
    rounded = _from_blocks(_round(_to_blocks(rows, over), _present(over, values.device), rows, fmt, fields), over)
    return rounded.reshape(rows.shape) if fmt.block == "tensor" else rounded.reshape(rows.shape).movedim(-1, axis)


def _reason_against(fmt: BlockFormat) -> str | None:
    if fmt.quirks != Quirks():
        return "quirks of published code"
    if fmt.rounding == "stochastic":
        return "stochastic rounding"
    if isinstance(fmt.scale, DoubleScale):
        return "a double scale"
    return "a signed scale" if isinstance(fmt.scale, FloatScale) and fmt.scale.anchor == "signed" else None


def _refuse(values: torch.Tensor, fmt: BlockFormat, e: ElementFields) -> None:
    if e.nan_policy == NAN_REFUSED and (refused := int(values.isnan().sum())):
        raise FormatError(
            f"{refused} NaN in the input, and {fmt.name} has no code for NaN; replace them before quantising"
        )


# Blocks


def _to_blocks(rows: torch.Tensor, over: Grid) -> torch.Tensor:
    """[matrices, row groups, blocks, values of a block], filled up with zeros."""
    rows = rows.reshape(over.shape)
    added = [whole - given for whole, given in zip(over.padded_shape, over.shape, strict=True)]
    padded = torch.nn.functional.pad(rows, (0, added[2], 0, added[1]))
    tiles = padded.reshape(over.matrices, over.row_groups, over.block_rows, over.blocks, over.block_length)
    return tiles.transpose(2, 3).reshape(over.matrices, over.row_groups, over.blocks, -1)


def _from_blocks(blocks: torch.Tensor, over: Grid) -> torch.Tensor:
    tiles = blocks.reshape(over.matrices, over.row_groups, over.blocks, over.block_rows, over.block_length)
    return tiles.transpose(2, 3).reshape(over.padded_shape)[:, : over.rows, : over.length]


def _present(over: Grid, device: torch.device) -> torch.Tensor | None:
    """Which values of blocks are not filled up, or None where all are."""
    if over.padded_shape == over.shape:
        return None
    return _to_blocks(torch.ones(over.shape, dtype=torch.bool, device=device), over)


def _round(
    x: torch.Tensor, present: torch.Tensor | None, rows: torch.Tensor, fmt: BlockFormat, p: CodecFields
) -> torch.Tensor:
    """Float32 blocks, rounded."""
    e, s = p.element, p.scale
    nan = x.isnan()
    numbers = torch.where(nan, 0.0, x).to(torch.float64).clamp(-ABOVE_FLOAT32, ABOVE_FLOAT32)
    shared, shifts = _choose(numbers, present, _tensor_factor(rows, fmt), p)
    scaled = numbers * power_of_two(shifts) if s.micro_parts else numbers
    element = _nearest_element(scaled, x.signbit(), shared, fmt, p)
    if e.nan_policy == NAN_KEPT:
        element = torch.where(nan, torch.nan, element)
    if s.micro_parts:
        element = element * power_of_two(-shifts)
    rounded = ((element - shared.zero) * shared.unit).to(torch.float32)
    if s.kind == MINIMUM:
        assert isinstance(shared.minimum, torch.Tensor)
        rounded = rounded + shared.minimum.to(torch.float32)
    if e.nan_policy == NAN_BLOCK:
        rounded = torch.where(x.isfinite().all(-1, keepdim=True), rounded, torch.nan)
    return rounded


# Scales


def _tensor_factor(rows: torch.Tensor, fmt: BlockFormat) -> torch.Tensor | float:
    if not (isinstance(fmt.scale, FloatScale) and fmt.scale.tensor_scale):
        return 1.0
    largest = torch.where(rows.isfinite(), rows, 0.0).abs().amax().to(torch.float64)
    return _saturated_float32(largest / float(fmt.element.largest * fmt.scale.element.largest))


def _choose(
    x: torch.Tensor, present: torch.Tensor | None, factor: torch.Tensor | float, p: CodecFields
) -> tuple[_Shared, torch.Tensor]:
    """What blocks share, and the microexponents of their values."""
    e, s = p.element, p.scale
    no_shifts = torch.zeros((), dtype=torch.int64, device=x.device)
    if s.kind == NO_SCALE:
        return _Shared(torch.ones((), dtype=torch.float64, device=x.device)), no_shifts
    if s.kind in (ZERO_POINT, MINIMUM):
        return _choose_affine(x, present, p), no_shifts
    largest = x.abs().amax(-1, keepdim=True)
    if s.kind == POWER_OF_TWO:
        code = _exponent_code(largest, s, e.largest)
        return _Shared(power_of_two(code - s.bias)), _microexponents(x, code, s) if s.micro_parts else no_shifts
    assert s.kind == FLOAT_SCALE
    wanted = torch.nan_to_num(largest / (e.largest * factor))  # zero where the factor is
    return _Shared(_stored(wanted, p.stored) * factor), no_shifts


def _exponent_code(largest: torch.Tensor, s: ScaleFields, element_largest: float) -> torch.Tensor:
    if s.rule == RCEIL:
        quotient = largest / element_largest
        exponent = floor_log2(quotient) + (mantissa(quotient) != 0)
    else:
        exponent = floor_log2(largest) - s.offset
        if s.rule == CEIL:
            exponent = exponent + (mantissa(largest) != 0)
        elif s.rule == EVEN:
            exponent = exponent + (largest >= s.even_threshold * power_of_two(floor_log2(largest).clamp(-1022)))
    code = ((-exponent if s.negated else exponent) + s.bias).clamp(0, s.largest_code)
    return torch.where(largest == 0.0, s.largest_code if s.negated else 0, code)


def _microexponents(x: torch.Tensor, code: torch.Tensor, s: ScaleFields) -> torch.Tensor:
    """How far below the block's exponent the part of every value lies."""
    width = x.shape[-1] // s.micro_parts
    largest = x.abs().reshape(*x.shape[:-1], s.micro_parts, width).amax(-1)
    shifts = (code - s.bias + s.offset - floor_log2(largest)).clamp(0, s.micro_largest)
    return torch.where(largest == 0.0, s.micro_largest, shifts).repeat_interleave(width, -1)


def _choose_affine(x: torch.Tensor, present: torch.Tensor | None, p: CodecFields) -> _Shared:
    s, e = p.scale, p.element
    low, high = (x, x) if present is None else (torch.where(present, x, end) for end in (torch.inf, -torch.inf))
    least, greatest = low.amin(-1, keepdim=True), high.amax(-1, keepdim=True)
    if s.kind == ZERO_POINT:
        least, greatest = least.clamp(max=0.0), greatest.clamp(min=0.0)
    unit = _saturated_float32(greatest - least) / e.largest
    if s.exponent_stored:
        exponent = floor_log2(unit) + (mantissa(unit) != 0)
        stored = power_of_two((exponent + s.bias).clamp(0, s.largest_code) - s.bias)
    else:
        stored = _stored(unit, p.stored)
    if s.kind == ZERO_POINT:
        wanted = torch.where(stored == 0.0, 0.0, -least / stored).clamp(max=_MANY)
        return _Shared(stored, zero=torch.round(wanted).clamp(max=float(s.zero_largest)))
    return _Shared(stored, minimum=_stored(least, p.minimum) + 0.0)


def _stored(x: torch.Tensor, f: FloatFields) -> torch.Tensor:
    """Numbers as a float element holds them: nearest even, saturating."""
    magnitude, beyond = _nearest_float(x.abs(), x < 0.0, NEAREST_EVEN, f)
    magnitude = torch.where(beyond, _largest(f), magnitude)
    return torch.where(x < 0.0, -magnitude, magnitude)


def _largest(f: FloatFields) -> float:
    """The largest magnitude of a float element."""
    field, fraction = divmod(f.largest_code, 1 << f.mantissa_bits)
    if f.hidden_bit and field > 0:
        field, fraction = field - 1, fraction + (1 << f.mantissa_bits)
    return math.ldexp(fraction, field + f.lowest_exponent - f.mantissa_bits)


# Elements


def _nearest_element(
    x: torch.Tensor, negative: torch.Tensor, shared: _Shared, fmt: BlockFormat, p: CodecFields
) -> torch.Tensor:
    """The element that stands for every number, as its value; infinities are given as 2**128."""
    e = p.element
    if e.kind == CODEBOOK:
        return _nearest_level(x, negative, shared.unit, fmt, e)
    if e.kind == AFFINE:
        quotient = _saturated_float32(x - (shared.minimum if p.scale.kind == MINIMUM else 0.0)) / shared.unit
        quotient = torch.where(shared.unit == 0.0, 0.0, quotient)
        units = _rounded(quotient.abs().clamp(max=_MANY), quotient < 0.0, e.rounding)
        integer = torch.where(quotient < 0.0, -units, units) + shared.zero
        return integer.clamp(e.smallest_integer, e.largest_integer) + 0.0
    magnitude = torch.where(shared.unit == 0.0, 0.0, x.abs() / shared.unit)
    if e.kind == INT:
        units = _rounded((magnitude * e.units).clamp(max=_MANY), negative, e.rounding)
        integer = torch.where(negative, -units, units).clamp(e.smallest_integer, e.largest_integer)
        return integer / e.units if e.sign_magnitude else integer / e.units + 0.0
    if e.kind == LOG:
        return torch.where(negative, -1.0, 1.0) * _nearest_power(magnitude, negative, e)
    value, beyond = _nearest_float(magnitude, negative, e.rounding, p.float)
    value = torch.where(beyond, _beyond(x.abs(), negative, fmt, e), value)
    signed = negative if p.float.negative_zero else negative & (value != 0.0)
    return torch.where(signed, -value, value)


def _nearest_float(
    y: torch.Tensor, negative: torch.Tensor, rounding: int, f: FloatFields
) -> tuple[torch.Tensor, torch.Tensor]:
    """The rounded magnitude, and whether it is beyond the largest."""
    exponent = (floor_log2(y) + (not f.hidden_bit)).clamp(f.lowest_exponent)
    units = _rounded(y * power_of_two(f.mantissa_bits - exponent), negative, rounding)
    value, whole = units * power_of_two(exponent - f.mantissa_bits), units.to(torch.int64)
    if f.hidden_bit:
        code = ((exponent - f.lowest_exponent) << f.mantissa_bits) + whole
        value = torch.where(code < f.flush_below_code, 0.0, value)
    else:
        carry = whole >> f.mantissa_bits
        code = ((exponent + carry + f.bias) << f.mantissa_bits) | (whole >> carry)
    return value, code > f.largest_code


def _beyond(
    magnitude: torch.Tensor, negative: torch.Tensor, fmt: BlockFormat, e: ElementFields
) -> torch.Tensor | float:
    """What becomes of magnitudes beyond the largest."""
    if e.overflow_code < 0:
        return e.largest
    special = torch.inf if fmt.element.has_infinity else torch.nan
    inward = e.rounding == TOWARD_ZERO or (~negative if e.rounding == TOWARD_MINUS_INFINITY else False)
    return torch.where((magnitude < ABOVE_FLOAT32) & inward, e.largest, special)


def _nearest_power(y: torch.Tensor, negative: torch.Tensor, e: ElementFields) -> torch.Tensor:
    exponent, lowest = floor_log2(y), torch.zeros_like(negative, dtype=torch.int64)
    if e.rounding == TOWARD_MINUS_INFINITY:
        exponent = exponent + (negative & (mantissa(y) != 0))
        lowest = torch.where(negative, e.log_smallest_field, lowest)
    elif e.rounding != TOWARD_ZERO:
        exponent = exponent + (mantissa(y) > int(SQRT2_MANTISSA))
    field = (exponent + e.log_bias).clamp(max=e.log_largest_field)
    field = torch.where(y == 0.0, 0, torch.maximum(field, lowest))
    return torch.where(field < e.log_smallest_field, 0.0, power_of_two(field - e.log_bias))


def _nearest_level(
    x: torch.Tensor, negative: torch.Tensor, unit: torch.Tensor, fmt: BlockFormat, e: ElementFields
) -> torch.Tensor:
    """A level next to x / unit, by comparing products, which are exact, instead of dividing."""
    levels = torch.from_numpy(ladder(fmt)[0, : e.levels].copy()).to(x.device)
    known = unit != 0.0
    x, unit = torch.where(known, x, 0.0), torch.where(known, unit, 1.0)
    low = torch.zeros(x.shape, dtype=torch.int64, device=x.device)
    high = torch.full_like(low, e.levels)
    for _ in range(e.levels.bit_length()):  # levels[low - 1] * unit <= x < levels[high] * unit
        middle = (low + high) >> 1
        reached = (low < high) & (levels[middle.clamp(max=e.levels - 1)] * unit <= x)
        low, high = torch.where(reached, middle + 1, low), torch.where(reached, high, middle)
    rank = (low - 1).clamp(min=0)
    lower, upper = levels[rank], levels[(rank + 1).clamp(max=e.levels - 1)]
    between = (low > 0) & (rank < e.levels - 1) & (x > lower * unit)
    value = torch.where(between & _takes_upper(x, lower, upper, unit, rank % 2 == 1, e.rounding), upper, lower)
    zero = torch.where(negative, -0.0, 0.0) if e.negative_zero_code >= 0 else 0.0
    return torch.where(value == 0.0, zero, value)


def _takes_upper(
    x: torch.Tensor, lower: torch.Tensor, upper: torch.Tensor, unit: torch.Tensor, odd: torch.Tensor, rounding: int
) -> torch.Tensor:
    """For numbers between two levels; the sum's rounding error decides where a number equals the rounded sum."""
    below_zero = upper.abs() <= lower.abs()
    if rounding == TOWARD_ZERO:
        return below_zero
    if rounding == TOWARD_MINUS_INFINITY:
        return torch.zeros_like(below_zero)
    first, second = lower * unit, upper * unit
    total = first + second
    rest = total - first
    error = (first - (total - rest)) + (second - rest)
    difference = torch.where(2.0 * x != total, 2.0 * x - total, -error)
    tie_up = odd if rounding == NEAREST_EVEN else torch.ones_like(odd) if rounding == NEAREST_UP else ~below_zero
    return torch.where(difference == 0.0, tie_up, difference > 0.0)


# Arithmetic


def _rounded(y: torch.Tensor, negative: torch.Tensor, rounding: int) -> torch.Tensor:
    """The integers to which magnitudes round, as float64."""
    if rounding == NEAREST_EVEN:
        return torch.round(y)
    floor = torch.floor(y)
    fraction = y - floor
    if rounding == TOWARD_ZERO:
        return floor
    if rounding == TOWARD_MINUS_INFINITY:
        return floor + (negative & (fraction > 0.0))
    if rounding == NEAREST_UP:
        return floor + torch.where(negative, fraction > 0.5, fraction >= 0.5)
    return floor + (fraction >= 0.5)


def _saturated_float32(x: torch.Tensor) -> torch.Tensor:
    return x.to(torch.float32).clamp(-_LARGEST_FLOAT32, _LARGEST_FLOAT32).to(torch.float64)


def floor_log2(x: torch.Tensor) -> torch.Tensor:
    """Exponents of normal float64 numbers from zero on; -1023 for zero."""
    return (x.view(torch.int64) >> _MANTISSA_BITS) - _BIAS


def mantissa(x: torch.Tensor) -> torch.Tensor:
    """The mantissa bits of float64 numbers."""
    return x.view(torch.int64) & _MANTISSA_MASK


def power_of_two(n: torch.Tensor) -> torch.Tensor:
    """2**n as float64, for integers from -1022 to 1023."""
    return ((n + _BIAS) << _MANTISSA_BITS).view(torch.float64)
