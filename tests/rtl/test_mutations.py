"""The default regression catches faults planted in the library: each makes a circuit that is wrong somewhere."""

import pytest

import densimeter.formats as F
from densimeter.rtl.emit import emit
from densimeter.rtl.simulate import run
from densimeter.simulator.rtl_regression import expected_registers
from densimeter.simulator.stimulus import draw
from support.unit_streams import any_format

pytestmark = pytest.mark.rtl

Unit = tuple[str, str, int, str]
INT: Unit = ("int8", "int8", 4, "int20_saturate")
FIXED: Unit = ("bfp4", "bfp4", 2, "fixed32:-12")
ALIGNED: Unit = ("bfp4", "bfp4", 2, "aligned20")
INVALID: Unit = ("mxfp8_e5m2", "mxfp8_e5m2", 2, "fixed48:-20")
BLOCK: Unit = ("mxfp6_e2m3", "mxfp6_e2m3", 2, "fp32")
WIDE: Unit = ("mxfp8_e5m2", "mxint8", 2, "fp32")
TINY: Unit = ("mxfp4", "mxfp4", 2, "fp32")
MAC: Unit = ("bfloat16", "bfloat16", 1, "fp32")
MICRO: Unit = ("mx6", "int8", 4, "fp32")
SIGNED: Unit = ("gguf_q4_0", "gguf_q4_0", 2, "fp32")
SIGNED_FIXED: Unit = ("gguf_q4_0", "int8", 2, "fixed48:-24")
FLUSHED: Unit = ("float32_ftz", "float32_ftz", 1, "fp32_ftz")

FAULTS = [
    # Accumulators: what clears, what holds, what saturates, what is kept below.
    (INT, "= clear ? {ACCUMULATOR_BITS{1'b0}} : previous", "= previous"),
    (INT, "{negative, {(CLAMPED_BITS-1){~negative}}}", "{~negative, {(CLAMPED_BITS-1){negative}}}"),
    (INT, "value[BITS-2:CLAMPED_BITS-1] != {(BITS-CLAMPED_BITS){negative}}", "1'b0"),
    (INT, "$signed(a) * $signed(b)", "a * b"),
    (INT, "assign sum = left + right", "assign sum = left - right"),
    (FIXED, "{negative, {(ACCUMULATOR_BITS-1){~negative}}}", "{~negative, {(ACCUMULATOR_BITS-1){negative}}}"),
    (FIXED, "(too_far && sum != 0)", "1'b0"),
    (FIXED, "wide <<< distance", "wide <<< (distance + 1)"),
    (FIXED, "{{SHIFT_MAX{sum[SUM_BITS-1]}}, sum}", "{{SHIFT_MAX{1'b0}}, sum}"),
    (ALIGNED, "wire group_larger = behind | clear", "wire group_larger = behind"),
    (ALIGNED, "wire group_larger = behind | clear", "wire group_larger = ~behind | clear"),
    (ALIGNED, "smaller[SIGNIFICAND_BITS-1] & ~clear", "1'b0"),
    (ALIGNED, "smaller >>> distance", "smaller >> distance"),
    (ALIGNED, "overflow ? total[SIGNIFICAND_BITS:1] : total[SIGNIFICAND_BITS-1:0]", "total[SIGNIFICAND_BITS-1:0]"),
    (ALIGNED, ": previous_exponent) + overflow", ": previous_exponent)"),
    # The adder tree and the products.
    (BLOCK, "{wide_b ^ {SUM_BITS{subtract}}, subtract}", "{wide_b ^ {SUM_BITS{subtract}}, 1'b0}"),
    (BLOCK, ".subtract(left_negative ^ right_negative)", ".subtract(left_negative)"),
    (BLOCK, "assign negative = left_negative;", "assign negative = right_negative;"),
    (BLOCK, "field | {{(EXPONENT_BITS-1){1'b0}}, ~normal}", "field"),
    (BLOCK, "magnitude} << shift", "magnitude} << (shift + 1)"),
    (TINY, "aligned = aligned << b_exponent;", ""),
    # NaN and Inf.
    (INVALID, "a_nan | b_nan |", "a_nan |"),
    (WIDE, "(a_infinite & b_zero) |", "1'b0 |"),
    (WIDE, "|(product_infinite & negative) && |(product_infinite & ~negative)", "1'b0"),
    (WIDE, "old_infinite & infinite & (old_negative ^ negative)", "1'b0"),
    (WIDE, "(old_special & ~old_infinite) |", "1'b0 |"),
    (MAC, "&field && mantissa != 0", "&field && mantissa == 0"),
    # binary32: comparison, alignment, rounding, underflow and overflow.
    (MAC, "half & (sticky | kept[0])", "half & sticky"),
    (MAC, "half & (sticky | kept[0])", "half"),
    (MAC, "any_lost[k] | (distance[k]", "(distance[k]"),
    (MAC, "wire [23:0] larger  = take_b ? b : a;", "wire [23:0] larger  = b_larger ? b : a;"),
    (MAC, "b_larger ^ borrow} + 9'd1", "b_larger} + 9'd1"),
    (MAC, "& ~(subtract & ~|total)", ""),
    (MAC, "(FLUSH == 0 && !a_normal)", "1'b0"),
    (MAC, "|scale[7:5] ? 5'd31 : scale[4:0]", "5'd31"),
    (MAC, "CAN_OVERFLOW != 0 && rounded >= 255", "CAN_OVERFLOW != 0 && rounded > 255"),
    # Microexponents.
    (MICRO, "~activation_scale[8 + lane / 2 +: 1]", "activation_scale[8 + lane / 2 +: 1]"),
    (MICRO, "~activation_scale[8 + lane / 2 +: 1]", "~activation_scale[8 +: 1]"),
    # Scales with a sign.
    (SIGNED, "sum_below_zero ^ scale_negative", "sum_below_zero"),
    (SIGNED, "activation_scale_negative ^ weight_scale_negative", "activation_scale_negative"),
    (SIGNED_FIXED, "scale_negative ? -$signed({1'b0, scale_significand})", "scale_negative ? scale_significand"),
    (FLUSHED, ".keep(!(FLUSH != 0 && field[8]))", ".keep(1'b1)"),
]


@pytest.mark.parametrize(("unit", "right", "wrong"), FAULTS)
def test_planted_fault_is_caught(unit: Unit, right: str, wrong: str) -> None:
    activation, weight, lanes, accumulator = unit
    datapath = F.derive(any_format(activation), any_format(weight), lanes, accumulator)
    emitted, stimulus = emit(datapath), draw(datapath, random_vectors=500, seed=0)
    assert emitted.text.count(right) == 1
    expected = expected_registers(datapath, stimulus)
    invalid = expected.invalid if datapath.has_invalid_flag else None
    faulty = emitted.text.replace(right, wrong)
    result = run(faulty, emitted.name, datapath, stimulus, expected.accumulator, invalid, engine="icarus")
    assert result.vectors_compared == stimulus.cycles
    assert result.mismatches > 0
