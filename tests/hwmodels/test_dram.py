"""Memory devices: bandwidths in GB of 1e9 bytes, users' own devices, and measured efficiencies."""

from importlib import resources

import pytest
import yaml

from densimeter.formats import ConfigError
from densimeter.hwmodels.dram import Dram, dram, drams, measured_decodes


@pytest.mark.parametrize(
    ("name", "bandwidth_gb_s"),
    [
        ("ddr4-3200", 64 * 3.2 / 8),
        ("lpddr5-6400", 64 * 6.4 / 8),
        ("gddr6-16", 32 * 16 / 8),
        ("hbm2e", 1024 * 3.2 / 8),  # 409.6 GB/s, which is 381.5 GiB/s: GB counts 1e9 bytes
        ("hbm3", 1024 * 6.4 / 8),
    ],
)
def test_bandwidth_is_width_times_data_rate(name: str, bandwidth_gb_s: float) -> None:
    assert dram(name).bandwidth_gb_s == pytest.approx(bandwidth_gb_s)


def test_energies_of_the_sources() -> None:
    assert dram("ddr4-3200").energy_pj_per_bit == pytest.approx(1300 / 64, rel=0.002)
    assert dram("ddr5-4800").energy_pj_per_bit == pytest.approx(1300 / 64 * (1.1 / 1.2) ** 2, rel=0.003)
    assert dram("lpddr4x-4266").energy_pj_per_bit == pytest.approx(8.0 * 0.82, rel=0.01)
    assert dram("lpddr5-6400").energy_pj_per_bit == pytest.approx(8.0 * 0.82 * 0.8, rel=0.02)
    assert dram("hbm3").energy_pj_per_bit == pytest.approx(6.0 * (1.1 / 1.2) ** 2, rel=0.01)
    # Within what TPUv4i's authors give for GDDR6: 350 to 480 pJ for 64 bits.
    assert 350 / 64 <= dram("gddr6-16").energy_pj_per_bit <= 480 / 64


def test_every_device_names_the_sources_of_its_figures() -> None:
    text = resources.files("densimeter.hwmodels.technology").joinpath("dram.yaml").read_text(encoding="utf-8")
    document = yaml.safe_load(text)
    assert list(drams()) == list(document["devices"])
    for name, entry in document["devices"].items():
        assert entry["trust"] in "VSDM"
        assert document["sources"][entry["interface"]] in dram(name).source
        assert document["sources"][entry["energy"]] in dram(name).source


def test_several_side_by_side() -> None:
    five = dram("hbm2e").several(5)
    assert (five.name, five.capacity_gib) == ("5 x hbm2e", 5 * 16)
    assert five.bandwidth_gb_s == pytest.approx(5 * 409.6)
    assert five.energy_pj_per_bit == dram("hbm2e").energy_pj_per_bit
    # A100 80GB has five such stacks and 2039 GB/s.
    assert five.bandwidth_gb_s == pytest.approx(2039, rel=0.005)


def test_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'hbm3f' is not known, expected .*; did you mean 'hbm3"):
        dram("hbm3f")


def test_own_device() -> None:
    own = Dram("mine", bandwidth_gb_s=100, energy_pj_per_bit=5, capacity_gib=4, source="datasheet")
    assert own.several(2).bandwidth_gb_s == 2 * 100
    with pytest.raises(ConfigError, match="bandwidth_gb_s of memory 'mine' is 0, expected a number above 0"):
        Dram("mine", bandwidth_gb_s=0, energy_pj_per_bit=5, capacity_gib=4, source="datasheet")
    with pytest.raises(ConfigError, match="count of memory 'mine' is 0"):
        own.several(0)


def test_measured_share_of_the_peak() -> None:
    shares = {run.weights: run.efficiency for run in measured_decodes() if run.model == "llama-2-7b"}
    percent = {"bfloat16": 69, "int8 per channel": 52, "int4 in groups of 32": 42}
    assert {weights: round(100 * share) for weights, share in shares.items()} == percent


def test_measured_rates_times_the_weights_give_the_measured_traffic() -> None:
    (run,) = (run for run in measured_decodes() if (run.model, run.weights) == ("llama-2-7b", "bfloat16"))
    values = 32 * (4 * 4096 * 4096 + 3 * 4096 * 11008) + 4096 * 32000  # every matrix that a token meets
    assert run.tokens_per_s * values * 2 / 1e9 == pytest.approx(run.achieved_gb_s, rel=0.01)
