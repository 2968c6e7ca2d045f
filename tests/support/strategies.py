"""What Hypothesis draws: float32 numbers of every bit pattern, and number formats that no catalog holds."""

import math
from collections.abc import Sequence
from functools import cache
from typing import get_args

import numpy as np
from hypothesis import reject, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from densimeter.formats import (
    AffineScale,
    BlockFormat,
    CodebookElement,
    Datapath,
    DoubleScale,
    Element,
    FloatElement,
    FloatScale,
    FormatError,
    IntElement,
    LogElement,
    PowerOfTwoScale,
    Quirks,
    Rounding,
    Scale,
    derive,
)
from densimeter.formats.block import Block, Specials
from densimeter.formats.element import IntEncoding
from densimeter.formats.levels import levels
from densimeter.formats.scale import ScaleRule

# The same examples in every run, and no deadline: the first call of a kernel compiles it.
settings.register_profile("densimeter", deadline=None, derandomize=True)
settings.load_profile("densimeter")

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


# Widths near 16 bits are left to the tests that name them: each first use decodes 2^16 codes for a table.


def int_elements() -> st.SearchStrategy[IntElement]:
    """Those that a multiply-accumulate unit takes."""
    return _int_elements("twos_complement", "sign_magnitude")


def _int_elements(*encodings: str) -> st.SearchStrategy[IntElement]:
    return st.builds(
        IntElement,
        bits=st.integers(2, 12),
        encoding=st.sampled_from(encodings),
        fraction_bits=st.integers(-64, 64),
        symmetric=st.booleans(),
    )


@st.composite
def float_elements(draw: st.DrawFn) -> FloatElement:
    hidden_bit = draw(st.booleans()) or draw(st.booleans())
    try:
        return FloatElement(
            exponent_bits=draw(st.integers(1, 8)),
            mantissa_bits=draw(st.one_of(st.integers(0 if hidden_bit else 1, 4), st.integers(16, 23))),
            bias=draw(_biases()),
            hidden_bit=hidden_bit,
            subnormals=draw(st.booleans()),
            specials=draw(st.sampled_from(("none", "ieee", "nan", "fnuz"))) if hidden_bit else "none",
        )
    except FormatError:  # fields that do not go together
        reject()


def _biases() -> st.SearchStrategy[int]:
    """Mostly near the middle of float32; some so far out that only a shared exponent brings the values back."""
    return st.one_of(st.integers(-8, 20), st.integers(-100, 140), st.integers(-230, 280))


def log_elements() -> st.SearchStrategy[LogElement]:
    return st.builds(LogElement, exponent_bits=st.integers(2, 8), bias=_biases(), zero=st.booleans())


def codebooks() -> st.SearchStrategy[CodebookElement]:
    """Published levels, and lists in any order, zeros of both signs among them."""
    level = st.one_of(
        st.integers(-16, 16).map(lambda k: k / 8), st.sampled_from((0.0, -0.0)), float32s().filter(math.isfinite)
    )
    lists = st.lists(level, min_size=2, max_size=20, unique_by=repr).filter(any).map(tuple)
    return st.one_of(st.sampled_from(PUBLISHED), st.builds(CodebookElement, lists))


PUBLISHED = [
    CodebookElement(levels(name))
    for name in ("nf4", "fp4", "int3", "int4", "float5", "dynamic3", "dynamic4", "dynamic8", "quantile3")
]


def elements() -> st.SearchStrategy[Element]:
    return st.one_of(_int_elements(*get_args(IntEncoding)), float_elements(), log_elements(), codebooks())


@st.composite
def power_of_two_scales(draw: st.DrawFn) -> PowerOfTwoScale:
    """Without microexponents."""
    rule = draw(st.sampled_from(get_args(ScaleRule)))
    return PowerOfTwoScale(
        bits=draw(st.integers(1, 8)),
        bias=draw(st.integers(0, 255)),
        rule=rule,
        offset=None if rule == "rceil" else draw(st.one_of(st.none(), st.integers(-20, 20))),
        nan=draw(st.booleans()),
        negated=draw(st.booleans()),
    )


def micro_scales() -> st.SearchStrategy[PowerOfTwoScale]:
    """With microexponents: at most 8 x 4 bits of them."""
    return st.builds(
        PowerOfTwoScale,
        bits=st.integers(4, 8),
        bias=st.integers(0, 140),
        offset=st.one_of(st.none(), st.integers(-3, 3)),
        microexponents=st.integers(1, 8),
        microexponent_bits=st.integers(1, 4),
    )


SCALE_ELEMENTS = (
    FloatElement(4, 3, 7, specials="nan"),
    FloatElement(5, 2, 15, specials="ieee"),
    FloatElement(3, 2, 3),
    FloatElement(8, 0, 127),
    FloatElement(5, 10, 15, specials="ieee"),
    FloatElement(8, 7, 127, specials="ieee"),
    FloatElement(8, 23, 127, specials="ieee"),
)


@st.composite
def float_scales(draw: st.DrawFn) -> FloatScale:
    """Of either anchor, with and without a tensor scale; not every element can stand under every one."""
    stored = draw(st.sampled_from(SCALE_ELEMENTS))
    if draw(st.booleans()):
        return FloatScale(stored, draw(st.booleans()))
    return FloatScale(stored, anchor=draw(st.sampled_from(("magnitude", "signed"))))


def affine_scales() -> st.SearchStrategy[AffineScale]:
    """With a zero point, and with a minimum."""
    minima = st.sampled_from([element for element in SCALE_ELEMENTS if element.emax < 128])
    zeros = st.one_of(_int_elements("unsigned").map(_plain), minima)
    return st.builds(AffineScale, st.sampled_from(SCALE_ELEMENTS), zeros)


def _plain(element: IntElement) -> IntElement:
    return IntElement(element.bits, element.encoding)


def double_scales() -> st.SearchStrategy[DoubleScale]:
    return st.builds(DoubleScale, st.sampled_from(PUBLISHED), st.integers(1, 5), st.booleans())


@st.composite
def formats(draw: st.DrawFn) -> BlockFormat:
    """Every kind of element under every kind of scale that may stand over it, with policies, rounding and quirks."""
    element, scale, block = draw(_parts())
    quirks = draw(_quirks(element, scale)) if draw(st.integers(0, 2)) == 0 else Quirks()
    try:
        return BlockFormat(
            "drawn",
            element,
            scale,
            block,
            draw(st.sampled_from(_roundings(element, quirks))),
            draw(st.sampled_from((None, "saturate", "special") if element.has_nan else (None, "saturate"))),
            draw(st.sampled_from(_policies(element, scale))),
            quirks=quirks,
        )
    except FormatError:  # a range out of float32, an element too wide for its scale, a decision beyond float64
        reject()


@cache
def _parts() -> st.SearchStrategy[tuple[Element, Scale | None, Block]]:
    any_linear = st.one_of(_int_elements(*get_args(IntEncoding)), float_elements(), codebooks())
    shared = st.tuples(elements(), power_of_two_scales(), blocks())
    floats = st.tuples(any_linear, float_scales(), blocks())
    return st.one_of(
        st.tuples(elements(), st.none(), st.just(1)),
        shared,
        shared,
        micro_scales().flatmap(lambda s: st.tuples(elements(), st.just(s), _multiples(s.microexponents))),
        floats,
        floats,
        st.tuples(_int_elements("unsigned").map(_plain), affine_scales(), blocks()),
        st.tuples(any_linear, double_scales(), st.integers(1, 40)),
    )


def blocks() -> st.SearchStrategy[Block]:
    tiles = st.tuples(st.integers(1, 3), st.integers(1, 20))
    return st.one_of(st.integers(1, 40), st.integers(1, 40), tiles, st.sampled_from(("row", "tensor")))


def _multiples(parts: int) -> st.SearchStrategy[int]:
    return st.integers(1, 6).map(lambda width: width * parts)


def _roundings(element: Element, quirks: Quirks) -> Sequence[Rounding]:
    if quirks.saturate_significand:
        return ("nearest_even",)
    if quirks.float32_reciprocal:
        return ("nearest_up", "nearest_away")
    return [r for r in get_args(Rounding) if not (isinstance(element, LogElement) and r == "stochastic")]


def _policies(element: Element, scale: Scale | None) -> list[Specials | None]:
    possible: list[Specials | None] = [None, "zero", "refuse"]
    if scale is not None and scale.nan:
        possible.append("block")
    if element.has_nan:
        possible.append("element")
    return possible


@st.composite
def _quirks(draw: st.DrawFn, element: Element, scale: Scale | None) -> Quirks:
    """Those of the published codes that are defined for the element and the scale."""
    flush_at = draw(st.sampled_from((0.0, 1e-8, 0.25)))
    affine, signed = isinstance(scale, AffineScale), isinstance(scale, FloatScale) and scale.anchor == "signed"
    if isinstance(element, IntElement) and isinstance(scale, FloatScale | AffineScale) and draw(st.booleans()):
        return Quirks(float32_reciprocal=True)
    if affine or (isinstance(scale, PowerOfTwoScale) and scale.microexponents):
        return Quirks()
    if isinstance(element, CodebookElement) or signed:
        return Quirks(flush_at=flush_at)
    if isinstance(element, FloatElement) and not element.subnormals:
        return Quirks(flush_at=flush_at)
    return Quirks(
        epsilon=draw(st.sampled_from((0.0, 1e-9, 0.1, 2.0))),
        epsilon_of_smallest=draw(st.booleans()),
        flush_at=flush_at,
        saturate_significand=isinstance(element, FloatElement),
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
        bias=st.one_of(st.integers(-4, 20), _biases()),
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
