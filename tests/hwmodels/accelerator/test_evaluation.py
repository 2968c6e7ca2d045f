"""Whole machines at work: sums, published figures, and what other tools get wrong."""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest

from densimeter.formats import ConfigError, derive, get
from densimeter.formats.errors import ModelRangeError
from densimeter.hwmodels.accelerator.evaluation import Evaluation, evaluate
from densimeter.hwmodels.accelerator.lookup import unpriced_conversions
from densimeter.hwmodels.accelerator.machine import Buffers, Machine, Storage
from densimeter.hwmodels.accelerator.parts import converter_part
from densimeter.hwmodels.bounds import decode_tokens_per_second
from densimeter.hwmodels.dram import Dram, dram, measured_decodes
from densimeter.hwmodels.gemm import Gemm, Workload
from densimeter.simulator.workloads.language_models import language_model, workload
from densimeter.simulator.workloads.language_models.closed_form import transformer_shape

KIB = 1024
LLAMA = language_model("llama-2-7b")
A100_GB_S = 2039


def machine(fmt: str = "bfp6", accumulator: str = "aligned24", *, lanes: int = 16, **fields: Any) -> Machine:
    unit = derive(get(fmt), get(fmt), lanes, accumulator)
    plain = Machine(unit, 32, 32, Buffers(512 * KIB, 512 * KIB, 256 * KIB), dram("hbm2e"))
    return replace(plain, **fields)


def stored(fmt: str, **others: str) -> Storage:
    named: dict[str, Any] = {name: get(other) for name, other in others.items()}
    return Storage(get(fmt), get(fmt), **named)


def decode(fmt: str = "bfp6", accumulator: str = "aligned24", batch: int = 1, **fields: Any) -> Evaluation:
    return evaluate(machine(fmt, accumulator, **fields), workload(LLAMA, batch=batch, context=2048), stored(fmt))


def test_parts_sum_to_the_totals() -> None:
    found = decode()
    assert sum(found.areas_mm2.values()) == pytest.approx(found.totals["area_mm2"], rel=1e-12)
    assert sum(found.energies_pj.values()) == pytest.approx(found.totals["energy_j"] * 1e12, rel=1e-12)
    shares = [found.totals[name] for name in ("utilisation", "edge_share", "fill_share", "stall_share")]
    assert sum(shares) == pytest.approx(1, rel=1e-12)
    assert found.totals["power_w"] == pytest.approx(found.totals["energy_j"] / found.totals["latency_s"])


def test_products_sum_to_the_totals_but_for_vector_work() -> None:
    found = decode()
    of_products = sum(product.latency_s for product in found.products)
    assert of_products + found.totals["vector_s"] == pytest.approx(found.totals["latency_s"])
    assert sum(p.dram_bytes for p in found.products) == pytest.approx(found.totals["dram_bytes"])
    for name in ("units", "registers", "weight_buffer", "network", "dram"):
        assert sum(p.energies_pj[name] for p in found.products) == pytest.approx(found.energies_pj[name])


def test_a_figure_lies_inside_its_band() -> None:
    here, elsewhere = decode().totals, decode(node_nm=16).totals
    assert here["area_mm2_low"] == here["area_mm2"] == here["area_mm2_high"]  # all measured at 45 nm
    for name in ("area_mm2", "energy_per_token_j"):
        assert elsewhere[f"{name}_low"] < elsewhere[name] < elsewhere[f"{name}_high"]
    assert elsewhere["area_mm2"] < here["area_mm2"]


def test_a_decode_reads_weights_and_cache_once_and_appends_to_the_cache() -> None:
    """6.5 bits for each of the weights, of the 2 * 4096 * 2048 cached numbers of 32 layers and of the new token's."""
    cached = 32 * 2 * 4096 * 2048
    values = 32 * (4 * 4096**2 + 3 * 4096 * 11008) + 32000 * 4096 + cached + 32 * 2 * 4096
    result = 32000 * 4  # the logits in float32 stay on the chip
    assert decode().totals["dram_bytes"] == values * 6.5 / 8
    assert result < 256 * KIB


def test_decode_bound_by_bandwidth_meets_the_closed_form() -> None:
    """An array that loads weights faster than memory brings them: tokens/s is the roofline's, at its efficiency."""
    wide = machine("int8_channel", "int32", rows=16, cols=512, dram=Dram("A100", A100_GB_S, 4, 80, "data sheet"))
    wide = replace(wide, buffers=Buffers(4096 * KIB, 4096 * KIB, 4096 * KIB), dram_efficiency=0.5)
    found = evaluate(wide, workload(LLAMA, context=16), stored("int8_channel"))
    bytes_per_value = get("int8_channel").bits_per_value / 8
    expected = decode_tokens_per_second(
        transformer_shape(LLAMA),
        batch=1,
        context=16,
        weight_bytes=bytes_per_value,
        kv_bytes=bytes_per_value,
        bandwidth_gb_s=A100_GB_S * 0.5,
    )
    without_vector_work = 1 / (found.totals["latency_s"] - found.totals["vector_s"])
    assert without_vector_work == pytest.approx(expected, rel=0.03)  # attention's small products are bound by the array
    assert {product.bound for product in found.products if product.gemm.second == "weight"} == {"transfer"}


def test_measured_token_rates_are_explained_by_an_efficiency_factor() -> None:
    """gpt-fast on A100: what the roofline at the peak promises, times the share of bandwidth that was reached."""
    shape = transformer_shape(LLAMA)
    bits = {"bfloat16": Fraction(16), "int8": get("int8_channel").bits_per_value, "int4_g32": Fraction(9, 2)}
    for measured in measured_decodes():
        if measured.weights not in bits:
            continue
        weight_bytes = bits[measured.weights] / 8
        promised = decode_tokens_per_second(
            shape, batch=1, context=1, weight_bytes=weight_bytes, kv_bytes=Fraction(2), bandwidth_gb_s=A100_GB_S
        )
        assert measured.tokens_per_s / promised == pytest.approx(measured.efficiency, rel=0.08)


def test_the_energy_of_a_mac_depends_on_its_bits() -> None:
    """A mistake seen elsewhere: one energy for every width."""
    energies = [decode(fmt).energies_pj["units"] for fmt in ("bfp4", "bfp6", "bfp8")]
    assert all(narrow < wide for narrow, wide in pairwise(energies))


def test_six_bits_do_not_compute_at_the_cost_of_eight() -> None:
    """A mistake seen elsewhere: FP6 in FP8's units. Here each has its own."""
    six, eight = decode("mxfp6_e2m3", "fp32"), decode("mxfp8_e4m3", "fp32")
    assert six.areas_mm2["units"] < eight.areas_mm2["units"]
    assert six.energies_pj["units"] < eight.energies_pj["units"]


def test_shared_exponents_are_counted() -> None:
    """A mistake seen elsewhere: 4 bits for MXFP4, which stores 4.25."""
    by_32, by_16 = decode("mxfp4", "fp32").totals, decode("bfp4").totals
    assert by_32["dram_bytes"] / by_16["dram_bytes"] == pytest.approx(4.25 / 4.5)


def test_a_cache_of_its_own_format() -> None:
    """The cache's 32 * 2 * 4096 numbers for each of 2048 tokens and the new one, in 4.5 bits in place of 6.5."""
    work = workload(LLAMA, context=2048)
    narrow = evaluate(machine(), work, stored("bfp6", key="bfp4", value="bfp4")).totals["dram_bytes"]
    assert decode().totals["dram_bytes"] - narrow == 32 * 2 * 4096 * 2049 * (6.5 - 4.5) / 8


def test_batches_share_the_weights() -> None:
    one, eight = decode().totals, decode(batch=8).totals
    assert eight["tokens_per_s"] > 3 * one["tokens_per_s"]  # each has its own cache to read
    assert eight["latency_per_token_s"] == eight["latency_s"]  # every sequence gets a token in that time


def test_a_memory_that_does_not_hold_the_model_is_no_design() -> None:
    assert decode(dram=Dram("small", 400, 4, 5, "test")).totals["feasible"] == 0
    assert decode(dram=Dram("large", 400, 4, 6, "test")).totals["feasible"] == 1


def test_operands_are_widened_by_wires_and_converted_by_circuits() -> None:
    """bfp4 weights for bfp6 units need zeros appended; bfp6 for units of bfloat16 pass a dequantiser."""
    assert unpriced_conversions(machine("bfp6"), replace(stored("bfp6"), weight=get("bfp4"))) == []
    wide = machine("bfloat16", "fp32", lanes=1)
    storage = Storage(get("bfloat16"), get("bfp6"))
    found = evaluate(wide, workload(LLAMA, context=16), storage)
    assert unpriced_conversions(wide, storage) == list(found.unpriced)
    if not found.unpriced:
        assert found.energies_pj["converters"] > 0


def test_what_no_circuit_converts_is_said() -> None:
    sentences = unpriced_conversions(machine("int8_channel", "int32"), Storage(get("nf4_dq"), get("int8_channel")))
    assert any(
        sentence.startswith("converting float32 to nf4_dq is not priced: nf4_dq has no converter")
        for sentence in sentences
    )


def test_names_of_one_circuit_cost_the_same() -> None:
    first, second = (converter_part(get("float32"), get(name), 45) for name in ("int8", "int8_token"))
    assert first == second is not None


def test_slow_conversion_adds_to_the_latency_unless_it_overlaps() -> None:
    """Weights dequantised 64 a cycle before use, or while the array computes."""
    storage = Storage(get("bfp8"), get("mxfp4"))
    work = workload(LLAMA, context=16)
    after, during = (
        evaluate(machine("bfp8", conversions_per_cycle=64.0, conversion_overlaps=overlaps), work, storage).totals
        for overlaps in (False, True)
    )
    assert after["conversion_s"] == during["conversion_s"] > 0
    hidden = min(after["compute_s"], after["conversion_s"])
    assert after["latency_s"] == pytest.approx(during["latency_s"] + hidden, rel=0.1)


def test_buffers_below_one_fold_are_named() -> None:
    work = Workload("one", "custom", 1, (Gemm("big", 8, 4096, 4096),))
    tiny = machine(buffers=Buffers(512 * KIB, 256 * KIB, 256 * KIB), rows=128, cols=128)
    with pytest.raises(ModelRangeError, match=r"product 'big'.*does not hold one fold.*expected larger buffers"):
        evaluate(tiny, work, stored("bfp6"))


def test_a_clock_beyond_the_unit_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"clock_mhz is 5000, expected at most \d+"):
        decode(clock_mhz=5000)
