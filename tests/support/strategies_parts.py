"""What Hypothesis composes number formats of: elements, scales, blocks, policies and quirks."""

from collections.abc import Sequence
from typing import get_args

from hypothesis import reject
from hypothesis import strategies as st

from densimeter.formats import (
    AffineScale,
    CodebookElement,
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
)
from densimeter.formats.block import Block, Specials
from densimeter.formats.element import IntEncoding
from densimeter.formats.levels import levels
from densimeter.formats.scale import ScaleRule

# Widths near 16 bits are left to the tests that name them: each first use decodes 2^16 codes for a table.


def int_elements() -> st.SearchStrategy[IntElement]:
    """Those that a multiply-accumulate unit takes."""
    return int_elements_of("twos_complement", "sign_magnitude")


def int_elements_of(*encodings: str) -> st.SearchStrategy[IntElement]:
    """Integers in one of these encodings."""
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
            bias=draw(biases()),
            hidden_bit=hidden_bit,
            subnormals=draw(st.booleans()),
            specials=draw(st.sampled_from(("none", "ieee", "nan", "fnuz"))) if hidden_bit else "none",
        )
    except FormatError:  # fields that do not go together
        reject()


def biases() -> st.SearchStrategy[int]:
    """Mostly near the middle of float32; some so far out that only a shared exponent brings the values back."""
    return st.one_of(st.integers(-8, 20), st.integers(-100, 140), st.integers(-230, 280))


def log_elements() -> st.SearchStrategy[LogElement]:
    return st.builds(LogElement, exponent_bits=st.integers(2, 8), bias=biases(), zero=st.booleans())


def codebooks() -> st.SearchStrategy[CodebookElement]:
    """Published levels, and lists in any order, zeros of both signs among them."""
    float32s = st.floats(width=32, allow_nan=False, allow_infinity=False)
    level = st.one_of(st.integers(-16, 16).map(lambda k: k / 8), st.sampled_from((0.0, -0.0)), float32s)
    lists = st.lists(level, min_size=2, max_size=20, unique_by=repr).filter(any).map(tuple)
    return st.one_of(st.sampled_from(PUBLISHED), st.builds(CodebookElement, lists))


PUBLISHED = [
    CodebookElement(levels(name))
    for name in ("nf4", "fp4", "int3", "int4", "float5", "dynamic3", "dynamic4", "dynamic8", "quantile3")
]


def elements() -> st.SearchStrategy[Element]:
    return st.one_of(int_elements_of(*get_args(IntEncoding)), float_elements(), log_elements(), codebooks())


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
    zeros = st.one_of(int_elements_of("unsigned").map(plain), minima)
    exponents = st.builds(
        PowerOfTwoScale,
        bits=st.integers(2, 8),
        bias=st.integers(0, 160),
        rule=st.just("rceil"),
        nan=st.booleans(),
    )
    return st.builds(AffineScale, st.one_of(st.sampled_from(SCALE_ELEMENTS), exponents), zeros)


def plain(element: IntElement) -> IntElement:
    return IntElement(element.bits, element.encoding)


def double_scales() -> st.SearchStrategy[DoubleScale]:
    return st.builds(DoubleScale, st.sampled_from(PUBLISHED), st.integers(1, 5), st.booleans())


def blocks() -> st.SearchStrategy[Block]:
    tiles = st.tuples(st.integers(1, 3), st.integers(1, 20))
    return st.one_of(st.integers(1, 40), st.integers(1, 40), tiles, st.sampled_from(("row", "tensor")))


def multiples(parts: int) -> st.SearchStrategy[int]:
    return st.integers(1, 6).map(lambda width: width * parts)


def roundings(element: Element, quirks: Quirks) -> Sequence[Rounding]:
    if quirks.saturate_significand:
        return ("nearest_even",)
    if quirks.float32_reciprocal:
        return ("nearest_up", "nearest_away")
    return [r for r in get_args(Rounding) if not (isinstance(element, LogElement) and r == "stochastic")]


def policies(element: Element, scale: Scale | None) -> list[Specials | None]:
    possible: list[Specials | None] = [None, "zero", "refuse"]
    if scale is not None and scale.nan:
        possible.append("block")
    if element.has_nan:
        possible.append("element")
    return possible


@st.composite
def quirks_for(draw: st.DrawFn, element: Element, scale: Scale | None) -> Quirks:
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
