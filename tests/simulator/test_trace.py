"""Tracing a torch module: what is found equals what the module is known to compute."""

from typing import Any

import pytest

from densimeter.formats.errors import ConfigError
from densimeter.hwmodels.gemm import Gemm
from densimeter.simulator.workloads.trace import trace

torch = pytest.importorskip("torch")
nn = torch.nn


def test_linear_layers_of_a_list_are_counted_together() -> None:
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.Linear(16, 16, bias=False))
    found = trace(model, torch.zeros(2, 3, 8))
    assert found.gemms == (Gemm("*", 2 * 3, 16, 8), Gemm("*", 2 * 3, 16, 16, 2))
    assert found.parameters == 8 * 16 + 16 + 16 * 16 + 16 + 16 * 16
    assert found.weight_values == 8 * 16 + 2 * 16 * 16
    assert (found.name, found.phase) == ("Sequential", "custom")


class Products(nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Parameter(torch.zeros(5, 7))

    def forward(self, x: Any) -> Any:  # x: [3, 7, 2]
        one = self.left @ x[0]  # a weight on the left: [5, 7] x [7, 2], so two rows meet five weights
        two = torch.einsum("bij,bik->bjk", x, x)  # three times [2, 7] x [7, 2]
        return one.sum() + two.sum() + self.left[0] @ x[0, :, 0]


def test_products_however_they_are_written() -> None:
    found = trace(Products(), torch.zeros(3, 7, 2), name="products", tokens=3)
    assert found.gemms == (
        Gemm("Products", 2, 5, 7),
        Gemm("Products", 2, 2, 7, 3, second="activation"),
        Gemm("Products", 1, 1, 7),
    )
    assert (found.name, found.tokens) == ("products", 3)


class Attention(nn.Module):  # type: ignore[misc, name-defined]
    def forward(self, query: Any, key: Any, value: Any) -> Any:
        return nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)


def test_fused_attention_is_its_two_products() -> None:
    query, key, value = torch.zeros(2, 4, 10, 16), torch.zeros(2, 4, 12, 16), torch.zeros(2, 4, 12, 16)
    found = trace(Attention(), query, key, value)
    assert [(gemm.m, gemm.n, gemm.k, gemm.count) for gemm in found.gemms] == [(10, 12, 16, 8), (10, 16, 12, 8)]
    assert [(gemm.first, gemm.second) for gemm in found.gemms] == [("query", "key"), ("probability", "value")]


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_an_encoder_layer_has_its_eight_products(device: str) -> None:
    """Width 32, 4 heads of 8, f = 64, 2 sequences of 6 tokens; torch joins q, k and v."""
    layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, device=device).eval()
    found = trace(layer, torch.zeros(2, 6, 32, device=device))
    macs = 12 * (3 * 32 * 32 + 32 * 32 + 2 * 32 * 64) + 2 * 2 * 4 * 6 * 6 * 8
    assert found.macs == macs
    names = [gemm.name for gemm in found.gemms]
    assert {"linear1", "linear2", "self_attn"} <= set(names)


def test_a_convolution_is_a_product_over_patches() -> None:
    found = trace(nn.Conv2d(4, 6, 3, groups=2, padding=1), torch.zeros(2, 4, 5, 5))
    assert found.gemms == (Gemm("Conv2d", 2 * 5 * 5, 6 // 2, (4 // 2) * 3 * 3, 2),)
    upsampled = trace(nn.ConvTranspose1d(4, 6, 3), torch.zeros(2, 4, 5))
    assert upsampled.gemms == (Gemm("ConvTranspose1d", 2 * 5, 6 * 3, 4),)


def test_the_fast_path_and_hooks_are_as_before() -> None:
    before = torch.backends.mha.get_fastpath_enabled()
    model = nn.Sequential(nn.Linear(2, 2))
    trace(model, torch.zeros(1, 2))
    assert torch.backends.mha.get_fastpath_enabled() == before
    assert not model[0]._forward_hooks
    assert not model[0]._forward_pre_hooks


def test_a_module_without_products_is_refused() -> None:
    with pytest.raises(ConfigError, match="ReLU executed no matrix product, expected a linear layer"):
        trace(nn.ReLU(), torch.zeros(3))
