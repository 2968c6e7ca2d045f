"""The bench's model: the stimulus words and the expected register stream, as `rtl.simulate` wrote them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

INVALID_PREFIX = {False: "0", True: "1"}


@dataclass(frozen=True)
class Model:
    """One word per port and cycle, and the outputs that must stand after each cycle's rising edge."""

    words: dict[str, list[int]]
    expected: list[int]
    expected_invalid: list[bool] | None


def save(path: Path, words: dict[str, NDArray[np.uint8]], expected: NDArray[np.uint64], invalid: NDArray[np.bool_] | None) -> None:
    """Write a model file. `words[port]` holds the little-endian bytes of each cycle's word, [cycles, bytes]."""
    arrays: dict[str, NDArray[np.generic]] = {f"port_{name}": value for name, value in words.items()}
    arrays["expected"] = expected
    if invalid is not None:
        arrays["expected_invalid"] = invalid
    np.savez(path, **arrays)  # type: ignore[arg-type]


def load(path: Path) -> Model:
    """Read what `save` wrote."""
    with np.load(path) as file:
        words = {name.removeprefix("port_"): _integers(file[name]) for name in file.files if name.startswith("port_")}
        invalid = file["expected_invalid"].tolist() if "expected_invalid" in file.files else None
        return Model(words, file["expected"].tolist(), invalid)


def _integers(words: NDArray[np.uint8]) -> list[int]:
    return [int.from_bytes(row, "little") for row in _rows(words)]


def _rows(words: NDArray[np.uint8]) -> Sequence[bytes]:
    width = words.shape[1]
    flat = words.tobytes()
    return [flat[start : start + width] for start in range(0, len(flat), width)]
