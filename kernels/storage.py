"""Quantised tensors on disk, in a safetensors file that other programs can read. Changes when the file layout does.

The metadata entry "densimeter" is JSON and says how each quantised tensor is to be read:

    {"layout": 1, "tensors": {NAME: {"format": DECLARATION, "shape": [...], "axis": n}, ...}}

DECLARATION is what `formats.parse` reads (each tensor its own, no catalog is needed), `shape` that of the array, `axis`
the blocked one, counted from the front. Below, ROWS are all other axes, in order, and K is the blocked axis, filled up
to whole blocks with the code of zero; of a tile format, the last of ROWS is filled up to whole tiles as well. The
arrays hold exactly the bytes that `QuantizedTensor.pack` gives, cut into its planes (`formats.packing`):

    NAME.codes          U8 [ROWS, K * bits / 8]: element codes of `bits` bits without gaps, the first one lowest. 4-bit
                        codes stand two to a byte, the first in the low nibble; 8-bit codes one to a byte.
    NAME.scales         a scale code a block, [ROWS, blocks] (tiles: the last of ROWS counts tiles; "tensor": []). Codes
                        of 8, 16, 32 or 64 bits have the integer type of that width, so E8M0 and E4M3 scales are U8;
                        IEEE scales have the type that they are: F32, F16 or BF16. Other codes are packed like elements.
    NAME.scale_factors  F32 [runs]: of doubly quantised scales, the factor of each run of scales, counted row after row
    NAME.scale_mean     F32 [1]: of doubly quantised scales, their mean, where it is subtracted
    NAME.tensor_scale   F32 [1]: the factor of the whole tensor (NVFP4)

Where a row of packed codes does not end with a byte, rows follow each other without a gap and the array is [bytes].
With block "tensor" there is no padding, and the order is that of the array, whatever its blocked axis. A format of the
ggml layout (GGUF), whose scales stand between the elements, has one array instead: ``NAME.blocks``, U8 [ROWS, bytes of
a row], equal to the bytes of that tensor in a GGUF file.

All numbers are little-endian. Arrays of other names (a checkpoint's tensors that were not quantised) may stand beside.
"""

import json
import math
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from densimeter.formats.block import BlockFormat
from densimeter.formats.catalog import parse
from densimeter.formats.element import FLOAT32, FloatElement
from densimeter.formats.errors import ConfigError, FormatError
from densimeter.formats.grid import Grid, grid
from densimeter.formats.notation import declaration
from densimeter.formats.packing import float32_count
from densimeter.formats.scale import DoubleScale, FloatScale, Scale
from densimeter.kernels.safetensors_file import Contents, Entry, Plan, plan, read_contents
from densimeter.kernels.tensor import QuantizedTensor, unpack

METADATA_KEY = "densimeter"

_LAYOUT = 1
_MAX_AXES = 64  # NumPy's
_INTEGER_BITS = (8, 16, 32, 64)
_IEEE = {
    FLOAT32: "F32",
    FloatElement(5, 10, 15, specials="ieee"): "F16",
    FloatElement(8, 7, 127, specials="ieee"): "BF16",
}


@dataclass(frozen=True)
class Outline:
    """A quantised tensor before its values: enough to know every array that it will need."""

    format: BlockFormat
    shape: tuple[int, ...]
    axis: int

    def entries(self, name: str) -> dict[str, Entry]:
        """The arrays under which the tensor `name` is stored, in the order of the packed bytes."""
        fmt, over = self.format, grid(self.format, self.shape, self.axis)
        rows, length = self._rows(over.padded_shape[1]), over.padded_shape[2]
        if fmt.layout == "ggml":
            assert fmt.scale is not None
            return {f"{name}.blocks": _packed(rows, length * fmt.element.bits + over.blocks * fmt.scale.code_bits)}
        whole = fmt.block == "tensor"
        found = {f"{name}.codes": _packed(rows, (self.shape[-1] if whole else length) * fmt.element.bits)}
        if fmt.scale is not None:
            found[f"{name}.scales"] = self._scales(fmt.scale, over)
        if isinstance(fmt.scale, DoubleScale):
            runs = float32_count(fmt, math.prod(over.scales_shape)) - fmt.scale.centred
            found[f"{name}.scale_factors"] = Entry("F32", (runs,))
            if fmt.scale.centred:
                found[f"{name}.scale_mean"] = Entry("F32", (1,))
        elif fmt.has_tensor_scale:
            found[f"{name}.tensor_scale"] = Entry("F32", (1,))
        return found

    def _scales(self, scale: Scale, over: Grid) -> Entry:
        rows = self._rows(over.row_groups)
        if scale.code_bits not in _INTEGER_BITS:
            return _packed(rows, over.blocks * scale.code_bits)
        ieee = _IEEE.get(scale.element) if isinstance(scale, FloatScale) else None
        return Entry(ieee or f"U{scale.code_bits}", () if self.format.block == "tensor" else (*rows, over.blocks))

    def _rows(self, last: int) -> tuple[int, ...]:
        """ROWS; `last` is the length of the last of them where tiles group it."""
        if self.format.block == "tensor":
            return self.shape[:-1]
        others = self.shape[: self.axis] + self.shape[self.axis + 1 :]
        return (*others[:-1], last) if self.format.block_rows > 1 else others

    def to_json(self) -> dict[str, Any]:
        return {"format": declaration(self.format), "shape": list(self.shape), "axis": self.axis}


def outline(tensor: QuantizedTensor) -> Outline:
    return Outline(tensor.format, tensor.shape, tensor.axis)


def metadata(outlines: Mapping[str, Outline]) -> dict[str, str]:
    """The metadata entry that describes these tensors."""
    tensors = {name: described.to_json() for name, described in outlines.items()}
    return {METADATA_KEY: json.dumps({"layout": _LAYOUT, "tensors": tensors}, allow_nan=False)}


def file_plan(outlines: Mapping[str, Outline], others: Mapping[str, Entry], more: Mapping[str, str]) -> Plan:
    """The plan of a file with these quantised tensors, other arrays and other metadata.

    ConfigError where two arrays would have one name.
    """
    entries: dict[str, Entry] = {}
    for name, found in [*((n, o.entries(n)) for n, o in outlines.items()), *((n, {n: e}) for n, e in others.items())]:
        for array in entries.keys() & found.keys():
            raise ConfigError(f"tensor {name!r} needs an array called {array!r}, as another one does; rename one")
        entries |= found
    return plan(entries, {**more, **metadata(outlines)})


def arrays(name: str, tensor: QuantizedTensor) -> Iterable[tuple[str, memoryview]]:
    """The arrays of a tensor and their bytes, in the order of `Outline.entries`."""
    raw, position = memoryview(tensor.pack()), 0
    for array, entry in outline(tensor).entries(name).items():
        yield array, raw[position : position + entry.nbytes]
        position += entry.nbytes


def save(path: Path | str, tensors: Mapping[str, QuantizedTensor]) -> None:
    """Write quantised tensors, each of its own format, whole or not at all; ConfigError where that cannot be done.

    The layout stands in this module's docstring.
    """
    path = Path(path)
    planned = file_plan({name: outline(tensor) for name, tensor in tensors.items()}, {}, {})
    partial = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        try:
            with partial.open("wb") as file:
                file.write(planned.header)
                for name, tensor in tensors.items():
                    for array, raw in arrays(name, tensor):
                        file.seek(planned.offsets[array])
                        file.write(raw)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}; expected a file in a folder of yours") from error


def load(path: Path | str) -> dict[str, QuantizedTensor]:
    """Read the quantised tensors of a file back, each equal to what `save` was given.

    ConfigError where the file is damaged, has no entry "densimeter", or holds what its own description does not fit.
    """
    contents = read_contents(Path(path))
    return {name: _read(contents, name, described) for name, described in _described(contents).items()}


def _described(contents: Contents) -> dict[str, Outline]:
    """What the metadata says of each quantised tensor."""
    path, text = contents.path, contents.metadata.get(METADATA_KEY)
    if text is None:
        raise ConfigError(f"{path}: no {METADATA_KEY!r} in its metadata; expected a file from `densimeter quantize`")
    try:
        written = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{path}: metadata {METADATA_KEY!r} is not JSON: {error}; write the file again") from error
    known = isinstance(written, dict) and written.get("layout") == _LAYOUT
    if not known or not isinstance(written.get("tensors"), dict):
        raise ConfigError(
            f"{path}: metadata {METADATA_KEY!r} is {text[:80]!r}, expected layout {_LAYOUT} and tensors; "
            "write the file again with this version"
        )
    return {name: _outline(f"{path}: tensor {name!r}", given) for name, given in written["tensors"].items()}


def _outline(where: str, written: object) -> Outline:
    if not isinstance(written, dict) or not {"format", "shape", "axis"} <= written.keys():
        raise ConfigError(f"{where} is described as {written!r}, expected format, shape and axis")
    shape, axis = written["shape"], written["axis"]
    if not (isinstance(shape, list) and 1 <= len(shape) <= _MAX_AXES and all(_counts(n) for n in shape)):
        raise ConfigError(f"{where}: shape is {shape!r}, expected a list of 1 to {_MAX_AXES} lengths")
    if not (_counts(axis) and axis < len(shape)):
        raise ConfigError(f"{where}: axis is {axis!r}, expected 0 to {len(shape) - 1}")
    try:
        return Outline(parse(written["format"]), tuple(shape), axis)
    except FormatError as error:
        raise ConfigError(f"{where}: its format is no declaration: {error}") from error


def _counts(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 0


def _read(contents: Contents, name: str, described: Outline) -> QuantizedTensor:
    fmt, shape = described.format, described.shape
    expected = described.entries(name)
    for array, entry in expected.items():
        found = contents.entries.get(array)
        if found != entry:
            raise ConfigError(
                f"{contents.path}: array {array!r} is {found or 'missing'}, expected {entry} for {fmt.name} of shape "
                f"{shape}; fetch the file again"
            )
    packed = b"".join(contents.raw(array).data for array in expected)
    return unpack(packed, fmt, shape, described.axis)


def _packed(rows: tuple[int, ...], row_bits: int) -> Entry:
    """Packed codes as bytes: in rows, where each row ends with a byte."""
    if row_bits % 8 == 0:
        return Entry("U8", (*rows, row_bits // 8))
    return Entry("U8", (-(-math.prod(rows) * row_bits // 8),))
