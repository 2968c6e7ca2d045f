"""The phases of inference as workloads: reading a prompt, producing a token, and both one after the other."""

from collections.abc import Iterable

from densimeter.formats.errors import ConfigError, nearest
from densimeter.hwmodels.gemm import Gemm, Phase, VectorWork, Workload, merged
from densimeter.simulator.workloads.language_models.config import ModelConfig
from densimeter.simulator.workloads.language_models.layers import matrix_values, parameter_count
from densimeter.simulator.workloads.language_models.products import Span, products
from densimeter.simulator.workloads.language_models.vector_work import summed, vector_work

_PHASES = ("prefill", "decode", "generate")


def workload(
    config: ModelConfig,
    *,
    phase: str = "decode",
    batch: int = 1,
    context: int,
    tokens: int = 1,
    query_tile: int | None = None,
) -> Workload:
    """One execution of a phase for `batch` sequences of equal length.

    prefill: `context` tokens of each sequence pass at once, the lm_head sees the last one alone. An encoder does
        nothing else.
    decode: each sequence gets one token, which attends to `context` tokens, itself among them.
    generate: a prompt of `context` tokens, then `tokens` new ones; the first comes from the prefill, every further one
        from a decode step.

    query_tile: how a prefill treats the causal mask. None: scores are computed for all ``context * context`` pairs and
    half of them thrown away, as plain kernels do. A number: queries go in tiles of so many, and a tile leaves out the
    keys after its last query, and those before the window of its first one; 1 computes no masked score.

    Raises ConfigError for an unknown phase, sizes below 1, a context beyond the learned positions, or a phase that an
    encoder lacks.
    """
    if phase not in _PHASES:
        raise ConfigError(f"phase is {phase!r}, expected one of {', '.join(_PHASES)}{nearest(phase, _PHASES)}")
    _check(config, phase, batch=batch, context=context, tokens=tokens, query_tile=query_tile)
    if phase == "decode":
        return _decode(config, batch, context)
    reading = _prefill(config, batch, context, query_tile)
    if phase == "prefill":
        return reading
    steps = [_decode(config, batch, context + produced) for produced in range(1, tokens)]
    passes = [reading, *steps]
    return _workload(
        config,
        "generate",
        f"{batch}x{context}+{tokens}",
        batch=batch,
        tokens=batch * tokens,
        context=context + tokens - 1,
        gemms=merged(gemm for part in passes for gemm in part.gemms),
        vectors=summed(work for part in passes for work in part.vector_work),
    )


def _prefill(config: ModelConfig, batch: int, context: int, query_tile: int | None) -> Workload:
    spans = _spans(config, context, query_tile)
    gemms = merged(products(config, batch=batch, tokens=context, spans=spans))
    vectors = vector_work(config, gemms, tokens=batch * context)
    return _workload(
        config,
        "prefill",
        f"{batch}x{context}",
        batch=batch,
        tokens=batch * context,
        context=context,
        gemms=gemms,
        vectors=vectors,
    )


def _decode(config: ModelConfig, batch: int, context: int) -> Workload:
    gemms = products(config, batch=batch, tokens=1, spans=(Span(1, config.cached_tokens(context)),))
    vectors = vector_work(config, gemms, tokens=batch)
    return _workload(
        config,
        "decode",
        f"{batch}x{context}",
        batch=batch,
        tokens=batch,
        context=context,
        gemms=gemms,
        vectors=vectors,
    )


def _spans(config: ModelConfig, context: int, query_tile: int | None) -> tuple[Span, ...]:
    if query_tile is None:
        return (Span(context, context),)
    spans = []
    for start in range(0, context, query_tile):
        stop = min(start + query_tile, context)
        first_key = 0 if config.window is None else max(0, start - config.window + 1)
        spans.append(Span(stop - start, stop - first_key))
    return tuple(spans)


def _workload(
    config: ModelConfig,
    phase: Phase,
    extent: str,
    *,
    batch: int,
    tokens: int,
    context: int,
    gemms: Iterable[Gemm],
    vectors: Iterable[VectorWork],
) -> Workload:
    return Workload(
        name=f"{config.name} {phase} {extent}",
        phase=phase,
        tokens=tokens,
        gemms=tuple(gemms),
        vector_work=tuple(vectors),
        parameters=parameter_count(config),
        weight_values=matrix_values(config),
        kv_values_per_token=config.kv_values_per_token,
        context=config.cached_tokens(context),
        batch=batch,
    )


def _check(config: ModelConfig, phase: str, *, batch: int, context: int, tokens: int, query_tile: int | None) -> None:
    sizes = {
        "batch": batch,
        "context": context,
        "tokens": tokens,
        "query_tile": 1 if query_tile is None else query_tile,
    }
    for name, size in sizes.items():
        if size < 1:
            raise ConfigError(f"{name} is {size}, expected 1 or more")
    if not config.causal and (phase != "prefill" or query_tile is not None):
        asked = f"phase {phase!r}" if phase != "prefill" else f"query_tile {query_tile}"
        raise ConfigError(f"{config.name} is an encoder and has no {asked}; expected phase 'prefill', without a tile")
    if phase == "decode" and query_tile is not None:
        raise ConfigError(f"query_tile is {query_tile} in phase 'decode', whose one query has no masked key; drop it")
    last = context + tokens - 1 if phase == "generate" else context
    if config.positions and last > config.positions:
        raise ConfigError(f"{last} tokens, expected at most {config.positions}, the learned positions of {config.name}")
