"""What a machine has to do: matrix products and vector work, and which tensor each operand is, hence its format.

A product is ``[m, k] x [n, k].T``: both operands lie with the contraction axis last, the axis along which formats share
their scales. Keys are thus blocked along the head's dimension (query times key contracts it), values along the context.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, get_args

from densimeter.formats.errors import ConfigError, nearest

Operand = Literal["activation", "weight", "key", "value", "query", "probability", "output"]
Phase = Literal["prefill", "decode", "generate", "custom"]

OPERANDS: tuple[Operand, ...] = get_args(Operand)
PHASES: tuple[Phase, ...] = get_args(Phase)
CACHED: tuple[Operand, ...] = ("key", "value")
_LARGEST = 2**53 - 1  # up to here float64, in which sizes are divided and multiplied, holds every integer


@dataclass(frozen=True)
class Gemm:
    """One matrix product ``[m, k] x [n, k].T``, executed `count` times with other operands each time.

    first: the streamed operand, ``[m, k]``: activation, query or probability. second: ``[n, k]``: weight, key or value.
    result: what ``[m, n]`` becomes; "key" and "value" stay in the KV cache, "output" is the model's own result.
    parts: executions whose operands and results are parts of one tensor of a layer, such as its heads.
    """

    name: str
    m: int
    n: int
    k: int
    count: int = 1
    first: Operand = "activation"
    second: Operand = "weight"
    result: Operand = "activation"
    parts: int = 1

    def __post_init__(self) -> None:
        for field in ("m", "n", "k", "count", "parts"):
            _check_size(f"{field} of product {self.name!r}", getattr(self, field), smallest=1)
        for field in ("first", "second", "result"):
            operand = getattr(self, field)
            if operand not in OPERANDS:
                raise ConfigError(
                    f"{field} of product {self.name!r} is {operand!r}, expected one of {', '.join(OPERANDS)}"
                    f"{nearest(str(operand), OPERANDS)}"
                )

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all executions."""
        return self.count * self.m * self.n * self.k

    @property
    def flops(self) -> int:
        """Two a multiply-accumulate."""
        return 2 * self.macs

    @property
    def first_values(self) -> int:
        """Values of the first operand, over all executions."""
        return self.count * self.m * self.k

    @property
    def second_values(self) -> int:
        """Values of the second operand, over all executions: each has its own weights, keys or values."""
        return self.count * self.n * self.k

    @property
    def result_values(self) -> int:
        """Values of the result, over all executions."""
        return self.count * self.m * self.n


@dataclass(frozen=True)
class VectorWork:
    """Work outside matrix products: `operations_per_element` on each of `elements`, over the whole workload."""

    name: str
    elements: int
    operations_per_element: int

    def __post_init__(self) -> None:
        for field in ("elements", "operations_per_element"):
            _check_size(f"{field} of vector work {self.name!r}", getattr(self, field), smallest=0)

    @property
    def operations(self) -> int:
        return self.elements * self.operations_per_element


@dataclass(frozen=True)
class Workload:
    """What one execution asks of a machine, and the facts behind its memory footprint (0: not known, or none).

    tokens: processed by a prefill, produced by a decode or a generation, of all sequences. parameters: of the whole
    model; weight_values: those in matrices, embeddings included. kv_values_per_token: key and value numbers that a
    token leaves in the cache, all layers; context: tokens of a sequence that the cache holds in the end; batch:
    sequences.
    """

    name: str
    phase: Phase
    tokens: int
    gemms: tuple[Gemm, ...]
    vector_work: tuple[VectorWork, ...] = ()
    parameters: int = 0
    weight_values: int = 0
    kv_values_per_token: int = 0
    context: int = 0
    batch: int = 1

    def __post_init__(self) -> None:
        if self.phase not in PHASES:
            raise ConfigError(
                f"phase is {self.phase!r}, expected one of {', '.join(PHASES)}{nearest(str(self.phase), PHASES)}"
            )
        if not self.gemms:
            raise ConfigError(f"workload {self.name!r} has no matrix product, expected one or more")
        for field in ("tokens", "batch"):
            _check_size(f"{field} of workload {self.name!r}", getattr(self, field), smallest=1)
        for field in ("parameters", "weight_values", "kv_values_per_token", "context"):
            _check_size(f"{field} of workload {self.name!r}", getattr(self, field), smallest=0)

    @property
    def macs(self) -> int:
        return sum(gemm.macs for gemm in self.gemms)

    @property
    def flops(self) -> int:
        """Of the matrix products alone; vector work is `vector_operations`."""
        return 2 * self.macs

    @property
    def vector_operations(self) -> int:
        return sum(work.operations for work in self.vector_work)

    @property
    def kv_cache_values(self) -> int:
        """Values in the KV cache of all sequences at the end."""
        return self.batch * self.context * self.kv_values_per_token

    def second_values(self, *operands: Operand) -> int:
        """Values of the second operands of these kinds, read once by each product."""
        return sum(gemm.second_values for gemm in self.gemms if gemm.second in operands)

    @property
    def cached_values(self) -> int:
        """Key and value numbers that this execution appends to the KV cache."""
        if not self.kv_values_per_token:
            return 0
        return sum(gemm.result_values for gemm in self.gemms if gemm.result in CACHED)


def merged(gemms: Iterable[Gemm]) -> tuple[Gemm, ...]:
    """Equal products as one with the sum of their counts, in the order of first appearance."""
    counts: dict[Gemm, int] = {}
    for gemm in gemms:
        once = replace(gemm, count=1)
        counts[once] = counts.get(once, 0) + gemm.count
    return tuple(replace(once, count=count) for once, count in counts.items())


def _check_size(name: str, value: object, *, smallest: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < smallest:
        raise ConfigError(f"{name} is {value!r}, expected an integer of {smallest} or more")
    if value > _LARGEST:
        raise ConfigError(f"{name} is {value}, expected at most {_LARGEST}")
