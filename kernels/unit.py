"""The multiply-accumulate unit, one clock edge at a time: the registers that the Verilog must show."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from densimeter.formats.accumulator import AlignedAccumulator, Fp32Accumulator
from densimeter.formats.block import BlockFormat
from densimeter.formats.datapath import Datapath
from densimeter.kernels.accumulator import parameters
from densimeter.kernels.dot import stream_float_mac, stream_groups
from densimeter.kernels.matmul import LARGEST_SINGLE_SUM_BITS
from densimeter.kernels.operand_tensors import element_values
from densimeter.kernels.operands import unpack_operand
from densimeter.kernels.tensor import QuantizedTensor

_CANONICAL_NAN = np.uint32(0x7FC00000)


@dataclass(frozen=True)
class Registers:
    """The accumulator port (uint64, `register_bits` wide) and the invalid flag after each clock edge."""

    accumulator: NDArray[np.uint64]
    invalid: NDArray[np.bool_]


def accumulate_stream(
    datapath: Datapath,
    activation: NDArray[np.unsignedinteger],
    weight: NDArray[np.unsignedinteger],
    activation_scale: NDArray[np.unsignedinteger],
    weight_scale: NDArray[np.unsignedinteger],
    clear: NDArray[np.bool_],
    enable: NDArray[np.bool_],
) -> Registers:
    """Run the unit over a stream of n clock edges.

    activation, weight: element codes [n, lanes]. activation_scale, weight_scale: scale codes [n], ignored where the
    unit has no such port. clear, enable: [n]; with `enable` false the register holds. The register starts at zero.
    """
    count = len(clear)
    if datapath.float_mac:
        values = np.empty(count, np.float32)
        a_values, w_values = _values(activation, datapath.activation), _values(weight, datapath.weight)
        assert isinstance(datapath.accumulator, Fp32Accumulator)
        stream_float_mac(a_values, w_values, clear, enable, datapath.accumulator.subnormals, values)
        return Registers(_float_port(values), np.zeros(count, bool))
    a = unpack_operand(activation, activation_scale[:, None], datapath.activation, datapath)
    w = unpack_operand(weight, weight_scale[:, None], datapath.weight, datapath)
    significands, exponents = np.empty(count, np.int64), np.empty(count, np.int64)
    values, invalid = np.empty(count, np.float32), np.empty(count, bool)
    wide = datapath.sum_bits > LARGEST_SINGLE_SUM_BITS
    p = parameters(datapath)
    stream_groups(a, w, clear, enable, wide, datapath.product_lsb_exponent, p, significands, exponents, values, invalid)
    if isinstance(datapath.accumulator, Fp32Accumulator):
        return Registers(_float_port(values), invalid)
    return Registers(_integer_port(significands, exponents, datapath), invalid)


def _values(codes: NDArray[np.unsignedinteger], fmt: BlockFormat) -> NDArray[np.float32]:
    tensor = QuantizedTensor(fmt, codes.shape, 1, codes, np.zeros((len(codes), 1), np.uint8))
    return element_values(tensor)[:, 0]


def _float_port(values: NDArray[np.float32]) -> NDArray[np.uint64]:
    bits = values.view(np.uint32).copy()
    bits[np.isnan(values)] = _CANONICAL_NAN
    return bits.astype(np.uint64)


def _integer_port(
    significands: NDArray[np.int64], exponents: NDArray[np.int64], datapath: Datapath
) -> NDArray[np.uint64]:
    """Two's complement significand; for `aligned`, the exponent stands above it."""
    assert not isinstance(datapath.accumulator, Fp32Accumulator)
    bits = datapath.accumulator.bits
    port = significands & ((1 << bits) - 1)
    if isinstance(datapath.accumulator, AlignedAccumulator):
        port |= exponents << bits
    return port.astype(np.uint64)
