"""The words of a stream, as `rtl.stream` writes them for `compare_outputs`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_INPUT, _OUTPUT = "input_", "output_"

PackedWords = dict[str, NDArray[np.uint8]]
"""Little-endian bytes of each port's words, [cycles, bytes]."""


@dataclass(frozen=True)
class StreamModel:
    """One word per port and cycle: what inputs are given, and what outputs must show after the edge."""

    inputs: dict[str, list[int]]
    outputs: dict[str, list[int]]


def save(path: Path, inputs: PackedWords, outputs: PackedWords) -> None:
    """Write a model file."""
    arrays = {_INPUT + name: words for name, words in inputs.items()}
    arrays |= {_OUTPUT + name: words for name, words in outputs.items()}
    np.savez(path, **arrays)  # type: ignore[arg-type]  # the stub takes the names for allow_pickle


def load(path: Path) -> StreamModel:
    """Read what `save` wrote."""
    with np.load(path) as file:
        inputs, outputs = (
            {name.removeprefix(kind): integers(file[name]) for name in file.files if name.startswith(kind)}
            for kind in (_INPUT, _OUTPUT)
        )
    return StreamModel(inputs, outputs)


def integers(words: NDArray[np.uint8]) -> list[int]:
    """Each row of bytes as one number."""
    return [int.from_bytes(row.tobytes(), "little") for row in words]
