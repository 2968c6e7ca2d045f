"""A MAC array of integers with accumulators of finite width: the product, and which additions did not fit.

`matmul` gives the product alone. Here every output also tells how many of its additions overflowed, where the first
one did, and how wide its accumulator would have had to be.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from densimeter.formats.accumulator import IntAccumulator, parse_accumulator
from densimeter.formats.block import BlockFormat
from densimeter.formats.datapath import Datapath, default_lanes, derive
from densimeter.formats.element import IntElement
from densimeter.formats.errors import FormatError
from densimeter.kernels.array_bounds import of_weights, worst_case
from densimeter.kernels.array_loops import EXACT_SUMS, ArrayParameters, Limits, Side, run, widest_panel
from densimeter.kernels.operand_tensors import checked_operands, has_outer_scale, outer_scale, scales_of_rows
from densimeter.kernels.operands import NAN_SCALE, unpack_operand
from densimeter.kernels.tensor import QuantizedTensor

_CHUNK_VALUES = 1 << 20
_VECTOR = 16
_FLOAT64_BITS = 53
_CANONICAL_NAN = np.float32(np.nan)


@dataclass(frozen=True)
class MacArrayRun:
    """What an array of integer multiply-accumulate units returned, and what its accumulators went through.

    product: float32 [M, N].
    overflows: int32 [M, N], additions whose exact result the register could not hold.
    first_overflow: int32 [M, N], the k of the first product of the first such addition; -1 where there was none.
    needed_bits: uint8 [M, N], the narrowest register, from 2 bits on, in which no addition of the output overflows.
    additions: of each output: groups of `lanes` products.
    segment: products that a register adds up before it is read: K, or a block where the unit applies scales.
    worst_case_bits: the narrowest register that holds `segment` products of any numbers of these formats.
    weight_bound_bits: the same for these weights and any activations (A2Q's l1 norm).
    """

    accumulator: IntAccumulator
    lanes: int
    segment: int
    additions: int
    product: NDArray[np.float32]
    overflows: NDArray[np.int32]
    first_overflow: NDArray[np.int32]
    needed_bits: NDArray[np.uint8]
    worst_case_bits: int
    weight_bound_bits: int

    @property
    def total_overflows(self) -> int:
        return int(self.overflows.sum(dtype=np.int64))

    @property
    def overflowed_share(self) -> float:
        """Share of outputs with at least one overflow; 0 of none."""
        return self.share_beyond(self.accumulator.bits)

    @property
    def smallest_bits(self) -> int:
        """The narrowest register in which no addition overflows on these operands, from 2 bits on."""
        return int(self.needed_bits.max(initial=2))

    def share_beyond(self, bits: int) -> float:
        """Share of outputs with at least one overflow in registers of `bits` bits, wrapping or saturating."""
        return float((self.needed_bits > bits).mean()) if self.needed_bits.size else 0.0


def run_mac_array(
    a: ArrayLike | QuantizedTensor,
    w: ArrayLike | QuantizedTensor,
    *,
    activation: BlockFormat,
    weight: BlockFormat,
    accumulator: IntAccumulator | str = "int32",
    lanes: int | None = None,
) -> MacArrayRun:
    """``a[M, K] @ w[N, K].T`` on integers, with every addition to the accumulators watched.

    Groups of `lanes` products (default: one block, or one product where neither format has blocks) are summed exactly
    and go to the accumulator in ascending k, which wraps or saturates. Where neither format has blocks, the product is
    that of `matmul` with the same accumulator and lanes. Where one has, the accumulator adds up one block, starts the
    next at zero, and its value times the block scales is added in float32: without overflow, the product is that of
    `matmul` with the fp32 accumulator and one block a group. Arrays are quantised along K first.

    Raises FormatError for elements that are no integers, and for what `matmul` refuses.
    """
    left, right = checked_operands(a, w, activation, weight)
    parsed = parse_accumulator(accumulator) if isinstance(accumulator, str) else accumulator
    if not isinstance(parsed, IntAccumulator):
        raise FormatError(f"accumulator is {parsed}, expected a finite one of integers such as int24 or int24_saturate")
    for fmt in (activation, weight):
        _check_integers(fmt)
    datapath = _unit(activation, weight, parsed, default_lanes(activation, weight) if lanes is None else lanes)
    segment = _segment(datapath, left.shape[1])
    rows, columns = _integers(left, datapath, segment), _integers(right, datapath, segment)
    sums = min(rows.largest * columns.largest_norm, columns.largest * rows.largest_norm)
    dtype = next((kind for kind, limit in EXACT_SUMS.items() if sums < limit), None)
    if dtype is None:
        raise FormatError(
            f"magnitudes of products add up to {sums:.3g}, expected less than {EXACT_SUMS[np.float64]:.3g}"
        )
    shape = left.shape[0], right.shape[0]
    product, overflows = np.empty(shape, np.float32), np.empty(shape, np.int32)
    first_overflow, needed_bits = np.empty(shape, np.int32), np.empty(shape, np.uint8)
    _check_exact(sums, datapath)
    run(
        rows.values.astype(dtype, copy=False),
        _panels(columns.values, dtype, widest_panel(*shape)),
        _side(left, datapath, datapath.exponent_offset),
        _side(right, datapath),
        ArrayParameters(datapath.lanes, segment, parsed.overflow == "saturate"),
        Limits.of(parsed.bits, dtype),
        product,
        overflows,
        first_overflow,
        needed_bits,
    )
    if any(has_outer_scale(fmt) for fmt in datapath.operands):
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            product *= outer_scale(left)[:, None] * outer_scale(right)[None, :]
    product[np.isnan(product)] = _CANONICAL_NAN
    products = min(segment, left.shape[1])  # without those that fill the last group up
    return MacArrayRun(
        accumulator=parsed,
        lanes=datapath.lanes,
        segment=products,
        additions=rows.values.shape[1] // datapath.lanes,
        product=product,
        overflows=overflows,
        first_overflow=first_overflow,
        needed_bits=needed_bits,
        worst_case_bits=worst_case(activation, weight, products).bits,
        weight_bound_bits=of_weights(columns.positive, columns.negative, activation).bits,
    )


class _Integers(NamedTuple):
    """One operand: float32 [rows, K], K filled up to whole groups.

    largest: of the magnitudes. positive, negative: sums of the positive and of the negative ones, [rows, segments].
    """

    values: NDArray[np.float32]
    largest: float
    positive: NDArray[np.float64]
    negative: NDArray[np.float64]

    @property
    def largest_norm(self) -> float:
        """The largest sum of the magnitudes of one segment."""
        return float((self.positive - self.negative).max(initial=0))


def _integers(tensor: QuantizedTensor, datapath: Datapath, segment: int) -> _Integers:
    """Unpack an operand some rows at a time: on the way its integers take twice the space."""
    codes = tensor.code_rows().reshape(tensor.shape)
    scales = scales_of_rows(tensor)
    length = codes.shape[1] + -codes.shape[1] % datapath.lanes
    starts = np.arange(0, length, segment)
    values = np.empty((len(codes), length), np.float32)
    positive, negative = (np.zeros((len(codes), len(starts))) for _ in range(2))
    step = max(1, _CHUNK_VALUES // max(length, 1))
    for first in range(0, len(codes), step):
        some = slice(first, first + step)
        values[some] = unpack_operand(codes[some], scales[some], tensor.format, datapath).values
        if length:
            np.add.reduceat(np.maximum(values[some], 0), starts, axis=1, dtype=np.float64, out=positive[some])
            np.add.reduceat(np.minimum(values[some], 0), starts, axis=1, dtype=np.float64, out=negative[some])
    largest = float(max(values.max(initial=0), -values.min(initial=0)))
    return _Integers(values, largest, positive, negative)


def _side(tensor: QuantizedTensor, datapath: Datapath, exponent: int = 0) -> Side:
    """Block scales as numbers times ``2**exponent``, NaN where they are."""
    codes, fmt = tensor.code_rows().reshape(tensor.shape), tensor.format
    operand = unpack_operand(codes[:, :0], scales_of_rows(tensor), fmt, datapath)
    numbers = np.ldexp(operand.scale_significands.astype(np.float64), operand.scale_exponents + exponent)
    numbers[operand.scale_exponents == NAN_SCALE] = np.nan
    block = fmt.block_columns if fmt.has_unit_scale else None
    return Side(np.ascontiguousarray(numbers.T), block or max(codes.shape[1] + datapath.lanes, 1))


def _check_exact(sums: float, datapath: Datapath) -> None:
    """Registers times their scales must be exact in float64."""
    scale_bits = datapath.scaled_sum_bits - datapath.sum_bits
    if sums * 2.0**scale_bits > 2.0**_FLOAT64_BITS:
        raise FormatError(
            f"sums of up to {sums:.3g} times block scales of {scale_bits} significand bits together are more than "
            f"{_FLOAT64_BITS} bits; use scales that are powers of two or narrower floats"
        )


def _check_integers(fmt: BlockFormat) -> None:
    if not isinstance(fmt.element, IntElement):
        raise FormatError(f"{fmt.name} has elements {fmt.element.notation}, expected integers; use matmul for others")


def _unit(activation: BlockFormat, weight: BlockFormat, accumulator: IntAccumulator, lanes: int) -> Datapath:
    """The unit; where it applies scales, they and the float32 sum of blocks stand behind the integer accumulator."""
    scaled = activation.has_unit_scale or weight.has_unit_scale
    return derive(activation, weight, lanes, "fp32" if scaled else accumulator)


def _segment(datapath: Datapath, length: int) -> int:
    """Products that a register adds up: those that share their scales, or all, whole groups of them."""
    blocks = [fmt.block_columns or 0 for fmt in datapath.scaled]
    whole = max(length + -length % datapath.lanes, 1)
    return min(math.gcd(*blocks), whole) if blocks else whole


def _panels(values: NDArray[np.float32], dtype: type[np.floating], widest: int) -> NDArray[np.floating]:
    """[N, K] as [panels, K, columns], the last panel filled up with zeros; columns are whole vectors, panels alike."""
    count = max(-(-len(values) // widest), 1)
    width = -(-len(values) // (count * _VECTOR)) * _VECTOR
    panels = np.zeros((count, values.shape[1], width), dtype)
    for panel, first in zip(panels, range(0, len(values), max(width, 1)), strict=False):
        some = values[first : first + width]
        panel[:, : len(some)] = some.T
    return panels
