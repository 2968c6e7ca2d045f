"""The safetensors container, tensor by tensor: where each one stands in a file, known before any byte is written.

Changes when the container does. Its own library writes only what is all in memory at once.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import ml_dtypes
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from densimeter.formats.errors import ConfigError

_LENGTH_BYTES = 8
_METADATA = "__metadata__"
_FIRST_NUMBER = re.compile(r"\d+")

NUMPY_DTYPES: dict[str, np.dtype[np.generic]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}


@dataclass(frozen=True)
class Entry:
    """Type and shape of one stored array; `dtype` as the container spells it (F32, BF16, F8_E4M3, U8)."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def bits(self) -> int:
        """Bits of one value: the first number in the name of its type."""
        number = _FIRST_NUMBER.search(self.dtype)
        return int(number[0]) if number else 8  # BOOL

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.bits // 8

    def __str__(self) -> str:
        return f"{self.dtype} {list(self.shape)}"


@dataclass(frozen=True)
class Plan:
    """A file before its values: the bytes it begins with, where each array starts, and its whole size."""

    header: bytes
    offsets: dict[str, int]
    total_bytes: int


@dataclass(frozen=True)
class Contents:
    """What a file says of itself; offsets count from its beginning."""

    path: Path
    entries: dict[str, Entry]
    offsets: dict[str, int]
    metadata: dict[str, str]

    def raw(self, name: str) -> NDArray[np.uint8]:
        """The bytes of one array, [n], read-only and mapped from the file."""
        entry = self.entries[name]
        if not entry.nbytes:  # an empty range cannot be mapped
            return np.empty(0, np.uint8)
        return np.memmap(self.path, np.uint8, "r", self.offsets[name], (entry.nbytes,))

    def mapped(self, name: str) -> NDArray[np.generic]:
        """One array, read-only and mapped from the file; of types that NumPy lacks the bytes, [n]."""
        entry = self.entries[name]
        if entry.dtype not in NUMPY_DTYPES:
            return self.raw(name)
        return self.raw(name).view(NUMPY_DTYPES[entry.dtype]).reshape(entry.shape)


def plan(entries: Mapping[str, Entry], metadata: Mapping[str, str]) -> Plan:
    """Lay arrays out: those of the widest type first, so that each starts at a multiple of its own width."""
    ordered = sorted(entries.items(), key=lambda item: -item[1].bits)  # stable
    described: dict[str, object] = {_METADATA: dict(metadata)} if metadata else {}
    starts, position = {}, 0
    for name, entry in ordered:
        starts[name], position = position, position + entry.nbytes
        offsets = [starts[name], position]
        described[name] = {"dtype": entry.dtype, "shape": list(entry.shape), "data_offsets": offsets}
    text = json.dumps(described, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % _LENGTH_BYTES)
    header = len(text).to_bytes(_LENGTH_BYTES, "little") + text
    return Plan(header, {name: len(header) + start for name, start in starts.items()}, len(header) + position)


def read_contents(path: Path) -> Contents:
    """Read the header of a file; ConfigError where it is missing, damaged or of another kind."""
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}  # opening checks the header against the file, so it may be trusted
        with path.open("rb") as raw:
            length = int.from_bytes(raw.read(_LENGTH_BYTES), "little")
            header = json.loads(raw.read(length))
    except (SafetensorError, OSError) as error:
        raise ConfigError(f"{path}: {error}; expected a whole .safetensors file, fetch it again") from error
    header.pop(_METADATA, None)
    entries = {name: Entry(found["dtype"], tuple(found["shape"])) for name, found in header.items()}
    start = _LENGTH_BYTES + length
    offsets = {name: start + found["data_offsets"][0] for name, found in header.items()}
    return Contents(path, entries, offsets, metadata)
