"""What Hypothesis draws: float32 numbers of every bit pattern, and number formats that no catalog holds."""

import math

import numpy as np
from hypothesis import reject, settings
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
    Scale,
    derive,
)

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
    return st.builds(
        IntElement,
        bits=st.integers(2, 12),
        encoding=st.sampled_from(("twos_complement", "sign_magnitude")),
        fraction_bits=st.integers(-64, 64),
        symmetric=st.booleans(),
    )


@st.composite
def float_elements(draw: st.DrawFn) -> FloatElement:
    try:
        return FloatElement(
            exponent_bits=draw(st.integers(1, 8)),
            mantissa_bits=draw(st.one_of(st.integers(0, 4), st.integers(16, 23))),
            bias=draw(st.one_of(st.integers(-8, 160), st.integers(-256, 512))),
            hidden_bit=draw(st.booleans()),
            subnormals=draw(st.booleans()),
            specials=draw(st.sampled_from(("none", "ieee", "nan"))),
        )
    except FormatError:  # fields that do not go together
        reject()


def log_elements() -> st.SearchStrategy[LogElement]:
    return st.builds(LogElement, exponent_bits=st.integers(2, 8), bias=st.integers(-256, 512), zero=st.booleans())


def elements() -> st.SearchStrategy[Element]:
    return st.one_of(int_elements(), float_elements(), log_elements())


def power_of_two_scales() -> st.SearchStrategy[PowerOfTwoScale]:
    return st.builds(
        PowerOfTwoScale,
        bits=st.integers(1, 8),
        bias=st.integers(0, 255),
        rule=st.sampled_from(("floor", "ceil")),
        offset=st.one_of(st.none(), st.integers(-20, 20)),
        nan=st.booleans(),
        negated=st.booleans(),
    )


def float_scales(*, tensor_scale: bool) -> st.SearchStrategy[FloatScale]:
    stored = (
        FloatElement(4, 3, 7, specials="nan"),
        FloatElement(5, 2, 15, specials="ieee"),
        FloatElement(3, 2, 3),
        FloatElement(5, 10, 15, specials="ieee"),
        FloatElement(8, 23, 127, specials="ieee"),
    )
    return st.builds(FloatScale, st.sampled_from(stored), st.booleans() if tensor_scale else st.just(False))


def formats() -> st.SearchStrategy[BlockFormat]:
    """Every kind of element under every kind of scale that may stand over it."""
    counts = st.integers(1, 40)
    linear = st.one_of(int_elements(), float_elements())
    return st.one_of(
        _formats(elements(), st.none(), st.just(1)),
        _formats(elements(), power_of_two_scales(), counts),
        _formats(linear, float_scales(tensor_scale=True), counts),
        _formats(linear, float_scales(tensor_scale=False), st.sampled_from(("row", "tensor"))),
    )


def _formats(
    element: st.SearchStrategy[Element] | st.SearchStrategy[IntElement | FloatElement],
    scale: st.SearchStrategy[Scale] | st.SearchStrategy[None],
    block: st.SearchStrategy[int] | st.SearchStrategy[str],
) -> st.SearchStrategy[BlockFormat]:
    return st.builds(BlockFormat, st.just("drawn"), element, scale, block)


ACCUMULATORS = ("fp32", "fp32_ftz", "fixed48:-24", "fixed24:-6", "fixed12:3")


def narrow_formats() -> st.SearchStrategy[BlockFormat]:
    """Formats whose products can be added exactly, under scales that a unit applies itself or that stay outside."""
    narrow_floats = st.builds(
        FloatElement,
        exponent_bits=st.integers(1, 4),
        mantissa_bits=st.integers(1, 4),
        bias=st.one_of(st.integers(-4, 20), st.integers(-256, 512)),
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
