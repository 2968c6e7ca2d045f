"""The reference codec against the oracle: every code, every place where a rounding decides, and formats drawn at will.

The default run covers all decisions of every catalog format as it stands, and those of narrow elements in every other
rounding mode; the deep run covers the rest.
"""

import math
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import pairwise
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from densimeter.formats import (
    AffineScale,
    BlockFormat,
    DoubleScale,
    Element,
    FloatElement,
    FloatScale,
    FormatError,
    IntElement,
    LogElement,
    PowerOfTwoScale,
    Rounding,
    declaration,
    get,
    names,
    parse,
    reference,
)
from densimeter.formats.rounding import NOISE_BITS
from support import oracle, oracle_scale
from support.decisions import around, decision_points
from support.oracle_element import rungs, worth_at
from support.strategies import float32_arrays, float32s, formats
from support.strategies_parts import double_scales

ROUNDINGS = get_args(Rounding)
CHANCES = (0, 1, 0x4000, 0x7FFF, 0x8000, 0xFFFF)
NARROW_BITS, FEW_BITS = 8, 6
ELEMENTS = {fmt.element: fmt.name for fmt in map(get, reversed(names()))}  # each under the first name that has it
NARROW = {name: element for element, name in ELEMENTS.items() if element.bits <= NARROW_BITS}
SCALED = [name for name in names() if get(name).scale is not None]
VARIANTS = [
    *(f"{name}_{rule}" for name in ("mxfp4", "mxfp8_e4m3", "mxint8") for rule in ("ceil", "even", "rceil")),
    *("int8_tensor", "int4_g128", "int4_g64_affine", "int8_affine", "int4_g32_e8m0", "bfp6_b4x8", "nf4_dq_b32"),
]


def assert_like_oracle(
    values: list[float], fmt: BlockFormat, factor: float = 1.0, chances: list[int] | None = None
) -> None:
    """Scale code, codes, and the values that they stand for, the sign of zeros included."""
    scale, codes = reference.quantize_block(values, fmt, factor, chances)
    assert (scale, codes) == oracle.quantize_block(values, fmt, factor, chances)
    assert_same_values(scale, codes, fmt, factor)


def assert_same_values(scale: int, codes: list[int], fmt: BlockFormat, factor: float = 1.0) -> None:
    restored = np.array(reference.dequantize_block(scale, codes, fmt, factor))
    expected = np.array(oracle.dequantize_block(scale, codes, fmt, factor))
    np.testing.assert_array_equal(restored, expected)
    np.testing.assert_array_equal(np.signbit(restored), np.signbit(expected) & ~np.isnan(expected))


def plain(element: Element, rounding: Rounding = "nearest_even") -> BlockFormat:
    return BlockFormat("plain", element, rounding=rounding)


# Every code


@pytest.mark.parametrize("name", NARROW)
def test_every_code_decodes_and_comes_back(name: str) -> None:
    """To itself, or to the code that quantisers write for that value: of several the lowest.

    Symmetric integers clamp the one code that they never write.
    """
    element = NARROW[name]
    codes = list(range(1 << element.bits))
    values = reference.dequantize_block(0, codes, plain(element))
    np.testing.assert_array_equal(values, [oracle.value(element, code) for code in codes])
    lowest: dict[str, int] = {}
    for code, value in zip(codes, values, strict=True):
        lowest.setdefault(str(value), code)  # tells 0.0 from -0.0
    written = [value for value in values if value >= -element.largest or not is_symmetric(element)]
    again = reference.quantize_block([v for v in written if not math.isnan(v)], plain(element))[1]
    assert again == [lowest[str(value)] for value in written if not math.isnan(value)]
    if len(written) < len(values):
        assert reference.quantize_block([min(values)], plain(element))[1] == [lowest[str(float(-element.largest))]]


def is_symmetric(element: Element) -> bool:
    return isinstance(element, IntElement) and element.symmetric


# Every place where a rounding decides


@pytest.mark.parametrize("name", ELEMENTS.values())
def test_every_decision_of_an_element(name: str) -> None:
    element = get(name).element
    assert_like_oracle(decision_points(element).tolist(), plain(element))


def other_modes(bits: range) -> Iterator[tuple[str, str]]:
    """Every element of these widths in every mode but nearest even."""
    for name, element in NARROW.items():
        if element.bits in bits:
            yield from ((name, rounding) for rounding in ROUNDINGS[1:] if rounding_applies(element, rounding))


def rounding_applies(element: Element, rounding: str) -> bool:
    return not (isinstance(element, LogElement) and rounding == "stochastic")


@pytest.mark.parametrize(("name", "rounding"), list(other_modes(range(FEW_BITS + 1))))
def test_every_decision_of_a_narrow_element_in_every_mode(name: str, rounding: Rounding) -> None:
    check_mode(NARROW[name], rounding)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rounding"), list(other_modes(range(FEW_BITS + 1, NARROW_BITS + 1))))
def test_every_decision_of_a_wider_element_in_every_mode(name: str, rounding: Rounding) -> None:
    check_mode(NARROW[name], rounding)


def check_mode(element: Element, rounding: Rounding) -> None:
    if rounding != "stochastic":
        points = decision_points(element).tolist()
        assert_like_oracle(points, plain(element, rounding))
        if element.has_nan:
            overflowing = BlockFormat("overflowing", element, rounding=rounding, overflow="special")
            assert_like_oracle([*points, math.inf, -math.inf], overflowing)
        return
    for chance in CHANCES:
        points = thresholds(element, chance).tolist()
        assert_like_oracle(points, plain(element, rounding), chances=[chance] * len(points))


def thresholds(element: Element, chance: int) -> NDArray[np.float32]:
    """Where this chance changes a decision, and one float32 step either side."""
    values = [worth_at(element, rung) for rung in rungs(element)]
    share = Fraction(chance, 1 << NOISE_BITS)
    upward = [float(a + (b - a) * share) for a, b in pairwise(values)]
    outward = [float(b + (a - b) * share) for a, b in pairwise(values) if b <= 0]
    return around([*upward, *outward])


@pytest.mark.parametrize("name", [*SCALED, *VARIANTS])
def test_every_decision_under_a_scale(name: str) -> None:
    check_under_scale(get(name), 2.0**-13)


FLOAT_SCALED = ("int8", "int4_g32", "int4_g64_affine", "nvfp4_one_level", "nf4", "kdyn4")
GGUF = ("gguf_q8_0", "gguf_q4_0", "gguf_q5_0", "gguf_q4_1", "gguf_q5_1")


@pytest.mark.parametrize("unit", [1 / 3, 2.0**-13 / 127, 0.7e-5])
@pytest.mark.parametrize("name", FLOAT_SCALED + GGUF)
def test_every_decision_under_a_scale_that_is_no_power_of_two(name: str, unit: float) -> None:
    """Where ggml's reciprocals and products are inexact too."""
    check_under_scale(get(name), unit)


def in_every_mode(names: list[str]) -> list[BlockFormat]:
    """Catalog formats in every rounding mode that is defined for them; test_rounding.py names the others."""
    found = []
    for name in names:
        for rounding in ROUNDINGS:
            with suppress(FormatError):
                found.append(parse(declaration(get(name)) | {"name": f"{name}_{rounding}", "rounding": rounding}))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("fmt", in_every_mode([*SCALED, *VARIANTS]), ids=lambda fmt: fmt.name)
def test_every_decision_under_a_scale_in_every_mode(fmt: BlockFormat) -> None:
    for exponent in (-120, 3):
        check_under_scale(fmt, 2.0**exponent)


def check_under_scale(fmt: BlockFormat, unit: float) -> None:
    """Blocks that begin with what settles the scale, and hold decisions of the element times that scale."""
    fmt = fmt.first_level
    anchors = settling(fmt, unit)
    points = decision_points(fmt.element, unit)
    if isinstance(fmt.scale, PowerOfTwoScale) and fmt.scale.microexponents:
        points = np.concatenate([points, decision_points(fmt.element, unit / 2)])
    inside = points[(points >= min(anchors)) & (points <= max(anchors))].tolist()
    size = fmt.block_values or 64
    step = max(size - len(anchors), 1)
    for start in range(0, len(inside), step):
        block = [*anchors, *inside[start : start + step]][:size] if size > 1 else inside[start : start + 1]
        chances = [CHANCES[(start + i) % len(CHANCES)] for i in range(len(block))]
        assert_like_oracle(block, fmt, 1.0, chances)


def settling(fmt: BlockFormat, unit: float) -> list[float]:
    """Numbers that make the scale of their block `unit`, or near it: the largest value, and both ends."""
    bottom, top = (float(worth_at(fmt.element, rungs(fmt.element)[end])) * unit for end in (0, -1))
    if isinstance(fmt.element, LogElement) or (isinstance(fmt.scale, FloatScale) and fmt.scale.anchor == "magnitude"):
        bottom = -top
    if isinstance(fmt.scale, AffineScale):
        ends = [-3 * unit, top - 3 * unit]
    else:
        ends = [bottom, top] if abs(bottom) > abs(top) else [top, -top]
    return [float(np.float32(end)) for end in ends]


@pytest.mark.parametrize("scale", [2**-6, 0.4375, 448, 2**-9])  # the last one subnormal
@pytest.mark.parametrize("factor", [1.0, 0.25, float(np.float32(0.0123))])
def test_every_decision_under_two_float_scales(scale: float, factor: float) -> None:
    fmt = get("nvfp4")
    points = decision_points(fmt.element, scale * factor)
    anchor = float(np.float32(6 * scale * factor))
    inside = points[np.abs(points) <= anchor].tolist()
    for start in range(0, len(inside), 15):
        assert_like_oracle([anchor, *inside[start : start + 15]], fmt, factor)


@pytest.mark.parametrize("name", SCALED)
def test_every_scale_reads_like_the_oracles(name: str) -> None:
    """Codes that no quantiser writes are values too: they can stand in memory. Narrow scales all, wide ones some."""
    fmt = get(name).first_level
    assert fmt.scale is not None
    rng, bits = np.random.default_rng(5), fmt.scale.code_bits
    scales = range(1 << bits) if bits <= 8 else [int.from_bytes(rng.bytes(8)) % (1 << bits) for _ in range(256)]
    for scale in scales:
        codes = rng.integers(0, 1 << fmt.element.bits, 16).tolist()
        assert_same_values(scale, codes, fmt)


# Formats that no catalog holds


def check_any_numbers(x: NDArray[np.float32], fmt: BlockFormat, chances: list[int]) -> None:
    fmt = fmt.first_level
    if fmt.refuses_nan:
        with_nan = [*x.tolist()[1:], math.nan]
        with pytest.raises(FormatError, match="drawn has no code for NaN"):
            reference.quantize_block(with_nan, fmt)
        x = np.nan_to_num(x, posinf=math.inf, neginf=-math.inf)
    values = x.tolist()
    factor = reference.tensor_scale(values, fmt)
    assert factor == oracle.tensor_factor(values, fmt)
    block = values[: fmt.block_values or len(values)]
    assert_like_oracle(block, fmt, factor, chances[: len(block)])


SIZE = 24
NOISES = st.lists(st.integers(0, (1 << NOISE_BITS) - 1), min_size=SIZE, max_size=SIZE)


@settings(max_examples=500)
@given(float32_arrays(SIZE), formats(), NOISES)
def test_any_format_on_any_numbers(x: NDArray[np.float32], fmt: BlockFormat, chances: list[int]) -> None:
    check_any_numbers(x, fmt, chances)


@pytest.mark.slow
@settings(max_examples=10_000)
@given(float32_arrays(SIZE), formats(), NOISES)
def test_many_formats_on_any_numbers(x: NDArray[np.float32], fmt: BlockFormat, chances: list[int]) -> None:
    check_any_numbers(x, fmt, chances)


@settings(max_examples=300)
@given(formats(), st.integers(0, 2**64 - 1), st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=SIZE))
def test_any_code_under_any_scale(fmt: BlockFormat, scale: int, codes: list[int]) -> None:
    fmt = fmt.first_level
    code_bits = fmt.scale.code_bits if fmt.scale is not None else 0
    block = codes[: fmt.block_values or len(codes)]
    assert_same_values(scale % (1 << code_bits), [code % (1 << fmt.element.bits) for code in block], fmt)


@settings(max_examples=300)
@given(double_scales(), st.lists(float32s(nan=False).filter(math.isfinite).map(abs), max_size=12))
def test_double_scales_are_the_oracles(scale: DoubleScale, scales: list[float]) -> None:
    stored = reference.compress_scales(scales, scale)
    assert (stored.codes, stored.factors, stored.mean) == oracle_scale.compress(scales, scale)
    restored = oracle_scale.restore(stored.codes, stored.factors, stored.mean, scale)
    assert reference.restore_scales(stored, scale) == restored


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SCALED, *VARIANTS])
def test_many_random_blocks(name: str) -> None:
    rng, fmt = np.random.default_rng(7), get(name).first_level
    for exponent in range(-150, 128, 4):
        with np.errstate(over="ignore"):
            block = np.ldexp(rng.standard_normal(32), exponent).astype(np.float32).tolist()
        block = block[: fmt.block_values or len(block)]
        assert_like_oracle(block, fmt, oracle.tensor_factor(block, fmt))


def test_the_decisions_are_enough_to_tell_modes_apart() -> None:
    """A comparison on points where all modes agree would prove nothing."""
    fmt = {rounding: plain(FloatElement(2, 1, 1), rounding) for rounding in ROUNDINGS if rounding != "stochastic"}
    points = decision_points(FloatElement(2, 1, 1)).tolist()
    written = [tuple(reference.quantize_block(points, mode)[1]) for mode in fmt.values()]
    assert len(set(written)) == len(written)
