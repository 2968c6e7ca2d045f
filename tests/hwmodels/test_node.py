"""Scaling between process nodes: the sources as published, the mean and band over them, and what stands outside."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from densimeter.formats import ModelRangeError
from densimeter.hwmodels.node import (
    Curve,
    Scaled,
    curves,
    scale_area,
    scale_delay,
    scale_energy,
    scale_leakage,
    scale_sram_area,
    wire_pj_per_bit_mm,
)

Scale = Callable[[float, float], Scaled]
SCALES = [scale_area, scale_sram_area, scale_energy, scale_delay, scale_leakage]


def curve(quantity: str, author: str) -> Curve:
    (found,) = (curve for curve in curves()[quantity] if author in curve.source)
    return found


def ratio(curve: Curve, from_nm: float, to_nm: float) -> float:
    return math.exp(curve.log_at(to_nm) - curve.log_at(from_nm))


def test_stillmaker_and_baas_polynomials_at_nominal_voltage() -> None:
    energy, delay = curve("energy", "Stillmaker"), curve("delay", "Stillmaker")
    at_45, at_7 = 1.018 * 1.0**2 - 0.3107 * 1.0 + 0.1539, 0.1776 * 0.7**2 - 0.09097 * 0.7 + 0.02447
    assert ratio(energy, 45, 7) == pytest.approx(at_7 / at_45)
    at_180, at_45 = 97.09 * 1.8**2 - 356.7 * 1.8 + 406.5, -501.6 + 1567 - 1619 + 566.1
    assert ratio(delay, 180, 45) == pytest.approx(at_45 / at_180)
    assert ratio(energy, 7, 3) == pytest.approx((3 / 7) ** 0.5)


def test_chains_of_statements_and_transistor_data() -> None:
    assert ratio(curve("area", "TSMC"), 16, 5) == pytest.approx(0.30 * 0.5435)
    devices = curve("energy", "ITRS")  # C V^2 of a gate as wide as the node is
    assert ratio(devices, 45, 22) == pytest.approx(22 * 0.387 * 0.8**2 / (45 * 0.728 * 1.0**2))


def test_factor_is_the_mean_of_the_sources_and_the_band_reaches_each() -> None:
    # Between 7 and 5 nm two sources speak of energy: the square root of the node, and a foundry's 30 % less power.
    rule, foundry = (5 / 7) ** 0.5, 0.70
    scaled = scale_energy(7, 5)
    assert scaled.factor == pytest.approx(math.sqrt(rule * foundry))
    assert (scaled.low, scaled.high) == pytest.approx((foundry, rule))


def test_how_far_the_sources_differ_from_45_to_7_nm() -> None:
    # The table of the whole model: (factor, band). The energy of an operation is what sources agree on least: a float32
    # multiplication fell to 1.31 / 3.7 = 0.35 of itself, simulated gates fell to 0.056.
    expected = {
        scale_area: (0.061, 0.04),
        scale_sram_area: (0.074, 0.21),
        scale_energy: (0.086, 3.1),
        scale_delay: (0.221, 0.48),
        scale_leakage: (0.072, 0.63),
    }
    for scale, (factor, band) in expected.items():
        scaled = scale(45, 7)
        assert scaled.factor == pytest.approx(factor, rel=0.02), scale
        assert scaled.relative_band == pytest.approx(band, abs=0.05), scale


# Accelergy's library gives Aladdin's integer MAC (8 bits) at these nodes: um2, pJ. Aladdin's own data are of 40 nm; the
# library scales them, by Stillmaker and Baas with the low-power device at 45 nm and 0.8 V everywhere. So these points
# tell how far two ways to use one paper differ, and are no evidence about silicon.
ALADDIN = {45: (783.0, 1.033), 22: (196.0, 0.304), 7: (46.3, 0.0974)}


@pytest.mark.parametrize(("node", "area_error", "energy_error"), [(22, 0.114, 0.050), (7, 0.038, -0.090)])
def test_aladdin_points(node: int, area_error: float, energy_error: float) -> None:
    (area, energy), (area_45, energy_45) = ALADDIN[node], ALADDIN[45]
    got_area, got_energy = scale_area(45, node), scale_energy(45, node)
    assert got_area.factor * area_45 / area - 1 == pytest.approx(area_error, abs=0.005)
    assert got_energy.factor * energy_45 / energy - 1 == pytest.approx(energy_error, abs=0.005)
    assert got_area.low <= area / area_45 <= got_area.high
    assert got_energy.low <= energy / energy_45 <= got_energy.high


@pytest.mark.parametrize("node", [22, 7])
def test_aladdin_points_are_stillmaker_and_baas_scaled(node: int) -> None:
    # 0.46 at 32 nm and 0.21 at 20 nm, straight in between: 0.2517 at 22 nm; 0.059 at 7 nm.
    by_paper = {22: 0.21 + (0.46 - 0.21) * (22 - 20) / (32 - 20), 7: 0.059}[node]
    assert ALADDIN[node][0] / ALADDIN[45][0] == pytest.approx(by_paper, rel=0.01)


@given(st.sampled_from(SCALES), st.floats(3, 65), st.floats(3, 65), st.floats(3, 65))
def test_ways_compose(scale: Scale, a: float, b: float, c: float) -> None:
    assert scale(a, b).factor * scale(b, c).factor == pytest.approx(scale(a, c).factor)
    assert scale(a, b).factor * scale(b, a).factor == pytest.approx(1)
    assert scale(a, b).relative_band == pytest.approx(scale(b, a).relative_band, abs=1e-9)


@given(st.sampled_from(SCALES), st.floats(3, 65))
def test_a_node_is_itself(scale: Scale, node: float) -> None:
    assert scale(node, node) == Scaled(1.0, 0.0)


@given(st.floats(3, 65), st.floats(3, 65))
def test_smaller_nodes_are_smaller(a: float, b: float) -> None:
    assert (scale_area(a, b).factor <= 1) == (b <= a)


def test_wires() -> None:
    # At 22 nm: CACTI's repeated wire, a wire's C V^2, and a GPU paper, in pJ a transition and mm.
    sources = [curve.log_at(22) for curve in curves()["wires"]]
    assert len(sources) == 3
    wire = wire_pj_per_bit_mm(22)
    assert wire.factor == pytest.approx(0.5 * math.exp(sum(sources) / 3))
    assert wire.factor == pytest.approx(0.094, abs=0.001)
    assert wire.relative_band == pytest.approx(0.21, abs=0.01)
    assert wire_pj_per_bit_mm(22, toggle_probability=0.25).factor == pytest.approx(wire.factor / 2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: scale_area(45, 2), "area at 2 to 3 nm: two sources are needed, expected nodes from 3 to 180 nm"),
        (lambda: scale_sram_area(90, 22), "sram_area at 65 to 90 nm: .* expected nodes from 3 to 65 nm"),
        (lambda: scale_delay(250, 45), "expected nodes from 3 to 180 nm"),
        (lambda: scale_energy(2, 2), "energy at 2 nm"),
        (lambda: scale_energy(0, 45), "energy at 0 to 3 nm: two sources are needed"),
        (lambda: wire_pj_per_bit_mm(7), "wires at 7 nm: two sources are needed, expected nodes from 13 to 90 nm"),
    ],
)
def test_outside_two_sources_there_is_no_answer(call: Callable[[], Scaled], message: str) -> None:
    with pytest.raises(ModelRangeError, match=message):
        call()


def test_every_curve_names_its_source_and_trust() -> None:
    for found in (curve for several in curves().values() for curve in several):
        assert len(found.source) > 40
        assert found.trust in "VSDM"
