"""ModelConfig: the shape of a transformer language model, from which products, parameters and memory follow."""

from dataclasses import dataclass
from typing import Literal, get_args

from densimeter.formats.errors import ConfigError, nearest

Norm = Literal["rms", "layer"]
Activation = Literal["silu", "gelu", "gelu_tanh", "relu"]

_SIZES = ("layers", "hidden", "heads", "kv_heads", "head_dim", "ffn", "vocabulary", "embedding")
_COUNTS = ("positions", "unused_positions", "token_types", "experts", "experts_per_token")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """A stack of equal transformer layers, dense or with routed experts, causal or an encoder.

    hidden: width of the residual stream; ffn: inner width of the feed-forward network, of one expert where there are
    any; embedding: width of the token embeddings (projected to `hidden` and back where it differs). gated: the network
    multiplies two expansions (gate and up). positions: those of a learned embedding, which has `unused_positions` rows
    besides; 0 for rotary ones. token_types: rows of a segment embedding. window: keys that a query sees at most.
    causal: whether tokens follow each other, with a KV cache and an lm_head; an encoder has neither. tied: the lm_head
    is the token embedding. modules: the name of each linear layer with its dotted path in the checkpoint, where {layer}
    stands for a number.
    """

    name: str
    source: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocabulary: int
    embedding: int
    activation: Activation
    gated: bool
    norm: Norm
    tied: bool
    qkv_bias: bool = False
    output_bias: bool = False
    ffn_bias: bool = False
    qk_norm: bool = False
    embedding_norm: bool = False
    final_norm: bool = True
    pooler: bool = False
    causal: bool = True
    positions: int = 0
    unused_positions: int = 0
    token_types: int = 0
    experts: int = 0
    experts_per_token: int = 0
    window: int | None = None
    modules: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for smallest, fields in ((1, _SIZES), (0, _COUNTS)):
            for field in fields:
                if getattr(self, field) < smallest:
                    raise ConfigError(f"{field} is {getattr(self, field)}, expected {smallest} or more")
        for field, choices in (("activation", get_args(Activation)), ("norm", get_args(Norm))):
            value = getattr(self, field)
            if value not in choices:
                raise ConfigError(
                    f"{field} is {value!r}, expected one of {', '.join(choices)}{nearest(str(value), choices)}"
                )
        if self.heads % self.kv_heads:
            raise ConfigError(f"{self.heads} heads on {self.kv_heads} key heads, expected a multiple")
        if not min(1, self.experts) <= self.experts_per_token <= self.experts:
            raise ConfigError(
                f"experts_per_token is {self.experts_per_token}, expected at least one of {self.experts} and not more"
            )
        if self.window is not None and self.window < 1:
            raise ConfigError(f"window is {self.window}, expected 1 or more, or none")

    @property
    def group(self) -> int:
        """Query heads that share one key head."""
        return self.heads // self.kv_heads

    @property
    def query_width(self) -> int:
        """Width of a token's queries, all heads."""
        return self.heads * self.head_dim

    @property
    def kv_width(self) -> int:
        """Width of a token's keys, and of its values, all heads of one layer."""
        return self.kv_heads * self.head_dim

    @property
    def ffn_matrices(self) -> int:
        """Matrices of the feed-forward network: gate, up and down, or the last two."""
        return 3 if self.gated else 2

    @property
    def kv_values_per_token(self) -> int:
        """Key and value numbers that a token leaves in the cache, all layers."""
        return 2 * self.layers * self.kv_width if self.causal else 0

    def cached_tokens(self, context: int) -> int:
        """Tokens of a context that the KV cache holds: a window forgets the rest."""
        return context if self.window is None else min(context, self.window)
