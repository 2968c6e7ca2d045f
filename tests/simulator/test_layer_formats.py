"""Formats of single layers change the bytes of these layers, and nothing else."""

from typing import Any

import pytest

from densimeter.formats.errors import ConfigError
from densimeter.simulator import evaluate
from densimeter.simulator.workloads.language_models import language_model, model_names
from densimeter.simulator.workloads.language_models.layers import linears, module_paths

HIDDEN, KV, FFN, LAYERS, VOCABULARY = 576, 192, 1536, 30, 49152  # SmolLM2-135M, whose lm_head is its token embedding
DESIGN: dict[str, Any] = {
    "format": "bfp8",
    "accumulator": "aligned24",
    "lanes": 16,
    "array": {"rows": 32, "cols": 32},
    "dram": {"device": "hbm2e"},
    "workload": {"model": "smollm2-135m", "context": 256},
}


def row(layers: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    return evaluate({**DESIGN, **changes, "storage": {"layers": layers or {}}})


def products(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {product["name"]: product for product in found["products"]}


def test_a_weight_of_some_layers_is_read_in_its_format() -> None:
    plain, mixed = row(), row({"model.layers.3.mlp.down_proj": {"weight": "bfp4"}})
    before, after = products(plain), products(mixed)
    assert after.keys() == before.keys() - {"down"} | {"down 3", "down 0-2,4-29"}
    assert (after["down 3"]["count"], after["down 0-2,4-29"]["count"]) == (1, LAYERS - 1)
    saved = HIDDEN * FFN * (8 - 4) / 8
    assert plain["dram_bytes"] - mixed["dram_bytes"] == saved
    assert plain["memory_bytes"] - mixed["memory_bytes"] == saved
    assert {name: after[name] for name in before if name != "down"} == {n: before[n] for n in before if n != "down"}


def test_bits_per_weight_are_the_mean_over_all_matrices() -> None:
    found = row({"*_proj": {"weight": "bfp4"}, "lm_head": {"weight": "bfloat16"}})
    layer = HIDDEN * (2 * HIDDEN + 2 * KV + 3 * FFN)
    bits = LAYERS * layer * 4.5 + VOCABULARY * HIDDEN * 16
    assert found["bits_per_weight"] == pytest.approx(bits / (LAYERS * layer + VOCABULARY * HIDDEN))
    assert found["memory_density"] == pytest.approx(32 / found["bits_per_weight"])


def test_without_formats_of_layers_bits_are_those_of_the_weight() -> None:
    assert row()["bits_per_weight"] == 8 + 8 / 16
    assert row()["memory_density"] == 32 / 8.5


def test_a_pattern_of_every_layer_is_the_storage_format() -> None:
    everywhere = row({"*": {"weight": "bfp4", "activation": "bfp6"}})
    attention = {"kv": "bfp8", "query": "bfp8", "probability": "bfp8"}
    uniform = evaluate({**DESIGN, "storage": {"weight": "bfp4", "activation": "bfp6", **attention}})
    assert everywhere["bits_per_weight"] == uniform["bits_per_weight"]
    weights = ("q", "k", "v", "o", "gate", "up", "down", "lm_head")
    mine, theirs = products(everywhere), products(uniform)
    assert {name: mine[name]["dram_bytes"] for name in weights} == {
        name: theirs[name]["dram_bytes"] for name in weights
    }


def test_the_last_pattern_that_matches_wins_format_by_format() -> None:
    layers = {"*": {"weight": "bfp6", "activation": "bfp6"}, "*.down_proj": {"weight": "bfp4"}}
    assert (
        row(layers)["dram_bytes"]
        == row({**layers, "*.down_proj": {"weight": "bfp4", "activation": "bfp6"}})["dram_bytes"]
    )
    assert row(dict(reversed(layers.items())))["dram_bytes"] == row({"*": layers["*"]})["dram_bytes"]


def test_an_activation_is_written_in_the_format_of_the_layer_that_reads_it() -> None:
    """In prefill, on buffers that hold no tensor: the input of down is written by gate and up and read by down."""
    tokens = 512
    changes: dict[str, Any] = {
        "workload": {"model": "smollm2-135m", "phase": "prefill", "context": tokens},
        "buffers": {"activation_kib": 64, "weight_kib": 64, "sum_kib": 64},
    }
    before, after = products(row(**changes)), products(row({"*.down_proj": {"activation": "bfp4"}}, **changes))
    changed = {name for name in before if before[name]["dram_bytes"] != after[name]["dram_bytes"]}
    assert changed == {"gate", "up", "down"}
    written = LAYERS * tokens * FFN * (8 - 4) / 8
    for name in ("gate", "up"):
        assert before[name]["dram_bytes"] - after[name]["dram_bytes"] == written
    assert before["down"]["dram_bytes"] > after["down"]["dram_bytes"]


def test_units_compute_in_the_format_of_the_design_whatever_layers_are_stored_in() -> None:
    plain, mixed = row(), row({"*.down_proj": {"weight": "mxfp4"}})
    assert mixed["areas_mm2"]["units"] == plain["areas_mm2"]["units"]
    assert any("mxfp4 to bfp8" in sentence for sentence in mixed["unpriced"]) or (
        mixed["areas_mm2"]["converters"] > plain["areas_mm2"]["converters"]
    )


@pytest.mark.parametrize("phase", ["decode", "prefill", "generate"])
@pytest.mark.parametrize("model", ["mixtral-8x7b", "gpt2", "opt-350m", "phi-3-mini"])
def test_products_split_by_layer_are_all_products(model: str, phase: str) -> None:
    if model not in model_names():
        pytest.skip(f"{model} is not in the list")
    first = module_paths(language_model(model), "o")[0]
    workload = {"model": model, "phase": phase, "context": 64, "tokens": 3}
    changes = {"workload": workload, "dram": {"device": "hbm2e", "count": 16}}
    plain, mixed = row(**changes), row({first: {"weight": "bfp4", "activation": "bfp6"}}, **changes)
    assert sum(product["macs"] for product in mixed["products"]) == sum(
        product["macs"] for product in plain["products"]
    )
    assert mixed["memory_bytes"] < plain["memory_bytes"]


def test_a_pattern_that_matches_nothing_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"layers '\*\.fc1': matches none of the 211 linear layers of smollm2-135m"):
        row({"*.fc1": {"weight": "bfp4"}})


def test_a_list_of_products_has_no_layers(tmp_path: Any) -> None:
    path = tmp_path / "g.csv"
    path.write_text("name,m,n,k\nx,4,4,16\n")
    with pytest.raises(ConfigError, match="a list of products, which has no layers"):
        row({"*": {"weight": "bfp4"}}, workload={"gemms": str(path)})


@pytest.mark.parametrize("name", model_names())
def test_every_linear_layer_of_every_model_has_a_path(name: str) -> None:
    config = language_model(name)
    for linear in linears(config):
        assert len(module_paths(config, linear.name)) in (1, config.layers)


def test_paths_are_those_of_transformers() -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    small = {
        "llama": {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 64, "vocab_size": 40},
        "opt": {"num_hidden_layers": 2, "hidden_size": 32, "ffn_dim": 64, "vocab_size": 40, "word_embed_proj_dim": 16},
        "gpt2": {"n_layer": 2, "n_embd": 32, "n_head": 4, "vocab_size": 40},
        "phi3": {
            "num_hidden_layers": 2,
            "hidden_size": 32,
            "intermediate_size": 64,
            "vocab_size": 40,
            "pad_token_id": 0,
        },
        "bert": {"num_hidden_layers": 2, "hidden_size": 32, "intermediate_size": 64, "vocab_size": 40},
    }
    heads = {"num_attention_heads": 4}
    for model_type, values in small.items():
        config = transformers.AutoConfig.for_model(model_type, **values, **({} if model_type == "gpt2" else heads))
        with torch.device("meta"):
            auto = transformers.AutoModelForPreTraining if model_type == "bert" else transformers.AutoModelForCausalLM
            model = auto.from_config(config)
        shape = {**config.to_dict(), "model_type": model_type}
        from densimeter.simulator.workloads.language_models.hugging_face import read_config

        ours = read_config(shape, name="tiny", source="test")
        known = dict(model.named_modules())
        for linear in linears(ours):
            for path in module_paths(ours, linear.name):
                assert path in known, (model_type, path)
