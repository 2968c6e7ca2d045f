"""K-sort: scores that stay, channels of like magnitude that meet in a block."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import densimeter.formats as F
from densimeter.formats.errors import ConfigError
from densimeter.kernels import quantize
from densimeter.kernels.operand_formats import LayerFormats, Recipe
from densimeter.simulator.recipes import parse_recipe
from densimeter.simulator.recipes.ksort import key_order
from support.tiny_language_model import VOCABULARY, save_tiny_model

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from densimeter.kernels.torch import quantize_model  # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """4 query heads on 2 key heads of 16 channels, and a rotary embedding."""
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("tiny")
    save_tiny_model(folder)
    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()


def logits(model: Any) -> Any:
    ids = torch.from_numpy(np.random.default_rng(0).integers(0, VOCABULARY, (1, 40)))
    with torch.no_grad():
        return model(ids, use_cache=False).logits


def sorted_model(model: Any, formats: LayerFormats, pairs: str = "apart") -> Any:
    recipe = parse_recipe({"name": "ksort", "pairs": pairs})
    return quantize_model(model, Recipe(formats), build=recipe.builder(model, None))


def rows_of_norms(norms: list[float]) -> NDArray[np.float32]:
    return np.array(norms, np.float32)[:, None] * np.array([[0.6, 0.8]], np.float32)  # a vector of length one


def test_channels_are_sorted_by_the_norm_of_their_row() -> None:
    weight = rows_of_norms([1, 4, 2, 3, 8, 5, 7, 6])
    assert key_order(weight, 4, 0, "apart").tolist() == [[1, 3, 2, 0], [0, 2, 3, 1]]  # two heads, each for itself


def test_pairs_of_the_rotary_embedding_move_together() -> None:
    """Channels i and i + 2 are a pair: of norms (3, 4) -> 5, (6, 1) -> 6.1 in one head; and two that no pair holds."""
    weight = rows_of_norms([3, 6, 4, 1, 9, 10])
    assert key_order(weight, 6, 2, "apart").tolist() == [[1, 0, 3, 2, 5, 4]]
    assert key_order(weight, 6, 2, "side_by_side").tolist() == [[1, 3, 0, 2, 5, 4]]


@pytest.mark.parametrize("pairs", ["apart", "side_by_side"])
def test_orders_are_permutations(pairs: Any) -> None:
    drawn = np.random.default_rng(0).standard_normal((3 * 16, 8)).astype(np.float32)
    order = key_order(drawn, 16, 8, pairs)
    first, second = (order[:, :8], order[:, 8:]) if pairs == "apart" else (order[:, ::2], order[:, 1::2])
    assert (second - first == 8).all()
    assert (np.sort(order, axis=1) == np.arange(16)).all()


@pytest.mark.parametrize("pairs", ["apart", "side_by_side"])
def test_scores_are_unchanged_up_to_the_order_of_their_sums(model: Any, pairs: str) -> None:
    """float32 operands: everything but the blocks takes part."""
    treated = sorted_model(model, LayerFormats(query=F.get("float32"), key=F.get("float32")), pairs)
    torch.testing.assert_close(logits(treated), logits(model), rtol=1e-4, atol=1e-4)


def test_sorting_behind_the_rotation_is_sorting_the_projection(model: Any) -> None:
    """The paper permutes rows of W_k before the model is run; with the angles permuted too, keys are the same."""
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    x = torch.from_numpy(np.random.default_rng(1).standard_normal((1, 12, 64)).astype(np.float32))
    cosines, sines = model.model.rotary_emb(x, torch.arange(12)[None])
    weight = model.model.layers[0].self_attn.k_proj.weight.detach()
    orders = torch.from_numpy(key_order(weight.numpy(), 16, 8, "apart"))
    for head, order in enumerate(orders):
        rows = weight[16 * head : 16 * head + 16]

        def keys(rows: Any, cosines: Any, sines: Any) -> Any:
            key = (x @ rows.T)[:, None]
            return apply_rotary_pos_emb(key, key, cosines, sines)[1]

        plain, compiled = keys(rows, cosines, sines), keys(rows[order], cosines[..., order], sines[..., order])
        torch.testing.assert_close(plain[..., order], compiled, rtol=1e-6, atol=1e-6)  # BLAS may sum rows otherwise


def test_a_block_as_long_as_a_head_gains_nothing(model: Any) -> None:
    """A head has 16 channels; the keys' own quantiser sees the same set of values (the paper's block of 128)."""
    formats = LayerFormats(key=F.get("bfp4"))
    plain, treated = quantize_model(model, Recipe(formats)), sorted_model(model, formats)
    torch.testing.assert_close(logits(treated), logits(plain), rtol=1e-4, atol=1e-4)


def test_shorter_blocks_lose_less(model: Any) -> None:
    """Every fourth channel eight times as large: unsorted, each block of 4 has one; sorted, one block in four."""
    scales = np.where(np.arange(16) % 4 == 0, 8, 1).astype(np.float32)
    weight = scales[:, None] * np.random.default_rng(0).standard_normal((16, 64)).astype(np.float32)
    keys = np.random.default_rng(1).standard_normal((100, 64)).astype(np.float32) @ weight.T
    fmt, (order,) = F.get("bfp4_b4"), key_order(weight, 16, 0, "apart")

    def noise(x: NDArray[np.float32]) -> float:
        return float(np.sum((quantize(x, fmt).dequantize() - x) ** 2))

    small = np.flatnonzero(scales[order] == 1)
    assert noise(keys[:, order]) < noise(keys) / 1.15  # the large channels' own noise stays
    treated, plain = quantize(keys[:, order], fmt).dequantize()[:, small], quantize(keys, fmt).dequantize()
    error = np.mean((treated - keys[:, order][:, small]) ** 2)
    assert error < np.mean((plain - keys)[:, scales == 1] ** 2) / 10  # theirs was 8 times coarser


def test_bad_options_are_refused() -> None:
    with pytest.raises(ConfigError, match="pairs is 'near', expected apart or side_by_side"):
        parse_recipe({"name": "ksort", "pairs": "near"})


def test_a_model_without_key_projections_is_refused() -> None:
    with pytest.raises(ConfigError, match="finds no attention with head_dim and k_proj"):
        parse_recipe("ksort").builder(torch.nn.Sequential(torch.nn.Linear(4, 4)), None)
