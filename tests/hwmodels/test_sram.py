"""SRAM macros: the table itself, interpolation between its rows and its error, banks, other process nodes."""

import math
from importlib import resources
from statistics import median

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from densimeter.formats import ConfigError, ModelRangeError
from densimeter.hwmodels.node import scale_energy, scale_sram_area
from densimeter.hwmodels.sram import Macro, interpolate, macros, sram

KIB = 1024
MIB = 1024 * KIB


def test_the_table_is_a_full_grid() -> None:
    assert len(macros()) == 3 * 3 * 2  # nodes, cell types, ports
    for table in macros().values():
        assert set(table) == {(2**k, bits) for k in range(11, 26) for bits in (32, 64, 128, 256, 512)}
        assert all(value > 0 for macro in table.values() for value in vars(macro).values())


def test_a_row_of_the_table_is_returned_as_it_stands() -> None:
    row = macros()[45, "itrs-hp", "1rw"][32 * KIB, 64]
    cost = sram(32 * KIB, 64, node_nm=45, cell_type="itrs-hp")
    assert row == Macro(0.0949153, 14.9248, 12.6898, 38.0784, 0.407996, 0.431177)  # as CACTI printed it
    assert (cost.area_mm2, cost.leakage_mw) == pytest.approx((row.area_mm2, row.leakage_mw))
    assert cost.read_pj_per_bit == pytest.approx(14.9248 / 64)
    assert cost.write_pj_per_bit == pytest.approx(12.6898 / 64)
    assert (cost.area_band, cost.energy_band, cost.leakage_band, cost.delay_band) == (0, 0, 0, 0)


def test_between_rows_figures_are_straight_in_the_logarithms() -> None:
    table = macros()[22, "itrs-lstp", "1rw"]
    between = interpolate(table, 48 * KIB, 64)
    share = math.log(48 / 32) / math.log(64 / 32)
    low, high = table[32 * KIB, 64], table[64 * KIB, 64]
    assert between.area_mm2 == pytest.approx(low.area_mm2 ** (1 - share) * high.area_mm2**share)
    middle = interpolate(table, 32 * KIB, 90)
    assert table[32 * KIB, 64].read_pj < middle.read_pj < table[32 * KIB, 128].read_pj


@pytest.mark.parametrize(
    ("axis", "figure", "median_error", "worst_error"),
    [
        ("capacity", "area_mm2", 0.04, 0.248),
        ("capacity", "read_pj", 0.034, 0.303),
        ("capacity", "write_pj", 0.036, 0.255),
        ("capacity", "leakage_mw", 0.013, 0.081),
        ("capacity", "access_ns", 0.021, 0.155),
        ("width", "area_mm2", 0.041, 0.33),
        ("width", "read_pj", 0.054, 0.618),
        ("width", "write_pj", 0.053, 0.257),
        ("width", "leakage_mw", 0.006, 0.086),
        ("width", "access_ns", 0.014, 0.2),
    ],
)
def test_error_on_rows_held_out(axis: str, figure: str, median_error: float, worst_error: float) -> None:
    # Every interior capacity (or width) is left out and interpolated from half and twice it: a gap twice as wide as any
    # that a user meets. CACTI reorganises a macro between some rows, which is where the worst errors are.
    position = ("capacity", "width").index(axis)
    errors = []
    for table in macros().values():
        ends = (min(shape[position] for shape in table), max(shape[position] for shape in table))
        for held_out in (shape for shape in table if shape[position] not in ends):
            others = {shape: macro for shape, macro in table.items() if shape[position] != held_out[position]}
            ratio = getattr(interpolate(others, *held_out), figure) / getattr(table[held_out], figure)
            errors.append(abs(ratio - 1))
    assert len(errors) == 3 * 3 * 2 * {"capacity": 5 * 13, "width": 3 * 15}[axis]
    assert median(errors) == pytest.approx(median_error, abs=0.001)
    assert max(errors) == pytest.approx(worst_error, abs=0.001)


def test_horowitz_reads_beside_ours() -> None:
    # Three CACTI runs against a published table of caches with tags: low-power cells come to between 0.6 and 1 of it,
    # high-performance ones to between a half and three quarters.
    document = yaml.safe_load(resources.files("densimeter.hwmodels.technology").joinpath("sram.yaml").read_text())
    published = document["check"]["read_pj"]
    ratios = {
        cell: [sram(size, 64, node_nm=45, cell_type=cell).read_pj_per_bit * 64 / pj for size, pj in published.items()]
        for cell in ("itrs-lstp", "itrs-hp")
    }
    assert ratios["itrs-lstp"] == pytest.approx([0.61, 0.85, 0.94], abs=0.01)
    assert ratios["itrs-hp"] == pytest.approx([0.53, 0.75, 0.68], abs=0.01)


def test_banks_add_up() -> None:
    one, eight = sram(64 * KIB, 128, node_nm=22), sram(8 * 64 * KIB, 128, node_nm=22, banks=8)
    assert (eight.area_mm2, eight.leakage_mw) == pytest.approx((8 * one.area_mm2, 8 * one.leakage_mw))
    assert (eight.read_pj_per_bit, eight.access_ns) == (one.read_pj_per_bit, one.access_ns)
    assert sram(128 * MIB, 512, node_nm=22, banks=16).area_mm2 == pytest.approx(
        16 * sram(8 * MIB, 512, node_nm=22).area_mm2
    )


def test_two_ports_cost_more_than_one() -> None:
    one, two = (sram(64 * KIB, 64, node_nm=32, ports=ports) for ports in ("1rw", "1r1w"))
    assert two.area_mm2 > 1.2 * one.area_mm2


def test_a_node_outside_the_table_is_scaled_from_the_nearest_one_and_says_its_band() -> None:
    at_22, at_7 = (sram(256 * KIB, 256, node_nm=node) for node in (22, 7))
    assert at_7.area_mm2 == pytest.approx(at_22.area_mm2 * scale_sram_area(22, 7).factor)
    assert at_7.read_pj_per_bit == pytest.approx(at_22.read_pj_per_bit * scale_energy(22, 7).factor)
    assert at_7.energy_band == scale_energy(22, 7).relative_band > 0
    assert at_7.area_band == scale_sram_area(22, 7).relative_band > 0
    at_28 = sram(256 * KIB, 256, node_nm=28)  # nearest in ratio is 32, not 22
    assert at_28.area_mm2 == pytest.approx(sram(256 * KIB, 256, node_nm=32).area_mm2 * scale_sram_area(32, 28).factor)


@given(st.integers(2 * KIB, 32 * MIB), st.integers(32, 512), st.sampled_from(sorted(macros())))
def test_interpolation_stays_between_its_corners(capacity: int, bits: int, key: tuple[int, str, str]) -> None:
    table = macros()[key]
    got = interpolate(table, capacity, bits)
    near = [m for (c, w), m in table.items() if c / 2 < capacity < c * 2 and w / 2 < bits < w * 2]
    assert min(m.area_mm2 for m in near) * 0.999 <= got.area_mm2 <= max(m.area_mm2 for m in near) * 1.001


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"capacity_bytes": 1 * KIB}, ModelRangeError, r"capacity of a bank .* is 1024, expected 2048 to 33554432"),
        ({"capacity_bytes": 64 * MIB}, ModelRangeError, r"\(capacity_bytes / banks\) is 67108864, expected 2048"),
        ({"word_bits": 16}, ModelRangeError, "word_bits is 16, expected 32 to 512"),
        ({"node_nm": 2}, ModelRangeError, "two sources are needed, expected nodes from 3 to 65 nm"),
        ({"node_nm": 0}, ModelRangeError, "node_nm is 0, expected a process node in nm"),
        ({"cell_type": "itrs-lst"}, ConfigError, "did you mean 'itrs-lstp'"),
        ({"ports": "2rw"}, ConfigError, "ports is '2rw', expected 1r1w, 1rw"),
        ({"banks": 3}, ConfigError, "banks is 3, expected a divisor of capacity_bytes, which is 65536"),
        ({"banks": 0}, ConfigError, "banks is 0"),
    ],
)
def test_outside_the_table_there_is_no_answer(
    arguments: dict[str, int | str], error: type[Exception], message: str
) -> None:
    shape = {"capacity_bytes": 64 * KIB, "word_bits": 64, "node_nm": 22} | arguments
    with pytest.raises(error, match=message):
        sram(**shape)  # type: ignore[arg-type]
