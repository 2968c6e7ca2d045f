"""Which operand of which layer of a network is held in which format: the plan that `kernels.torch` carries out.

Kept apart from it so that plans can be read and checked where torch is not installed.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Literal

from densimeter.formats.accumulator import Accumulator
from densimeter.formats.block import BlockFormat
from densimeter.formats.datapath import default_lanes, derive
from densimeter.formats.errors import ConfigError, FormatError, nearest

Operand = Literal["weight", "activation", "query", "key", "probability", "value"]
ValueAxis = Literal["tokens", "channels"]

OUTPUT_EMBEDDINGS = ("lm_head", "*.decoder")
"""Where causal and masked language models keep theirs; published tables leave it as it is."""


@dataclass(frozen=True)
class LayerFormats:
    """The formats of the operands of a layer's products; None leaves an operand in floating point.

    weight, activation: of a linear layer; query, key: of the scores; probability, value: of their product with the
    values. Key and value are what a KV cache holds. Blocks lie along the contraction axis.
    accumulator: of the linear layer's unit, bit for bit (`kernels.matmul`); None lets torch sum in float32.
    attention_accumulator: the same for both products inside attention, all of whose operands then need a format and the
    values blocks along the contraction axis.
    value_axis: along which blocks of the values lie. "tokens" is the contraction axis, which a unit with one scale a
    block needs (the last tokens of a block then share the scale of those after them); "channels" quantises each token
    when it comes, as the published code of arXiv:2310.05079 does.
    """

    weight: BlockFormat | None = None
    activation: BlockFormat | None = None
    query: BlockFormat | None = None
    key: BlockFormat | None = None
    probability: BlockFormat | None = None
    value: BlockFormat | None = None
    accumulator: Accumulator | None = None
    attention_accumulator: Accumulator | None = None
    value_axis: ValueAxis = "tokens"

    def __post_init__(self) -> None:
        if self.accumulator is not None:
            if self.weight is None or self.activation is None:
                raise FormatError("an accumulator is given, expected a weight and an activation format beside it")
            _check_unit(self.activation, self.weight, self.accumulator)
        if self.attention_accumulator is not None:
            operands = self.query, self.key, self.probability, self.value
            if None in operands or self.value_axis != "tokens":
                raise FormatError(
                    "an attention_accumulator is given, expected formats of query, key, probability and value beside "
                    'it, and value_axis "tokens"'
                )
            for left, right in (operands[:2], operands[2:]):
                _check_unit(left, right, self.attention_accumulator)

    @property
    def attends(self) -> bool:
        """Whether an operand of the products inside attention has a format."""
        return any((self.query, self.key, self.probability, self.value))


def _check_unit(activation: BlockFormat | None, weight: BlockFormat | None, accumulator: Accumulator) -> None:
    assert activation is not None
    assert weight is not None
    derive(activation, weight, default_lanes(activation, weight), accumulator)


@dataclass(frozen=True)
class Recipe:
    """Formats for every layer of a model.

    overrides: (pattern, fields of LayerFormats), for modules whose dotted path matches as in a shell; the last match
    wins, field by field. skip: linear layers left alone; by default the output embedding, as in published tables.
    seed: of stochastic rounding.
    """

    formats: LayerFormats = LayerFormats()
    overrides: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    skip: tuple[str, ...] = OUTPUT_EMBEDDINGS
    seed: int = 0

    def of(self, path: str) -> LayerFormats:
        """The formats of the module at a path; FormatError where overrides make no unit."""
        changes: dict[str, Any] = {}
        for pattern, fields in self.overrides:
            if fnmatchcase(path, pattern):
                changes |= fields
        return replace(self.formats, **changes)

    def skips(self, path: str) -> bool:
        """Whether the linear layer at a path is left alone."""
        return any(fnmatchcase(path, pattern) for pattern in self.skip)

    def check(self, paths: Iterable[str]) -> None:
        """ConfigError where an override is about none of the modules at these paths."""
        known = list(paths)
        for pattern, _ in self.overrides:
            if not any(fnmatchcase(path, pattern) for path in known):
                near = nearest(pattern.replace("*", ""), known)
                raise ConfigError(f"layers {pattern!r}: matches none of the model's {len(known)} modules{near}")
