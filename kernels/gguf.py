"""Reading GGUF files (llama.cpp): their tensors as quantised tensors or arrays. Changes when the file format does.

A GGUF type is quantised here when the catalog has a format of its name in the ggml layout (``gguf_q4_0``): its bytes
are then unpacked as they are, without arithmetic. Type numbers and block sizes are those of the `gguf` package.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from densimeter.formats.block import BlockFormat
from densimeter.formats.catalog import get, names
from densimeter.formats.errors import ConfigError, FormatError
from densimeter.kernels.tensor import QuantizedTensor, unpack

PLAIN_TYPES = ("F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8")


@dataclass(frozen=True, eq=False)
class GgufTensor:
    """One tensor of a file, nothing of it read yet. `shape` in the order of NumPy: the last axis is contiguous.

    type_name: "Q4_0", "F32" ...; format: the format it is quantised in; None for plain numbers and for types that no
    format of the catalog stands for.
    """

    name: str
    type_name: str
    shape: tuple[int, ...]
    format: BlockFormat | None
    _data: NDArray[Any] = field(repr=False)

    @property
    def nbytes(self) -> int:
        return int(self._data.nbytes)

    @property
    def plain(self) -> bool:
        """Whether these are numbers of a usual type."""
        return self.type_name in PLAIN_TYPES

    def read(self) -> QuantizedTensor | NDArray[np.generic]:
        """The quantised tensor, or the plain array, mapped from the file; FormatError for other types."""
        if self.format is not None:
            return unpack(np.ascontiguousarray(self._data).view(np.uint8).reshape(-1), self.format, self.shape)
        if not self.plain:
            raise FormatError(f"tensor {self.name!r} is {self.type_name}, which no format of the catalog stands for")
        bfloat16 = self.type_name == "BF16"  # which the reader leaves as bytes
        array: NDArray[np.generic] = self._data.view(ml_dtypes.bfloat16) if bfloat16 else self._data
        return array.reshape(self.shape)

    def dequantized(self) -> NDArray[np.float32]:
        """The float32 values of a type that no format stands for, as the `gguf` package computes them."""
        from gguf import GGMLQuantizationType, dequantize

        try:
            values: NDArray[np.float32] = dequantize(self._data, GGMLQuantizationType[self.type_name])
        except NotImplementedError as error:
            raise FormatError(
                f"tensor {self.name!r} is {self.type_name}, which the gguf package cannot dequantise either"
            ) from error
        return values.astype(np.float32, copy=False).reshape(self.shape)


def open_gguf(path: Path | str) -> list[GgufTensor]:
    """The tensors of a file in its order; it is mapped, not read. ConfigError where it is damaged or no GGUF file."""
    from gguf import GGUFReader

    path = Path(path)
    try:
        reader = GGUFReader(path)
    except Exception as error:  # the reader trusts every count that it reads, so a damaged file raises all sorts
        raise ConfigError(f"{path}: {error}; expected a whole .gguf file, fetch it again") from error
    if reader.byte_order != "I":
        raise ConfigError(f"{path}: a GGUF file of the other byte order, expected a little-endian one; convert it")
    return [_tensor(path, found) for found in reader.tensors]


def read_gguf(
    path: Path | str, *, dequantized: bool = False
) -> Iterator[tuple[str, QuantizedTensor | NDArray[np.generic]]]:
    """Every tensor of a GGUF file by name, one in memory at a time, in the order of the file.

    Q8_0, Q4_0, Q4_1, Q5_0 and Q5_1 are QuantizedTensors whose `pack()` is the file's bytes; F32, F16, F64, BF16 (of
    ml_dtypes) and integers are arrays. Other types (K-quants) raise a FormatError that names them all, before anything
    is yielded; with `dequantized` they are float32 arrays, as the `gguf` package computes them.
    """
    tensors = open_gguf(path)
    other = [f"{t.name} ({t.type_name})" for t in tensors if t.format is None and not t.plain]
    if other and not dequantized:
        raise FormatError(
            f"{path}: no format of the catalog stands for {len(other)} tensors: {', '.join(other)}; "
            "dequantized=True gives their float32 values"
        )
    return ((t.name, t.read() if t.format is not None or t.plain else t.dequantized()) for t in tensors)


def _tensor(path: Path, found: Any) -> GgufTensor:
    type_name, shape = found.tensor_type.name, tuple(int(n) for n in reversed(found.shape))
    name = f"gguf_{type_name.lower()}"
    fmt = get(name) if name in names() else None
    if found.data.nbytes != found.n_bytes or math.prod(shape) != found.n_elements or not shape:
        raise ConfigError(f"{path}: tensor {found.name!r} of shape {shape} is cut short; fetch the file again")
    return GgufTensor(found.name, type_name, shape, fmt, found.data)
