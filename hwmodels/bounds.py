"""The roofline of a transformer in closed form: operations, bytes and tokens a second, without a list of products.

Williams et al., "Roofline", CACM 52(4), 2009, applied to a stack of equal dense layers. With width d, key width d_kv,
L layers, g matrices of d x f in the feed-forward network and V words, the values in matrices that a token meets are
``P = L * (2*d*d + 2*d*d_kv + g*d*f) + d*V``. A decode step of B sequences over a context of S tokens takes ``2*B*P +
4*B*L*S*d`` operations, reads every weight once and the whole cache, and writes one token to it. What a list of
products sums up to must equal it; the bounds do not know tiles, SRAM or vector work.
"""

from dataclasses import dataclass
from fractions import Fraction

from densimeter.formats.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class TransformerShape:
    """Sizes of a dense decoder. ffn_matrices: 3 with a gate, 2 without; query_width: heads times their dimension."""

    layers: int
    hidden: int
    query_width: int
    kv_width: int
    ffn: int
    ffn_matrices: int
    vocabulary: int

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 1:
                raise ConfigError(f"{name} is {value}, expected 1 or more")
        if self.ffn_matrices not in (2, 3):
            raise ConfigError(f"ffn_matrices is {self.ffn_matrices}, expected 2 (up, down) or 3 (gate besides)")

    @property
    def layer_values(self) -> int:
        """Weights of one layer: q and o, k and v, the feed-forward network."""
        attention = 2 * self.hidden * self.query_width + 2 * self.hidden * self.kv_width
        return attention + self.ffn_matrices * self.hidden * self.ffn

    @property
    def matrix_values(self) -> int:
        """P: weights of all layers and of the lm_head; the embedding is looked up, not multiplied."""
        return self.layers * self.layer_values + self.hidden * self.vocabulary

    def kv_values(self, *, batch: int, context: int) -> int:
        """Key and value numbers of `batch` sequences of `context` tokens."""
        return 2 * batch * self.layers * context * self.kv_width

    def decode_flops(self, *, batch: int, context: int) -> int:
        """Operations of one decode step, two a multiply-accumulate."""
        return 2 * batch * self.matrix_values + 4 * batch * self.layers * context * self.query_width

    def prefill_flops(self, *, batch: int, context: int) -> int:
        """Operations of reading prompts, masked scores included; the lm_head sees the last token of each."""
        tokens = batch * context
        attention = 4 * batch * self.layers * context**2 * self.query_width
        return 2 * tokens * self.layers * self.layer_values + attention + 2 * batch * self.hidden * self.vocabulary

    def decode_bytes(self, *, batch: int, context: int, weight_bytes: Fraction, kv_bytes: Fraction) -> Fraction:
        """Memory traffic of one decode step: weights and cache read, one token a sequence written to the cache.

        weight_bytes, kv_bytes: per value, scales included, such as ``get("mxfp4").bits_per_value / 8``.
        """
        cached = self.kv_values(batch=batch, context=context) + self.kv_values(batch=batch, context=1)
        return self.matrix_values * weight_bytes + cached * kv_bytes

    def prefill_bytes(self, *, batch: int, context: int, weight_bytes: Fraction, kv_bytes: Fraction) -> Fraction:
        """Memory traffic of reading prompts, at best: weights read and the cache written once, all else on chip."""
        return self.matrix_values * weight_bytes + self.kv_values(batch=batch, context=context) * kv_bytes


def seconds(*, flops: int, traffic_bytes: Fraction, bandwidth_gb_s: float, tflops: float | None = None) -> float:
    """The roofline: the longer of moving the bytes (GB = 1e9 bytes) and, where `tflops` is given, of computing."""
    rates = {"bandwidth_gb_s": bandwidth_gb_s} | ({} if tflops is None else {"tflops": tflops})
    for name, rate in rates.items():
        if not rate > 0:
            raise ConfigError(f"{name} is {rate}, expected a rate above 0")
    moving = float(traffic_bytes) / (bandwidth_gb_s * 1e9)
    return moving if tflops is None else max(moving, flops / (tflops * 1e12))


def decode_tokens_per_second(
    shape: TransformerShape,
    *,
    batch: int = 1,
    context: int,
    weight_bytes: Fraction,
    kv_bytes: Fraction,
    bandwidth_gb_s: float,
    tflops: float | None = None,
) -> float:
    """Tokens a second of all sequences at the roofline; arguments as in `decode_bytes` and `seconds`."""
    traffic = shape.decode_bytes(batch=batch, context=context, weight_bytes=weight_bytes, kv_bytes=kv_bytes)
    flops = shape.decode_flops(batch=batch, context=context)
    return batch / seconds(flops=flops, traffic_bytes=traffic, bandwidth_gb_s=bandwidth_gb_s, tflops=tflops)
