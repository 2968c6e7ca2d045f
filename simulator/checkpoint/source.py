"""Reading checkpoints: the tensors of a file by name, type and shape, and each one's values when they are asked for.

Changes when a file format does. `.safetensors` (also several, named by their `.safetensors.index.json`), `.gguf`,
`.npy` and `.npz`. Pickles are never opened.
"""

import json
import math
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from densimeter.formats.errors import ConfigError
from densimeter.kernels import QuantizedTensor
from densimeter.kernels.gguf import GgufTensor, open_gguf
from densimeter.kernels.safetensors_file import NUMPY_DTYPES, Entry, read_contents
from densimeter.kernels.storage import Outline

Read = Callable[[], QuantizedTensor | NDArray[Any]]

_FLOATS = ("F64", "F32", "F16", "BF16")
_INDEX_SUFFIX = ".safetensors.index.json"


@dataclass(frozen=True, eq=False)
class SourceTensor:
    """A tensor of a checkpoint; nothing of it is read before `read` or `values`.

    stored: the type as the file spells it (F32, BF16, I64, Q4_1 ...). kept_as: how it can be copied, as a plain array
    or in the format in which it is quantised already; None where safetensors has no such type.
    """

    name: str
    shape: tuple[int, ...]
    stored: str
    kept_as: Entry | Outline | None
    nbytes: int
    _read: Read = field(repr=False)

    @property
    def quantizable(self) -> bool:
        """Whether this is a matrix of real numbers: two axes or more, not empty, floating point of 16 bits or more, or
        quantised and so with such values."""
        real = isinstance(self.kept_as, Outline) or (self.kept_as is not None and self.kept_as.dtype in _FLOATS)
        return real and len(self.shape) > 1 and math.prod(self.shape) > 0

    def read(self) -> QuantizedTensor | NDArray[Any]:
        """What `kept_as` says: the quantised tensor, or an array of that type (one that NumPy lacks as its bytes)."""
        return self._read()

    def values(self) -> NDArray[np.float32]:
        """The values as float32, C-contiguous; mapped from the file where it holds float32."""
        found = self.read()
        if isinstance(found, QuantizedTensor):
            return found.dequantize()
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes an infinity
            return np.require(found, np.float32, ["C", "A"])


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The tensors of one checkpoint, in the order of its file, the files it is made of, and their other metadata."""

    path: Path
    files: tuple[Path, ...]
    tensors: tuple[SourceTensor, ...]
    metadata: dict[str, str]


def open_checkpoint(path: Path) -> Checkpoint:
    """Look into a checkpoint; ConfigError where it is missing, of another kind or damaged."""
    suffix = _INDEX_SUFFIX if path.name.endswith(_INDEX_SUFFIX) else path.suffix
    known = ", ".join(_OPENERS)
    if suffix not in _OPENERS:
        raise ConfigError(f"{path}: suffix {suffix!r}, expected {known}; convert the file")
    if not path.is_file():
        raise ConfigError(f"{path}: no such file, expected {known}; check the path")
    checkpoint = _OPENERS[suffix](path)
    names = Counter(tensor.name for tensor in checkpoint.tensors)
    for name, count in names.items():
        if count > 1:
            raise ConfigError(f"{path}: {count} tensors are called {name!r}, expected names that differ; rename them")
    return checkpoint


def _open_safetensors(path: Path) -> Checkpoint:
    contents = read_contents(path)
    tensors = (
        SourceTensor(name, entry.shape, entry.dtype, entry, entry.nbytes, partial(contents.mapped, name))
        for name, entry in contents.entries.items()
    )
    return Checkpoint(path, (path,), tuple(tensors), contents.metadata)


def _open_index(path: Path) -> Checkpoint:
    """Several files, and a map from the name of each tensor to the one that holds it."""
    try:
        places = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        names = list(dict.fromkeys(map(str, places.values())))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(f"{path}: {error!r}; expected JSON with a weight_map from tensors to files") from error
    files = [path.parent / name for name in names]
    for file in files:
        if not file.is_file():
            raise ConfigError(f"{file}: no such file, but {path} names it; fetch it")
    parts = [_open_safetensors(file) for file in files]
    return Checkpoint(path, (path, *files), tuple(t for part in parts for t in part.tensors), parts[0].metadata)


def _open_gguf(path: Path) -> Checkpoint:
    return Checkpoint(path, (path,), tuple(map(_from_gguf, open_gguf(path))), {})


def _from_gguf(tensor: GgufTensor) -> SourceTensor:
    kept: Entry | Outline
    if tensor.format is not None:
        kept = Outline(tensor.format, tensor.shape, len(tensor.shape) - 1)
    else:  # a type that no format stands for is kept as the float32 values that the gguf package reads
        kept = Entry(tensor.type_name if tensor.plain else "F32", tensor.shape)
    read = tensor.read if tensor.format is not None or tensor.plain else tensor.dequantized
    return SourceTensor(tensor.name, tensor.shape, tensor.type_name, kept, tensor.nbytes, read)


def _open_npy(path: Path) -> Checkpoint:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a header is parsed as Python source, so a damaged one raises all sorts
        raise ConfigError(f"{path}: {error}; expected one plain array, as numpy.save writes it") from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise ConfigError(f"{path}: an .npz archive, expected one plain array; name it .npz")
    return Checkpoint(path, (path,), (_from_numpy(path.stem, array.shape, array.dtype, lambda: array),), {})


def _open_npz(path: Path) -> Checkpoint:
    try:
        headers = list(_npz_headers(path))
    except Exception as error:  # as above, and whatever a damaged archive brings
        raise ConfigError(f"{path}: {error}; expected an archive as numpy.savez writes it") from error
    tensors = (_from_numpy(name, shape, dtype, partial(_read_npz, path, name)) for name, shape, dtype in headers)
    return Checkpoint(path, (path,), tuple(tensors), {})


def _npz_headers(path: Path) -> Iterator[tuple[str, tuple[int, ...], np.dtype[Any]]]:
    """Name, shape and type of every array, from its header alone."""
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                shape, _, dtype = readers[version](file)
                yield member.removesuffix(".npy"), shape, dtype


def _read_npz(path: Path, name: str) -> NDArray[Any]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            array: NDArray[Any] = archive[name]
    except Exception as error:
        raise ConfigError(f"{path}: array {name!r}: {error}; write the archive again") from error
    return array


def _from_numpy(name: str, shape: tuple[int, ...], dtype: np.dtype[Any], read: Read) -> SourceTensor:
    little = dtype.newbyteorder("<")
    kept = next((Entry(spelled, shape) for spelled, known in NUMPY_DTYPES.items() if known == little), None)
    return SourceTensor(name, shape, kept.dtype if kept else str(dtype), kept, math.prod(shape) * dtype.itemsize, read)


_OPENERS = {
    ".safetensors": _open_safetensors,
    _INDEX_SUFFIX: _open_index,
    ".gguf": _open_gguf,
    ".npy": _open_npy,
    ".npz": _open_npz,
}
