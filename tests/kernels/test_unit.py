"""Streams through a unit: the register at every clock edge equals the reference's, for units of every kind."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import densimeter.kernels as K
from densimeter.formats import (
    BlockFormat,
    Datapath,
    FloatElement,
    FormatError,
    PowerOfTwoScale,
    derive,
    get,
    parse,
    resolve,
)
from densimeter.formats.reference_dot import accumulate
from support import streams
from support.strategies import datapaths

PAIRS = [
    ("float32", "float32", 1),
    ("float32_ftz", "float32_ftz", 1),
    ("tf32", "tf32", 1),
    ("float16", "float16", 1),
    ("bfloat16", "int8", 1),
    ("minifloat8", "minifloat8", 1),
    ("minifloat8", "minifloat8", 4),
    ("dmf8", "dmf8", 16),
    ("int8", "int8", 1),
    ("int8", "int8", 16),
    ("fixed8", "fixed8", 4),
    ("int8", "bfp8", 4),
    ("bfp6", "bfp6", 16),
    ("bfp6", "bfp4", 8),
    ("bm8", "bm8", 16),
    ("bm8_as_published", "bm8_as_published", 16),
    ("bl8", "bl8", 16),
    ("bl8_as_published", "bl8_as_published", 4),
    ("bl8", "bfp6", 16),
    ("mxfp4", "mxfp4", 32),
    ("mxfp4", "mxfp8_e4m3", 16),
    ("mxfp8_e4m3", "mxfp8_e4m3", 32),
    ("mxfp8_e5m2", "mxfp8_e5m2", 1),
    ("mxfp8_e5m2", "mxfp8_e5m2", 32),
    ("mxint8", "mxint8", 32),
    ("nvfp4", "nvfp4", 16),
    ("nvfp4", "mxfp4", 8),
    ("gguf_q4_0", "gguf_q4_0", 32),
    ("gguf_q5_0", "mxint8", 16),
    ("mx9", "mx9", 16),
    ("mx6", "mx4", 4),
    ("mx9", "int8", 1),
]
ACCUMULATORS = ["fp32", "fp32_ftz", "int32", "int20_saturate", "fixed48:-24", "fixed24:-6", "aligned24", "aligned40"]


def catalog_units() -> list[Datapath]:
    """Every pair with every accumulator that can serve it."""
    units = []
    for (activation, weight, lanes), accumulator in product(PAIRS, ACCUMULATORS):
        try:
            units.append(derive(get(activation), get(weight), lanes, accumulator))
        except FormatError:
            continue
    return units


def label(datapath: Datapath) -> str:
    return f"{datapath.activation.name}-{datapath.weight.name}-{datapath.lanes}-{datapath.accumulator}"


def run(datapath: Datapath, stream: streams.Stream) -> K.Registers:
    operands = (stream.activation, stream.weight, stream.activation_scale, stream.weight_scale)
    return K.accumulate_stream(datapath, *operands, stream.clear, stream.enable)


def assert_equals_reference(datapath: Datapath, stream: streams.Stream) -> None:
    registers, invalid = stream.held(accumulate(stream.groups(), datapath))
    actual = run(datapath, stream)
    np.testing.assert_array_equal(actual.accumulator, np.array(registers, np.uint64))
    np.testing.assert_array_equal(actual.invalid, invalid)


def test_units_of_every_kind_are_compared() -> None:
    labels = [label(unit) for unit in catalog_units()]
    assert len(labels) > 100
    assert all(any(text.endswith(accumulator) for text in labels) for accumulator in ACCUMULATORS)


@pytest.mark.parametrize("datapath", catalog_units(), ids=label)
def test_registers_equal_the_reference(datapath: Datapath) -> None:
    assert_equals_reference(datapath, streams.draw(datapath, 64, seed=11))


@pytest.mark.slow
@pytest.mark.parametrize("datapath", catalog_units(), ids=label)
def test_registers_equal_the_reference_for_long(datapath: Datapath) -> None:
    for seed in range(10):
        assert_equals_reference(datapath, streams.draw(datapath, 1000, seed))


@settings(max_examples=150)
@given(datapath=datapaths(), seed=st.integers(0, 2**32 - 1))
def test_units_of_drawn_formats(datapath: Datapath, seed: int) -> None:
    assert_equals_reference(datapath, streams.draw(datapath, 16, seed))


@pytest.mark.slow
@settings(max_examples=3000)
@given(datapath=datapaths(), seed=st.integers(0, 2**32 - 1))
def test_many_units_of_drawn_formats(datapath: Datapath, seed: int) -> None:
    assert_equals_reference(datapath, streams.draw(datapath, 40, seed))


def one_group(datapath: Datapath, activation: int, weight: int, edges: int) -> streams.Stream:
    """The same codes in all lanes at every edge, neutral scales, no clears but the first."""
    lanes = np.ones((edges, datapath.lanes), np.uint32)
    scale = np.full(edges, 127, np.uint32)
    clear = np.arange(edges) == 0
    return streams.Stream(activation * lanes, weight * lanes, scale, scale, clear, np.ones(edges, bool))


@pytest.mark.parametrize("accumulator", ["int15", "int15_saturate", "int60", "int60_saturate"])
@pytest.mark.parametrize("activation", [127, 0x80])
def test_integers_at_their_limits(accumulator: str, activation: int) -> None:
    """127 * -128 and -128 * -128 over 256 lanes: the widest int8 sums, against the narrowest and widest registers."""
    datapath = derive(get("int8"), get("int8"), 256, accumulator)
    assert_equals_reference(datapath, one_group(datapath, activation, 0x80, 40))


@pytest.mark.parametrize("code", [0x7F, 0xFF])
@pytest.mark.parametrize("accumulator", ["fp32", "fixed60:-40", "fixed48:20", "aligned48"])
def test_largest_sums_of_wide_elements(accumulator: str, code: int) -> None:
    """Minifloats: 480 * 480 in every one of 64 lanes, the largest exact sum of this element."""
    datapath = derive(get("minifloat8"), get("minifloat8"), 64, accumulator)
    assert_equals_reference(datapath, one_group(datapath, code, 0x7F, 40))


@pytest.mark.parametrize("accumulator", ["fp32", "fixed32:-8"])
def test_every_meeting_of_specials_in_a_group(accumulator: str) -> None:
    """E5M2 over two lanes: 0, -0, 1, -1, Inf, -Inf and NaN in every place."""
    datapath = derive(parse({"element": "e5m2"}), parse({"element": "e5m2"}), 2, accumulator)
    kinds = [0x00, 0x80, 0x3C, 0xBC, 0x7C, 0xFC, 0x7E]
    groups = np.array(list(product(kinds, repeat=4)), np.uint32)
    scale, always = np.zeros(len(groups), np.uint32), np.ones(len(groups), bool)
    assert_equals_reference(datapath, streams.Stream(groups[:, :2], groups[:, 2:], scale, scale, always, always))


def float32(bits: int) -> float:
    return float(np.uint32(bits).view(np.float32))


def single_group(datapath: Datapath, activation: list[int], weight: list[int], scale: int = 127) -> float:
    """The float32 register after one group under twice the same scale, which reference and kernel agree on."""
    a, w, scales = (np.array([codes], np.uint32) for codes in (activation, weight, scale))
    once = np.ones(1, bool)
    stream = streams.Stream(a, w, scales, scales, once, once)
    assert_equals_reference(datapath, stream)
    return float32(int(run(datapath, stream).accumulator[0]))


@pytest.mark.parametrize(("smallest", "rounded"), [(0, 2.0**30), (0x01, 2.0**30 + 2.0**7), (0x81, 2.0**30)])
def test_the_lowest_bit_of_a_wide_sum_breaks_a_tie(smallest: int, rounded: float) -> None:
    """E5M2: 2^15 * 2^15 + 2^6 is a tie of float32, until 2^-16 * 2^-16, 62 bits below, is added or taken away."""
    datapath = derive(get("mxfp8_e5m2"), get("mxfp8_e5m2"), 4, "fp32")
    largest_power, one = (15 + 15) << 2, 15 << 2
    activation = [largest_power, (15 + 6) << 2, smallest, 0]
    assert single_group(datapath, activation, [largest_power, one, 0x01, 0]) == rounded


@pytest.mark.parametrize(("accumulator", "expected"), [("fp32", 2.0**-126), ("fp32_ftz", 0.0)])
def test_a_sum_is_tiny_before_it_is_rounded(accumulator: str, expected: float) -> None:
    """E4M3: 2^8 - 2^-18 under two scales of 2^-67 is just below 2^-126, and rounds up to it."""
    datapath = derive(get("mxfp8_e4m3"), get("mxfp8_e4m3"), 2, accumulator)
    assert single_group(datapath, [(7 + 8) << 3, 0x81], [7 << 3, 0x01], 127 - 67) == expected


def test_a_logarithm_times_a_float_keeps_its_window() -> None:
    """2^-9 * 2^-9 is below the window of a largest product of 2^21 * 448: 21 + 8 - 3 - 24 = 2^2 is the lowest bit
    kept."""
    logarithm = parse({"element": {"kind": "log", "exponent_bits": 5, "bias": 10}})
    datapath = derive(logarithm, parse({"element": "e4m3"}), 1, "fp32")
    assert not datapath.float_mac
    assert single_group(datapath, [1], [1]) == 0
    assert single_group(datapath, [31], [0x7E]) == 2.0**21 * 448


@pytest.mark.parametrize(("bias", "scale"), [(280, 0), (280, 255), (-230, 0), (-230, 255)])
def test_sums_far_outside_float32_vanish_or_overflow(bias: int, scale: int) -> None:
    fmt = BlockFormat("far", FloatElement(4, 3, bias), PowerOfTwoScale(), 2)
    expected = 0.0 if bias > 0 else float("inf")
    assert single_group(derive(fmt, fmt, 2, "fp32"), [1, 0], [1, 0], scale) == expected


@pytest.mark.parametrize(("name", "accumulator", "expected"), [("float32", "fp32", 1), ("float32_ftz", "fp32_ftz", 0)])
def test_a_product_is_tiny_before_it_is_rounded(name: str, accumulator: str, expected: int) -> None:
    factors = [int(np.float32(x).view(np.uint32)) for x in (1 - 2.0**-24, 2.0**-126)]
    datapath = derive(get(name), get(name), 1, accumulator)
    assert single_group(datapath, factors[:1], factors[1:]) == expected * 2.0**-126


@pytest.mark.parametrize("accumulator", ["fp32", "fp32_ftz", "fixed48:-24"])
def test_two_scales_of_wide_significands(accumulator: str) -> None:
    """Two of float32: 24 and 24 bits, which times a sum of 7 are more than an int64 holds."""
    fmt = resolve("{element: int4, block: 2, scale: fp32}")
    assert_equals_reference(derive(fmt, fmt, 2, accumulator), streams.draw(derive(fmt, fmt, 2, accumulator), 500))


@pytest.mark.parametrize("name", ["mxfp8_e5m2", "bfp8"])
def test_scales_at_both_ends(name: str) -> None:
    datapath = derive(get(name), get(name), 16, "fp32")
    rng = np.random.default_rng(0)
    ends = np.array([0, 1, 2, 127, 252, 253, 254, 255], np.uint32)
    activation_scale, weight_scale = (side.ravel() for side in np.meshgrid(ends, ends))
    count = len(weight_scale)
    codes = rng.integers(0, 0x7C, (2, count, 16)).astype(np.uint32)
    clear, enable = np.ones(count, bool), np.ones(count, bool)
    stream = streams.Stream(codes[0], codes[1], activation_scale, weight_scale, clear, enable)
    assert_equals_reference(datapath, stream)


def test_a_disabled_edge_changes_nothing_even_with_clear() -> None:
    datapath = derive(get("int8"), get("int8"), 1, "int32")
    ones = np.ones((4, 1), np.uint32)
    clear, enable = np.array([True, False, True, False]), np.array([True, True, False, False])
    zeros = np.zeros(4, np.uint32)
    registers = K.accumulate_stream(datapath, ones, ones, zeros, zeros, clear, enable)
    assert registers.accumulator.tolist() == [1, 2, 2, 2]


def test_an_empty_stream() -> None:
    datapath = derive(get("bfp6"), get("bfp6"), 16, "fp32")
    registers = run(datapath, streams.draw(datapath, 1))
    assert registers.accumulator.dtype == np.uint64
    nothing = np.zeros((0, 16), np.uint32)
    none, never = np.zeros(0, np.uint32), np.zeros(0, bool)
    empty = K.accumulate_stream(datapath, nothing, nothing, none, none, never, never)
    assert empty.accumulator.shape == empty.invalid.shape == (0,)


def test_a_float_mac_needs_values_that_float32_holds() -> None:
    tiny = parse({"element": {"kind": "float", "exponent_bits": 4, "mantissa_bits": 3, "bias": 150}})  # 2^-135, 2^-152
    with pytest.raises(FormatError, match="not all float32 numbers"):
        derive(tiny, tiny, 1, "fp32")
