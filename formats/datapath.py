"""Datapath: every width and exponent of a multiply-accumulate unit, derived from the two formats it multiplies.

The unit takes one group of `lanes` products per clock edge:

    decode -> multiply significands -> align to one fixed point -> add over the lanes -> apply the block scales ->
    accumulate

Emulator, Verilog generator and cost models all read their widths here, so that none can disagree about them.
"""

from dataclasses import dataclass
from functools import cached_property

from densimeter.formats.accumulator import (
    Accumulator,
    AlignedAccumulator,
    FixedAccumulator,
    Fp32Accumulator,
    IntAccumulator,
    parse_accumulator,
)
from densimeter.formats.block import BlockFormat
from densimeter.formats.element import FLOAT32, FloatElement, LogElement, largest_magnitude
from densimeter.formats.errors import FormatError
from densimeter.formats.scale import AffineScale, DoubleScale, FloatScale, PowerOfTwoScale

LOG_WINDOW_BITS = 24
"""Bits kept below the largest possible product when logarithmic operands are added: exact alignment would take 255."""

_MAX_OPERAND_BITS = 48
_MAX_SUM_BITS = 80
_MAX_SCALED_SUM_BITS = 80


@dataclass(frozen=True)
class Datapath:
    """One multiply-accumulate unit. Build it with `derive`, which refuses what cannot work."""

    activation: BlockFormat
    weight: BlockFormat
    lanes: int
    accumulator: Accumulator

    @property
    def operands(self) -> tuple[BlockFormat, BlockFormat]:
        return self.activation, self.weight

    @property
    def float_mac(self) -> bool:
        """One float product a cycle, rounded to float32 before it is added: the conventional floating-point MAC."""
        return (
            self.lanes == 1
            and not self.windowed
            and isinstance(self.accumulator, Fp32Accumulator)
            and any(isinstance(f.element, FloatElement) for f in self.operands)
            and not any(f.has_unit_scale for f in self.operands)
        )

    @property
    def windowed(self) -> bool:
        """Whether alignment keeps only a window under the largest possible product (logarithmic operands)."""
        return any(isinstance(f.element, LogElement) for f in self.operands)

    @property
    def window_bits(self) -> int:
        """Width of the window below the top product's lowest bit; 0 where alignment is exact."""
        return LOG_WINDOW_BITS if self.windowed else 0

    @property
    def product_lsb_exponent(self) -> int:
        """Weight of the lowest bit of an aligned product, block scales aside, as a power of two."""
        if self.windowed:
            return sum(f.element.top_exponent for f in self.operands) - self.window_bits
        return sum(f.element.lsb_exponent - largest_shift(f) for f in self.operands)

    @cached_property
    def product_bits(self) -> int:
        """Magnitude bits of the largest aligned product: |a| * |w| counted in units of its lowest bit."""
        return self._largest_product.bit_length()

    @cached_property
    def sum_bits(self) -> int:
        """Signed width of the sum over the lanes; it cannot overflow."""
        return (self.lanes * self._largest_product).bit_length() + 1

    @cached_property
    def _largest_product(self) -> int:
        a, w = (f.element for f in self.operands)
        if self.windowed:
            return ((1 << a.significand_bits) - 1) * ((1 << w.significand_bits) - 1) << self.window_bits
        return _largest_integer(self.activation) * _largest_integer(self.weight)

    def microexponents(self, operand: BlockFormat) -> int:
        """How many microexponents come with a group: those of the parts of a block that its lanes are in."""
        width = part_width(operand)
        return -(-self.lanes // width) if width else 0

    def scale_code_bits(self, operand: BlockFormat) -> int:
        """Width of the scale code that comes with a group: the block's, but of its microexponents the group's alone."""
        if not operand.has_unit_scale or operand.scale is None:
            return 0
        if isinstance(operand.scale, PowerOfTwoScale):
            return operand.scale.bits + self.microexponents(operand) * operand.scale.microexponent_bits
        return operand.scale.code_bits

    def group_scale(self, operand: BlockFormat, code: int, position: int) -> int:
        """Of a block's scale code, what comes with the group whose first lane is at `position` of the block."""
        scale, width = operand.scale, part_width(operand)
        if not (isinstance(scale, PowerOfTwoScale) and width):
            return code
        above = code >> (scale.bits + position // width * scale.microexponent_bits) << scale.bits
        return (code & ((1 << scale.bits) - 1) | above) & ((1 << self.scale_code_bits(operand)) - 1)

    @property
    def scaled(self) -> tuple[BlockFormat, ...]:
        """The operands whose block scale the unit applies."""
        return tuple(f for f in self.operands if f.has_unit_scale)

    @property
    def scaled_sum_bits(self) -> int:
        """Signed width of the sum after multiplication by the significands of float scales; powers of two add
        nothing."""
        return self.sum_bits + sum(
            f.scale.element.significand_bits for f in self.scaled if isinstance(f.scale, FloatScale)
        )

    @property
    def largest_exponent_code(self) -> int:
        """Largest sum of the operands' scale exponent codes (NaN codes included, since the field can hold them)."""
        return sum(_largest_exponent_code(f) for f in self.scaled)

    @property
    def exponent_bits(self) -> int:
        """Width of the sum of scale exponent codes; 0 without block scales."""
        return self.largest_exponent_code.bit_length()

    @property
    def exponent_offset(self) -> int:
        """Add this to the sum of scale exponent codes to get the exponent of the scaled sum's lowest bit."""
        return self.product_lsb_exponent - sum(_scale_bias(f) for f in self.scaled)

    @property
    def guard_bits(self) -> int:
        """Aligned accumulator: places by which a group's sum is shifted up to fill the significand."""
        return self.accumulator.bits - self.scaled_sum_bits if isinstance(self.accumulator, AlignedAccumulator) else 0

    @property
    def accumulator_exponent_bits(self) -> int:
        """Aligned accumulator: exponent register, one bit wider than the largest exponent and at least 6, so that
        increments never wrap."""
        return max(self.exponent_bits, 5) + 1 if isinstance(self.accumulator, AlignedAccumulator) else 0

    @property
    def register_bits(self) -> int:
        """Width of the accumulator port: for `aligned`, the exponent stands above the significand."""
        if isinstance(self.accumulator, Fp32Accumulator):
            return 32
        return self.accumulator.bits + self.accumulator_exponent_bits

    @property
    def register_lsb_exponent(self) -> int:
        """Weight of the register's lowest bit as a power of two; `aligned`: at exponent code 0. Not for fp32."""
        if isinstance(self.accumulator, FixedAccumulator):
            return self.accumulator.lsb_exponent
        if isinstance(self.accumulator, AlignedAccumulator):
            return self.exponent_offset - self.guard_bits
        return self.product_lsb_exponent

    @property
    def has_specials(self) -> bool:
        """Whether any operand code stands for NaN or Inf."""
        return any(f.element.has_nan or (f.has_unit_scale and f.nan_block) for f in self.operands)

    @property
    def has_invalid_flag(self) -> bool:
        """Whether the unit has an `invalid` output: NaN or Inf can arrive and the register cannot hold them."""
        return self.has_specials and not isinstance(self.accumulator, Fp32Accumulator)


def derive(
    activation: BlockFormat, weight: BlockFormat, lanes: int, accumulator: Accumulator | str = "fp32"
) -> Datapath:
    """The unit that multiplies `activation` by `weight` codes, `lanes` products a cycle; FormatError where none can
    exist."""
    parsed = parse_accumulator(accumulator) if isinstance(accumulator, str) else accumulator
    datapath = Datapath(activation, weight, lanes, parsed)
    for operand in datapath.operands:
        _check_arithmetic(operand)
    _check_lanes(datapath)
    if datapath.float_mac:
        _check_float_mac(datapath)
    else:
        _check_dot(datapath)
    return datapath


def default_lanes(activation: BlockFormat, weight: BlockFormat) -> int:
    """Lanes that consume one block a cycle: the smaller block of the two, or 1 where neither has blocks of a fixed
    count."""
    blocks = [f.block_columns for f in (activation, weight) if f.has_unit_scale and f.block_columns]
    return min(blocks, default=1)


def part_width(operand: BlockFormat) -> int:
    """How many values of a block are under one microexponent; 0 where there are none."""
    scale, columns = operand.scale, operand.block_columns
    if not (isinstance(scale, PowerOfTwoScale) and scale.microexponents and columns):
        return 0
    return columns // scale.microexponents


def largest_shift(operand: BlockFormat) -> int:
    """By how many places a microexponent shifts values down at most: so much lower stands the lowest bit of a value in
    fixed point, and a value under a microexponent of zero is shifted up by all of them."""
    return operand.scale.largest_shift if isinstance(operand.scale, PowerOfTwoScale) else 0


def _largest_integer(operand: BlockFormat) -> int:
    """The largest magnitude in fixed point, scales aside."""
    return largest_magnitude(operand.element) << largest_shift(operand)


def _check_lanes(datapath: Datapath) -> None:
    if not 1 <= datapath.lanes <= 256:
        raise FormatError(f"lanes is {datapath.lanes}, expected 1 to 256")
    for operand in datapath.scaled:
        columns = operand.block_columns
        if columns and columns % datapath.lanes:
            raise FormatError(
                f"{datapath.lanes} lanes do not divide the block of {operand.name} ({columns}): one group "
                f"would need two scales; use a divisor of {columns}"
            )
        width = part_width(operand)
        if width and datapath.lanes % width and width % datapath.lanes:
            raise FormatError(
                f"{datapath.lanes} lanes neither divide the {width} values of {operand.name} under one microexponent "
                f"nor are a multiple of them; use a divisor of {columns} that does"
            )


def _check_arithmetic(operand: BlockFormat) -> None:
    """Products of codes times scales are what a unit adds; formats of other shape have no unit."""
    scale = operand.scale
    if isinstance(scale, AffineScale):
        what = "adds a zero point or a minimum to every product"
    elif isinstance(scale, DoubleScale):
        what = "has scales that are themselves quantised"
    elif isinstance(scale, FloatScale) and operand.has_unit_scale and not _is_ordinary(scale.element):
        what = "has float scales without a hidden bit or without subnormals"
    else:
        return
    raise FormatError(
        f"{operand.name} {what}, for which no multiply-accumulate unit is defined; dequantise it first, or use a "
        "format with one scale a block"
    )


def _check_float_mac(datapath: Datapath) -> None:
    """Values must be float32 numbers themselves, for that is what the unit multiplies."""
    for operand in datapath.operands:
        element = operand.element
        if element.emax > FLOAT32.emax or element.lsb_exponent < FLOAT32.lsb_exponent:
            raise FormatError(
                f"{operand.name}: its values, up to 2^{element.emax} in steps of 2^{element.lsb_exponent}, are not all "
                "float32 numbers, which a float MAC multiplies; use a bias nearer the middle"
            )


def _check_dot(datapath: Datapath) -> None:
    accumulator = datapath.accumulator
    pair = f"{datapath.activation.name} x {datapath.weight.name}"
    for operand in datapath.operands:
        if _largest_integer(operand).bit_length() > _MAX_OPERAND_BITS and not datapath.windowed:
            raise FormatError(
                f"{operand.name}: its range spans more than {_MAX_OPERAND_BITS} bits in fixed point, too wide to add "
                "exactly; use lanes 1 with the fp32 accumulator"
            )
    if datapath.sum_bits > _MAX_SUM_BITS:
        raise FormatError(
            f"{pair}: the exact sum over {datapath.lanes} lanes is {datapath.sum_bits} bits wide "
            f"(limit {_MAX_SUM_BITS}); use lanes 1 with the fp32 accumulator, or an element of smaller range"
        )
    if datapath.scaled_sum_bits > _MAX_SCALED_SUM_BITS:
        raise FormatError(
            f"{pair}: the sum times both scale significands is {datapath.scaled_sum_bits} bits wide "
            f"(limit {_MAX_SCALED_SUM_BITS}); use a narrower scale"
        )
    if isinstance(accumulator, IntAccumulator) and datapath.scaled:
        raise FormatError(
            f"{pair}: accumulator {accumulator} cannot follow a scale that changes from block to block; "
            "use fixed, aligned or fp32"
        )
    if isinstance(accumulator, AlignedAccumulator) and accumulator.bits < datapath.scaled_sum_bits:
        raise FormatError(
            f"{pair}: accumulator {accumulator} is narrower than the sum of one group; "
            f"use aligned{datapath.scaled_sum_bits} or wider"
        )


def _is_ordinary(stored: FloatElement) -> bool:
    """Whether the scale stage of a unit, which knows hidden bits and subnormals, decodes such a scale."""
    return stored.hidden_bit and stored.subnormals


def _largest_exponent_code(operand: BlockFormat) -> int:
    scale = operand.scale
    if isinstance(scale, PowerOfTwoScale):
        return (1 << scale.bits) - 1
    if isinstance(scale, FloatScale):
        return (1 << scale.element.exponent_bits) - 1
    return 0


def _scale_bias(operand: BlockFormat) -> int:
    """What to subtract from a scale's exponent code to get the exponent of its significand's lowest bit."""
    scale = operand.scale
    if isinstance(scale, PowerOfTwoScale):
        return scale.bias
    if isinstance(scale, FloatScale):
        return scale.element.bias + scale.element.mantissa_bits
    return 0
