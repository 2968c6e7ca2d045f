"""Functional coverage: which corners of a unit a stream has reached, told from its codes and the registers expected."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import AlignedAccumulator, BlockFormat, Datapath, Fp32Accumulator, IntAccumulator
from densimeter.formats.datapath import largest_shift, part_width
from densimeter.kernels import Registers
from densimeter.rtl.simulate import Stimulus
from densimeter.simulator.extremes import (
    extremes,
    lane_values,
    microexponents,
    scale_extremes,
    scale_sign,
    scale_values,
    values,
    without_microexponents,
)
from densimeter.simulator.reach import groups_to_overflow, largest_group, smallest_group

Mask = NDArray[np.bool_]

_FAR_BITS = 26
"""A binary32 operand this many binades below the other one only decides the rounding."""
_SMALLEST_NORMAL = 2.0**-126
_SIGNS = "+-"


def coverage(datapath: Datapath, stimulus: Stimulus, registers: Registers) -> dict[str, int]:
    """How many cycles have hit each corner that exists for the unit."""
    view = _View(datapath, stimulus, registers)
    corners = [*_control(view), *_operands(view), *_scales(view), *_register(view)]
    return {name: int(np.count_nonzero(hit)) for name, hit in corners}


class _View:
    """A stream as its corners look at it; every array is [cycles].

    taken: a group comes in. before: the register that it is added to, 0 where cleared. group: its sum as a float64,
    NaN and Inf where it is one.
    """

    def __init__(self, datapath: Datapath, stimulus: Stimulus, registers: Registers) -> None:
        self.datapath, self.stimulus, self.registers = datapath, stimulus, registers
        self.taken, self.clear = stimulus.enables, stimulus.clears
        previous = np.concatenate([np.zeros(1, np.uint64), registers.accumulator[:-1]])
        self.before = np.where(self.clear, np.uint64(0), previous)
        self.after = registers.accumulator
        a, w = datapath.operands
        with np.errstate(all="ignore"):
            self.products = lane_values(datapath, a, stimulus.activation, stimulus.activation_scale) * lane_values(
                datapath, w, stimulus.weight, stimulus.weight_scale
            )
            self.group = self.products.sum(axis=1)
            for fmt, codes in zip(datapath.operands, self.scale_codes, strict=True):
                if codes is not None:
                    self.group = self.group * scale_values(fmt, codes)
        self.finite = np.isfinite(self.group)

    @property
    def scale_codes(self) -> tuple[NDArray[np.unsignedinteger] | None, NDArray[np.unsignedinteger] | None]:
        return self.stimulus.activation_scale, self.stimulus.weight_scale


Corners = Iterator[tuple[str, Mask]]


def _control(view: _View) -> Corners:
    yield "clear", view.clear & view.taken
    yield "clear while not enabled", view.clear & ~view.taken
    yield "hold", ~view.clear & ~view.taken
    yield "hold twice", ~view.taken & ~np.roll(view.taken, 1)


def _operands(view: _View) -> Corners:
    datapath, stimulus = view.datapath, view.stimulus
    a, w = (extremes(fmt) for fmt in datapath.operands)
    for left, left_sign in zip(a.largest, _SIGNS, strict=False):
        for right, right_sign in zip(w.largest, _SIGNS, strict=False):
            every = (stimulus.activation == left).all(axis=1) & (stimulus.weight == right).all(axis=1)
            yield f"largest x largest on every lane, {left_sign}{right_sign}", view.taken & every
    if a.zero is not None or w.zero is not None:
        yield "every product zero", view.taken & (view.products == 0).all(axis=1)
    numbers = [values(f, c) for f, c in zip(datapath.operands, (stimulus.activation, stimulus.weight), strict=True)]
    for side, codes, element in zip(("activation", "weight"), numbers, (a, w), strict=True):
        if element.nan is not None:
            yield f"{side} NaN", view.taken & np.isnan(codes).any(axis=1)
        for sign, kind in zip((1, -1), ("+Inf", "-Inf"), strict=True):
            if element.infinite:
                yield f"{side} {kind}", view.taken & (codes == sign * np.inf).any(axis=1)
    for side, infinite, other in (("activation", 0, w), ("weight", 1, a)):
        if (a, w)[infinite].infinite and other.zero is not None:
            meets = np.isinf(numbers[infinite]) & (numbers[1 - infinite] == 0)
            yield f"{side} Inf x 0", view.taken & meets.any(axis=1)
    if (a.infinite or w.infinite) and datapath.lanes > 1:
        both = (view.products == np.inf).any(axis=1) & (view.products == -np.inf).any(axis=1)
        yield "Inf - Inf within a group", view.taken & both & ~np.isnan(view.products).any(axis=1)


def _scales(view: _View) -> Corners:
    ends: list[tuple[Mask, Mask]] = []
    for side, fmt, codes in zip(("activation", "weight"), view.datapath.operands, view.scale_codes, strict=True):
        if codes is None or fmt.scale is None:
            continue
        shared = without_microexponents(fmt, codes)
        low, high = (shared == end for end in scale_extremes(fmt))
        ends.append((low, high))
        yield f"{side} scale smallest", view.taken & low
        yield f"{side} scale largest", view.taken & high
        if sign := scale_sign(fmt):
            yield f"{side} scale negative", view.taken & (codes > sign)
        if part_width(fmt):
            shifts = microexponents(view.datapath, fmt, codes)
            yield f"{side} microexponents all zero", view.taken & (shifts == 0).all(axis=1)
            yield f"{side} microexponents all largest", view.taken & (shifts == largest_shift(fmt)).all(axis=1)
        if fmt.nan_block:
            yield f"{side} scale NaN", view.taken & (codes == fmt.scale.nan_code)
    if len(ends) == 2:
        yield "both scales smallest", view.taken & ends[0][0] & ends[1][0]
        yield "both scales largest", view.taken & ends[0][1] & ends[1][1]


def _register(view: _View) -> Corners:
    accumulator = view.datapath.accumulator
    if view.datapath.has_invalid_flag:
        flag = view.registers.invalid
        before = np.roll(flag, 1)
        yield "invalid set", flag & ~before & view.taken
        yield "invalid kept by a finite group", flag & before & ~view.clear & view.finite & view.taken
        yield "invalid cleared", ~flag & before & view.taken
    if isinstance(accumulator, Fp32Accumulator):
        yield from _binary32(view, subnormals=accumulator.subnormals)
    elif isinstance(accumulator, AlignedAccumulator):
        yield from _aligned(view, accumulator.bits)
    else:
        yield from _integer(view, accumulator.bits, wraps=_wraps(view.datapath))


def _wraps(datapath: Datapath) -> bool:
    return isinstance(datapath.accumulator, IntAccumulator) and datapath.accumulator.overflow == "wrap"


def _integer(view: _View, bits: int, *, wraps: bool) -> Corners:
    """Both ends of an integer or fixed-point register, and groups that lie below its lowest bit."""
    finite = view.taken & view.finite
    before, after = (_signed(register, bits) for register in (view.before, view.after))
    for positive, end in ((True, "top"), (False, "bottom")):
        if groups_to_overflow(view.datapath, positive=positive) is None:
            continue
        same = (view.group > 0) == positive
        if wraps:
            # The sum of two numbers of one sign came out with the other.
            turned = ((before >= 0) == positive) & ((after >= 0) != positive)
            yield f"wraps at the {end}", finite & same & (view.group != 0) & turned
        else:
            limit = (1 << (bits - 1)) - 1 if positive else -(1 << (bits - 1))
            yield f"saturates at the {end}", finite & same & (after == limit) & (before == limit)
    lowest = np.ldexp(1.0, view.datapath.register_lsb_exponent)
    if smallest_group(view.datapath) < lowest:
        below = finite & (np.abs(view.group) < lowest)
        yield "group above zero below the lowest bit", below & (view.group > 0)
        if _signed_products(view.datapath):
            yield "group under zero below the lowest bit", below & (view.group < 0)


def _aligned(view: _View, bits: int) -> Corners:
    """The distance of the exponents either way, as far as shifts go or the codes reach, and the carry between."""
    finite = view.taken & view.finite
    before, after = ((register >> np.uint64(bits)).astype(np.int64) for register in (view.before, view.after))
    code = _exponent_code(view)
    if view.datapath.scaled:
        farthest = min(bits, _exponent_span(view.datapath))
        there = finite & ~view.clear & (view.before & np.uint64((1 << bits) - 1) > 0) & (view.group != 0)
        yield "group far above the register", there & (code - before >= farthest)
        yield "group far below the register", there & (before - code >= farthest)
    yield "exponent carried up", finite & (after > np.maximum(before, code))


def _binary32(view: _View, *, subnormals: bool) -> Corners:
    """Overflow, distance of the exponents either way, underflow, cancellation, and what specials leave."""
    before, after = (register.astype(np.uint32).view(np.float32) for register in (view.before, view.after))
    finite = view.taken & view.finite & np.isfinite(before)
    for positive, end in ((True, "+Inf"), (False, "-Inf")):
        if groups_to_overflow(view.datapath, positive=positive) is not None:
            yield f"overflows to {end}", finite & (after == (np.inf if positive else -np.inf))
    there = finite & (before != 0) & (view.group != 0) & np.isfinite(after)
    distance = np.frexp(np.where(view.finite, view.group, 0))[1] - np.frexp(before.astype(np.float64))[1]
    span = _binades(view.datapath)
    if span:
        yield "group far above the register", there & (distance >= min(_FAR_BITS, span))
        yield "group far below the register", there & (distance <= -min(_FAR_BITS, span))
    if smallest_group(view.datapath) < _SMALLEST_NORMAL:
        small = (np.abs(view.group) < _SMALLEST_NORMAL) & (view.group != 0)
        if subnormals:
            yield "subnormal register", finite & (after != 0) & (np.abs(after) < _SMALLEST_NORMAL)
        else:
            yield "group flushed to zero", finite & small
            if view.datapath.float_mac:
                yield "sum flushed to zero", there & (after == 0) & (np.abs(before) != np.abs(view.group))
    if _signed_products(view.datapath):
        yield "register cancelled to zero", there & (after == 0)
    if any(fmt.element.has_infinity for fmt in view.datapath.operands):
        yield "Inf - Inf in the register", view.taken & np.isinf(before) & np.isinf(view.group) & np.isnan(after)
        yield "register keeps Inf", view.taken & np.isinf(before) & view.finite
    if view.datapath.has_specials:
        yield "register keeps NaN", view.taken & np.isnan(before) & view.finite
        yield "NaN cleared", view.taken & view.clear & np.isnan(np.roll(after, 1)) & view.finite


def _signed_products(datapath: Datapath) -> bool:
    return any(len(extremes(fmt).largest) > 1 for fmt in datapath.operands)


def _signed(register: NDArray[np.uint64], bits: int) -> NDArray[np.int64]:
    return (register << np.uint64(64 - bits)).view(np.int64) >> np.int64(64 - bits)


def _binades(datapath: Datapath) -> int:
    """Binades between the largest and the smallest group, as far as binary32 holds both."""
    largest = min(float(largest_group(datapath, positive=True)), 2.0**127)
    smallest = max(float(smallest_group(datapath)), _SMALLEST_NORMAL)
    return int(np.frexp(largest)[1] - np.frexp(smallest)[1])


def _exponent_code(view: _View) -> NDArray[np.int64]:
    """The sum of the scales' exponent codes."""
    total = np.zeros(view.stimulus.cycles, np.int64)
    for fmt, codes in zip(view.datapath.operands, view.scale_codes, strict=True):
        if codes is not None:
            total += _scale_exponents(fmt, codes)
    return total


def _exponent_span(datapath: Datapath) -> int:
    """From the smallest sum of exponent codes to the largest."""
    ends = [_scale_exponents(fmt, np.array(scale_extremes(fmt), np.uint32)) for fmt in datapath.scaled]
    return int(sum(high - low for low, high in ends))


def _scale_exponents(fmt: BlockFormat, codes: NDArray[np.unsignedinteger]) -> NDArray[np.int64]:
    """A power of two's code; of a float, its exponent field, where subnormals count as 1."""
    stored = getattr(fmt.scale, "element", None)
    wide = without_microexponents(fmt, codes).astype(np.int64)
    return wide if stored is None else np.maximum((wide & ~scale_sign(fmt)) >> stored.mantissa_bits, 1)
