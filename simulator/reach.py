"""How far a unit's register can be driven: the largest and smallest groups against what the register holds."""

from fractions import Fraction
from math import ceil

from densimeter.formats import AlignedAccumulator, BlockFormat, Datapath, FloatScale, Fp32Accumulator, PowerOfTwoScale
from densimeter.formats.datapath import largest_shift
from densimeter.formats.number import power_of_two
from densimeter.simulator.extremes import extremes, scale_extremes

LONGEST_RAMP = 10_000
"""An overflow that takes more groups than this is out of reach of a default run."""


def groups_to_overflow(datapath: Datapath, *, positive: bool) -> int | None:
    """How many of the largest groups of one sign drive the register from zero past that end of its range.

    None where it takes more than `LONGEST_RAMP`, where no group has that sign, or for an aligned register.
    """
    accumulator = datapath.accumulator
    largest = largest_group(datapath, positive=positive)
    if isinstance(accumulator, AlignedAccumulator) or not largest:
        return None
    if isinstance(accumulator, Fp32Accumulator):
        end = power_of_two(128)
    else:
        end = power_of_two(accumulator.bits - 1 + datapath.register_lsb_exponent)
    needed = ceil(end / largest) + 1
    return needed if needed <= LONGEST_RAMP else None


def largest_group(datapath: Datapath, *, positive: bool) -> Fraction:
    """The largest magnitude of a group's sum of that sign, at the largest scales; 0 where there is none."""
    a, w = datapath.operands
    products = [
        left * right
        for left in (a.element.decode(code).value for code in extremes(a).largest)
        for right in (w.element.decode(code).value for code in extremes(w).largest)
    ]
    magnitudes = [abs(product) for product in products if (product > 0) == positive]
    scale = _scale(a, largest=True) * _scale(w, largest=True)
    return max(magnitudes, default=Fraction(0)) * datapath.lanes * scale


def smallest_group(datapath: Datapath) -> Fraction:
    """The smallest magnitude of a group's sum other than zero."""
    a, w = datapath.operands
    product = abs(a.element.decode(extremes(a).smallest[0]).value * w.element.decode(extremes(w).smallest[0]).value)
    shifted = power_of_two(-largest_shift(a) - largest_shift(w))
    return product * shifted * _scale(a, largest=False) * _scale(w, largest=False)


def _scale(fmt: BlockFormat, *, largest: bool) -> Fraction:
    """The largest scale, or the smallest above zero."""
    if not fmt.has_unit_scale:
        return Fraction(1)
    low, high = scale_extremes(fmt)
    if isinstance(fmt.scale, PowerOfTwoScale):
        return power_of_two((high if largest else low) - fmt.scale.bias)
    assert isinstance(fmt.scale, FloatScale)
    return fmt.scale.element.decode(high if largest else 1).value
