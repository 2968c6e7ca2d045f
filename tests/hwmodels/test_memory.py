"""Memory density of a layer, against the figures of the block-quantisation paper (arXiv 2310.05079)."""

from fractions import Fraction

import pytest

import densimeter.formats as F
from densimeter.hwmodels.memory import OperandBits, average_bits, layer_gemms, memory_density

LLAMA_7B = layer_gemms(hidden=4096, ffn=11008, heads=32, sequence=256)

# Activation and weight widths of the paper's searched LLaMA-7B.
SEARCHED_WIDTHS = {
    "q": (6, 3), "k": (6, 3), "v": (7, 4), "o": (5, 4), "qk": (4, 4),
    "av": (6, 4), "gate": (5, 6), "down": (6, 3), "up": (7, 3),
}  # fmt: skip


def bfp_bits(activation_width: int, weight_width: int) -> OperandBits:
    """Element bits plus an 8-bit exponent for every 16 values."""
    return OperandBits(activation_width + Fraction(8, 16), weight_width + Fraction(8, 16))


SEARCHED = {name: bfp_bits(*widths) for name, widths in SEARCHED_WIDTHS.items()}


def test_searched_llama_7b_to_the_last_digit_as_the_published_code_counts() -> None:
    assert float(memory_density(LLAMA_7B, SEARCHED, attention_products_share_width=True)) == 7.1776715162614035
    assert float(average_bits(LLAMA_7B, SEARCHED, attention_products_share_width=True)) == pytest.approx(
        4.4582703356516475, rel=1e-15
    )


def test_searched_llama_7b_with_each_operand_at_its_own_width() -> None:
    assert float(memory_density(LLAMA_7B, SEARCHED)) == pytest.approx(7.193284, abs=5e-7)


def test_weights_alone() -> None:
    weights = {n: v for n, v in LLAMA_7B.items() if n not in ("qk", "av")}
    weights = {n: type(v)(0, v.weights) for n, v in weights.items()}
    assert float(memory_density(weights, SEARCHED)) == pytest.approx(7.383144, abs=5e-7)


@pytest.mark.parametrize(("name", "density"), [("bfp8", 3.765), ("bfp6", 4.923), ("bfp5", 5.818), ("bfp4", 7.111)])
def test_uniform_width_does_not_depend_on_the_layer(name: str, density: float) -> None:
    bits = F.get(name).bits_per_value
    uniform = {gemm: OperandBits(bits, bits) for gemm in LLAMA_7B}
    assert memory_density(LLAMA_7B, uniform) == F.get(name).memory_density
    assert float(F.get(name).memory_density) == pytest.approx(density, abs=5e-4)


def test_opt_has_eight_gemms_with_biases() -> None:
    opt = layer_gemms(hidden=768, ffn=3072, heads=12, sequence=256, gated=False, bias=True)
    assert len(opt) == 8
    assert opt["up"].biases == 3072
    assert opt["down"].biases == 768


def test_a_missing_gemm_is_named() -> None:
    with pytest.raises(F.ConfigError, match="'down'"):
        memory_density(LLAMA_7B, {n: b for n, b in SEARCHED.items() if n != "down"})
