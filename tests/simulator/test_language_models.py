"""Language models: exact parameter counts, the products of each phase, and the closed form that they must equal."""

from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

import densimeter.formats as F
from densimeter.formats.errors import ConfigError
from densimeter.hwmodels.gemm import Gemm, Workload
from densimeter.simulator.workloads.language_models import ModelConfig, language_model, model_names, workload
from densimeter.simulator.workloads.language_models.closed_form import transformer_shape
from densimeter.simulator.workloads.language_models.families import named_models
from densimeter.simulator.workloads.language_models.footprint import kv_cache_bytes, weight_bytes
from densimeter.simulator.workloads.language_models.layers import matrix_values, parameter_count, parameters
from densimeter.simulator.workloads.language_models.products import distinct_experts

PUBLISHED = {name: model.published_parameters for name, model in named_models().items()}
DENSE = [
    name
    for name in model_names()
    if language_model(name).causal
    and not language_model(name).experts
    and language_model(name).embedding == language_model(name).hidden
]
GIB = 2**30


def by_name(found: Workload) -> dict[str, Gemm]:
    return {gemm.name: gemm for gemm in found.gemms}


def check_against_closed_form(name: str, *, batch: int, context: int) -> None:
    config = language_model(name)
    shape = transformer_shape(config)
    step = workload(config, phase="decode", batch=batch, context=context)
    assert step.flops == shape.decode_flops(batch=batch, context=context)
    assert step.second_values("weight") == shape.matrix_values
    assert step.second_values("key", "value") == step.kv_cache_values == shape.kv_values(batch=batch, context=context)
    assert step.cached_values == shape.kv_values(batch=batch, context=1)
    reading = workload(config, phase="prefill", batch=batch, context=context)
    assert reading.flops == shape.prefill_flops(batch=batch, context=context)
    assert reading.second_values("weight") == shape.matrix_values
    assert reading.cached_values == reading.kv_cache_values == shape.kv_values(batch=batch, context=context)


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_the_published_ones(name: str) -> None:
    assert parameter_count(language_model(name)) == PUBLISHED[name]


def test_the_list_is_not_empty_and_holds_the_anchors() -> None:
    assert len(PUBLISHED) > 50
    anchors = {"llama-2-7b": 6_738_415_616, "opt-125m": 125_239_296, "opt-6.7b": 6_658_473_984, "gpt2": 124_439_808}
    assert anchors.items() <= PUBLISHED.items()


def test_a_model_is_found_by_its_id_too() -> None:
    assert language_model("meta-llama/Llama-2-7b-hf") == language_model("llama-2-7b")


def test_a_wrong_name_suggests_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no language model is called 'llama2-7b'; did you mean 'llama-2-7b'"):
        language_model("llama2-7b")


def test_the_nine_products_of_a_layer_and_the_lm_head() -> None:
    """Llama-3-8B: 32 heads of 128 share 8 key heads, so 4 queries are the rows of one product."""
    found = by_name(workload(language_model("llama-3-8b"), phase="decode", batch=2, context=1000))
    assert list(found) == ["q", "k", "v", "qk", "av", "o", "gate", "up", "down", "lm_head"]
    assert found["q"] == Gemm("q", 2, 4096, 4096, 32, result="query")
    assert found["k"] == Gemm("k", 2, 8 * 128, 4096, 32, result="key")
    assert found["qk"] == Gemm("qk", 4, 1000, 128, 32 * 2 * 8, "query", "key", "probability", parts=2 * 8)
    assert found["av"] == Gemm("av", 4, 128, 1000, 32 * 2 * 8, "probability", "value", parts=2 * 8)
    assert found["gate"] == Gemm("gate", 2, 14336, 4096, 32)
    assert found["down"] == Gemm("down", 2, 4096, 14336, 32)
    assert found["lm_head"] == Gemm("lm_head", 2, 128256, 4096, 1, result="output")


def test_the_lm_head_of_a_prefill_sees_the_last_token_alone() -> None:
    found = by_name(workload(language_model("llama-2-7b"), phase="prefill", batch=3, context=100))
    assert found["q"].m == 3 * 100
    assert found["lm_head"].m == 3
    assert found["lm_head"].flops == 2 * 3 * 4096 * 32000


def test_opt_has_two_matrices_in_its_network() -> None:
    opt = language_model("opt-6.7b")
    found = by_name(workload(opt, context=1))
    assert "gate" not in found
    assert found["up"].second_values + found["down"].second_values == 32 * 2 * 4096 * 16384


def test_opt_350m_projects_its_embedding_to_the_stack_and_back() -> None:
    found = by_name(workload(language_model("opt-350m"), phase="prefill", context=7))
    assert found["project_in"] == Gemm("project_in", 7, 1024, 512, 1)
    assert found["project_out"] == Gemm("project_out", 1, 512, 1024, 1)
    assert found["lm_head"].k == 512


@pytest.mark.parametrize("name", DENSE)
def test_products_of_every_dense_model_sum_up_to_the_closed_form(name: str) -> None:
    check_against_closed_form(name, batch=3, context=777)


@given(name=st.sampled_from(DENSE), batch=st.integers(1, 64), context=st.integers(1, 1024))
def test_products_of_any_size_sum_up_to_the_closed_form(name: str, batch: int, context: int) -> None:
    check_against_closed_form(name, batch=batch, context=context)


def test_llama_2_7b_at_2048_tokens() -> None:
    step = workload(language_model("llama-2-7b"), phase="decode", context=2048)
    assert step.flops == 2 * (32 * (4 * 4096**2 + 3 * 4096 * 11008) + 4096 * 32000) + 4 * 32 * 2048 * 4096
    assert step.second_values("weight") * 2 == 13_214_154_752  # bytes in fp16
    assert step.kv_cache_values * 2 == 2 * 32 * 2048 * 4096 * 2


def test_models_without_a_closed_form_say_so() -> None:
    for name in ("mixtral-8x7b", "bert-base", "opt-350m"):
        with pytest.raises(ConfigError, match=f"{name} has no closed form"):
            transformer_shape(language_model(name))


@given(context=st.integers(1, 300), tile=st.integers(1, 320))
def test_query_tiles_leave_out_masked_keys(context: int, tile: int) -> None:
    """A tile of queries ends at the key of its last one; 1 gives the lower triangle, the whole context the square."""
    config = language_model("llama-2-7b")
    found = workload(config, phase="prefill", context=context, query_tile=tile)
    scores = sum(gemm.result_values for gemm in found.gemms if gemm.name == "qk")
    starts = range(0, context, tile)
    pairs = sum((min(start + tile, context) - start) * min(start + tile, context) for start in starts)
    assert scores == 32 * 32 * pairs
    if tile == 1:
        assert pairs == context * (context + 1) // 2
    if tile >= context:
        assert found == workload(config, phase="prefill", context=context)


def test_a_window_limits_keys_and_cache() -> None:
    mistral = language_model("mistral-7b")
    assert mistral.window == 4096
    step = workload(mistral, phase="decode", context=10_000)
    assert by_name(step)["qk"].n == by_name(step)["av"].k == 4096
    assert step.kv_cache_values == 4096 * 2 * 32 * 8 * 128
    tiled = workload(mistral, phase="prefill", context=8192, query_tile=1)
    keys = sum(gemm.result_values for gemm in tiled.gemms if gemm.name == "qk") // (32 * 32)
    assert keys == 4096 * 4097 // 2 + 4096 * 4096  # rising to the window, then full windows


def test_generating_is_a_prefill_and_a_step_for_every_token_but_the_first() -> None:
    config = language_model("smollm2-135m")
    whole = workload(config, phase="generate", batch=2, context=10, tokens=4)
    parts = [
        workload(config, phase="prefill", batch=2, context=10),
        *(workload(config, phase="decode", batch=2, context=context) for context in (11, 12, 13)),
    ]
    assert whole.tokens == 2 * 4
    assert whole.macs == sum(part.macs for part in parts)
    assert whole.vector_operations == sum(part.vector_operations for part in parts)
    assert whole.cached_values == whole.kv_cache_values == 2 * 13 * config.kv_values_per_token
    assert max(Counter(gemm for gemm in whole.gemms).values()) == 1


@pytest.mark.parametrize(
    ("experts", "per_token", "tokens", "expected"),
    [
        (8, 2, 1, 2),  # 8 * (1 - 3/4) = 2
        (8, 2, 2, 4),  # 8 * (1 - 9/16) = 3.5, to even
        (8, 2, 3, 5),  # 8 * (1 - 27/64) = 4.625
        (8, 2, 1000, 8),
        (128, 8, 16, 82),  # 128 * (1 - (15/16)**16) = 82.4
        (4, 4, 1, 4),
    ],
)
def test_experts_that_a_batch_touches(experts: int, per_token: int, tokens: int, expected: int) -> None:
    assert distinct_experts(experts, per_token, tokens) == expected


@given(st.integers(1, 256), st.data())
def test_touched_experts_are_between_those_of_one_token_and_all_that_could_be(
    experts: int, data: st.DataObject
) -> None:
    per_token, tokens = data.draw(st.integers(1, experts)), data.draw(st.integers(1, 10_000))
    assert per_token <= distinct_experts(experts, per_token, tokens) <= min(experts, per_token * tokens)


def test_routed_rows_are_neither_lost_nor_invented() -> None:
    """Mixtral, 3 tokens: 6 routed rows on 5 experts, so one takes two; weights of 5 experts are read."""
    found = workload(language_model("mixtral-8x7b"), phase="decode", batch=3, context=10)
    up = [gemm for gemm in found.gemms if gemm.name == "expert_up"]
    assert [(gemm.m, gemm.count, gemm.parts) for gemm in up] == [(2, 32 * 1, 5), (1, 32 * 4, 5)]
    assert sum(gemm.second_values for gemm in up) == 32 * 5 * 4096 * 14336
    assert by_name(found)["router"] == Gemm("router", 3, 8, 4096, 32)


@given(tokens=st.integers(1, 5000))
def test_an_expert_layer_costs_its_active_parameters(tokens: int) -> None:
    found = workload(language_model("qwen3-30b-a3b"), phase="prefill", context=tokens)
    macs = sum(gemm.macs for gemm in found.gemms if gemm.name.startswith("expert_"))
    assert macs == tokens * 8 * 48 * 3 * 2048 * 768


def test_an_encoder_has_neither_cache_nor_lm_head() -> None:
    found = workload(language_model("minilm-l6"), phase="prefill", batch=2, context=100)
    assert [gemm.name for gemm in found.gemms] == ["q", "k", "v", "qk", "av", "o", "up", "down", "pooler"]
    assert found.kv_cache_values == found.cached_values == 0
    assert by_name(found)["pooler"] == Gemm("pooler", 2, 384, 384, result="output")
    with pytest.raises(ConfigError, match="is an encoder and has no phase 'decode'"):
        workload(language_model("minilm-l6"), phase="decode", context=100)


def test_vector_work_of_a_decode_step() -> None:
    """SmolLM2-135M: 30 layers of 576, 9 heads of 64 on 3, f = 1536; 5 tokens of context."""
    found = workload(language_model("smollm2-135m"), phase="decode", batch=2, context=5)
    assert {work.name: work.elements for work in found.vector_work} == {
        "softmax": 30 * 2 * 9 * 5,
        "rms_norm": (2 * 30 + 1) * 2 * 576,
        "silu": 30 * 2 * 1536,
        "gate": 30 * 2 * 1536,
        "rotary": 30 * 2 * (9 + 3) * 64,
        "residual": 2 * 30 * 2 * 576,
    }
    biased = workload(language_model("gpt2"), phase="decode", context=5)
    elements = {work.name: work.elements for work in biased.vector_work}
    assert elements["bias"] == 12 * (3 * 768 + 768 + 3072 + 768)
    assert "rotary" not in elements
    assert "gate" not in elements


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"phase": "decoding"},
            "phase is 'decoding', expected one of prefill, decode, generate; did you mean 'decode'",
        ),
        ({"batch": 0}, "batch is 0, expected 1 or more"),
        ({"context": 0}, "context is 0"),
        ({"phase": "decode", "query_tile": 16}, "query_tile is 16 in phase 'decode'"),
        ({"context": 1025}, "1025 tokens, expected at most 1024, the learned positions of gpt2"),
        ({"phase": "generate", "context": 1000, "tokens": 26}, "1025 tokens, expected at most 1024"),
    ],
)
def test_a_phase_that_cannot_be_is_refused(changes: dict[str, object], message: str) -> None:
    asked = {"phase": "prefill", "context": 10, **changes}
    with pytest.raises(ConfigError, match=message):
        workload(language_model("gpt2"), **asked)  # type: ignore[arg-type]


# Footprint

Q6_K = Fraction(210 * 8, 256)  # ggml's block_q6_K: 256 values in 128 + 64 + 16 + 2 bytes


@pytest.mark.parametrize(
    ("weight", "head", "gibibytes"),
    [
        ("float16", "float16", 12.55),
        ("gguf_q8_0", "gguf_q8_0", 6.67),
        ("gguf_q4_0", Q6_K, 3.56),
        ("gguf_q4_1", Q6_K, 3.95),
    ],
)
def test_sizes_of_llama_cpp_files(weight: str, head: str | Fraction, gibibytes: float) -> None:
    """What llama.cpp reports for a 7B: norms are float32, and output.weight is Q6_K in its Q4_0 and Q4_1 files.

    `llama_model_quantize` raises output.weight to Q6_K unless the file's type is F16 or Q8_0; token embeddings keep it.
    """
    stored = F.get(head) if isinstance(head, str) else head
    size = weight_bytes(language_model("llama-2-7b"), F.get(weight), {"head": stored})
    assert size / GIB == pytest.approx(gibibytes, abs=0.005)


def test_a_file_is_matrices_in_blocks_and_norms_in_float32() -> None:
    matrices, norms = 6_738_415_616 - 65 * 4096, 65 * 4096
    size = weight_bytes(language_model("llama-2-7b"), F.get("gguf_q4_0"))
    assert size == matrices // 32 * 18 + 4 * norms
    assert size == weight_bytes(language_model("llama-2-7b"), Fraction(9, 2))


def test_scales_are_counted_in_a_footprint() -> None:
    config = language_model("llama-2-7b")
    bare = weight_bytes(config, Fraction(4), {"vector": Fraction(0)})
    assert weight_bytes(config, F.get("mxfp4"), {"vector": Fraction(0)}) == bare + matrix_values(config) // 32


def test_rows_are_filled_up_to_whole_blocks() -> None:
    """SmolLM2-135M is 576 wide: 18 blocks of 32, but 4.5 of 128, so five are stored."""
    config = language_model("smollm2-135m")
    (embedding,) = (p for p in parameters(config) if p.name == "token_embedding")
    sizes = [
        weight_bytes(config, Fraction(0), {"embedding": F.get(name), "vector": Fraction(0)})
        for name in ("int4_g32", "int4_g128")
    ]
    scale = F.get("int4_g128").scale
    assert scale is not None
    rows = embedding.shape[0]
    assert sizes == [
        rows * 18 * (32 * 4 + scale.code_bits) // 8,
        rows * 5 * (128 * 4 + scale.code_bits) // 8,
    ]


def test_the_cache_blocks_keys_along_the_head_and_values_along_the_context() -> None:
    """Llama-3-8B: 32 layers of 8 key heads of 128; 33 tokens of values are two blocks of 32, keys are four each."""
    config = language_model("llama-3-8b")
    fmt = F.get("mxfp8_e4m3")
    assert kv_cache_bytes(config, batch=2, context=33, key=fmt, value=Fraction(0)) == 32 * 2 * 8 * 33 * 4 * (32 + 1)
    assert kv_cache_bytes(config, batch=2, context=33, key=Fraction(0), value=fmt) == 32 * 2 * 8 * 128 * 2 * (32 + 1)
    half = Fraction(16)
    assert kv_cache_bytes(config, batch=2, context=33, key=half, value=half) == 2 * 33 * config.kv_values_per_token * 2


def test_footprints_refuse_what_is_not_there() -> None:
    config = language_model("llama-2-7b")
    with pytest.raises(ConfigError, match="kinds norm, expected some of embedding, weight, head, vector"):
        weight_bytes(config, F.get("mxfp4"), {"norm": F.get("float32")})  # type: ignore[dict-item]
    with pytest.raises(ConfigError, match="batch 1 and context 0, expected 1 or more each"):
        kv_cache_bytes(config, batch=1, context=0, key=Fraction(8), value=Fraction(8))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kv_heads": 3}, "32 heads on 3 key heads, expected a multiple"),
        ({"layers": 0}, "layers is 0, expected 1 or more"),
        ({"experts": 8}, "experts_per_token is 0, expected at least one of 8"),
        ({"window": 0}, "window is 0, expected 1 or more, or none"),
        ({"norm": "rsm"}, "norm is 'rsm', expected one of rms, layer; did you mean 'rms'"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        ModelConfig(**{**vars(language_model("llama-2-7b")), **changes})
