"""What a multiply-accumulate unit's longest path goes through, counted from its datapath's widths.

Counted in the steps that make it longer, not in ns: levels of a tree, places of a carry, stages of a shifter.
`fitted_model` finds how long one of each takes. Carries and roundings count by their width (its logarithm fits worse:
no gate is resized and no buffer inserted for wide ones), all else by its levels.
"""

import math
from collections.abc import Mapping

from densimeter.formats import AlignedAccumulator, Datapath, FixedAccumulator, Fp32Accumulator, IntAccumulator
from densimeter.hwmodels.gate_counts import both_signed_integers, sides

STEPS = (
    *("decode", "negate", "multiply", "align"),
    *("tree_signed", "tree_sign_magnitude"),
    *("scale_add", "scale_multiply"),
    *("int", "int_bits", "saturate", "fixed_sum_bits", "fixed_bits", "aligned_bits", "aligned_shift"),
    *("fp32", "fp32_sum_bits", "fp32_normalize"),
    *("mac", "mac_product_bits", "mac_normalize", "mac_exponent", "specials"),
)
"""The kinds of steps, from the operands to the register."""


def path_steps(datapath: Datapath) -> Mapping[str, float]:
    """The count of every kind of step in `STEPS` on the unit's way from operands to register."""
    a, w = sides(datapath)
    exponent_bits = max(a.exponent_bits, w.exponent_bits)
    steps: dict[str, float] = {
        "decode": bool(a.float_bits or w.float_bits),
        "negate": bool(a.negate_bits or w.negate_bits),
        "multiply": math.log2(min(a.significand_bits, w.significand_bits)),
        "tree_signed" if both_signed_integers(datapath) else "tree_sign_magnitude": math.log2(datapath.lanes),
        "scale_add": math.log2(datapath.exponent_bits) if len(datapath.scaled) > 1 else 0,
        "specials": datapath.has_specials,
    }
    if datapath.float_mac:
        product_bits = a.significand_bits + w.significand_bits
        steps |= {"mac": 1, "mac_product_bits": product_bits, "mac_normalize": math.log2(product_bits)}
        steps["mac_exponent"] = exponent_bits
    else:
        steps["align"] = math.log2(exponent_bits + 1)
        steps |= _accumulator_steps(datapath)
    return {step: float(steps.get(step, 0)) for step in STEPS}


def _accumulator_steps(datapath: Datapath) -> dict[str, float]:
    scale_bits = datapath.scaled_sum_bits - datapath.sum_bits
    match accumulator := datapath.accumulator:
        case IntAccumulator():
            return {"int": 1, "int_bits": accumulator.bits, "saturate": accumulator.overflow == "saturate"}
        case FixedAccumulator():
            sum_bits = datapath.sum_bits
            return {"fixed_sum_bits": sum_bits, "fixed_bits": accumulator.bits, "scale_multiply": scale_bits}
        case AlignedAccumulator():
            shift = math.log2(accumulator.bits)
            return {"aligned_bits": accumulator.bits, "aligned_shift": shift, "scale_multiply": scale_bits}
        case Fp32Accumulator():
            # The multiplication by float scales costs no more than the wider sum's rounding would have.
            return {"fp32": 1, "fp32_sum_bits": datapath.sum_bits, "fp32_normalize": math.log2(datapath.sum_bits)}
