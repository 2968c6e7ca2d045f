"""The reference dot product: worked examples of every accumulator, and the oracle on streams of all kinds."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from densimeter.formats import Datapath, derive, get, parse
from densimeter.formats.reference_dot import Group, accumulate
from support import oracle_dot, streams
from support.strategies import datapaths

NAN, INFINITY = 0x7FC00000, 0x7F800000
BFP6 = get("bfp6")
INT8 = parse({"name": "int8_codes", "element": "int8"})


def float32(bits: int) -> float:
    return float(np.uint32(bits).view(np.float32))


def bits(value: float) -> int:
    return int(np.float32(value).view(np.uint32))


def registers(datapath: Datapath, *groups: Group) -> list[int]:
    return [register for register, _ in accumulate(groups, datapath)]


@pytest.mark.parametrize(
    ("accumulator", "expected"),
    [
        ("int32", [127 * 127, 2 * 127 * 127, 127 * 127]),
        ("int15", [127 * 127, (2 * 127 * 127) % 2**15, 127 * 127]),  # 32258 wraps to -510, then comes back
        ("int15_saturate", [127 * 127, 2**14 - 1, (2**14 - 1) - 127 * 127]),
    ],
)
def test_integers_wrap_or_saturate(accumulator: str, expected: list[int]) -> None:
    up, down = Group([127], [127]), Group([127], [0x81])  # 0x81 is -127
    assert registers(derive(INT8, INT8, 1, accumulator), up, up, down) == expected


def test_fixed_point_truncates_towards_minus_infinity() -> None:
    """1/32 * 1/32 = 2^-10 is less than the lowest bit, 2^-8: nothing when positive, a whole -2^-8 when negative."""
    datapath = derive(BFP6, BFP6, 1, "fixed16:-8")
    one = 127
    assert registers(datapath, Group([1], [1], one, one)) == [0]
    assert registers(datapath, Group([0x21], [1], one, one)) == [2**16 - 1]
    assert registers(datapath, Group([16], [16], one, one)) == [2**8 // 4]  # 1/2 * 1/2


def test_fixed_point_saturates_at_both_ends() -> None:
    datapath = derive(BFP6, BFP6, 1, "fixed8:0")
    up, down = Group([31], [31], 127 + 8, 127), Group([63], [31], 127 + 8, 127)
    assert registers(datapath, up, down, down, down) == [127, (127 - 241) % 256, 128, 128]  # 31 * 31 / 4 = 240.25


def test_aligned_shifts_the_smaller_operand() -> None:
    """Sums of one BFP6 product take 11 bits with their sign, so aligned16 has 5 guard bits."""
    datapath = derive(BFP6, BFP6, 1, "aligned16")
    assert datapath.guard_bits == 16 - ((31 * 31).bit_length() + 1)
    big, small = Group([16], [2], 130, 127), Group([3], [1], 127, 127)
    exponent, significand = 130 + 127, (32 << 5) + ((3 << 5) >> 3)
    assert registers(datapath, big, small)[-1] == exponent << 16 | significand
    assert registers(datapath, small, big)[-1] == exponent << 16 | significand


def test_aligned_makes_room_where_a_sum_overflows() -> None:
    datapath = derive(BFP6, BFP6, 1, "aligned11")
    group = Group([31], [31], 127, 127)
    assert registers(datapath, group, group) == [254 << 11 | 961, 255 << 11 | 961]  # 1922 >> 1, one exponent up


def test_the_bit_that_makes_room_is_cut_towards_minus_infinity() -> None:
    datapath = derive(BFP6, BFP6, 1, "aligned11")
    up = [Group([31], [31], 127, 127), Group([31], [30], 127, 127)]  # 961 + 930 = 1891
    down = [Group([63], [31], 127, 127), Group([63], [30], 127, 127)]
    assert registers(datapath, *up)[-1] == 255 << 11 | 945
    assert registers(datapath, *down)[-1] == 255 << 11 | -946 % 2**11


def test_clear_starts_from_zero_with_the_same_group() -> None:
    datapath = derive(INT8, INT8, 1, "int32")
    assert registers(datapath, Group([2], [3]), Group([5], [7], clear=True), Group([1], [1])) == [6, 35, 36]


def test_a_float_mac_rounds_the_product_and_then_the_sum() -> None:
    """(1 + 2^-12)^2 = 1 + 2^-11 + 2^-24 loses its last term before -1 is added; a fused one would keep it."""
    datapath = derive(get("float32"), get("float32"), 1, "fp32")
    x = bits(1 + 2.0**-12)
    assert [float32(r) for r in registers(datapath, Group([bits(-1)], [bits(1)]), Group([x], [x]))] == [-1, 2.0**-11]


def test_a_dot_product_rounds_the_exact_sum_once() -> None:
    """2^24 + 1 - 2^24 over three lanes is 1, not 0."""
    fmt = parse({"element": {"kind": "int", "bits": 16}})
    datapath = derive(fmt, fmt, 3, "fp32")
    assert registers(datapath, Group([4096, 1, 4096], [4096, 1, -4096 % 2**16])) == [bits(1.0)]


@pytest.mark.parametrize(
    ("a", "w", "kept"),
    [
        (2.0**-70, 2.0**-70, 2.0**-140),
        (1 - 2.0**-24, 2.0**-126, 2.0**-126),  # tiny before rounding, though it would round up to a normal number
        (1.0, 2.0**-126, 2.0**-126),
    ],
)
def test_flushing_looks_at_the_exact_result(a: float, w: float, kept: float) -> None:
    group, float32s = Group([bits(a)], [bits(w)]), get("float32")
    assert registers(derive(float32s, float32s, 1, "fp32"), group) == [bits(kept)]
    flushed = 0.0 if a * w < 2.0**-126 else kept
    assert registers(derive(float32s, float32s, 1, "fp32_ftz"), group) == [bits(flushed)]


def test_zero_products_of_a_float_mac_have_signs() -> None:
    """A flushed negative sum leaves -0 in the register; -0 + -0 keeps it, -0 + +0 does not."""
    datapath = derive(get("float32"), get("float32"), 1, "fp32_ftz")
    one, tiny = bits(1.0), 2.0**-126
    start = [Group([bits(tiny)], [one]), Group([bits(-1.5 * tiny)], [one])]
    minus_zero, plus_zero = Group([bits(-0.0)], [one]), Group([bits(-0.0)], [bits(-1.0)])
    assert registers(datapath, *start, minus_zero, plus_zero)[1:] == [bits(-0.0), bits(-0.0), bits(0.0)]


E5M2 = parse({"name": "e5m2", "element": "e5m2"})
INF_CODE, MINUS_INF, NAN_CODE, ONE = 0x7C, 0xFC, 0x7E, 0x3C


@pytest.mark.parametrize(
    ("activation", "weight", "register"),
    [
        ([INF_CODE, ONE], [ONE, ONE], INFINITY),
        ([INF_CODE, ONE], [0xBC, ONE], INFINITY | 1 << 31),  # Inf * -1
        ([INF_CODE, ONE], [0, ONE], NAN),  # Inf * 0
        ([INF_CODE, MINUS_INF], [ONE, ONE], NAN),  # Inf - Inf
        ([INF_CODE, INF_CODE], [ONE, ONE], INFINITY),
        ([NAN_CODE, ONE], [ONE, ONE], NAN),
        ([NAN_CODE | 0x80, INF_CODE], [ONE, ONE], NAN),  # canonical, whatever its sign was
    ],
)
def test_specials_in_a_group(activation: list[int], weight: list[int], register: int) -> None:
    assert registers(derive(E5M2, E5M2, 2, "fp32"), Group(activation, weight)) == [register]


def test_float32_registers_keep_specials() -> None:
    datapath = derive(E5M2, E5M2, 1, "fp32")
    one, up, down = Group([ONE], [ONE]), Group([INF_CODE], [ONE]), Group([MINUS_INF], [ONE])
    assert registers(datapath, up, one, down, one) == [INFINITY, INFINITY, NAN, NAN]


def test_other_registers_hold_and_raise_a_sticky_flag() -> None:
    datapath = derive(E5M2, E5M2, 1, "fixed32:0")
    one, special = Group([ONE], [ONE]), Group([NAN_CODE], [ONE])
    cleared, cleared_special = Group([ONE], [ONE], clear=True), Group([INF_CODE], [ONE], clear=True)
    groups = [one, special, one, cleared, cleared_special, one]
    expected = [(1, False), (1, True), (2, True), (1, False), (0, True), (1, True)]
    assert accumulate(groups, datapath) == expected
    assert oracle_dot.accumulate(groups, datapath) == expected


def test_a_nan_scale_makes_the_group_nan_even_over_zeros() -> None:
    mxfp4 = get("mxfp4")
    assert registers(derive(mxfp4, mxfp4, 1, "fp32"), Group([0], [0], 0xFF, 127)) == [NAN]


def test_logarithms_are_cut_towards_zero_below_the_window() -> None:
    """The window's lowest bit is 2^-24 of the largest product; 2^-25 of it vanishes, whatever its sign."""
    bl8 = get("bl8")
    datapath = derive(bl8, bl8, 2, "fixed60:-24")
    one, lowest_kept, below, sign = 127, 127 - 24, 127 - 25, 0x80
    scale = 128  # 2^0
    assert registers(datapath, Group([one, lowest_kept], [one, one], scale, scale)) == [2**24 + 1]
    assert registers(datapath, Group([one, below], [one, one], scale, scale)) == [2**24]
    assert registers(datapath, Group([one, below | sign], [one, one], scale, scale)) == [2**24]


def test_float_scales_multiply_the_sum() -> None:
    """1.5 * 1.5 under scales 1.75 and a subnormal 3 * 2^-9."""
    datapath = derive(get("nvfp4"), get("nvfp4"), 1, "fp32")
    (register,) = registers(datapath, Group([0b0011], [0b0011], 7 << 3 | 6, 3))
    assert Fraction(float32(register)) == Fraction(9, 4) * Fraction(7, 4) * 3 / 2**9


@given(datapath=datapaths(), seed=st.integers(0, 2**32 - 1))
def test_any_unit_agrees_with_the_oracle(datapath: Datapath, seed: int) -> None:
    groups = streams.draw(datapath, 12, seed).groups()
    assert accumulate(groups, datapath) == oracle_dot.accumulate(groups, datapath)


CATALOG_UNITS = [
    ("float32", "float32", 1, "fp32"),
    ("float32_ftz", "float32_ftz", 1, "fp32_ftz"),
    ("float16", "bfloat16", 1, "fp32"),
    ("bfp6", "bfp4", 16, "fp32"),
    ("bfp6", "bfp6", 16, "aligned24"),
    ("bfp8", "int8", 8, "fixed48:-24"),
    ("bl8", "bfp6", 16, "fp32"),
    ("bl8_as_published", "bl8", 4, "aligned40"),
    ("dmf8", "minifloat8", 4, "int48"),
    ("mxfp8_e5m2", "mxfp8_e4m3", 32, "fp32"),
    ("mxfp4", "mxfp8_e4m3", 16, "fixed60:-30"),
    ("nvfp4", "nvfp4", 16, "fp32_ftz"),
    ("nvfp4", "mxfp4", 4, "aligned32"),
    ("bm8_as_published", "mxint8", 16, "aligned48"),
]


@settings(max_examples=5)
@given(seed=st.integers(0, 2**32 - 1))
@pytest.mark.parametrize(("activation", "weight", "lanes", "accumulator"), CATALOG_UNITS)
def test_catalog_units_agree_with_the_oracle(
    activation: str, weight: str, lanes: int, accumulator: str, seed: int
) -> None:
    datapath = derive(get(activation), get(weight), lanes, accumulator)
    groups = streams.draw(datapath, 40, seed).groups()
    assert accumulate(groups, datapath) == oracle_dot.accumulate(groups, datapath)


def test_streams_reach_what_they_are_for() -> None:
    """A comparison of registers that never leave zero would prove nothing."""
    datapath = derive(get("mxfp8_e5m2"), get("mxfp8_e5m2"), 4, "fixed32:-8")
    history = accumulate(streams.draw(datapath, 300).groups(), datapath)
    values = {register for register, _ in history}
    assert len(values) > 50
    assert {2**31 - 1, 2**31} <= values, "both ends of saturation"
    assert {invalid for _, invalid in history} == {False, True}
