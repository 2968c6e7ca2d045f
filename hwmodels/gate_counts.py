"""How many gates of each kind a multiply-accumulate unit holds, counted from its datapath's widths.

The counts are shapes, not areas: a multiplier grows with the product of its widths, a shifter with its width times the
number of its steps, an adder with its width. `fitted_model` finds what one of each costs. The shapes are those of the
INT-vs-FP study (arXiv 2510.25602): multiplier x y, aligner and normaliser n log2 n, adders by their widths.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from densimeter.formats import (
    AlignedAccumulator,
    BlockFormat,
    Datapath,
    FixedAccumulator,
    FloatElement,
    FloatScale,
    Fp32Accumulator,
    IntAccumulator,
    IntElement,
    LogElement,
)
from densimeter.formats.datapath import largest_shift

KINDS = (
    *("float_decode", "negate"),
    *("multiply", "multiply_rows", "look_up"),
    *("align", "align_exponent"),
    *("tree_signed", "tree_sign_magnitude", "resolve"),
    *("scale_add", "scale_multiply", "scale_multiply_signed"),
    *("round", "round_normalize", "round_exponent"),
    *("add_int", "saturate", "fixed", "fixed_shift", "fixed_shift_sum", "aligned", "aligned_shift"),
    *("fp32", "fp32_flushing", "specials", "register"),
)
"""The kinds of gates, from the operands to the register."""


@dataclass(frozen=True)
class Side:
    """One operand: what the multiplier sees of it, and the bits that a decoder takes apart or negates before."""

    significand_bits: int
    exponent_bits: int
    float_bits: int
    negate_bits: int


def gate_counts(datapath: Datapath) -> Mapping[str, float]:
    """The count of every kind of gate in `KINDS`, by name, of the whole unit: all its lanes and its register."""
    counts = dict.fromkeys(KINDS, 0.0)
    a, w = sides(datapath)
    counts |= _lane_counts(datapath, a, w)
    counts |= _scale_counts(datapath)
    counts |= _accumulator_counts(datapath, a, w)
    counts["register"] = datapath.register_bits + datapath.has_invalid_flag
    return {kind: float(count) for kind, count in counts.items()}


def _lane_counts(datapath: Datapath, a: Side, w: Side) -> dict[str, float]:
    lanes, both_signed = datapath.lanes, both_signed_integers(datapath)
    counts: dict[str, float] = {
        "float_decode": lanes * (a.float_bits + w.float_bits),
        "negate": lanes * (a.negate_bits + w.negate_bits),
    }
    steps = max(a.exponent_bits, w.exponent_bits) + 1 if a.exponent_bits or w.exponent_bits else 0
    wide, narrow = max(a.significand_bits, w.significand_bits), min(a.significand_bits, w.significand_bits)
    if wide + narrow <= 4 and steps and a.exponent_bits + w.exponent_bits <= 4:
        counts["look_up"] = lanes * datapath.product_bits
    else:
        counts["multiply"] = lanes * wide * narrow if narrow > 1 else 0
        counts["multiply_rows"] = lanes * wide * (narrow - 1)
        counts["align"] = 0 if datapath.float_mac else lanes * datapath.product_bits * steps
        counts["align_exponent"] = lanes * steps
    if datapath.float_mac:
        return counts
    nodes = _tree_bits(lanes, datapath.product_bits + 1)
    counts["tree_signed" if both_signed else "tree_sign_magnitude"] = nodes
    if not both_signed and not isinstance(datapath.accumulator, Fp32Accumulator):
        counts["resolve"] = datapath.product_bits
    return counts


def _tree_bits(lanes: int, bits: int) -> int:
    """Widths of all adders of the tree over `lanes` products of `bits`."""
    if lanes == 1:
        return 0
    left = (lanes + 1) // 2
    width = bits + math.ceil(math.log2(lanes))
    return _tree_bits(left, bits) + _tree_bits(lanes - left, bits) + width


def _scale_counts(datapath: Datapath) -> dict[str, float]:
    significands = [f.scale.element.significand_bits for f in datapath.scaled if isinstance(f.scale, FloatScale)]
    product = math.prod(significands) if len(significands) > 1 else 0
    # A binary32 register takes magnitudes, the others a signed product.
    unsigned = isinstance(datapath.accumulator, Fp32Accumulator)
    return {
        "scale_add": datapath.exponent_bits if len(datapath.scaled) > 1 else 0,
        "scale_multiply" if unsigned else "scale_multiply_signed": product + datapath.sum_bits * sum(significands),
    }


def _accumulator_counts(datapath: Datapath, a: Side, w: Side) -> dict[str, float]:
    accumulator = datapath.accumulator
    counts: dict[str, float] = {"specials": datapath.lanes * datapath.has_specials}
    if isinstance(accumulator, IntAccumulator):
        counts["add_int"] = accumulator.bits
        counts["saturate"] = accumulator.bits * (accumulator.overflow == "saturate")
    elif isinstance(accumulator, FixedAccumulator):
        counts["fixed"] = accumulator.bits
        # The sum may stand anywhere from below the register to its top.
        counts["fixed_shift"] = accumulator.bits * math.log2(accumulator.bits)
        counts["fixed_shift_sum"] = datapath.scaled_sum_bits * math.log2(accumulator.bits)
    elif isinstance(accumulator, AlignedAccumulator):
        counts["aligned"] = accumulator.bits + datapath.accumulator_exponent_bits
        counts["aligned_shift"] = accumulator.bits * math.log2(accumulator.bits)
    else:
        counts["fp32" if accumulator.subnormals else "fp32_flushing"] = 1
        rounded = a.significand_bits + w.significand_bits if datapath.float_mac else datapath.scaled_sum_bits - 1
        counts["round"] = 1
        counts["round_normalize"] = rounded * math.log2(rounded) if rounded > 1 else 0
        counts["round_exponent"] = rounded
    return counts


def both_signed_integers(datapath: Datapath) -> bool:
    """Whether products are signed from the start; else signs and magnitudes go separate ways until the sum."""
    return all(_is_signed_integer(fmt) for fmt in datapath.operands)


def sides(datapath: Datapath) -> tuple[Side, Side]:
    """The unit's two operands."""
    both_signed = both_signed_integers(datapath)
    return _side(datapath.activation, both_signed), _side(datapath.weight, both_signed)


def _is_signed_integer(fmt: BlockFormat) -> bool:
    """Integers in one piece; those under microexponents are shifted as magnitudes."""
    return not largest_shift(fmt) and _is_twos_complement(fmt)


def _is_twos_complement(fmt: BlockFormat) -> bool:
    return isinstance(fmt.element, IntElement) and fmt.element.encoding in ("twos_complement", "offset")


def _side(fmt: BlockFormat, both_signed: bool) -> Side:
    element = fmt.element
    if both_signed:
        return Side(element.bits, 0, 0, 0)
    if isinstance(element, FloatElement):
        return Side(element.significand_bits, _exponent_bits(element.exponent_bits, fmt), element.bits - 1, 0)
    if isinstance(element, LogElement):
        return Side(1, _exponent_bits(element.exponent_bits, fmt), 0, 0)
    negated = element.bits if _is_twos_complement(fmt) else 0
    return Side(element.significand_bits, _exponent_bits(0, fmt), 0, negated)


def _exponent_bits(bits: int, fmt: BlockFormat) -> int:
    """Width of an element's exponent with a microexponent added to it."""
    return ((1 << bits) - 1 + largest_shift(fmt)).bit_length()
