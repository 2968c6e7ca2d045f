"""Floor 1: the formats at speed and on disk. Numba codecs, packing and bit-exact arithmetic, equal to the reference on
every bit.

Names are imported when first used: Numba takes longer to import than the rest of the package together.
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from densimeter.kernels.array import MacArrayRun, run_mac_array
    from densimeter.kernels.gguf import read_gguf
    from densimeter.kernels.matmul import matmul
    from densimeter.kernels.storage import load, save
    from densimeter.kernels.tensor import QuantizedTensor, quantize, quantize_dequantize, unpack
    from densimeter.kernels.tensor_core import TensorCore, tensor_core_matmul
    from densimeter.kernels.unit import Registers, accumulate_stream

__all__ = [
    "MacArrayRun",
    "QuantizedTensor",
    "Registers",
    "TensorCore",
    "accumulate_stream",
    "load",
    "matmul",
    "quantize",
    "quantize_dequantize",
    "read_gguf",
    "run_mac_array",
    "save",
    "tensor_core_matmul",
    "unpack",
]

_HOMES = {
    "array": ("MacArrayRun", "run_mac_array"),
    "gguf": ("read_gguf",),
    "matmul": ("matmul",),
    "storage": ("load", "save"),
    "tensor": ("QuantizedTensor", "quantize", "quantize_dequantize", "unpack"),
    "tensor_core": ("TensorCore", "tensor_core_matmul"),
    "unit": ("Registers", "accumulate_stream"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            found = getattr(import_module(f"{__name__}.{home}"), name)
            globals()[name] = found
            return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class _Package(ModuleType):
    """This package, whose `matmul` stays the function when a module of that name is imported into it."""

    def __setattr__(self, name: str, value: object) -> None:
        if name not in __all__ or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
