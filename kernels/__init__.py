"""Floor 1: the formats at speed. Numba codecs, packing and bit-exact arithmetic, equal to the reference on every
bit."""

from densimeter.kernels.matmul import matmul
from densimeter.kernels.tensor import QuantizedTensor, quantize, unpack
from densimeter.kernels.unit import Registers, accumulate_stream

__all__ = ["QuantizedTensor", "Registers", "accumulate_stream", "matmul", "quantize", "unpack"]
