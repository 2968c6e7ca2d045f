"""Work outside matrix products, estimated from the definitions of the functions.

Basis: an addition, multiplication, comparison, division, exponential, error function, hyperbolic tangent or square
root counts one operation; work per row, such as a row's square root, vanishes beside work per element and counts
nothing.
"""

from collections.abc import Iterable

from densimeter.hwmodels.gemm import Gemm, VectorWork
from densimeter.simulator.workloads.language_models.config import ModelConfig
from densimeter.simulator.workloads.language_models.layers import linears

# By name: what is done to each element.
OPERATIONS = {
    "softmax": 5,  # compare for the maximum, subtract it, exponential, add up, divide
    "rms_norm": 4,  # square, add up, divide by the root, times the weight
    "layer_norm": 7,  # add up, subtract the mean, square, add up, divide by the root, times the weight, plus the bias
    "silu": 4,  # x / (1 + exp(-x))
    "gelu": 5,  # x * 0.5 * (1 + erf(x * c))
    "gelu_tanh": 9,  # 0.5 * x * (1 + tanh(c * x * (1 + d * x * x)))
    "relu": 1,
    "gate": 1,  # one expansion times the other
    "rotary": 3,  # two products and a sum, after the sines and cosines have been tabulated
    "residual": 1,
    "bias": 1,
    "embedding": 1,  # position or segment added
    "router": 5,  # a softmax over the experts
    "combine": 2,  # an expert's result times its share, added up
}


def vector_work(config: ModelConfig, gemms: Iterable[Gemm], *, tokens: int) -> tuple[VectorWork, ...]:
    """The vector work of a pass over `tokens` tokens in all, whose products are `gemms`."""
    results: dict[str, int] = {}
    for gemm in gemms:
        results[gemm.name] = results.get(gemm.name, 0) + gemm.result_values
    stream = tokens * config.hidden
    per_head = config.layers * tokens * (config.query_width + config.kv_width)  # queries and keys
    expanded = config.layers * tokens * config.ffn * (config.experts_per_token or 1)
    norms = (2 * config.layers + config.final_norm + config.embedding_norm) * stream + config.qk_norm * per_head
    elements = {
        "softmax": results["qk"],
        f"{config.norm}_norm": norms,
        config.activation: expanded,
        "gate": expanded * config.gated,
        "rotary": per_head if config.causal and not config.positions else 0,
        "residual": 2 * config.layers * stream,
        "bias": sum(results[linear.name] for linear in linears(config) if linear.bias),
        "embedding": (bool(config.positions) + bool(config.token_types)) * stream,
        "router": results.get("router", 0),
        "combine": config.layers * stream * config.experts_per_token,
    }
    return tuple(VectorWork(name, count, OPERATIONS[name]) for name, count in elements.items() if count)


def summed(work: Iterable[VectorWork]) -> tuple[VectorWork, ...]:
    """Work of the same kind as one, in the order of first appearance."""
    elements: dict[tuple[str, int], int] = {}
    for part in work:
        key = (part.name, part.operations_per_element)
        elements[key] = elements.get(key, 0) + part.elements
    return tuple(VectorWork(name, count, operations) for (name, operations), count in elements.items())
