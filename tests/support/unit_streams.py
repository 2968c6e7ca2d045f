"""Streams for arithmetic units: operands drawn so that every part of a datapath is used, and the registers that
`formats.reference_dot` expects of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import densimeter.formats as F
from densimeter.formats.reference_dot import Group, accumulate
from densimeter.rtl.simulate import Stimulus
from support.streams import microexponents

NEARBY = 12
"""Most exponents are drawn within this distance of one another, for operands far apart never meet in an adder."""


@dataclass(frozen=True)
class Stream:
    """What a unit is given and what its outputs must be; `invalid` only for units with that output."""

    stimulus: Stimulus
    expected: NDArray[np.uint64]
    invalid: NDArray[np.bool_] | None


def any_format(written: str) -> F.BlockFormat:
    """A format's name, an element's short name (e4m3), or a composed declaration."""
    try:
        return F.resolve(written)
    except F.FormatError:
        return F.parse({"element": written, "name": written})


def draw_stream(datapath: F.Datapath, cycles: int, seed: int = 0) -> Stream:
    """A random stream: a few clears, a few idle cycles, rare specials, mostly nearby exponents."""
    rng = np.random.default_rng(seed)
    activation, weight = (_draw_codes(rng, f.element, (cycles, datapath.lanes)) for f in datapath.operands)
    activation_scale, weight_scale = (_draw_scales(rng, datapath, f, cycles) for f in datapath.operands)
    clear, enable = rng.random(cycles) < 0.05, rng.random(cycles) < 0.95
    clear[0] = enable[0] = True
    stimulus = Stimulus(activation, weight, activation_scale, weight_scale, clear, enable)
    return with_reference(datapath, stimulus)


def with_reference(datapath: F.Datapath, stimulus: Stimulus) -> Stream:
    """The stream of a stimulus with what the reference expects; idle cycles repeat the register."""
    assert stimulus.clear is not None
    assert stimulus.enable is not None
    taken = np.nonzero(stimulus.enable)[0]
    groups = [
        Group(
            stimulus.activation[cycle].tolist(),
            stimulus.weight[cycle].tolist(),
            0 if stimulus.activation_scale is None else int(stimulus.activation_scale[cycle]),
            0 if stimulus.weight_scale is None else int(stimulus.weight_scale[cycle]),
            bool(stimulus.clear[cycle]),
        )
        for cycle in taken
    ]
    registers, flags = zip(*accumulate(groups, datapath), strict=True)
    latest = np.cumsum(stimulus.enable) - 1
    expected = np.array(registers, dtype=np.uint64)[latest]
    return Stream(stimulus, expected, np.array(flags)[latest] if datapath.has_invalid_flag else None)


def _draw_codes(rng: np.random.Generator, element: F.Element, shape: tuple[int, int]) -> NDArray[np.uint64]:
    codes = rng.integers(0, 1 << element.bits, shape, dtype=np.uint64)
    if not isinstance(element, F.FloatElement):
        return codes
    sign_bit = 1 << (element.bits - 1)
    if element.exponent_bits > 5:
        middle = element.largest_exponent_field // 2
        fields = rng.integers(middle - NEARBY, middle + NEARBY, shape).astype(np.uint64) << np.uint64(
            element.mantissa_bits
        )
        nearby = codes & np.uint64(sign_bit | ((1 << element.mantissa_bits) - 1)) | fields
        codes = np.where(rng.random(shape) < 0.8, nearby, codes)
    special = (codes & np.uint64(sign_bit - 1)) > element.largest_magnitude_code
    replaced = special & (rng.random(shape) < 1 - 0.2 / shape[1])
    return np.where(replaced, codes & np.uint64(sign_bit), codes)


def _draw_scales(
    rng: np.random.Generator, datapath: F.Datapath, fmt: F.BlockFormat, cycles: int
) -> NDArray[np.uint64] | None:
    if not fmt.has_unit_scale:
        return None
    if isinstance(fmt.scale, F.PowerOfTwoScale):
        top, middle = (1 << fmt.scale.bits) - 1, min(fmt.scale.bias, fmt.scale.largest_code)
    else:
        assert isinstance(fmt.scale, F.FloatScale)
        top = (1 << (fmt.scale.code_bits - 1)) - 1
        middle = top // 2
    nearby = np.clip(rng.integers(middle - NEARBY, middle + NEARBY, cycles), 0, top)
    drawn = np.where(rng.random(cycles) < 0.85, nearby, rng.integers(0, top + 1, cycles))
    if isinstance(fmt.scale, F.FloatScale) and fmt.scale.anchor == "signed":
        # Zeros of either sign, and no sign more often than the other.
        drawn = np.where(rng.random(cycles) < 0.1, 0, drawn) | rng.integers(0, 2, cycles) * (top + 1)
    codes = drawn.astype(np.uint64)
    if isinstance(fmt.scale, F.PowerOfTwoScale) and fmt.scale.microexponents:
        codes |= microexponents(datapath, fmt, fmt.scale, cycles, rng)
    return codes
