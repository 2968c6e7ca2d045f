"""Published shapes of quantised systems, on the machines of the shipped examples."""

from fractions import Fraction
from importlib import resources
from typing import Any

import pytest
import yaml

from densimeter.formats import ConfigError, get
from densimeter.hwmodels.accelerator.mixture import Mixture
from densimeter.simulator import evaluate


def example(name: str) -> dict[str, Any]:
    text = resources.files("densimeter.simulator.configs").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    design: dict[str, Any] = yaml.safe_load(text)["design"]
    return design


def batched(weight: str, batch: int) -> float:
    """Latency of a step's products with weights; attention reads each sequence's own cache, whatever the weights."""
    design = example("latency_over_batch")
    design["storage"] = {"weight": weight}
    design["workload"] |= {"batch": batch}
    products = evaluate(design)["products"]
    return sum(float(product["latency_s"]) for product in products if product["name"] not in ("qk", "av"))


@pytest.mark.parametrize("batch", [1, 8, 32])
def test_latency_follows_the_models_bits_for_small_batches(batch: int) -> None:
    """k-bit scaling laws: weights in 4.5 bits take 4.5 / 8.5 of the time of those in 8.5 bits."""
    for weight, bits in (("bfp4", 4.5), ("bfp6", 6.5)):
        assert batched(weight, batch) / batched("bfp8", batch) == pytest.approx(bits / 8.5, rel=0.1)


def test_large_batches_are_bound_by_the_array_whatever_the_weights() -> None:
    assert batched("bfp4", 512) == pytest.approx(batched("bfp8", 512), rel=0.2)
    assert batched("bfp4", 512) > 3 * batched("bfp4", 32)


def dequantised(*, overlaps: bool, per_cycle: int) -> dict[str, Any]:
    design = example("asynchronous_dequantisation")
    return evaluate(design | {"overlap": {"conversion": overlaps, "conversions_per_cycle": per_cycle}})


def test_the_mixture_has_its_published_bits() -> None:
    """2.85 bits a weight (arXiv 2311.16442): groups of 64 with 16-bit scales, entries of 16 + 16 bits."""
    mixture = Mixture(((get("int2_g64"), Fraction(3, 4)), (get("int4_g64"), Fraction(1, 4))), Fraction(1, 320), 32)
    assert mixture.bits_per_value == Fraction(3, 4) * Fraction(9, 4) + Fraction(1, 4) * Fraction(17, 4) + Fraction(
        32, 320
    )
    assert float(mixture.bits_per_value) == 2.85


def test_dequantising_first_takes_most_of_the_time_and_overlapping_hides_it() -> None:
    first, meanwhile = (dequantised(overlaps=overlaps, per_cycle=128) for overlaps in (False, True))
    assert first["conversion_s"] / first["latency_s"] > 0.5
    assert 1.2 < first["latency_s"] / meanwhile["latency_s"] <= 2  # two activities, overlapped, take half at best


def test_fast_enough_dequantisers_cost_no_time() -> None:
    slow, fast = (dequantised(overlaps=True, per_cycle=rate) for rate in (128, 1024))
    assert fast["conversion_s"] == pytest.approx(slow["conversion_s"] / 8)
    assert fast["latency_s"] < slow["latency_s"]


def test_memory_holds_the_mixture() -> None:
    dense = example("asynchronous_dequantisation")
    del dense["storage"]
    ratio = (
        evaluate(dense)["products"][0]["dram_bytes"]
        / dequantised(overlaps=True, per_cycle=128)["products"][0]["dram_bytes"]
    )
    assert ratio == pytest.approx(16 / 2.85, rel=0.01)


def test_shares_that_do_not_add_up_are_refused() -> None:
    design = example("asynchronous_dequantisation")
    design["storage"]["weight"]["mixture"]["int2_g64"] = 0.5
    with pytest.raises(ConfigError, match=r"int2_g64 0\.5, int4_g64 0\.25, expected shares above 0 that add up to 1"):
        evaluate(design)
