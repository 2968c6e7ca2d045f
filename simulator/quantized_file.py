"""Quantised tensors on disk: one safetensors file with codes, scales and the format's declaration.

For every tensor NAME the file holds ``NAME.codes`` and ``NAME.scales`` (unsigned integers) and, where the format has
one,
``NAME.tensor_scale`` (float32). The metadata entry "densimeter" is JSON: the declaration of the format, as YAML would
write it. All tensors are [rows, K], blocked along K.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from densimeter.formats import BlockFormat, ConfigError, declaration, parse
from densimeter.kernels import QuantizedTensor

_METADATA_KEY = "densimeter"


def save(path: Path, tensors: Mapping[str, QuantizedTensor], fmt: BlockFormat) -> None:
    """Write tensors of one format, all or nothing: an interrupted write leaves no file and no trace."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for name, tensor in tensors.items():
        arrays[f"{name}.codes"] = np.ascontiguousarray(tensor.codes)
        arrays[f"{name}.scales"] = np.ascontiguousarray(tensor.scales)
        if fmt.has_tensor_scale:
            arrays[f"{name}.tensor_scale"] = np.array([tensor.tensor_scale], np.float32)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}-") as folder:
        unfinished = Path(folder) / path.name
        save_file(arrays, unfinished, metadata={_METADATA_KEY: json.dumps(declaration(fmt))})
        os.replace(unfinished, path)


def load(path: Path) -> dict[str, QuantizedTensor]:
    """Read back what `save` wrote."""
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError) as error:
        raise ConfigError(f"{path}: cannot be read as safetensors: {error}") from error
    if _METADATA_KEY not in metadata:
        raise ConfigError(
            f"{path}: no {_METADATA_KEY!r} entry in its metadata; expected a file from `densimeter quantize`"
        )
    fmt = parse(json.loads(metadata[_METADATA_KEY]))
    tensors = {}
    for key in arrays:
        name, _, part = key.rpartition(".")
        if part == "codes":
            codes, scales = arrays[key], arrays[f"{name}.scales"]
            factor = float(arrays[f"{name}.tensor_scale"][0]) if fmt.has_tensor_scale else 1.0
            tensors[name] = QuantizedTensor(fmt, codes.shape, codes.ndim - 1, codes, scales, factor)
    return tensors
