"""Figures as a reader sees them: three significant digits, an SI prefix where the unit may carry one."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from densimeter.reports.quantities import TOTALS, Quantity, quantity

SPACE = "\N{NARROW NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0488941, "48.9 ms"),
        (1.0, "1.00 s"),
        (0.0009996, "1.00 ms"),  # rounds up across a prefix
        (999.6, "1.00 ks"),
        (2.5e-6, "2.50 µs"),
        (-3e-9, "-3.00 ns"),
        (0.0, "0 s"),
        (math.inf, "\N{INFINITY}"),
        (None, "\N{EN DASH}"),
        (math.nan, "\N{EN DASH}"),
    ],
)
def test_seconds_carry_a_prefix(value: float | None, shown: str) -> None:
    assert Quantity("time", "s").text(value) == shown.replace(" ", SPACE)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("clock_mhz", 322.957, "323 MHz"),
        ("achieved_tops", 0.292, "292 GOP/s"),
        ("peak_tops", 10.58, "10.6 TOP/s"),
        ("dram_bytes", 5804670976.0, "5.80 GB"),
        ("area_mm2", 1301.2, "1301 mm²"),  # no prefix before a power of a unit
        ("area_mm2", 0.00101, "0.00101 mm²"),
        ("utilisation", 0.02761, "2.76 %"),
        ("areas_mm2.weight_buffer", 1.787, "1.79 mm²"),
        ("energies_j.dram", 0.2786, "279 mJ"),
    ],
)
def test_units_come_from_the_declaration_of_the_quantity(name: str, value: float, shown: str) -> None:
    assert quantity(name).text(value) == shown.replace(" ", SPACE)


def test_bounds_and_components_are_named_after_what_they_bound() -> None:
    assert quantity("area_mm2_low").title == "area, least"
    assert quantity("energy_per_token_j_high").title == "energy per token, most"
    assert quantity("energies_j.dram").title == "energy, DRAM"
    assert quantity("areas_mm2.weight_buffer").title == "area, weight buffer"
    assert quantity("array.rows").title == "array.rows"


@given(st.floats(1e-20, 1e20))
def test_the_text_is_within_half_a_unit_of_the_third_digit(value: float) -> None:
    number, suffix = Quantity("time", "s").text(value).split(SPACE)
    prefix = suffix.removesuffix("s")
    power = {"": 0, **dict(zip("zafpnµmkMGTPEZ", [-7, *range(-6, 0), *range(1, 8)], strict=True))}
    assert float(number) * 1000.0 ** power[prefix] == pytest.approx(value, rel=0.5e-2 * 1.0001)
    assert len(number.replace(".", "")) == 3


def test_every_total_has_a_title_of_its_own() -> None:
    assert len({one.title for one in TOTALS.values()}) == len(TOTALS)
