"""Fine-tuning under formats: the loss falls, what is scored is in its format, and interruptions leave no trace."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import densimeter.formats as F
from densimeter.formats.errors import ConfigError
from densimeter.kernels import quantize
from densimeter.kernels.given_scales import quantize_under
from densimeter.kernels.operand_formats import LayerFormats, Recipe
from densimeter.simulator.recipes import Tuning, parse_recipe
from densimeter.simulator.recipes.fine_tune import FineTune
from support.tiny_language_model import save_tiny_model

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from densimeter.kernels.torch import QuantizedLinear, linear_layers, quantize_model  # noqa: E402
from densimeter.simulator.recipes import tuning  # noqa: E402
from densimeter.simulator.recipes.tuning import StraightThroughLinear  # noqa: E402

BFP4 = F.get("bfp4")
NOISY = F.parse({"base": "mxfp4", "rounding": "stochastic"})
EVERYWHERE = Recipe(LayerFormats(BFP4, BFP4, query=BFP4, key=BFP4, probability=BFP4, value=BFP4))
WINDOWS = [np.random.default_rng(window).integers(0, 20, 32).tolist() for window in range(3)]
SHORT = FineTune(steps=6, step_tokens=16, learning_rate=1e-2)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("tiny")
    save_tiny_model(folder)
    return transformers.AutoModelForCausalLM.from_pretrained(folder).eval()


def tuned(model: Any, folder: Path, recipe: FineTune = SHORT, plan: Recipe = EVERYWHERE, walk: Any = iter) -> Any:
    return recipe.tune(model, plan, WINDOWS, folder / "tuned.safetensors", walk)


def weights(model: Any) -> dict[str, Any]:
    return {path: linear.weight.detach() for path, linear in linear_layers(model, Recipe(skip=()))}


def alike(one: Any, other: Any) -> bool:
    """Bit for bit."""
    found, expected = weights(one), weights(other)
    return found.keys() == expected.keys() and all(torch.equal(found[path], expected[path]) for path in found)


def test_the_loss_falls(model: Any, tmp_path: Path) -> None:
    recipe = FineTune(steps=24, step_tokens=16, learning_rate=1e-2)
    losses = tuned(model, tmp_path, recipe).losses_nats
    assert len(losses) == 24
    assert np.mean(losses[-6:]) < 0.8 * np.mean(losses[:6])  # six pieces of 16 in three windows of 32


def test_what_is_scored_is_in_the_format(model: Any, tmp_path: Path) -> None:
    """Under the scales of their blocks, rounding leaves the weights as they are; before it they lie off the grid."""
    found = tuned(model, tmp_path).model
    scored = quantize_model(found, EVERYWHERE, build=SHORT.builder(found, None))
    layers = {path: part for path, part in scored.named_modules() if isinstance(part, QuantizedLinear)}
    assert len(layers) == 2 * 7
    for path, layer in layers.items():
        held, master = layer.weight.numpy(), weights(found)[path].numpy()
        codes = quantize(master, BFP4)
        assert np.array_equal(codes.dequantize(), held)
        assert np.array_equal(quantize_under(held, codes).dequantize(), held)
        assert not np.array_equal(master, held)


def test_only_layers_of_the_plan_move_and_the_given_model_stays_as_it_is(model: Any, tmp_path: Path) -> None:
    before = {path: weight.clone() for path, weight in weights(model).items()}
    found = weights(tuned(model, tmp_path, plan=Recipe(LayerFormats(BFP4), skip=("lm_head", "*.down_proj"))).model)
    assert all(torch.equal(weight, before[path]) for path, weight in weights(model).items())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    still = {path for path in found if torch.equal(found[path], before[path])}
    assert still == {"lm_head", "model.layers.0.mlp.down_proj", "model.layers.1.mlp.down_proj"}


def stop_after(count: int) -> Any:
    def walk(steps: Sequence[int]) -> Iterable[int]:
        yield from steps[:count]
        raise KeyboardInterrupt

    return walk


@pytest.mark.parametrize("fmt", [BFP4, NOISY], ids=["to nearest", "stochastic"])
def test_an_interrupted_training_ends_as_an_uninterrupted_one(
    model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fmt: F.BlockFormat
) -> None:
    """Stopped within the first epoch and once more behind it: weights and losses are equal, bit for bit."""
    plan = Recipe(LayerFormats(fmt, fmt, key=fmt), seed=3)
    whole = tuned(model, tmp_path / "whole", plan=plan)
    monkeypatch.setattr(tuning, "_CHECKPOINT_SECONDS", -1)
    for steps in (2, 3):
        with pytest.raises(KeyboardInterrupt):
            tuned(model, tmp_path / "parts", plan=plan, walk=stop_after(steps))
    left: list[int] = []

    def walk(steps: Sequence[int]) -> Iterable[int]:
        left.extend(steps)
        return steps

    parts = tuned(model, tmp_path / "parts", plan=plan, walk=walk)
    assert left == [5]
    assert parts.losses_nats == whole.losses_nats
    assert alike(parts.model, whole.model)


def test_without_a_checkpoint_it_begins_again(model: Any, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        tuned(model, tmp_path, walk=stop_after(2))
    assert list(tmp_path.iterdir()) == []


def test_what_is_kept_are_the_weights_under_their_names(model: Any, tmp_path: Path) -> None:
    """And a run that finds them trains no more."""
    from safetensors.numpy import load_file

    first = tuned(model, tmp_path)
    kept = load_file(tmp_path / "tuned.safetensors")
    assert kept.keys() == {f"{path}.weight" for path in weights(model) if path != "lm_head"}
    again = tuned(model, tmp_path, walk=lambda steps: iter(steps) if len(steps) == 0 else pytest.fail("trained again"))
    assert again.losses_nats == first.losses_nats
    assert alike(again.model, first.model)


def test_a_damaged_file_is_refused(model: Any, tmp_path: Path) -> None:
    (tmp_path / "tuned.safetensors").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="delete it to train from the beginning"):
        tuned(model, tmp_path)


def test_the_seed_says_in_which_order_pieces_come(model: Any, tmp_path: Path) -> None:
    one, again, other = (
        tuned(model, tmp_path / str(i), plan=Recipe(LayerFormats(BFP4), seed=seed)) for i, seed in enumerate((1, 1, 2))
    )
    assert alike(one.model, again.model)
    assert not alike(one.model, other.model)


def test_the_gradient_is_that_of_the_product_of_what_formats_hold() -> None:
    """d loss / d W = (d loss / d y)^T Q(x), as if rounding were not there."""
    weight, x = torch.nn.Parameter(torch.randn(8, 32)), torch.randn(5, 32)
    layer = StraightThroughLinear(weight, None, LayerFormats(BFP4, BFP4), "a", 0)
    y = layer(x)
    held = [torch.from_numpy(quantize(tensor.detach().numpy(), BFP4).dequantize()) for tensor in (x, weight)]
    assert torch.allclose(y, held[0] @ held[1].T)
    upstream = torch.randn_like(y)
    y.backward(upstream)
    assert torch.allclose(weight.grad, upstream.T @ held[0], atol=1e-5)


def test_a_text_shorter_than_a_step_is_refused(model: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the calibration text has 96 tokens, expected 128, one step's"):
        tuned(model, tmp_path, FineTune())


def test_units_have_no_gradient(model: Any, tmp_path: Path) -> None:
    exact = LayerFormats(BFP4, BFP4, accumulator=F.parse_accumulator("fp32"))
    with pytest.raises(ConfigError, match="accumulator is fp32, expected none: products under one have no gradient"):
        tuned(model, tmp_path, plan=Recipe(exact))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"steps": 0}, "steps is 0, expected a whole number, 1 or more"),
        ({"step_tokens": 1.5}, "step_tokens is 1.5, expected a whole number, 2 or more"),
        ({"learning_rate": 0}, "learning_rate is 0, expected above 0, below 1"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        parse_recipe({"name": "fine_tune", **options})


def test_it_is_the_only_recipe_that_changes_the_model_first() -> None:
    assert isinstance(parse_recipe("fine_tune"), Tuning)
    assert not isinstance(parse_recipe("gptq"), Tuning)


def test_a_folder_that_cannot_be_written_is_named(model: Any, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"cannot write .*file/tuned.safetensors: .*; expected room in a folder"):
        tuned(model, tmp_path / "file", FineTune(steps=1, step_tokens=16))
