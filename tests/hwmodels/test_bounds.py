"""The closed-form roofline, against figures derived by hand for Llama-2-7B on 2039 GB/s (an A100 80 GB)."""

from fractions import Fraction

import pytest

import densimeter.formats as F
from densimeter.formats.errors import ConfigError
from densimeter.hwmodels.bounds import TransformerShape, decode_tokens_per_second, seconds

LLAMA_2_7B = TransformerShape(
    layers=32, hidden=4096, query_width=4096, kv_width=4096, ffn=11008, ffn_matrices=3, vocabulary=32000
)
OPT_6_7B = TransformerShape(
    layers=32, hidden=4096, query_width=4096, kv_width=4096, ffn=16384, ffn_matrices=2, vocabulary=50272
)
CONTEXT = 2048
FP16 = Fraction(16, 8)


def tokens_per_second(stored_bytes: Fraction, tflops: float | None = None) -> float:
    return decode_tokens_per_second(
        LLAMA_2_7B,
        context=CONTEXT,
        weight_bytes=stored_bytes,
        kv_bytes=stored_bytes,
        bandwidth_gb_s=2039.0,
        tflops=tflops,
    )


def test_weights_cache_and_operations_of_a_token() -> None:
    assert LLAMA_2_7B.matrix_values == 32 * (4 * 4096**2 + 3 * 4096 * 11008) + 4096 * 32000
    assert float(LLAMA_2_7B.matrix_values * FP16) / 1e9 == pytest.approx(13.214, abs=5e-4)
    assert float(LLAMA_2_7B.kv_values(batch=1, context=CONTEXT) * FP16) / 1e9 == pytest.approx(1.0737, abs=5e-5)
    flops = LLAMA_2_7B.decode_flops(batch=1, context=CONTEXT)
    assert flops == 2 * LLAMA_2_7B.matrix_values + 4 * 32 * CONTEXT * 4096
    assert flops / 1e9 == pytest.approx(14.2879, abs=5e-5)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("float16", 142.7), ("int8", 285.4), ("mxfp8_e4m3", 276.8), ("mxfp6_e2m3", 365.3), ("mxfp4", 537.3)],
)
def test_tokens_per_second_of_a_format(name: str, expected: float) -> None:
    """The expected figures count what is read; writing one token to the cache costs 1/2048 of its part, 0.004 %."""
    stored = F.get(name).bits_per_value / 8
    read = (LLAMA_2_7B.matrix_values + LLAMA_2_7B.kv_values(batch=1, context=CONTEXT)) * stored
    assert 1 / seconds(flops=0, traffic_bytes=read, bandwidth_gb_s=2039.0) == pytest.approx(expected, abs=0.05)
    written = LLAMA_2_7B.kv_values(batch=1, context=1) * stored
    assert tokens_per_second(stored) == pytest.approx(2039e9 / float(read + written), rel=1e-12)
    assert tokens_per_second(stored) == pytest.approx(expected, rel=2e-4)


def test_shared_exponents_are_counted() -> None:
    """One byte of scale for 32 values: 33/32 of the bytes, so 32/33 of the speed of eight bare bits."""
    assert tokens_per_second(F.get("mxfp8_e4m3").bits_per_value / 8) == pytest.approx(
        tokens_per_second(Fraction(1)) * 32 / 33, rel=1e-12
    )


def test_gigabytes_are_not_gibibytes() -> None:
    traffic = LLAMA_2_7B.decode_bytes(batch=1, context=CONTEXT, weight_bytes=FP16, kv_bytes=FP16)
    assert tokens_per_second(FP16) == pytest.approx(2039 * 10**9 / float(traffic), rel=1e-12)
    assert tokens_per_second(FP16) != pytest.approx(2039 * 2**30 / float(traffic), rel=0.05)


def test_the_lm_head_has_its_factor_of_two() -> None:
    without = LLAMA_2_7B.matrix_values - 4096 * 32000
    assert LLAMA_2_7B.decode_flops(batch=1, context=CONTEXT) - 4 * 32 * CONTEXT * 4096 - 2 * without == 2 * 4096 * 32000


def test_a_network_without_a_gate_has_two_matrices() -> None:
    assert OPT_6_7B.layer_values == 4 * 4096**2 + 2 * 4096 * 16384
    # The published 6,658,473,984 parameters less biases, norms and positions: the embedding is the lm_head.
    vectors = 32 * (4 * 4096 + 16384 + 4096 + 2 * 2 * 4096) + 2 * 4096
    assert OPT_6_7B.matrix_values == 6_658_473_984 - vectors - (2048 + 2) * 4096


def test_grouped_keys_shrink_the_cache_and_their_projections_alone() -> None:
    grouped = TransformerShape(**{**vars(LLAMA_2_7B), "kv_width": 1024})
    assert LLAMA_2_7B.matrix_values - grouped.matrix_values == 32 * 2 * 4096 * (4096 - 1024)
    assert grouped.kv_values(batch=3, context=5) == 2 * 3 * 32 * 5 * 1024
    assert grouped.decode_flops(batch=1, context=CONTEXT) == 2 * grouped.matrix_values + 4 * 32 * CONTEXT * 4096


def test_batching_shares_the_weights_but_not_the_cache() -> None:
    one, eight = (
        LLAMA_2_7B.decode_bytes(batch=batch, context=CONTEXT, weight_bytes=FP16, kv_bytes=FP16) for batch in (1, 8)
    )
    assert eight - one == 7 * 2 * 32 * (CONTEXT + 1) * 4096 * FP16


def test_prefill_scores_every_pair_and_reads_the_weights_once() -> None:
    tokens = 2 * CONTEXT
    assert LLAMA_2_7B.prefill_flops(batch=2, context=CONTEXT) == (
        2 * tokens * 32 * (4 * 4096**2 + 3 * 4096 * 11008) + 4 * 2 * 32 * CONTEXT**2 * 4096 + 2 * 2 * 4096 * 32000
    )
    assert LLAMA_2_7B.prefill_bytes(batch=2, context=CONTEXT, weight_bytes=FP16, kv_bytes=Fraction(1)) == (
        LLAMA_2_7B.matrix_values * 2 + 2 * tokens * 32 * 4096
    )


def test_the_longer_of_moving_and_computing_decides() -> None:
    assert seconds(flops=10**12, traffic_bytes=Fraction(10**9), bandwidth_gb_s=1.0, tflops=2.0) == 1.0
    assert seconds(flops=10**12, traffic_bytes=Fraction(10**9), bandwidth_gb_s=4.0, tflops=2.0) == 0.5
    assert seconds(flops=10**12, traffic_bytes=Fraction(10**9), bandwidth_gb_s=4.0) == 0.25
    assert tokens_per_second(FP16, tflops=1.0) == pytest.approx(1e12 / 14.2879e9, rel=1e-5)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match="ffn_matrices is 4, expected 2"):
        TransformerShape(**{**vars(LLAMA_2_7B), "ffn_matrices": 4})
    with pytest.raises(ConfigError, match="layers is 0, expected 1 or more"):
        TransformerShape(**{**vars(LLAMA_2_7B), "layers": 0})
    with pytest.raises(ConfigError, match=r"bandwidth_gb_s is 0\.0, expected a rate above 0"):
        seconds(flops=1, traffic_bytes=Fraction(1), bandwidth_gb_s=0.0)
