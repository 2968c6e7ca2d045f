"""What Hypothesis draws: float32 numbers of every bit pattern, and number formats that no catalog holds."""

import math
from functools import cache
from typing import get_args

import numpy as np
from hypothesis import reject
from hypothesis import strategies as st
from numpy.typing import NDArray

from densimeter.formats import (
    BlockFormat,
    Datapath,
    Element,
    FloatElement,
    FloatScale,
    FormatError,
    IntElement,
    LogElement,
    PowerOfTwoScale,
    Quirks,
    Scale,
    derive,
)
from densimeter.formats.block import Block
from densimeter.formats.element import IntEncoding
from support.strategies_parts import (
    affine_scales,
    biases,
    blocks,
    codebooks,
    double_scales,
    elements,
    float_elements,
    float_scales,
    int_elements,
    int_elements_of,
    micro_scales,
    multiples,
    plain,
    policies,
    power_of_two_scales,
    quirks_for,
    roundings,
)

# Where decisions change: zeros, the smallest and largest numbers, powers of two and their neighbours, short ties.
_POWERS = np.ldexp(np.float32(1), np.arange(-149, 128, 3)).astype(np.float32)
_CORNERS = [
    0.0,
    float(np.finfo(np.float32).max),
    *map(float, _POWERS),
    *map(float, np.nextafter(_POWERS, np.float32(0))),
    *(k / 32 for k in range(1, 64)),
]


def float32s(*, nan: bool = True) -> st.SearchStrategy[float]:
    """float32 numbers of any bit pattern, infinities and (with `nan`) NaN included; corners more often than chance."""
    any_bits = st.integers(0, 2**32 - 1).map(lambda bits: float(np.uint32(bits).view(np.float32)))
    signed_corners = st.sampled_from(_CORNERS).flatmap(lambda corner: st.sampled_from((corner, -corner)))
    drawn = st.one_of(signed_corners, any_bits)
    return drawn if nan else drawn.map(lambda x: 0.0 if np.isnan(x) else x)


def float32_arrays(size: int, *, nan: bool = True) -> st.SearchStrategy[NDArray[np.float32]]:
    """One-dimensional arrays; half of them within a few binades, where blocks are used as they are meant to be."""
    spread = st.lists(float32s(nan=nan), min_size=size, max_size=size).map(lambda v: np.array(v, np.float32))
    units = st.lists(st.integers(-256, 256), min_size=size, max_size=size)
    close = st.tuples(units, st.integers(-140, 118)).map(lambda d: np.ldexp(np.array(d[0], np.float32), d[1]))
    return st.one_of(spread, close)


@st.composite
def formats(draw: st.DrawFn) -> BlockFormat:
    """Every kind of element under every kind of scale that may stand over it, with policies, rounding and quirks."""
    element, scale, block = draw(_parts())
    quirks = draw(quirks_for(element, scale)) if draw(st.integers(0, 2)) == 0 else Quirks()
    try:
        return BlockFormat(
            "drawn",
            element,
            scale,
            block,
            draw(st.sampled_from(roundings(element, quirks))),
            draw(st.sampled_from((None, "saturate", "special") if element.has_nan else (None, "saturate"))),
            draw(st.sampled_from(policies(element, scale))),
            quirks=quirks,
        )
    except FormatError:  # a range out of float32, an element too wide for its scale, a decision beyond float64
        reject()


@cache
def _parts() -> st.SearchStrategy[tuple[Element, Scale | None, Block]]:
    any_linear = st.one_of(int_elements_of(*get_args(IntEncoding)), float_elements(), codebooks())
    shared = st.tuples(elements(), power_of_two_scales(), blocks())
    floats = st.tuples(any_linear, float_scales(), blocks())
    return st.one_of(
        st.tuples(elements(), st.none(), st.just(1)),
        shared,
        shared,
        micro_scales().flatmap(lambda s: st.tuples(elements(), st.just(s), multiples(s.microexponents))),
        floats,
        floats,
        st.tuples(int_elements_of("unsigned").map(plain), affine_scales(), blocks()),
        st.tuples(any_linear, double_scales(), st.integers(1, 40)),
    )


@st.composite
def _formats(
    draw: st.DrawFn,
    element: st.SearchStrategy[Element] | st.SearchStrategy[IntElement | FloatElement],
    scale: st.SearchStrategy[PowerOfTwoScale] | st.SearchStrategy[FloatScale] | st.SearchStrategy[None],
    block: st.SearchStrategy[int],
) -> BlockFormat:
    try:
        return BlockFormat("drawn", draw(element), draw(scale), draw(block))
    except FormatError:  # a range out of float32, an element too wide for its scale
        reject()


ACCUMULATORS = ("fp32", "fp32_ftz", "fixed48:-24", "fixed24:-6", "fixed12:3")


def narrow_formats() -> st.SearchStrategy[BlockFormat]:
    """Formats whose products can be added exactly, under scales that a unit applies itself or that stay outside."""
    narrow_floats = st.builds(
        FloatElement,
        exponent_bits=st.integers(1, 4),
        mantissa_bits=st.integers(1, 4),
        bias=st.one_of(st.integers(-4, 20), biases()),
        hidden_bit=st.booleans(),
        subnormals=st.just(True),
    )
    floats_with_specials = st.builds(
        FloatElement,
        exponent_bits=st.integers(2, 4),
        mantissa_bits=st.integers(1, 4),
        bias=st.integers(-4, 20),
        subnormals=st.booleans(),
        specials=st.sampled_from(("ieee", "nan")),
    )
    narrow_logs = st.builds(LogElement, st.integers(2, 5), st.integers(-4, 40), st.booleans())
    linear = st.one_of(int_elements(), narrow_floats, floats_with_specials)
    counts = st.sampled_from((1, 2, 3, 8, 12, 16, 24))
    return st.one_of(
        _formats(st.one_of(linear, narrow_logs), st.none(), st.just(1)),
        _formats(st.one_of(linear, narrow_logs), power_of_two_scales(), counts),
        _formats(linear, st.just(FloatScale(FloatElement(4, 3, 7, specials="nan"))), counts),
    )


@st.composite
def datapaths(draw: st.DrawFn) -> Datapath:
    """Units for two such formats: every accumulator that can serve them."""
    activation, weight = draw(narrow_formats()), draw(narrow_formats())
    blocks = [fmt.block for fmt in (activation, weight) if fmt.has_unit_scale and isinstance(fmt.block, int)]
    common = math.gcd(*blocks) or 6
    lanes = draw(st.sampled_from([n for n in range(1, common + 1) if common % n == 0]))
    plain = derive(activation, weight, lanes, "fixed60:0")
    candidates = list(ACCUMULATORS)
    if not plain.scaled:
        candidates += ["int24", "int60", "int16_saturate"]
    if plain.scaled_sum_bits <= 48:
        candidates += [f"aligned{plain.scaled_sum_bits}", f"aligned{min(plain.scaled_sum_bits + 7, 48)}"]
    try:
        return derive(activation, weight, lanes, draw(st.sampled_from(candidates)))
    except FormatError:  # values outside float32 under a float MAC
        reject()
