"""Streams of groups for multiply-accumulate units, drawn so that registers overflow, cancel, meet specials and hold."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import BlockFormat, Datapath, Element, FloatElement, FloatScale, PowerOfTwoScale
from densimeter.formats.reference_dot import Group

Codes = NDArray[np.uint32]
NEARBY = 12


@dataclass(frozen=True)
class Stream:
    """What a unit takes in at each clock edge: codes [n, lanes], scale codes, clear and enable [n]."""

    activation: Codes
    weight: Codes
    activation_scale: Codes
    weight_scale: Codes
    clear: NDArray[np.bool_]
    enable: NDArray[np.bool_]

    def groups(self) -> list[Group]:
        """The groups of the edges that are enabled."""
        columns = (self.activation, self.weight, self.activation_scale, self.weight_scale, self.clear)
        return [Group(*row) for row in zip(*(c[self.enable].tolist() for c in columns), strict=True)]

    def held(self, history: Sequence[tuple[int, bool]]) -> tuple[list[int], list[bool]]:
        """Registers and flags at every edge, from those after each group: where not enabled, they hold."""
        held, position = [], (0, False)
        after = iter(history)
        for enabled in self.enable.tolist():
            position = next(after) if enabled else position
            held.append(position)
        return [register for register, _ in held], [invalid for _, invalid in held]


def draw(datapath: Datapath, count: int, seed: int = 0) -> Stream:
    """A stream of `count` edges; the first one clears."""
    rng = np.random.default_rng(seed)
    activation, weight = (_codes(fmt.element, (count, datapath.lanes), rng) for fmt in datapath.operands)
    activation_scale, weight_scale = (_scales(datapath, fmt, count, rng) for fmt in datapath.operands)
    clear, enable = rng.random(count) < 0.04, rng.random(count) < 0.9
    clear[0] = enable[0] = True
    return Stream(activation, weight, activation_scale, weight_scale, clear, enable)


def _codes(element: Element, shape: tuple[int, int], rng: np.random.Generator) -> Codes:
    """Any codes, in some groups only the extreme ones; specials rare enough for sums to live between them."""
    codes = rng.integers(0, 1 << element.bits, shape)
    half = 1 << (element.bits - 1)
    extremes = np.array([0, 1, half - 1, half, half + 1, 2 * half - 1])
    if isinstance(element, FloatElement):
        if element.exponent_bits > 5:  # most pairs of a wide range would never meet in an adder
            field = element.bias + rng.integers(-NEARBY, NEARBY, shape)
            codes = np.where(rng.random(shape) < 0.8, _with_field(codes, field, element), codes)
        extremes[[2, 5]] = element.largest_magnitude_code, element.largest_magnitude_code | half
        finite = codes % half <= element.largest_magnitude_code
        codes = np.where(finite | (rng.random(shape) < 0.2 / shape[1]), codes, codes & half)
    picked = np.where(rng.random((shape[0], 1)) < 0.1, rng.choice(extremes, shape), codes)
    return picked.astype(np.uint32)


def _with_field(codes: NDArray[np.int64], field: NDArray[np.int64], element: FloatElement) -> NDArray[np.int64]:
    clipped = np.clip(field, 0, element.largest_exponent_field)
    rest = (1 << (element.bits - 1)) | (1 << element.mantissa_bits) - 1
    return (codes & rest) | clipped << element.mantissa_bits


def _scales(datapath: Datapath, fmt: BlockFormat, count: int, rng: np.random.Generator) -> NDArray[np.unsignedinteger]:
    """Mostly nearby scales, some anywhere, NaN codes among them; zeros for a unit that has no such port."""
    if not fmt.has_unit_scale:
        return np.zeros(count, np.uint32)
    if isinstance(fmt.scale, PowerOfTwoScale):
        top, middle = (1 << fmt.scale.bits) - 1, min(max(fmt.scale.bias, 0), fmt.scale.largest_code)
    else:
        assert isinstance(fmt.scale, FloatScale)
        element = fmt.scale.element
        top, middle = (1 << (element.bits - 1)) - 1, element.bias << element.mantissa_bits
    nearby = np.clip(middle + rng.integers(-NEARBY, NEARBY, count), 0, top)
    drawn = np.where(rng.random(count) < 0.9, nearby, rng.integers(0, top + 1, count))
    if isinstance(fmt.scale, FloatScale) and fmt.scale.anchor == "signed":
        # Zeros of either sign, and no sign more often than the other.
        drawn = np.where(rng.random(count) < 0.1, 0, drawn) | rng.integers(0, 2, count) * (top + 1)
    if isinstance(fmt.scale, PowerOfTwoScale) and fmt.scale.microexponents:
        return drawn.astype(np.uint64) | microexponents(datapath, fmt, fmt.scale, count, rng)
    return drawn.astype(np.uint32)


def microexponents(
    datapath: Datapath, fmt: BlockFormat, scale: PowerOfTwoScale, count: int, rng: np.random.Generator
) -> NDArray[np.uint64]:
    """Random ones for the parts that the lanes are in, above the shared exponent; in some groups all the largest."""
    assert isinstance(fmt.block, int)
    parts = max(datapath.lanes * scale.microexponents // fmt.block, 1)
    bits = parts * scale.microexponent_bits
    drawn = rng.integers(0, (1 << bits) - 1, count, dtype=np.uint64, endpoint=True)
    same = np.where(rng.random(count) < 0.5, np.uint64(0), np.uint64((1 << bits) - 1))
    return np.where(rng.random(count) < 0.2, same, drawn) << np.uint64(scale.bits)
