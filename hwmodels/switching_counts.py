"""The gates of a unit told apart by how often they switch: what the model of dynamic energy counts.

On real numbers most of a unit's energy is glitches, which `densimeter rtl power` tells apart. They grow with the levels
of gates that signals have come through: whatever stands behind the adder tree is therefore counted times those levels.
Two's complement operands near zero flip all of their bits with the sign, sign and magnitude do not: multipliers of the
former count by themselves.
"""

import math
from collections.abc import Mapping

from densimeter.formats import Datapath
from densimeter.hwmodels.gate_counts import both_signed_integers, gate_counts, sides
from densimeter.rtl.unit import levels

_AHEAD = (
    *("float_decode", "align", "tree_signed", "tree_sign_magnitude", "scale_add", "scale_multiply"),
    *("add_int", "aligned", "aligned_shift", "fp32", "specials"),
)
_BEHIND = ("resolve", "scale_multiply_signed", "fixed_shift", "round")
_FLOAT_DECODE_LEVELS = 3.0


def switching_counts(datapath: Datapath) -> Mapping[str, float]:
    """The counts behind a unit's dynamic energy.

    The bits of the narrower element say for which ones the energy is known: on fewer, most real numbers become zero.
    """
    gates, depth = gate_counts(datapath), levels_to_sum(datapath)
    signed = both_signed_integers(datapath)
    counts = {kind: gates[kind] for kind in _AHEAD} | {kind: gates[kind] * depth for kind in _BEHIND}
    return counts | {
        "multiply_rows": 0.0 if signed else gates["multiply_rows"],
        "multiply_rows_signed": gates["multiply_rows"] if signed else 0.0,
        # A lone product is rounded as it comes; exponents of scales reach the rounding long before the sum does.
        "round_normalize": 0.0 if datapath.float_mac else gates["round_normalize"],
        "round_scaled": gates["round"] * depth if datapath.scaled else 0.0,
        "saturate": gates["saturate"] * math.log2(datapath.lanes),
        "narrower_element_bits": float(min(fmt.element.bits for fmt in datapath.operands)),
    }


def levels_to_sum(datapath: Datapath) -> float:
    """Levels of two-input gates from the operands to the sum over the lanes, by the estimates that place pipelines."""
    operands = sides(datapath)
    depth = levels.multiplier(*(side.significand_bits for side in operands))
    if exponent_bits := max(side.exponent_bits for side in operands):
        depth += levels.shifter(exponent_bits + 1)
    if any(side.float_bits for side in operands):
        depth += _FLOAT_DECODE_LEVELS
    if negated := max(side.negate_bits for side in operands):
        depth += levels.adder(negated)
    return depth + levels.tree(datapath.lanes, datapath.sum_bits)
