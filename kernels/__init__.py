"""Floor 1: the formats at speed and on disk. Numba codecs, packing and bit-exact arithmetic, equal to the reference on
every bit."""

from densimeter.kernels.gguf import read_gguf
from densimeter.kernels.matmul import matmul
from densimeter.kernels.storage import load, save
from densimeter.kernels.tensor import QuantizedTensor, quantize, unpack
from densimeter.kernels.unit import Registers, accumulate_stream

__all__ = [
    "QuantizedTensor",
    "Registers",
    "accumulate_stream",
    "load",
    "matmul",
    "quantize",
    "read_gguf",
    "save",
    "unpack",
]
