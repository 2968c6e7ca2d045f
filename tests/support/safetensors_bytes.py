"""safetensors files by the format's own description, so that they may hold types that NumPy has not."""

import json
from pathlib import Path
from typing import Any

from numpy.typing import NDArray


def write_safetensors(path: Path, entries: dict[str, tuple[str, NDArray[Any]]]) -> Path:
    """Arrays by name, each with the type that the header is to claim."""
    header, data = {}, b""
    for name, (dtype, array) in entries.items():
        raw = array.tobytes()
        header[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header | {"__metadata__": {"format": "pt"}}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def read_safetensors(path: Path) -> tuple[dict[str, tuple[str, list[int], bytes]], dict[str, str]]:
    """(type, shape, bytes) by name, and the metadata."""
    raw = path.read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start])
    metadata = header.pop("__metadata__", {})
    found = {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        found[name] = (entry["dtype"], entry["shape"], raw[start + first : start + last])
    return found, metadata
