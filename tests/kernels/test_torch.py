"""Formats in torch: the kernels' bits, a straight-through gradient, and models with operands in formats."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import densimeter.formats as F
import densimeter.kernels as K
from densimeter.formats.errors import ConfigError
from densimeter.kernels.operand_formats import LayerFormats, Recipe
from densimeter.kernels.tensor import QuantizedTensor
from support.strategies import float32_arrays, formats

torch = pytest.importorskip("torch")

from densimeter.kernels.torch import OperandQuantizer, QuantizedLinear, quantize_dequantize, quantize_model  # noqa: E402
from densimeter.kernels.torch_attention import _Attention  # noqa: E402

FORMATS = (
    "bfp6",
    "mxfp8_e4m3",
    "mxfp4",
    "mxint8",
    "nvfp4",
    "int8_channel",
    "int4_g128_affine",
    "nf4",
    "bl8",
    "float16",
)


def drawn(*shape: int, seed: int = 0) -> Any:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


@pytest.mark.parametrize("axis", [-1, 0, 1])
@pytest.mark.parametrize("name", FORMATS)
def test_bits_are_those_of_the_kernels(name: str, axis: int) -> None:
    x, fmt = drawn(3, 40, 70), F.get(name)
    expected = K.quantize(x.numpy(), fmt, axis).dequantize()
    assert quantize_dequantize(x, fmt, axis).numpy().tobytes() == np.ascontiguousarray(expected).tobytes()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_other_dtypes_go_by_way_of_float32_and_come_back(dtype: Any) -> None:
    x = drawn(8, 64).to(dtype)
    expected = torch.from_numpy(K.quantize(x.float().numpy(), F.get("bfp6")).dequantize()).to(dtype)
    found = quantize_dequantize(x, F.get("bfp6"))
    assert found.dtype == dtype
    assert torch.equal(found, expected)


def test_a_view_is_read_where_it_lies() -> None:
    """Every other column, backwards in memory order: a transposed, strided view."""
    x = drawn(64, 32).T[:, ::2]
    expected = K.quantize(x.numpy(), F.get("mxfp4")).dequantize()
    assert np.array_equal(quantize_dequantize(x, F.get("mxfp4")).numpy(), expected)


@given(st.data())
def test_bits_are_those_of_the_kernels_for_formats_that_nobody_named(data: st.DataObject) -> None:
    fmt = data.draw(formats())
    values = data.draw(float32_arrays(36, nan=False)).reshape(data.draw(st.sampled_from([(36,), (4, 9), (3, 2, 6)])))
    found = quantize_dequantize(torch.from_numpy(values), fmt, seed=3).numpy()
    np.testing.assert_array_equal(found, K.quantize(values, fmt, seed=3).dequantize())


def test_float32_is_read_where_it_lies() -> None:
    x = drawn(8, 64)
    seen: list[Any] = []
    quantizer = OperandQuantizer("", "key", F.get("bfp6"), observe=lambda _, __, values, ___: seen.append(values))
    quantizer(x)
    assert np.shares_memory(seen[0], x.numpy())


def test_the_gradient_passes_straight_through() -> None:
    x = drawn(4, 32).requires_grad_()
    factors = drawn(4, 32, seed=1)
    (quantize_dequantize(x, F.get("bfp4")) * factors).sum().backward()
    assert torch.equal(x.grad, factors)


def test_stochastic_rounding_follows_its_seed() -> None:
    fmt = F.parse({**F.declaration(F.get("mxfp4")), "rounding": "stochastic"})
    x = drawn(16, 64)
    once, again, other = (quantize_dequantize(x, fmt, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)


def test_a_linear_layer_multiplies_what_the_formats_hold() -> None:
    linear, x = torch.nn.Linear(48, 20), drawn(2, 5, 48)
    formats = LayerFormats(weight=F.get("bfp4"), activation=F.get("bfp6"))
    held = quantize_dequantize(linear.weight, F.get("bfp4")).detach()
    expected = torch.nn.functional.linear(quantize_dequantize(x, F.get("bfp6")), held, linear.bias)
    assert torch.equal(QuantizedLinear.from_linear(linear, formats)(x), expected)


def test_under_an_accumulator_a_linear_layer_is_the_exact_product() -> None:
    linear, x = torch.nn.Linear(48, 20), drawn(2, 5, 48)
    a, w = F.get("mxfp8_e4m3"), F.get("mxfp4")
    formats = LayerFormats(weight=w, activation=a, accumulator=F.parse_accumulator("aligned28"))
    product = K.matmul(
        x.reshape(10, 48).numpy(), linear.weight.detach().numpy(), activation=a, weight=w, accumulator="aligned28"
    )
    expected = (torch.from_numpy(product) + linear.bias.detach()).reshape(2, 5, 20)
    assert torch.equal(QuantizedLinear.from_linear(linear, formats)(x), expected)


def test_a_layer_of_bfloat16_multiplies_in_float32_and_rounds_once() -> None:
    linear, x = torch.nn.Linear(64, 8, dtype=torch.bfloat16), drawn(3, 64).to(torch.bfloat16)
    fmt = F.get("int8_token")  # its values have more digits than bfloat16
    weight = torch.from_numpy(K.quantize(linear.weight.detach().float().numpy(), fmt).dequantize())
    expected = torch.nn.functional.linear(x.float(), weight, linear.bias.float()).to(torch.bfloat16)
    assert torch.equal(QuantizedLinear.from_linear(linear, LayerFormats(weight=fmt))(x), expected)


def perceptron() -> Any:
    torch.manual_seed(0)
    layers = (torch.nn.Linear(32, 64), torch.nn.ReLU(), torch.nn.Linear(64, 64), torch.nn.Linear(64, 8))
    return torch.nn.Sequential(*layers)


def test_a_model_is_quantised_beside_the_original() -> None:
    model, x = perceptron(), drawn(5, 32)
    before, weight = model(x), model[0].weight
    quantized = quantize_model(model, Recipe(LayerFormats(weight=F.get("mxfp4")), skip=("3",)))
    assert torch.equal(model(x), before)
    assert model[0].weight is weight
    assert torch.equal(quantized[0].weight, quantize_dequantize(weight, F.get("mxfp4")))
    assert quantized[3].weight is model[3].weight
    assert quantized[0].bias is model[0].bias


def test_without_formats_a_quantised_model_is_the_model() -> None:
    model, x = perceptron(), drawn(5, 32)
    assert torch.equal(quantize_model(model, Recipe())(x), model(x))


def test_an_override_of_nothing_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"layers '\*\.down_proj': matches none of the model's 5 modules"):
        quantize_model(perceptron(), Recipe(overrides=(("*.down_proj", {"weight": None}),)))


def test_a_recipe_that_skips_everything_is_an_error() -> None:
    with pytest.raises(ConfigError, match="leaves no linear layer"):
        quantize_model(perceptron(), Recipe(skip=("*",)))


class TwoOfOneInput(torch.nn.Module):  # type: ignore[misc, name-defined]
    """Two projections of the very same tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = torch.nn.Linear(32, 8), torch.nn.Linear(32, 8)

    def forward(self, x: Any) -> Any:
        return self.one(x) + self.other(x)


def test_layers_that_share_an_input_quantise_it_once() -> None:
    model, x, formats = TwoOfOneInput(), drawn(5, 32), LayerFormats(activation=F.get("bfp4"))
    seen: list[tuple[str, QuantizedTensor]] = []
    quantized = quantize_model(model, Recipe(formats), observe=lambda path, _, __, codes: seen.append((path, codes)))
    one, other = (QuantizedLinear.from_linear(linear, formats) for linear in (model.one, model.other))
    assert torch.equal(quantized(x), one(x) + other(x))
    assert [path for path, _ in seen] == ["one", "other"]
    assert seen[0][1] is seen[1][1]
    x.mul_(3)  # the same tensor with other values
    assert torch.equal(quantized(x), one(x) + other(x))
    with torch.inference_mode():
        y = drawn(5, 32, seed=1)
        assert torch.equal(quantized(y), one(y) + other(y))


def test_gradients_of_layers_that_share_an_input_add_up() -> None:
    model, x = TwoOfOneInput(), drawn(5, 32).requires_grad_()
    quantize_model(model, Recipe(LayerFormats(activation=F.get("bfp4"))))(x).sum().backward()
    expected = (model.one.weight + model.other.weight).sum(dim=0).detach().expand(5, 32)
    torch.testing.assert_close(x.grad, expected)


def test_noise_of_stochastic_rounding_is_not_shared() -> None:
    fmt = F.parse({**F.declaration(F.get("mxfp4")), "rounding": "stochastic"})
    seen: list[QuantizedTensor] = []
    recipe = Recipe(LayerFormats(activation=fmt))
    quantize_model(TwoOfOneInput(), recipe, observe=lambda _, __, ___, codes: seen.append(codes))(drawn(5, 32))
    assert not np.array_equal(seen[0].codes, seen[1].codes)


def test_an_observer_sees_every_operand() -> None:
    seen: list[tuple[str, str, tuple[int, ...], str]] = []

    def observe(path: str, operand: str, values: np.ndarray[Any, Any], codes: QuantizedTensor) -> None:
        assert values.shape == codes.shape
        seen.append((path, operand, values.shape, codes.format.name))

    formats = LayerFormats(weight=F.get("bfp4"), activation=F.get("bfp6"))
    quantize_model(perceptron(), Recipe(formats, skip=("2", "3")), observe=observe)(drawn(5, 32))
    assert seen == [("0", "weight", (64, 32), "bfp4"), ("0", "activation", (5, 32), "bfp6")]


def test_attention_of_a_plain_module_cannot_be_reached() -> None:
    with pytest.raises(ConfigError, match="expected a model of transformers"):
        quantize_model(perceptron(), Recipe(LayerFormats(key=F.get("bfp6"))))


@pytest.fixture(scope="module")
def llama() -> Any:
    """A small model of transformers with random weights."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=100,
    )
    return transformers.LlamaForCausalLM(config).eval()


IDS = torch.arange(2 * 37).reshape(2, 37) % 100


def test_attention_in_float32_is_attention(llama: Any) -> None:
    """Every number of these activations is one of float32: the detour through the format changes nothing."""
    every: dict[str, Any] = dict.fromkeys(("query", "key", "probability", "value"), F.get("float32"))
    with torch.no_grad():
        expected = llama(IDS).logits
        found = quantize_model(llama, Recipe(LayerFormats(**every)))(IDS).logits
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("value_axis", ["tokens", "channels"])
def test_operands_of_attention_are_quantised_as_stored(llama: Any, value_axis: Any) -> None:
    """Two key heads of 64 / 4 = 16 channels, 37 tokens; heads share keys, so they are quantised once."""
    seen: dict[tuple[str, str], QuantizedTensor] = {}

    def observe(path: str, operand: Any, _: Any, codes: QuantizedTensor) -> None:
        seen[path, operand] = codes

    formats: dict[str, Any] = dict.fromkeys(("query", "key", "probability", "value"), F.get("bfp6"))
    recipe = Recipe(LayerFormats(**formats, value_axis=value_axis))
    with torch.no_grad():
        quantize_model(llama, recipe, observe=observe)(IDS)
    assert {path for path, _ in seen} == {f"model.layers.{layer}.self_attn" for layer in (0, 1)}
    shapes = {operand: codes.shape for (_, operand), codes in seen.items()}
    assert shapes == {
        "query": (2, 4, 37, 16),
        "key": (2, 2, 37, 16),
        "probability": (2, 4, 37, 37),
        "value": (2, 2, 37, 16),
    }
    assert {codes.axis for (_, operand), codes in seen.items() if operand == "value"} == {
        2 if value_axis == "tokens" else 3
    }


@pytest.mark.parametrize("name", ["bfp6", "mxfp8_e4m3", "int8_token", "int8_tensor", "nvfp4"])
def test_under_an_accumulator_both_products_of_attention_are_exact(llama: Any, name: str) -> None:
    """Every head's scores and context are `kernels.matmul` of what the operands hold, to the bit."""
    fmt, accumulator = F.get(name), F.parse_accumulator("int32" if name.startswith("int8") else "fp32")
    seen: dict[str, QuantizedTensor] = {}
    formats: dict[str, Any] = dict.fromkeys(("query", "key", "probability", "value"), fmt)
    attention = _Attention(
        "a",
        LayerFormats(**formats, attention_accumulator=accumulator),
        0,
        lambda _, operand, __, codes: seen.update({operand: codes}),
        None,
    )
    query, key, value = drawn(2, 4, 37, 16), drawn(2, 2, 37, 16, seed=1), drawn(2, 2, 37, 16, seed=2)
    scores = attention.scores(query, key)
    probabilities = torch.softmax(scores / 4, dim=-1)
    context = attention.context(probabilities, value)
    assert (scores.shape, context.shape) == ((2, 4, 37, 37), (2, 4, 37, 16))
    held = {operand: codes.dequantize() for operand, codes in seen.items()}
    for batch in range(2):
        for head in range(4):
            one = batch, head
            other = batch, head // 2  # two query heads share a key head
            if "tensor" in name or name == "nvfp4":  # their scale is of the whole tensor: matmul cannot choose it anew
                near = held["query"][one] @ held["key"][other].T
                np.testing.assert_allclose(scores[one].numpy(), near, rtol=1e-5, atol=1e-5)
                continue
            exact: dict[str, Any] = {"activation": fmt, "weight": fmt, "accumulator": accumulator}
            expected = K.matmul(query[one].numpy(), key[other].numpy(), **exact)
            assert scores[one].numpy().tobytes() == expected.tobytes()
            expected = K.matmul(probabilities[one].numpy(), value[other].T.numpy(), **exact)
            assert context[one].numpy().tobytes() == expected.tobytes()


def test_a_model_whose_every_product_is_exact_is_near_one_that_torch_sums(llama: Any) -> None:
    fmt, fp32 = F.get("bfp8"), F.parse_accumulator("fp32")
    operands: dict[str, Any] = dict.fromkeys(("weight", "activation", "query", "key", "probability", "value"), fmt)
    summed, exact = LayerFormats(**operands), LayerFormats(**operands, accumulator=fp32, attention_accumulator=fp32)
    with torch.no_grad():
        expected, found = (quantize_model(llama, Recipe(formats))(IDS).logits for formats in (summed, exact))
    assert torch.corrcoef(torch.stack([expected.ravel(), found.ravel()]))[0, 1] > 0.999


def test_the_original_keeps_its_attention(llama: Any) -> None:
    with torch.no_grad():
        before = llama(IDS).logits
        changed = quantize_model(llama, Recipe(LayerFormats(key=F.get("mxfp4"))))(IDS).logits
        assert torch.equal(llama(IDS).logits, before)
    assert not torch.equal(changed, before)


def test_reading_token_by_token_with_a_cache_finds_the_same(llama: Any) -> None:
    """Keys and values by token, so that what is cached does not depend on tokens to come."""
    fmt = F.get("bfp6")
    model = quantize_model(llama, Recipe(LayerFormats(fmt, fmt, fmt, fmt, fmt, fmt, value_axis="channels")))
    ids, cache, steps = IDS[:1, :6], None, []
    with torch.no_grad():
        whole = model(ids, use_cache=False).logits
        for t in range(6):
            out = model(ids[:, t : t + 1], past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            steps.append(out.logits)
    torch.testing.assert_close(torch.cat(steps, dim=1), whole, rtol=1e-3, atol=1e-4)


def test_gpt2_and_its_transposed_layers() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(n_embd=32, n_layer=1, n_head=2, vocab_size=100, n_positions=64)
    model = transformers.GPT2LMHeadModel(config).eval()
    with torch.no_grad():
        expected = model(IDS).logits
        found = quantize_model(model, Recipe())(IDS).logits
        weight = quantize_model(model, Recipe(LayerFormats(weight=F.get("bfp6")))).transformer.h[0].mlp.c_fc.weight
    torch.testing.assert_close(found, expected)
    original = model.transformer.h[0].mlp.c_fc.weight.T
    assert torch.equal(weight, quantize_dequantize(original, F.get("bfp6")))


def test_an_encoder() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64, vocab_size=100
    )
    model = transformers.BertModel(config).eval()
    every: dict[str, Any] = dict.fromkeys(("query", "key", "probability", "value"), F.get("float32"))
    mask = torch.ones_like(IDS)
    mask[1, 20:] = 0
    with torch.no_grad():
        expected = model(IDS, attention_mask=mask).last_hidden_state
        found = quantize_model(model, Recipe(LayerFormats(**every)))(IDS, attention_mask=mask)
    torch.testing.assert_close(found.last_hidden_state[0], expected[0], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.last_hidden_state[1, :20], expected[1, :20], rtol=1e-4, atol=1e-5)
