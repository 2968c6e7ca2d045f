"""transformers (5.23.0): parameters of every model on the list, and the products that one of each family executes."""

from dataclasses import replace
from typing import Any

import pytest

from densimeter.hwmodels.gemm import Workload
from densimeter.simulator.workloads.language_models import language_model, model_names, workload
from densimeter.simulator.workloads.language_models.families import named_models
from densimeter.simulator.workloads.language_models.layers import parameter_count
from densimeter.simulator.workloads.trace import trace

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

# One of each kind of stack, but for routed experts, whose products depend on the data.
STACKS = [
    "opt-125m",
    "opt-350m",
    "llama-3.2-1b",
    "qwen2-0.5b",
    "qwen3-0.6b",
    "gpt2",
    "minilm-l6",
    "gemma-2b",
    "phi-3-mini",
]
LAYERS, WORDS = 2, 100
HEADS = ("lm_head", "pooler", "pooler.dense", "project_out", "model.decoder.project_out")


def built(name: str, device: str, **changes: int) -> Any:
    values = {key: value for key, value in named_models()[name].values.items() if key not in ("id", "parameters")}
    values |= {key: value for key, value in changes.items() if key in values or key == "pad_token_id"}
    config = transformers.AutoConfig.for_model(values.pop("model_type"), **values)
    factory = transformers.AutoModelForCausalLM if language_model(name).causal else transformers.AutoModel
    with torch.device(device):
        return factory.from_config(config).eval()


@pytest.mark.parametrize("name", model_names())
def test_a_model_has_as_many_parameters(name: str) -> None:
    assert parameter_count(language_model(name)) == built(name, "meta").num_parameters()


@pytest.mark.parametrize("name", STACKS)
def test_a_model_executes_as_many_operations(name: str) -> None:
    """Reading 2 prompts of 24 tokens; what follows the stack aside, which transformers applies to every token."""
    model = built(name, "cpu", num_hidden_layers=LAYERS, n_layer=LAYERS, vocab_size=WORDS, pad_token_id=0)
    traced = trace(model, torch.ones(2, 24, dtype=torch.long), use_cache=False)
    config = replace(language_model(name), layers=LAYERS, vocabulary=WORDS)
    assert stack_macs(traced) == stack_macs(workload(config, phase="prefill", batch=2, context=24))


def stack_macs(found: Workload) -> int:
    return sum(gemm.macs for gemm in found.gemms if gemm.name not in HEADS)
