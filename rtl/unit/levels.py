"""How deep the parts of a unit are, in levels of two-input gates: estimates that say where a pipeline is best cut.

Only their proportions matter; synthesis measures what comes of a cut. Against ABC's delays in the NanGate 45 nm library
a level is 0.05 to 0.06 ns.
"""

from math import log, log2


def adder(bits: int) -> float:
    """A parallel-prefix adder (Yosys maps additions to Brent and Kung's): up and down the tree, and the sum."""
    return 2 * log2(max(bits, 2)) + 3


def multiplier(a_bits: int, b_bits: int) -> float:
    """Partial products, a tree of full adders that turns three rows into two, and the final adder."""
    rows = min(a_bits, b_bits)
    if rows <= 1:
        return 1
    return 1 + 2 * log(rows / 2, 1.5) + adder(a_bits + b_bits)


def shifter(distance_bits: int) -> float:
    """A multiplexer of two levels for each bit of the distance."""
    return 2 * distance_bits


def normalizer(amount_bits: int) -> float:
    """For each step a multiplexer, and the zero detection over 2^k bits ahead of it."""
    return shifter(amount_bits) + amount_bits * (amount_bits - 1) / 2


def tree(addends: int, sum_bits: int) -> float:
    """An adder on each level."""
    return (addends - 1).bit_length() * adder(sum_bits)
