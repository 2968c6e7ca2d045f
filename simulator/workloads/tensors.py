"""Named float32 tensors and the files that hold them; changes when the tensor type or a file format does."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from densimeter.formats.errors import ConfigError

Role = Literal["weight", "activation"]
Float32Array = npt.NDArray[np.float32]
_FloatArray = npt.NDArray[np.floating[Any]]

# NumPy has no bfloat16: its codes are mapped as integers and widened by _mapped.
_SAFETENSORS_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}


@dataclass(frozen=True, eq=False)
class NamedTensor:
    """One operand of a matrix product: float32 `values` of shape ``[rows, K]``, the contraction axis last."""

    name: str
    role: Role
    values: Float32Array


@dataclass(frozen=True, eq=False)
class Workload:
    """The tensors taken from a model or a file, where they come from, and how many others were left out."""

    name: str
    source: str
    tensors: tuple[NamedTensor, ...]
    skipped: int

    def having(self, role: Role) -> tuple[NamedTensor, ...]:
        """Return the tensors of one role, in order."""
        return tuple(tensor for tensor in self.tensors if tensor.role == role)


def load(path: Path, role: Role = "weight") -> Workload:
    """Read the floating-point tensors of two or more axes of a `.npy` or `.safetensors` file, ``[rows, K]``.

    The last axis is taken for the contraction axis, all others become rows. float16, bfloat16 and float64
    become float32. Tensors of fewer axes, without elements or of another type are counted in `skipped`.
    float32 stays mapped from the file, read-only, so that it may exceed the memory. Pickles are never opened.

    Raises:
        ConfigError: the file is missing, of another kind or damaged, has no usable tensor, or holds a NaN, an
            infinity or a number beyond the range of float32.
    """
    if path.suffix not in _READERS:
        raise ConfigError(f"{path}: suffix {path.suffix!r}, expected .npy or .safetensors; convert the file")
    if not path.is_file():
        raise ConfigError(f"{path}: no such file, expected a .npy or .safetensors file; check the path")
    found = list(_READERS[path.suffix](path))
    tensors = tuple(
        NamedTensor(name, role, _matrix(path, name, array))
        for name, array in found
        if array is not None and array.ndim > 1 and array.size
    )
    if not tensors:
        raise ConfigError(
            f"{path}: none of its {len(found)} tensors is usable, expected float16, bfloat16, float32 or "
            "float64 and at least two axes, the last one the contraction axis; convert or reshape them"
        )
    return Workload(path.stem, str(path), tensors, len(found) - len(tensors))


def _matrix(path: Path, name: str, array: _FloatArray) -> Float32Array:
    with np.errstate(over="ignore"):  # what is beyond float32 becomes an infinity, reported below
        values = np.require(array, np.float32, ["C", "A"]).reshape(-1, array.shape[-1])
    finite = np.isfinite(values)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise ConfigError(
            f"{path}: tensor {name!r} has {np.count_nonzero(~finite)} elements not finite as float32, first "
            f"{values[row, column]} at [{row}, {column}]; expected finite numbers, repair the tensor"
        )
    return values


def _read_npy(path: Path) -> Iterator[tuple[str, _FloatArray | None]]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a header is parsed as Python source, so a damaged one raises all sorts
        raise ConfigError(f"{path}: {error}; expected one plain array, as numpy.save writes it") from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise ConfigError(f"{path}: an .npz archive, expected one plain array; save it with numpy.save")
    yield path.stem, array if np.issubdtype(array.dtype, np.floating) else None


def _read_safetensors(path: Path) -> Iterator[tuple[str, _FloatArray | None]]:
    try:
        with safe_open(path, framework="numpy"):
            pass  # opening checks the header against the file, so what follows may trust it
    except (SafetensorError, OSError) as error:
        raise ConfigError(f"{path}: {error}; expected a whole .safetensors file, fetch it again") from error
    with path.open("rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(header_bytes))
    header.pop("__metadata__", None)
    for name, entry in header.items():
        yield name, _mapped(path, entry, 8 + header_bytes)


def _mapped(path: Path, entry: dict[str, Any], data_start: int) -> _FloatArray | None:
    dtype = _SAFETENSORS_DTYPES.get(entry["dtype"])
    if dtype is None or 0 in entry["shape"]:  # an empty range cannot be mapped
        return None
    offset = data_start + entry["data_offsets"][0]
    array = np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=tuple(entry["shape"]))
    if entry["dtype"] == "BF16":  # a bfloat16 is the upper half of a float32
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array


_READERS = {".npy": _read_npy, ".safetensors": _read_safetensors}
