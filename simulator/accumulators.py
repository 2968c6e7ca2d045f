"""How wide an integer accumulator must be on real operands: overflows and errors by width."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from densimeter.formats import BlockFormat
from densimeter.formats.accumulator import IntAccumulator
from densimeter.kernels import quantize, run_mac_array

Overflow = Literal["wrap", "saturate"]
Operands = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Activations [M, K] and weights [N, K]."""

_WIDEST = IntAccumulator(60)


@dataclass(frozen=True)
class Width:
    """One width in bits: the share of outputs that overflow in it, and the signal-to-noise ratios in dB of registers
    that wrap and that saturate, against registers wide enough; infinite where nothing overflows."""

    bits: int
    overflowed_share: float
    wrap_qsnr_db: float
    saturate_qsnr_db: float

    def to_json(self) -> dict[str, Any]:
        """As a JSON object; an infinite ratio, which JSON cannot hold, is null."""
        return {name: value if math.isfinite(value) else None for name, value in asdict(self).items()}


@dataclass(frozen=True)
class AccumulatorStudy:
    """Widths in bits over all products.

    smallest_bits: without overflow on these operands. weight_bound_bits: with these weights and any activations.
    worst_case_bits: with any operands. outputs: how many there are.
    """

    outputs: int
    smallest_bits: int
    weight_bound_bits: int
    worst_case_bits: int
    widths: tuple[Width, ...]


class _Errors:
    """Sums of squares of what should have come out and of what is wrong with it, of one kind of register."""

    def __init__(self) -> None:
        self.signal = self.noise = 0.0

    def add(self, exact: NDArray[np.float32], found: NDArray[np.float32]) -> None:
        self.signal += float(np.square(exact, dtype=np.float64).sum())
        self.noise += float(np.square(np.subtract(exact, found, dtype=np.float64)).sum())

    @property
    def qsnr_db(self) -> float:
        if not self.noise:
            return math.inf
        return 10 * math.log10(self.signal / self.noise) if self.signal else -math.inf


def study_accumulators(
    products: Iterable[Operands],
    activation: BlockFormat,
    weight: BlockFormat,
    lanes: int | None,
    widths: Sequence[int],
) -> AccumulatorStudy:
    """Quantise the operands of every product and run them through registers of every width in bits.

    lanes: products added exactly before they go to the register; None: as `kernels.matmul`. FormatError for formats
    whose elements are no integers, and for operands that do not fit each other.
    """
    overflowed = dict.fromkeys(widths, 0)
    errors = {(bits, overflow): _Errors() for bits in widths for overflow in get_args(Overflow)}
    outputs, bounds = 0, [(2, 2, 2)]
    for activations, weights in products:
        a, w = quantize(activations, activation), quantize(weights, weight)

        def run(accumulator: IntAccumulator, a: Any = a, w: Any = w) -> Any:
            return run_mac_array(a, w, activation=activation, weight=weight, accumulator=accumulator, lanes=lanes)

        exact = run(_WIDEST)
        outputs += exact.product.size
        bounds.append((exact.smallest_bits, exact.weight_bound_bits, exact.worst_case_bits))
        for bits in widths:
            overflowed[bits] += int((exact.needed_bits > bits).sum())
        for (bits, overflow), sums in errors.items():
            fits = bits >= exact.smallest_bits
            sums.add(exact.product, exact.product if fits else run(IntAccumulator(bits, overflow)).product)
    rows = (
        Width(
            bits,
            overflowed[bits] / outputs if outputs else 0.0,
            errors[bits, "wrap"].qsnr_db,
            errors[bits, "saturate"].qsnr_db,
        )
        for bits in widths
    )
    smallest, weight_bound, worst_case = map(max, zip(*bounds, strict=True))
    return AccumulatorStudy(outputs, smallest, weight_bound, worst_case, tuple(rows))
