"""Memory density of a whole transformer layer: values over stored bits, summed over every GEMM and relative to float32.

The definition of arXiv 2310.05079 (block-quantisation paper): ``32 * values / bits`` over the weights, the biases
and the
*input* activations of all GEMMs of one layer. The two matrix products of attention have no weight: both operands
count as activations, for every head. Outputs count nothing, since the next GEMM counts them as its input.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from densimeter.formats import ConfigError

FLOAT32_BITS = 32

ATTENTION_PRODUCTS = ("qk", "av")


@dataclass(frozen=True)
class GemmValues:
    """Counts of stored values of one GEMM: its input activations, and its second operand (weights, or K or V)."""

    activations: int
    weights: int
    biases: int = 0


@dataclass(frozen=True)
class OperandBits:
    """Stored bits per value, scales included, of a GEMM's two operands; a bias is stored as its weights are."""

    activation: Fraction
    weight: Fraction


def layer_gemms(
    *, hidden: int, ffn: int, heads: int, sequence: int, gated: bool = True, bias: bool = False
) -> dict[str, GemmValues]:
    """The eight GEMMs of a transformer layer (nine with a gate) by name: q k v qk av o gate up down.

    hidden, ffn: widths; sequence: tokens. `gated` False leaves out the gate (OPT).
    """
    tokens = sequence * hidden
    projection = GemmValues(tokens, hidden * hidden, hidden * bias)
    expansion = GemmValues(tokens, hidden * ffn, ffn * bias)
    gemms = {
        "q": projection,
        "k": projection,
        "v": projection,
        "qk": GemmValues(tokens, tokens),
        "av": GemmValues(heads * sequence * sequence, tokens),
        "o": projection,
        "gate": expansion,
        "up": expansion,
        "down": GemmValues(sequence * ffn, ffn * hidden, hidden * bias),
    }
    return gemms if gated else {name: values for name, values in gemms.items() if name != "gate"}


def average_bits(
    gemms: Mapping[str, GemmValues], bits: Mapping[str, OperandBits], *, attention_products_share_width: bool = False
) -> Fraction:
    """Stored bits per value over all operands of `gemms`.

    attention_products_share_width: as in the paper's published code, both operands of QK^T and AV take the first
    one's bits.
    """
    values, stored = 0, Fraction(0)
    for name, counts in gemms.items():
        if name not in bits:
            raise ConfigError(f"no bits given for GEMM {name!r}; expected {', '.join(gemms)}")
        operands = bits[name]
        shares = attention_products_share_width and name in ATTENTION_PRODUCTS
        second = operands.activation if shares else operands.weight
        values += counts.activations + counts.weights + counts.biases
        stored += counts.activations * operands.activation + (counts.weights + counts.biases) * second
    return stored / values


def memory_density(
    gemms: Mapping[str, GemmValues], bits: Mapping[str, OperandBits], *, attention_products_share_width: bool = False
) -> Fraction:
    """Memory density of a layer relative to float32, exactly: ``32 / average_bits``; arguments as there."""
    shared = attention_products_share_width
    return FLOAT32_BITS / average_bits(gemms, bits, attention_products_share_width=shared)
