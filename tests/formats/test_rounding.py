"""Rounding modes: what each does with what lies between two neighbours, and how good the noise is."""

from collections import Counter
from fractions import Fraction
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from densimeter.formats import BlockFormat, FormatError, Rounding, parse, reference
from densimeter.formats.rounding import NOISE_BITS, noise, round_between, round_magnitude
from support import oracle_rounding

ROUNDINGS = get_args(Rounding)
DETERMINISTIC = [rounding for rounding in ROUNDINGS if rounding != "stochastic"]
VALUES = (-2.5, -1.5, -1.25, -0.75, -0.5, -0.25, 0.25, 0.5, 0.75, 1.25, 1.5, 2.5)


def rounded(name: str, rounding: str) -> BlockFormat:
    return parse({"base": name, "rounding": rounding})


def round_trip(values: list[float], fmt: BlockFormat, chances: list[int] | None = None) -> list[float]:
    return reference.dequantize_block(*reference.quantize_block(values, fmt, chances=chances), fmt)


# Integers


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        ("nearest_even", (-2, -2, -1, -1, 0, 0, 0, 0, 1, 1, 2, 2)),
        ("nearest_away", (-3, -2, -1, -1, -1, 0, 0, 1, 1, 1, 2, 3)),
        ("nearest_up", (-2, -1, -1, -1, 0, 0, 0, 1, 1, 1, 2, 3)),
        ("toward_zero", (-2, -1, -1, 0, 0, 0, 0, 0, 0, 1, 1, 2)),
        ("toward_minus_infinity", (-3, -2, -2, -1, -1, -1, 0, 0, 0, 1, 1, 2)),
    ],
)
def test_modes_on_halves_and_quarters(rounding: Rounding, expected: tuple[int, ...]) -> None:
    magnitudes = [round_magnitude(Fraction(abs(v)), v < 0, rounding) for v in VALUES]
    assert [-m if v < 0 else m for v, m in zip(VALUES, magnitudes, strict=True)] == list(expected)
    assert round_trip(list(VALUES), rounded("fixed8_f4", rounding)) == list(VALUES), "multiples of 2^-4 are exact"
    integers = parse({"element": "int8", "rounding": rounding})
    assert round_trip(list(VALUES), integers) == list(expected)


@pytest.mark.parametrize("rounding", DETERMINISTIC)
@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize("whole", [0, 1, 2, 127])
def test_whole_numbers_stay(rounding: Rounding, negative: bool, whole: int) -> None:
    assert round_magnitude(Fraction(whole), negative, rounding) == whole


@given(st.fractions(-100, 100, max_denominator=64), st.sampled_from(ROUNDINGS), st.integers(0, (1 << NOISE_BITS) - 1))
def test_integers_round_as_their_neighbours_say(number: Fraction, rounding: Rounding, chance: int) -> None:
    magnitude = round_magnitude(abs(number), number < 0, rounding, chance)
    assert (-magnitude if number < 0 else magnitude) == oracle_rounding.integer(number, rounding, chance)


# Levels, which have ranks instead of parities


@pytest.mark.parametrize(
    ("rounding", "below_zero", "odd", "upper"),
    [
        ("nearest_even", False, False, False),  # the lower level's rank is even: it stays
        ("nearest_even", False, True, True),
        ("nearest_even", True, False, False),
        ("nearest_away", False, False, True),
        ("nearest_away", True, False, False),  # away from zero is down
        ("nearest_up", False, False, True),
        ("nearest_up", True, False, True),
        ("toward_zero", False, True, False),
        ("toward_zero", True, True, True),
        ("toward_minus_infinity", False, True, False),
        ("toward_minus_infinity", True, True, False),
    ],
)
def test_ties_between_levels(rounding: Rounding, below_zero: bool, odd: bool, upper: bool) -> None:
    assert round_between(Fraction(1, 2), odd, rounding, below_zero) == upper


@pytest.mark.parametrize("below_zero", [False, True])
@pytest.mark.parametrize("odd", [False, True])
@pytest.mark.parametrize("rounding", ["nearest_even", "nearest_away", "nearest_up"])
def test_the_nearer_level_wins(rounding: Rounding, odd: bool, below_zero: bool) -> None:
    assert not round_between(Fraction(49, 100), odd, rounding, below_zero)
    assert round_between(Fraction(51, 100), odd, rounding, below_zero)


def test_levels_of_equal_magnitude_around_a_missing_zero() -> None:
    signs = {"element": {"kind": "codebook", "levels": [-1, 1]}}
    for rounding, expected in (("toward_zero", 1.0), ("nearest_away", -1.0), ("nearest_up", 1.0)):
        assert round_trip([0.0], parse({**signs, "rounding": rounding})) == [expected], rounding
    assert round_trip([0.5, -0.5], parse({**signs, "rounding": "nearest_even"})) == [1.0, -1.0]


# Floats and logarithms


@pytest.mark.parametrize(
    ("rounding", "expected"),
    [
        # E2M1 holds 2, 3, 4, 6: 2.5 and 5 are ties, between significands 2|3 and 2|3
        ("nearest_even", (2.0, -2.0, 4.0, -4.0, 3.0, 0.0)),
        ("nearest_away", (3.0, -3.0, 6.0, -6.0, 3.0, 0.5)),
        ("nearest_up", (3.0, -2.0, 6.0, -4.0, 3.0, 0.5)),
        ("toward_zero", (2.0, -2.0, 4.0, -4.0, 2.0, 0.0)),
        ("toward_minus_infinity", (2.0, -3.0, 4.0, -6.0, 2.0, 0.0)),
    ],
)
def test_modes_on_a_float(rounding: str, expected: tuple[float, ...]) -> None:
    assert round_trip([2.5, -2.5, 5.0, -5.0, 2.75, 0.25], rounded("e2m1", rounding)) == list(expected)


def test_toward_minus_infinity_leaves_nothing_below_zero_at_zero() -> None:
    tiny = -(2.0**-60)
    floor = "toward_minus_infinity"
    assert round_trip([tiny, -tiny], rounded("e2m1", floor)) == [-0.5, 0.0]
    assert round_trip([0.75, tiny, -tiny], rounded("bfp6", floor)) == [0.75, -(2.0**-5), 0.0]
    logs = {"element": {"kind": "log", "exponent_bits": 3, "bias": 3}, "rounding": floor}
    assert round_trip([tiny, -tiny, -3.0, 3.0], parse(logs)) == [-(2.0**-2), 0.0, -4.0, 2.0]
    no_zero = {"element": {"kind": "log", "exponent_bits": 3, "bias": 3, "zero": False}, "rounding": floor}
    assert round_trip([tiny, -tiny], parse(no_zero)) == [-(2.0**-3), 2.0**-3]


@pytest.mark.parametrize(
    ("rounding", "value", "expected"),
    [
        # A logarithm decides at the geometric mean: between 1 and 2 at sqrt(2) = 1.41421356...
        ("nearest_even", 1.4142135, 1.0),
        ("nearest_even", 1.4142136, 2.0),
        ("nearest_away", 1.4142136, 2.0),
        ("nearest_up", -1.4142136, -2.0),
        ("toward_zero", 1.99, 1.0),
        ("toward_zero", -1.99, -1.0),
        ("toward_minus_infinity", 1.99, 1.0),
        ("toward_minus_infinity", -1.01, -2.0),
        ("toward_minus_infinity", -2.0, -2.0),
        ("toward_zero", 2.0, 2.0),
    ],
)
def test_modes_on_a_logarithm(rounding: str, value: float, expected: float) -> None:
    fmt = parse({"element": {"kind": "log", "exponent_bits": 4, "bias": 8}, "rounding": rounding})
    assert round_trip([float(np.float32(value))], fmt) == [expected]


# Overflow


@pytest.mark.parametrize(
    ("rounding", "beyond", "below"),
    [
        # E5M2: 57344, then 65536 would follow; their middle, 61440, is a tie with an even 65536
        ("nearest_even", (61440.0, -61440.0), (61439.0, -61439.0)),
        ("nearest_away", (61440.0, -61440.0), (61439.0, -61439.0)),
        ("nearest_up", (61440.0, -61441.0), (61439.0, -61440.0)),
        ("toward_zero", (), (1e30, -1e30)),
        ("toward_minus_infinity", (-57345.0,), (1e30, -57344.0)),
    ],
)
def test_where_overflow_begins(rounding: str, beyond: tuple[float, ...], below: tuple[float, ...]) -> None:
    to_infinity, to_nan, saturating = (
        parse({"element": element, "rounding": rounding, "overflow": overflow})
        for element, overflow in (("e5m2", "special"), ("e5m2_fnuz", "special"), ("e5m2", "saturate"))
    )
    for value in map(float, np.array(beyond, np.float32)):
        assert round_trip([value], to_infinity) == [np.copysign(np.inf, value)]
        assert np.isnan(round_trip([value], to_nan)).all()
    for value in map(float, np.array(below, np.float32)):
        assert round_trip([value], to_infinity) == [np.copysign(57344.0, value)]
        assert round_trip([value], to_nan) == [np.copysign(57344.0, value)]
    for value in (*beyond, *below, 1e30, -1e30):
        assert round_trip([float(np.float32(value))], saturating) == [np.copysign(57344.0, value)]


@pytest.mark.parametrize("rounding", DETERMINISTIC)
def test_an_infinity_overflows_in_every_mode(rounding: str) -> None:
    special, saturating = (
        parse({"element": "e5m2", "rounding": rounding, "overflow": overflow}) for overflow in ("special", "saturate")
    )
    assert round_trip([np.inf, -np.inf], special) == [np.inf, -np.inf]
    assert round_trip([np.inf, -np.inf], saturating) == [57344.0, -57344.0]


# Chance


def test_the_noise_is_the_published_generator() -> None:
    """SplitMix64 with seed 1234567: its first outputs, as published with the generator, give these upper bits."""
    first = (6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431)
    assert [noise(1234567, i) for i in range(4)] == [output >> (64 - NOISE_BITS) for output in first]


def test_noise_is_even_and_depends_on_seed_and_index() -> None:
    """Counts in 64 bins of 2^14 draws: 256 each, chi-square with 63 degrees of freedom, under 120 but for 1 in 10^5."""
    draws = [[noise(seed, i) for i in range(1 << 14)] for seed in (0, 1, 2**63)]
    for drawn in draws:
        assert all(0 <= d < 1 << NOISE_BITS for d in drawn)
        counts = Counter(d >> (NOISE_BITS - 6) for d in drawn)
        assert sum((count - 256) ** 2 / 256 for count in counts.values()) < 120
        assert len(counts) == 64
    same = [sum(a == b for a, b in zip(x, y, strict=True)) for x, y in ((draws[0], draws[1]), (draws[1], draws[2]))]
    assert max(same) < 8, "one in 65536 by chance"


@pytest.mark.parametrize(
    ("value", "chance", "expected"),
    [
        (1.25, (1 << 14) - 1, 2.0),  # 1/4 is 2^14 of 2^16 draws
        (1.25, 1 << 14, 1.0),
        (-1.25, (1 << 14) - 1, -2.0),  # of the magnitude
        (-1.25, 1 << 14, -1.0),
        (1.0, 0, 1.0),
        (2.0**-20, 0, 1.0),
        (2.0**-20, 1, 0.0),
        (127.5, 0, 127.0),  # saturates
    ],
)
def test_chance_decides_an_integer(value: float, chance: int, expected: float) -> None:
    fmt = parse({"element": "int8", "rounding": "stochastic"})
    assert round_trip([value], fmt, [chance]) == [expected]


@pytest.mark.parametrize(
    ("value", "chance", "expected"),
    [
        (0.4375, (1 << 14) - 1, 1.0),  # a quarter of the way from 1/4 to 1
        (0.4375, 1 << 14, 0.25),
        (-0.4375, (3 << 14) - 1, -0.25),  # three quarters of the way from -1 up to -1/4
        (-0.4375, 3 << 14, -1.0),
    ],
)
def test_chance_decides_a_level(value: float, chance: int, expected: float) -> None:
    codebook = {"kind": "codebook", "levels": [-1.0, -0.25, 0.25, 1.0]}
    assert round_trip([value], parse({"element": codebook, "rounding": "stochastic"}), [chance]) == [expected]


@pytest.mark.parametrize(
    "written",
    [
        {"element": "int8"},
        {"element": "e2m1"},
        {"base": "bfp4"},
        {"base": "mx4"},
        {"base": "mxfp4"},
        {"base": "int4_g32"},
        {"base": "int4_g32_affine"},
        {"base": "dmf8"},
        {"base": "kint4"},
    ],
    ids=lambda written: "_".join(written.values()),
)
def test_the_mean_over_all_noise_is_the_value(written: dict[str, str]) -> None:
    """With a standard error of the step over the square root of the draws, the mean lies within four of them."""
    fmt, draws = parse({**written, "rounding": "stochastic"}), 1 << 9
    values = [1.0, -1.0, 0.3125, -0.7, 0.01, 0.125, -0.45]
    values = [float(np.float32(v)) for v in values]
    every = np.array([round_trip(values, fmt, [noise(seed, i) for i in range(len(values))]) for seed in range(draws)])
    error, spread = np.abs(every.mean(axis=0) - values)[2:], every.std(axis=0)[2:]  # the extremes set the scale
    assert (error <= 4 * spread / np.sqrt(draws) + 2.0**-NOISE_BITS).all()
    assert spread.max() > 0


# What does not go together


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"element": "int8", "rounding": "up"}, "rounding is 'up', expected one of nearest_even, .*, stochastic"),
        ({"base": "bl8", "rounding": "stochastic"}, "'stochastic' is not defined for logarithms"),
        (
            {"base": "minifloat8_as_published", "rounding": "toward_zero"},
            "saturate_significand .* 'nearest_even' alone",
        ),
        # 8 bits of an element, 16 of noise and 24 of a float32 scale are 48 of the 52 of float64; 16 are too many
        ({"element": "int16", "block": 16, "scale": "fp32", "rounding": "stochastic"}, "16 bits .* more than 52"),
        ({"base": "nf4", "rounding": "stochastic"}, "25 bits of a threshold, 16 of noise and 24 of the scale"),
        ({"base": "nf4_dq", "rounding": "stochastic"}, "take a narrower scale"),
        ({"base": "nvfp4", "rounding": "stochastic", "element": "e5m23"}, "more than 52"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else None,
)
def test_what_is_refused(written: dict[str, object], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        parse(written)


@pytest.mark.parametrize("name", ["int8", "nvfp4", "int4_g32_affine", "kint4", "float32"])
def test_what_float64_can_still_decide_is_taken(name: str) -> None:
    assert rounded(name, "stochastic").rounding == "stochastic"
